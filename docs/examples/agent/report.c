#include "docs/examples/agent/report.h"

#include <stdlib.h>
#include <string.h>

#include "vedette/v1/telemetry.pb-c.h"

enum { HISTORICAL_BYTES = 2, FIXED_METRICS = 12, SAMPLES_MAX = FIXED_METRICS + HOST_SENSORS_MAX };

// Everything a report points at, so that one allocation holds it.
struct workspace {
  Vedette__V1__Report report;
  Vedette__V1__Sample sample[SAMPLES_MAX];
  Vedette__V1__Sample *samples[SAMPLES_MAX];
  Vedette__V1__MetricDeclaration metric[SAMPLES_MAX];
  Vedette__V1__MetricDeclaration *metrics[SAMPLES_MAX];
  Vedette__V1__Firmware firmware;
  Vedette__V1__Traffic traffic;
  Vedette__V1__Flow flow[SOCKETS_FLOWS_MAX];
  Vedette__V1__Flow *flows[SOCKETS_FLOWS_MAX];
  struct sockets_flow addresses[SOCKETS_FLOWS_MAX];
  uint32_t tcp[SOCKETS_PORTS_MAX];
  uint32_t udp[SOCKETS_PORTS_MAX];
  Vedette__V1__Event event[AUTHLOG_TALLY_MAX];
  Vedette__V1__Event *events[AUTHLOG_TALLY_MAX];
  struct authlog_tally logins;
  struct snapshot_firmware running;
};

// Adds a sample without a value, and its declaration where `declare`.
static Vedette__V1__Sample *add_sample(struct workspace *w, bool declare, const char *metric, const char *unit) {
  size_t place = w->report.n_samples++;
  vedette__v1__sample__init(&w->sample[place]);
  w->sample[place].metric = (char *)metric; // protobuf-c has no const; packing only reads
  w->samples[place] = &w->sample[place];
  if (declare) {
    vedette__v1__metric_declaration__init(&w->metric[place]);
    w->metric[place].metric = (char *)metric;
    w->metric[place].kind = VEDETTE__V1__METRIC_KIND__METRIC_KIND_GAUGE;
    w->metric[place].unit = (char *)unit;
    w->metrics[place] = &w->metric[place];
    w->report.n_metrics = w->report.n_samples;
  }
  return w->samples[place];
}

static void add_number(struct workspace *w, bool declare, const char *metric, const char *unit, double value) {
  Vedette__V1__Sample *sample = add_sample(w, declare, metric, unit);
  sample->value_case = VEDETTE__V1__SAMPLE__VALUE_NUMBER;
  sample->number = value;
}

static void add_integer(struct workspace *w, bool declare, const char *metric, const char *unit, uint64_t value) {
  Vedette__V1__Sample *sample = add_sample(w, declare, metric, unit);
  sample->value_case = VEDETTE__V1__SAMPLE__VALUE_INTEGER;
  sample->integer = value <= INT64_MAX ? (int64_t)value : INT64_MAX;
}

static void fill_samples(struct workspace *w, const struct snapshot *now, bool declare) {
  if (now->has_load) {
    add_number(w, declare, "load.1m", "1", now->load.average[0]);
    add_number(w, declare, "load.5m", "1", now->load.average[1]);
    add_number(w, declare, "load.15m", "1", now->load.average[2]);
    add_integer(w, declare, "processes", "1", now->load.processes);
  }
  if (now->has_memory) {
    add_integer(w, declare, "memory.total", "By", now->memory.total);
    add_integer(w, declare, "memory.available", "By", now->memory.available);
    add_integer(w, declare, "memory.swap_used", "By", now->memory.swap_used);
  }
  if (now->has_disk) {
    add_integer(w, declare, "disk.total", "By", now->disk.total);
    add_integer(w, declare, "disk.free", "By", now->disk.free);
  }
  if (now->has_uptime) {
    add_number(w, declare, "uptime", "s", now->uptime);
  }
  for (size_t i = 0; i < now->sensor_count; i++) {
    add_number(w, declare, now->sensors[i].metric, "Cel", now->sensors[i].celsius);
  }
  w->report.samples = w->samples;
  w->report.metrics = w->metrics;
}

static void fill_firmware(struct workspace *w, const struct snapshot_firmware *firmware) {
  w->running = *firmware;
  vedette__v1__firmware__init(&w->firmware);
  w->firmware.version = w->running.version;
  w->firmware.image_hash = (ProtobufCBinaryData){w->running.has_hash ? sizeof w->running.hash : 0, w->running.hash};
  w->firmware.boot_verification = (Vedette__V1__BootVerification)firmware->verification;
  w->report.firmware = &w->firmware;
}

static void fill_flows(struct workspace *w, const struct sockets_summary *sockets) {
  memcpy(w->addresses, sockets->flows, sizeof w->addresses);
  for (size_t i = 0; i < sockets->flow_count; i++) {
    struct sockets_flow *from = &w->addresses[i];
    vedette__v1__flow__init(&w->flow[i]);
    w->flow[i].address = (ProtobufCBinaryData){from->address.size, from->address.bytes};
    w->flow[i].port = from->port;
    w->flow[i].transport =
        from->transport == SOCKETS_TCP ? VEDETTE__V1__TRANSPORT__TRANSPORT_TCP : VEDETTE__V1__TRANSPORT__TRANSPORT_UDP;
    w->flows[i] = &w->flow[i]; // /proc knows no bytes of a connection: they stay 0
  }
  w->traffic.n_flows = sockets->flow_count;
  w->traffic.flows = w->flows;
}

static size_t copy_ports(const struct sockets_ports *from, uint32_t *to) {
  for (size_t i = 0; i < from->count; i++) {
    to[i] = from->port[i];
  }
  return from->count;
}

static void fill_traffic(struct workspace *w, const struct snapshot *before, const struct snapshot *now) {
  if (!now->has_netdev || !before->has_netdev || now->monotonic <= before->monotonic) {
    return;
  }
  struct netdev_traffic sum = netdev_between(&before->netdev, &now->netdev);
  vedette__v1__traffic__init(&w->traffic);
  w->traffic.interval = now->monotonic - before->monotonic;
  w->traffic.bytes_in = sum.bytes_in;
  w->traffic.bytes_out = sum.bytes_out;
  w->traffic.packets_in = sum.packets_in;
  w->traffic.packets_out = sum.packets_out;
  w->traffic.connections = now->sockets.connections;
  w->traffic.destinations = now->sockets.destinations;
  fill_flows(w, &now->sockets);
  w->traffic.n_listening_tcp = copy_ports(&now->sockets.tcp, w->tcp);
  w->traffic.listening_tcp = w->tcp;
  w->traffic.n_listening_udp = copy_ports(&now->sockets.udp, w->udp);
  w->traffic.listening_udp = w->udp;
  w->report.traffic = &w->traffic;
}

static void fill_events(struct workspace *w, const struct authlog_tally *logins) {
  w->logins = *logins;
  for (size_t i = 0; i < w->logins.count; i++) {
    struct authlog_failure *from = &w->logins.failures[i];
    vedette__v1__event__init(&w->event[i]);
    w->event[i].kind = VEDETTE__V1__EVENT_KIND__EVENT_KIND_LOGIN_FAILED;
    w->event[i].count = from->count;
    w->event[i].subject = from->subject;
    w->event[i].source = (ProtobufCBinaryData){from->source_size, from->source};
    w->events[i] = &w->event[i];
  }
  w->report.n_events = w->logins.count;
  w->report.events = w->events;
}

static void fill_head(Vedette__V1__Report *report, const struct report_content *content) {
  vedette__v1__report__init(report);
  report->boot_case = content->boot.random ? VEDETTE__V1__REPORT__BOOT_BOOT_RANDOM : VEDETTE__V1__REPORT__BOOT_BOOT_COUNTER;
  if (content->boot.random) {
    report->boot_random = content->boot.value;
  } else {
    report->boot_counter = content->boot.value;
  }
  report->sequence = content->sequence;
  report->time = content->now->time;
  report->credential = (char *)content->credential;
}

struct report_bytes report_pack(const struct report_content *content) {
  struct report_bytes packed = {0};
  struct workspace *w = calloc(1, sizeof *w);
  if (w == NULL) {
    return packed;
  }
  fill_head(&w->report, content);
  fill_samples(w, content->now, content->firmware != NULL);
  if (content->firmware != NULL) {
    fill_firmware(w, content->firmware);
  }
  fill_traffic(w, content->before, content->now);
  fill_events(w, content->logins);
  packed.bytes = malloc(vedette__v1__report__get_packed_size(&w->report) + HISTORICAL_BYTES);
  if (packed.bytes != NULL) {
    packed.size = vedette__v1__report__pack(&w->report, packed.bytes);
  }
  free(w);
  return packed;
}

void report_mark_historical(struct report_bytes *report) {
  report->bytes[report->size++] = 5 << 3; // field 5, a varint …
  report->bytes[report->size++] = 1;      // … that is true
}

struct report_bytes report_connectivity(enum report_state state, struct report_boot boot, uint64_t connection, const char *reason,
                                        int64_t time) {
  struct report_bytes packed = {0};
  Vedette__V1__Connectivity message = VEDETTE__V1__CONNECTIVITY__INIT;
  message.state = state == REPORT_ONLINE ? VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_ONLINE
                                         : VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_OFFLINE;
  message.boot_case = boot.random ? VEDETTE__V1__CONNECTIVITY__BOOT_BOOT_RANDOM : VEDETTE__V1__CONNECTIVITY__BOOT_BOOT_COUNTER;
  if (boot.random) {
    message.boot_random = boot.value;
  } else {
    message.boot_counter = boot.value;
  }
  message.connection = connection;
  message.reason = (char *)reason;
  message.time = time;
  packed.bytes = malloc(vedette__v1__connectivity__get_packed_size(&message));
  if (packed.bytes != NULL) {
    packed.size = vedette__v1__connectivity__pack(&message, packed.bytes);
  }
  return packed;
}
