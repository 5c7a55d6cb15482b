#include "storage/packing.h"

#include "common/region.h"
#include "storage/chunk.h"
#include "storage/fields.h"
#include "storage/list.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  PIECE_REPORTS = 20000,           // at most this many in a piece …
  PIECE_WEIGHT = 400000,           // … and about this many values
  PIECE_MEMORY = 64 * 1024 * 1024, // bytes that a piece may take, texts and all
  KEY_SIZE = 120,
};

struct packing {
  char day[16];                         // ISO date; "": none
  char first[KEY_SIZE], last[KEY_SIZE]; // keys of the piece; `last` also where the next one begins, "" at the start
  int64_t count, samples;
  int64_t check;         // of which reports they are: all their batches and sequences, by exclusive or
  struct region *region; // reports of the piece
  struct copy rows;
  struct bits bits;
  struct packing_totals totals;
};

struct packing *packing_new(void) {
  struct packing *packing = calloc(1, sizeof *packing);
  if (packing != NULL && (packing->region = region_new(PIECE_MEMORY)) == NULL) {
    free(packing);
    return NULL;
  }
  return packing;
}

void packing_free(struct packing *packing) {
  if (packing != NULL) {
    region_free(packing->region);
    copy_free(&packing->rows);
    bits_free(&packing->bits);
    free(packing);
  }
}

const char *packing_day(const struct packing *packing) {
  return packing->day;
}

int64_t packing_count(const struct packing *packing) {
  return packing->count;
}

struct packing_totals packing_totals(const struct packing *packing) {
  return packing->totals;
}

// --- which day

static void take_day(const PGresult *rows, void *arg) {
  struct packing *packing = arg;
  snprintf(packing->day, sizeof packing->day, "%s", PQntuples(rows) > 0 ? PQgetvalue(rows, 0, 0) : "");
  packing->first[0] = packing->last[0] = '\0';
}

struct script *packing_next(struct packing *packing, uint32_t after_s, uint32_t late) {
  struct script *script = script_new();
  struct decimal after = decimal(after_s);
  struct decimal least = decimal(late);
  const char *parameters[] = {after.text, least.text};
  script_add(script, "SELECT day FROM store.next_packing($1::integer * interval '1 second', $2)", 2, parameters, take_day,
             packing);
  return script;
}

// --- reading and packing

enum { DEVICE, PUBLISHER, SET, TIME, RECEIVED, BOOT, SEQUENCE, BATCH, SIZE, MARKS, VALUES, TEXTS };

static bool take_values(struct region *region, struct field_array array, struct chunk_report *report) {
  size_t count = (size_t)(array.left > 0 ? array.left : 0);
  double *values = region_zalloc(region, count, sizeof *values);
  bool *nulls = region_zalloc(region, count, sizeof *nulls);
  const char *bytes;
  int32_t size;
  if (count > 0 && (values == NULL || nulls == NULL)) {
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    bool there = field_next(&array, &bytes, &size) && bytes != NULL && size == 8;
    uint64_t raw = 0;
    if (there) {
      memcpy(&raw, bytes, sizeof raw);
      raw = be64toh(raw);
    }
    nulls[i] = !there;
    memcpy(&values[i], &raw, sizeof raw);
  }
  report->count = count;
  report->values = values;
  report->nulls = nulls;
  return true;
}

static bool take_texts(struct region *region, struct field_array array, struct chunk_report *report) {
  const char *bytes;
  int32_t size;
  if (array.left == 0) {
    return true;
  }
  report->texts = region_zalloc(region, report->count, sizeof *report->texts);
  for (size_t i = 0; report->texts != NULL && i < report->count && field_next(&array, &bytes, &size); i++) {
    report->texts[i] = bytes != NULL ? region_strdup(region, bytes, (size_t)size) : NULL;
    if (bytes != NULL && report->texts[i] == NULL) {
      return false;
    }
  }
  return report->texts != NULL;
}

static bool take_report(struct region *region, const PGresult *rows, int row, struct chunk_report *report) {
  *report = (struct chunk_report){.device = field_int4(rows, row, DEVICE),
                                  .publisher = field_int4(rows, row, PUBLISHER),
                                  .set = field_int2(rows, row, SET),
                                  .time = field_time(rows, row, TIME),
                                  .received = field_time(rows, row, RECEIVED),
                                  .boot = field_int8(rows, row, BOOT),
                                  .sequence = field_int8(rows, row, SEQUENCE),
                                  .batch = field_int8(rows, row, BATCH),
                                  .size = field_int4(rows, row, SIZE),
                                  .marks = field_int2(rows, row, MARKS)};
  return take_values(region, field_array(rows, row, VALUES), report) && take_texts(region, field_array(rows, row, TEXTS), report);
}

static void write_key(char out[KEY_SIZE], const struct chunk_report *report) {
  snprintf(out, KEY_SIZE, "%" PRId32 " %" PRId64 " %" PRId32 " %" PRId64 " %" PRId64, report->device, report->time,
           report->publisher, report->boot, report->sequence);
}

// What may share a chunk; a set has always the same count.
static int compare_group(const struct chunk_report *x, const struct chunk_report *y) {
  return x->device != y->device         ? (x->device < y->device ? -1 : 1)
         : x->publisher != y->publisher ? (x->publisher < y->publisher ? -1 : 1)
         : x->set != y->set             ? (x->set < y->set ? -1 : 1)
         : x->count != y->count         ? (x->count < y->count ? -1 : 1)
                                        : 0;
}

static int compare(const void *x, const void *y) {
  const struct chunk_report *const *a = x, *const *b = y;
  int group = compare_group(*a, *b);
  return group != 0 ? group : *a < *b ? -1 : *a > *b; // they were read in order of time
}

static void append_chunks(struct packing *packing, const struct chunk_report **sorted, size_t count) {
  for (size_t from = 0, to; from < count; from = to) {
    for (to = from + 1; to < count && to - from < CHUNK_MOST && compare_group(sorted[from], sorted[to]) == 0; to++) {}
    chunk_append(&packing->rows, &packing->bits, &sorted[from], to - from);
  }
}

static bool pack_rows(struct packing *packing, const PGresult *rows) {
  size_t count = (size_t)PQntuples(rows);
  struct chunk_report *reports = region_zalloc(packing->region, count, sizeof *reports);
  const struct chunk_report **sorted = region_zalloc(packing->region, count, sizeof(const struct chunk_report *));
  if (reports == NULL || sorted == NULL) {
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    if (!take_report(packing->region, rows, (int)i, &reports[i])) {
      return false;
    }
    sorted[i] = &reports[i];
    packing->check ^= reports[i].batch ^ reports[i].sequence;
    packing->samples += (int64_t)reports[i].count;
  }
  write_key(packing->first, &reports[0]);
  write_key(packing->last, &reports[count - 1]);
  qsort(sorted, count, sizeof(const struct chunk_report *), compare);
  append_chunks(packing, sorted, count);
  return true;
}

static void take_rows(const PGresult *rows, void *arg) {
  struct packing *packing = arg;
  packing->count = PQntuples(rows);
  packing->samples = packing->check = 0;
  copy_begin(&packing->rows);
  if (packing->count > 0 && (!pack_rows(packing, rows) || packing->rows.broken)) {
    packing->count = -1;
  }
  copy_end(&packing->rows);
  region_reset(packing->region);
}

#define KEY "device, time, publisher, boot, sequence"

struct script *packing_read(struct packing *packing) {
  struct script *script = script_new();
  const struct decimal reports = decimal(PIECE_REPORTS), weight = decimal(PIECE_WEIGHT);
  // Where a key stands behind another is asked with the parts of it, so that the index finds it.
  const char *after = packing->last[0] != '\0' ? packing->last : "-1 0 0 0 0";
  const char *parameters[] = {packing->day, after, reports.text, weight.text};
  packing->count = 0;
  script_add_binary(
      script,
      "SELECT device, publisher, set, time, received, boot, sequence, batch, size, marks, values,"
      " nullif(texts, '')::text[] FROM ("
      " SELECT *, sum(1 + coalesce(cardinality(values), 0)"
      " + octet_length(texts) / 8) OVER (ORDER BY " KEY " ROWS UNBOUNDED PRECEDING) AS weight"
      " FROM store.report WHERE time >= ($1::date)::timestamp AT TIME ZONE 'UTC'"
      " AND time < ($1::date + 1)::timestamp AT TIME ZONE 'UTC'"
      " AND (" KEY ") > (split_part($2, ' ', 1)::integer, " UNIX_TIME(
          "split_part($2, ' ', 2)") ","
                                    " split_part($2, ' ', 3)::integer, split_part($2, ' ', 4)::bigint, split_part($2, ' ', "
                                    "5)::bigint)"
                                    " ORDER BY " KEY " LIMIT $3) r WHERE weight <= $4::bigint",
      4, parameters, take_rows, packing);
  return script;
}

// --- writing

// The reports were taken; what follows is their chunks and the commit.
static void take_written(const PGresult *rows, void *arg) {
  struct packing *packing = arg;
  (void)rows;
  packing->totals.reports += (uint64_t)packing->count;
  packing->totals.samples += (uint64_t)packing->samples;
}

struct script *packing_write(struct packing *packing) {
  struct script *script = script_new();
  const struct decimal n[] = {decimal(packing->count), decimal(packing->check), decimal(packing->samples)};
  const char *parameters[] = {packing->day, packing->first, packing->last, n[0].text, n[1].text, n[2].text};
  script_add(script, "BEGIN", 0, NULL, NULL, NULL);
  script_add(script, "SELECT store.take_raw($1, $2, $3, $4, $5, $6)", 6, parameters, take_written, packing);
  script_copy(script, "COPY store.packed FROM STDIN (FORMAT binary)", packing->rows.data, packing->rows.used);
  script_add(script, "COMMIT", 0, NULL, NULL, NULL);
  return script;
}

struct script *packing_finish(struct packing *packing) {
  struct script *script = script_new();
  const char *parameters[] = {packing->day};
  script_add(script, "SELECT store.finish_packing($1)", 1, parameters, NULL, NULL);
  return script;
}
