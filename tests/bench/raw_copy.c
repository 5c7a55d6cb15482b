// The rows that ingest would write, prepared as binary COPY buffers, into store.report: one transaction a batch, nothing else.
//
//   bench_raw_copy --conninfo TEXT --rows N [--batch N] [--devices N] [--samples K]
//
// Prints one line of JSON: rows, seconds, bytes.
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/options.h"
#include "tests/bench/rig.h"

struct buffer {
  char *data;
  size_t size;
};

struct buffers {
  struct buffer *list;
  size_t count, rows, bytes;
};

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool keep(struct buffers *buffers, const struct batch *batch) {
  struct buffer *grown = realloc(buffers->list, (buffers->count + 1) * sizeof *grown);
  if (grown == NULL) {
    return false;
  }
  buffers->list = grown;
  struct buffer *buffer = &buffers->list[buffers->count];
  buffer->size = batch->reports.used;
  buffer->data = malloc(buffer->size);
  if (buffer->data == NULL) {
    return false;
  }
  memcpy(buffer->data, batch->reports.data, buffer->size);
  buffers->count++;
  buffers->rows += batch->row_count;
  buffers->bytes += buffer->size;
  return true;
}

static bool prepare(struct buffers *buffers, const struct stock_shape *shape, size_t batch_size) {
  struct rig rig;
  bool ok = rig_open(&rig, shape, batch_size);
  while (ok && rig_has_more(&rig)) {
    ok = rig_add(&rig);
    rig_number_metrics(&rig);
    ok = ok && rig_rows(&rig) && rig_encode(&rig) && keep(buffers, &rig.batch);
  }
  rig_close(&rig);
  return ok;
}

static bool copy_one(PGconn *session, const struct buffer *buffer) {
  PGresult *result = PQexec(session, "COPY store.report FROM STDIN (FORMAT binary)");
  bool ok = PQresultStatus(result) == PGRES_COPY_IN && PQputCopyData(session, buffer->data, (int)buffer->size) == 1 &&
            PQputCopyEnd(session, NULL) == 1;
  PQclear(result);
  while ((result = PQgetResult(session)) != NULL) {
    ok = ok && PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
  }
  if (!ok) {
    fprintf(stderr, "bench_raw_copy: %s", PQerrorMessage(session));
  }
  return ok;
}

static bool copy_all(const char *conninfo, const struct buffers *buffers) {
  PGconn *session = PQconnectdb(conninfo);
  bool ok = PQstatus(session) == CONNECTION_OK;
  if (!ok) {
    fprintf(stderr, "bench_raw_copy: %s", PQerrorMessage(session));
  }
  double begun = seconds_now();
  for (size_t i = 0; ok && i < buffers->count; i++) {
    ok = copy_one(session, &buffers->list[i]);
  }
  if (ok) {
    printf("{\"rows\": %zu, \"seconds\": %.6f, \"bytes\": %zu}\n", buffers->rows, seconds_now() - begun, buffers->bytes);
    fflush(stdout);
  }
  PQfinish(session);
  return ok;
}

int main(int argc, char **argv) {
  const char *conninfo = NULL;
  long rows = 0;
  long batch = 2000;
  long devices = 200;
  long samples = 8;
  const struct option_row table[] = {{"conninfo", &conninfo, NULL, NULL}, {"rows", NULL, &rows, NULL},
                                     {"batch", NULL, &batch, NULL},       {"devices", NULL, &devices, NULL},
                                     {"samples", NULL, &samples, NULL},   {NULL, NULL, NULL, NULL}};
  if (!options_take(argc, argv, table)) {
    return 2;
  }
  if (conninfo == NULL || rows < 1 || batch < 1 || devices < 1 || devices > 99999 || samples < 1 || samples > 1000) {
    fprintf(stderr, "bench_raw_copy: --conninfo and --rows are needed\n");
    return 2;
  }
  struct stock_shape shape = {.count = (size_t)rows, .devices = (uint32_t)devices, .samples = (uint32_t)samples};
  struct buffers buffers = {0};
  bool ok = prepare(&buffers, &shape, (size_t)batch);
  if (!ok) {
    fprintf(stderr, "bench_raw_copy: the rows could not be made\n");
  }
  ok = ok && copy_all(conninfo, &buffers);
  for (size_t i = 0; i < buffers.count; i++) {
    free(buffers.list[i].data);
  }
  free(buffers.list);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
