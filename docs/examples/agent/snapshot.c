#include "docs/examples/agent/snapshot.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "docs/examples/agent/files.h"
#include "vedette/v1/telemetry.pb-c.h"

// Before this a clock was never set: 2024-01-01.
#define CLOCK_FLOOR_S 1704067200

struct snapshot_source {
  const char *proc;
  struct files_buffer buffer;
  struct sockets *sockets;
};

struct snapshot_source *snapshot_open(const char *proc) {
  struct snapshot_source *source = calloc(1, sizeof *source);
  if (source == NULL) {
    return NULL;
  }
  source->proc = proc;
  source->sockets = sockets_create();
  if (source->sockets == NULL) {
    snapshot_close(source);
    return NULL;
  }
  return source;
}

void snapshot_close(struct snapshot_source *source) {
  if (source != NULL) {
    sockets_free(source->sockets);
    files_free(&source->buffer);
    free(source);
  }
}

static void take_times(struct snapshot *out) {
  struct timespec real;
  struct timespec steady;
  clock_gettime(CLOCK_REALTIME, &real);
  clock_gettime(CLOCK_MONOTONIC, &steady);
  out->time = real.tv_sec >= CLOCK_FLOOR_S ? (int64_t)real.tv_sec * 1000000 + real.tv_nsec / 1000 : 0;
  out->monotonic = (uint64_t)steady.tv_sec * 1000000 + (uint64_t)steady.tv_nsec / 1000;
}

static void take_disk(struct snapshot *out) {
  struct statvfs root;
  if (statvfs("/", &root) == 0) {
    out->has_disk = true;
    out->disk.total = (uint64_t)root.f_blocks * root.f_frsize;
    out->disk.free = (uint64_t)root.f_bavail * root.f_frsize;
  }
}

static void take_sockets(struct snapshot_source *source, struct snapshot *out) {
  static const struct {
    const char *name;
    enum sockets_transport transport;
  } tables[] = {{"net/tcp", SOCKETS_TCP}, {"net/tcp6", SOCKETS_TCP}, {"net/udp", SOCKETS_UDP}, {"net/udp6", SOCKETS_UDP}};
  for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
    struct text table = files_read(&source->buffer, source->proc, tables[i].name);
    out->has_sockets = out->has_sockets || text_size(table) > 0;
    sockets_add(source->sockets, table, tables[i].transport);
  }
  sockets_summarise(source->sockets, &out->sockets);
}

// Two sensors of one name become "x" and "x.2".
static void name_sensor(struct snapshot *out, struct snapshot_sensor *sensor, const char *part) {
  unsigned same = 1;
  snprintf(sensor->metric, sizeof sensor->metric, "temperature.%s", part);
  for (size_t i = 0; i < out->sensor_count; i++) {
    if (strcmp(out->sensors[i].metric, sensor->metric) == 0) {
      snprintf(sensor->metric, sizeof sensor->metric, "temperature.%s.%u", part, ++same);
      i = SIZE_MAX; // look again from the first
    }
  }
}

static void take_sensor(struct snapshot_source *source, struct snapshot *out, const char *folder, const char *name_file,
                        const char *value_file) {
  struct snapshot_sensor *sensor = &out->sensors[out->sensor_count];
  char part[40];
  struct text value = files_read(&source->buffer, folder, value_file);
  if (host_parse_temperature(value, &sensor->celsius)) {
    host_name_part(files_read(&source->buffer, folder, name_file), part, sizeof part);
    name_sensor(out, sensor, part);
    out->sensor_count++;
  }
}

static void take_sensors_of(struct snapshot_source *source, struct snapshot *out, const char *pattern, const char *name_file,
                            const char *value_file) {
  glob_t found;
  if (glob(pattern, 0, NULL, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc && out->sensor_count < HOST_SENSORS_MAX; i++) {
      take_sensor(source, out, found.gl_pathv[i], name_file, value_file);
    }
  }
  globfree(&found);
}

static void take_sensors(struct snapshot_source *source, struct snapshot *out) {
  take_sensors_of(source, out, "/sys/class/thermal/thermal_zone*", "type", "temp");
  if (out->sensor_count == 0) { // most thermal zones are hardware monitors too
    take_sensors_of(source, out, "/sys/class/hwmon/hwmon*", "name", "temp1_input");
  }
}

void snapshot_take(struct snapshot_source *source, struct snapshot *out) {
  struct files_buffer *buffer = &source->buffer;
  memset(out, 0, sizeof *out);
  out->has_load = host_parse_load(files_read(buffer, source->proc, "loadavg"), &out->load);
  out->has_memory = host_parse_memory(files_read(buffer, source->proc, "meminfo"), &out->memory);
  out->has_uptime = host_parse_uptime(files_read(buffer, source->proc, "uptime"), &out->uptime);
  take_disk(out);
  take_sensors(source, out);
  take_sockets(source, out);
  struct text devices = files_read(buffer, source->proc, "net/dev");
  out->has_netdev = text_size(devices) > 0;
  netdev_parse(devices, &out->netdev);
  take_times(out); // last, so that the moment is that of the counters
}

static const char *os_release(void) {
  static const char *const paths[] = {"/etc/os-release", "/usr/lib/os-release"};
  struct files_buffer buffer = {0};
  bool first = text_size(files_read(&buffer, NULL, paths[0])) > 0;
  files_free(&buffer);
  return paths[first ? 0 : 1];
}

// EFI's variable is four bytes of attributes and one that is 1 when secure boot is on.
static int boot_verification(struct files_buffer *buffer) {
  static const char variable[] = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
  struct text text = files_read(buffer, NULL, variable);
  if (text_size(text) != 5) {
    return VEDETTE__V1__BOOT_VERIFICATION__BOOT_VERIFICATION_UNSPECIFIED;
  }
  return text.at[4] == 1 ? VEDETTE__V1__BOOT_VERIFICATION__BOOT_VERIFICATION_VERIFIED
                         : VEDETTE__V1__BOOT_VERIFICATION__BOOT_VERIFICATION_UNVERIFIED;
}

void snapshot_firmware(struct snapshot_source *source, struct snapshot_firmware *out) {
  char kernel[256] = "";
  struct text release;
  memset(out, 0, sizeof *out);
  struct text text = files_read(&source->buffer, source->proc, "sys/kernel/osrelease");
  if (text_word(&text, &release) && text_find(release, "/") == NULL && text_size(release) < 200) {
    snprintf(kernel, sizeof kernel, "/boot/vmlinuz-%.*s", (int)text_size(release), release.at);
  }
  out->has_hash = (kernel[0] != '\0' && files_sha256(kernel, out->hash)) || files_sha256(os_release(), out->hash);
  (void)host_parse_version(files_read(&source->buffer, NULL, os_release()), out->version, sizeof out->version);
  out->verification = boot_verification(&source->buffer);
}
