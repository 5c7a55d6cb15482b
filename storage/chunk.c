#include "storage/chunk.h"

#include <string.h>

enum { COLUMNS = 16 };

// Writes what is in `bits` as one field.
static void put_column(struct copy *out, const struct bits *bits) {
  out->broken = out->broken || bits->broken;
  copy_bits(out, bits->data, bits->broken ? 0 : bits->count);
}

// The columns that every report has, in the order of the table.
enum field { TIME, RECEIVED, BOOT, SEQUENCE, BATCH, SIZE, MARKS, FIELDS };

// Whole ones, in microseconds: of chance below them nobody asks days later, and a minute stays the same minute.
static int64_t milliseconds(int64_t time) {
  return time - time % 1000;
}

static int64_t field_of(const struct chunk_report *report, enum field field) {
  switch (field) {
  case TIME: return report->time;
  case RECEIVED: return milliseconds(report->received) - milliseconds(report->time);
  case BOOT: return report->boot;
  case SEQUENCE: return report->sequence;
  case BATCH: return report->batch;
  case SIZE: return report->size;
  default: return report->marks;
  }
}

static void put_fields(struct copy *out, struct bits *bits, const struct chunk_report *const *reports, size_t count) {
  int64_t numbers[CHUNK_MOST];
  for (enum field field = 0; field < FIELDS; field++) {
    for (size_t i = 0; i < count; i++) {
      numbers[i] = field_of(reports[i], field);
    }
    bits_clear(bits);
    pack_integers(bits, numbers, count);
    put_column(out, bits);
  }
}

static void put_values(struct copy *out, struct bits *bits, const struct chunk_report *const *reports, size_t count) {
  double values[CHUNK_MOST];
  bool nulls[CHUNK_MOST];
  size_t start = copy_array(out, OID_VARBIT, reports[0]->count);
  for (size_t metric = 0; metric < reports[0]->count; metric++) {
    for (size_t i = 0; i < count; i++) {
      values[i] = reports[i]->values[metric];
      nulls[i] = reports[i]->nulls[metric];
    }
    bits_clear(bits);
    pack_doubles(bits, values, nulls, count);
    put_column(out, bits);
  }
  copy_array_end(out, start);
}

static void put_texts(struct copy *out, const struct chunk_report *const *reports, size_t count) {
  bool any = false;
  for (size_t i = 0; i < count; i++) {
    any = any || reports[i]->texts != NULL;
  }
  if (!any) {
    copy_null(out);
    return;
  }
  size_t start = copy_array(out, OID_TEXT, count * reports[0]->count);
  for (size_t i = 0; i < count * reports[0]->count; i++) {
    const char **texts = reports[i / reports[0]->count]->texts;
    const char *text = texts != NULL ? texts[i % reports[0]->count] : NULL;
    if (text != NULL) {
      copy_text(out, text, strlen(text));
    } else {
      copy_null(out);
    }
  }
  copy_array_end(out, start);
}

void chunk_append(struct copy *out, struct bits *bits, const struct chunk_report *const *reports, size_t count) {
  const struct chunk_report *first = reports[0];
  int64_t received_last = first->received;
  for (size_t i = 1; i < count; i++) {
    received_last = reports[i]->received > received_last ? reports[i]->received : received_last;
  }
  copy_row(out, COLUMNS);
  copy_time(out, first->time);
  copy_time(out, reports[count - 1]->time);
  copy_time(out, received_last);
  copy_int32(out, first->device);
  copy_int32(out, first->publisher);
  copy_int16(out, first->set);
  copy_int16(out, (int16_t)count);
  put_fields(out, bits, reports, count);
  put_values(out, bits, reports, count);
  put_texts(out, reports, count);
}
