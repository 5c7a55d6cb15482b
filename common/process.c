#include "common/process.h"

#include "common/http.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

// Fills `text` with a file's beginning, as a string. False if it cannot be read.
static bool read_text(const char *path, char *text, size_t size) {
  FILE *file = fopen(path, "re");
  if (file == NULL) {
    return false;
  }
  size_t length = fread(text, 1, size - 1, file);
  text[length] = '\0';
  fclose(file);
  return length > 0;
}

static void write_cpu(struct evbuffer *out) {
  struct timespec used;
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0) {
    http_metric(out, "process_cpu_seconds_total", "counter", "Processor time used, user and system.", "",
                (double)used.tv_sec + (double)used.tv_nsec / 1e9);
  }
}

static void write_memory(struct evbuffer *out) {
  char text[4096];
  uint64_t kib;
  if (!read_text("/proc/self/status", text, sizeof text)) {
    return;
  }
  const char *line = strstr(text, "\nVmRSS:");
  if (line != NULL && sscanf(line, "\nVmRSS: %" SCNu64, &kib) == 1) { // NOLINT(cert-err34-c): the kernel wrote it
    http_metric(out, "process_resident_memory_bytes", "gauge", "Resident memory, mapped files (the journal) included.", "",
                (double)kib * 1024);
  }
  line = strstr(text, "\nRssAnon:");
  if (line != NULL && sscanf(line, "\nRssAnon: %" SCNu64, &kib) == 1) { // NOLINT(cert-err34-c): the kernel wrote it
    http_metric(out, "process_anonymous_memory_bytes", "gauge", "Resident memory that is no file's: without the journal.", "",
                (double)kib * 1024);
  }
}

static void write_descriptors(struct evbuffer *out) {
  struct rlimit limit;
  DIR *folder = opendir("/proc/self/fd");
  if (folder != NULL) {
    int open = -1;                    // the folder's own is not counted
    while (readdir(folder) != NULL) { // NOLINT(concurrency-mt-unsafe): this thread's own stream
      open++;
    }
    closedir(folder);
    http_metric(out, "process_open_fds", "gauge", "Open descriptors.", "", (double)(open - 2)); // "." and ".." are none
  }
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    http_metric(out, "process_max_fds", "gauge", "Descriptors this process may open.", "", (double)limit.rlim_cur);
  }
}

// Seconds since 1970 at which the system was started; 0 if unknown. The file is long: the line is in its last part.
static double boot_time(void) {
  char line[256];
  double seconds = 0;
  FILE *file = fopen("/proc/stat", "re");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "btime %lf", &seconds) == 1) { // NOLINT(cert-err34-c): the kernel wrote it
      break;
    }
  }
  if (file != NULL) {
    fclose(file);
  }
  return seconds;
}

static void write_start(struct evbuffer *out) {
  char text[1024];
  double ticks;
  double booted = boot_time();
  const char *behind; // the program's name, which may hold spaces
  if (booted == 0 || !read_text("/proc/self/stat", text, sizeof text) || (behind = strrchr(text, ')')) == NULL ||
      // Field 22; the state is field 3. NOLINTNEXTLINE(cert-err34-c): the kernel wrote it
      sscanf(behind + 1, "%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s %lf", &ticks) != 1) {
    return;
  }
  http_metric(out, "process_start_time_seconds", "gauge", "When this process was started, seconds since 1970.", "",
              booted + ticks / (double)sysconf(_SC_CLK_TCK));
}

void process_write_metrics(struct evbuffer *out) {
  write_cpu(out);
  write_memory(out);
  write_descriptors(out);
  write_start(out);
}
