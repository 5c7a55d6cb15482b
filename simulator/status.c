#include "simulator/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "simulator/sim.h"

static void write_faults(const struct sim *sim, FILE *file) {
  bool first = true;
  for (size_t i = 0; sim->runs != NULL && i < sim->plan->count; i++) {
    const struct fault_run *run = &sim->runs[i];
    char name[300];
    if (run->state == RUN_ACTIVE) {
      fprintf(file, "%s{\"fault\":%s,\"kind\":\"%s\",\"device\":\"%s\"}", first ? "" : ",",
              truth_quote(name, sizeof name, run->fault->name), fault_kind_name(run->fault->kind),
              run->device->member->credential);
      first = false;
    }
  }
}

static void write_kept(const struct sim *sim, FILE *file) {
  const struct counters *c = &sim->counters;
  unsigned long long bad = c->bad_notices + link_missed(sim->links);
  bool first = true;
  fprintf(file, "\"kept\":{\"now\":%llu,\"stored\":%llu,\"dropped\":%llu,\"resent\":%llu,\"notices\":%llu,\"bad_notices\":%llu,",
          (unsigned long long)c->kept, (unsigned long long)c->stored, (unsigned long long)c->dropped,
          (unsigned long long)c->resent, (unsigned long long)c->notices, bad);
  fputs("\"refused\":{", file);
  for (size_t i = 0; i < REASONS; i++) {
    char reason[32];
    keeper_reason(i, reason, sizeof reason);
    if (c->refused[i] > 0) {
      fprintf(file, "%s\"%s\":%llu", first ? "" : ",", reason, (unsigned long long)c->refused[i]);
      first = false;
    }
  }
  fputs("}},", file);
}

static void write_counters(const struct sim *sim, FILE *file) {
  const struct counters *c = &sim->counters;
  char now[32];
  truth_time(sim_time(), now);
  fprintf(file, "{\"time\":\"%s\",\"seconds\":%.1f,\"devices\":%zu,\"connected\":%u,", now, sim_monotonic() - sim->started,
          sim->device_count, c->connected);
  fprintf(file, "\"published\":%llu,\"acknowledged\":%llu,\"forgotten\":%llu,\"skipped\":%llu,\"vanished\":%llu,",
          (unsigned long long)c->published, (unsigned long long)c->acknowledged, (unsigned long long)c->forgotten,
          (unsigned long long)c->skipped, (unsigned long long)c->vanished);
  fprintf(file, "\"connects\":%llu,\"connections_lost\":%llu,\"connects_failed\":%llu,\"scenario_running\":%s,",
          (unsigned long long)c->connects, (unsigned long long)c->lost, (unsigned long long)c->failed,
          sim->scenario_running ? "true" : "false");
  if (sim->options->keep) {
    write_kept(sim, file);
  }
  fprintf(file, "\"faults_active\":%u,\"faults\":[", c->faults);
  write_faults(sim, file);
  fputs("]}\n", file);
}

int status_write(const struct sim *sim, const char *path) {
  char fresh[1024];
  int length = snprintf(fresh, sizeof fresh, "%s.new", path);
  if (length < 0 || (size_t)length >= sizeof fresh) {
    errno = ENAMETOOLONG;
    return -1;
  }
  FILE *file = fopen(fresh, "we");
  if (file == NULL) {
    return -1;
  }
  write_counters(sim, file);
  if (fclose(file) != 0 || rename(fresh, path) != 0) {
    int saved = errno;
    (void)unlink(fresh);
    errno = saved;
    return -1;
  }
  return 0;
}
