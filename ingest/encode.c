// From rows and messages to COPY buffers.
#include "ingest/batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistr.h>

enum {
  LETTERS_A_DAY = 1000,    // dead letters kept a device and day; more are counted only
  STRANGERS_A_DAY = 10000, // … and of all who are not registered together
  PART_PAYLOAD = 1024,     // bytes that are kept of a payload that is not kept whole
  LETTER_TOPIC = 256,      // bytes of a topic that a dead letter keeps
  DETAIL_LIMIT = 256,      // bytes
  EXACT_DOUBLE = 53,       // integers beyond 2^53 are not exact as double
};

// Bytes of dead letters that are kept whole a device and day, and of all strangers together.
static const uint64_t letter_bytes = UINT64_C(16) << 20;
static const uint64_t stranger_bytes = UINT64_C(64) << 20;

static bool is_inexact(const Vedette__V1__Sample *sample) {
  const int64_t most = INT64_C(1) << EXACT_DOUBLE;
  return sample->value_case == VEDETTE__V1__SAMPLE__VALUE_INTEGER && (sample->integer > most || sample->integer < -most);
}

static void encode_value(struct copy *out, const Vedette__V1__Sample *sample) {
  switch (sample->value_case) {
  case VEDETTE__V1__SAMPLE__VALUE_NUMBER: copy_float8(out, sample->number); break;
  case VEDETTE__V1__SAMPLE__VALUE_INTEGER: copy_float8(out, (double)sample->integer); break;
  case VEDETTE__V1__SAMPLE__VALUE_FLAG: copy_float8(out, sample->flag ? 1 : 0); break;
  default: copy_null(out);
  }
}

static void encode_text(struct copy *out, size_t start, const Vedette__V1__Sample *sample) {
  char exact[24];
  if (sample->value_case == VEDETTE__V1__SAMPLE__VALUE_TEXT) {
    copy_literal_text(out, start, sample->text, strlen(sample->text));
  } else if (is_inexact(sample)) {
    int length = snprintf(exact, sizeof exact, "%" PRId64, sample->integer);
    copy_literal_text(out, start, exact, (size_t)length);
  } else {
    copy_literal_text(out, start, NULL, 0);
  }
}

// '' where there are none: a NULL would cost every such row eight bytes.
static void encode_texts(struct copy *out, const struct row *row) {
  bool any = false;
  for (size_t i = 0; i < row->count; i++) {
    any |= row->samples[i]->value_case == VEDETTE__V1__SAMPLE__VALUE_TEXT || is_inexact(row->samples[i]);
  }
  if (!any) {
    copy_text(out, "", 0);
    return;
  }
  size_t start = copy_literal(out);
  for (size_t i = 0; i < row->count; i++) {
    encode_text(out, start, row->samples[i]);
  }
  copy_literal_end(out, start);
}

static void encode_values(struct copy *out, const struct row *row) {
  if (row->count == 0) {
    copy_null(out);
    return;
  }
  size_t start = copy_array(out, OID_FLOAT8, row->count);
  for (size_t i = 0; i < row->count; i++) {
    encode_value(out, row->samples[i]);
  }
  copy_array_end(out, start);
}

static void encode_report(struct batch *batch, const struct row *row, int64_t key) {
  struct copy *out = &batch->reports;
  const struct message *message = row->message;
  copy_row(out, 13);
  copy_time(out, row->time);
  copy_time(out, message->record.received);
  copy_int64(out, message->boot);
  copy_int64(out, (int64_t)message->sequence);
  copy_int64(out, key);
  copy_int32(out, message->device->id);
  copy_int32(out, message->publisher->id);
  copy_int32(out, row->first ? (int32_t)message->record.payload_length : 0);
  copy_int16(out, row->set ? row->set->number : 0);
  copy_int16(out, row->marks);
  copy_int16(out, (int16_t)(uint16_t)message->digest);
  encode_texts(out, row);
  encode_values(out, row);
}

static void encode_ports(struct copy *out, const uint32_t *ports, size_t count) {
  size_t start = copy_array(out, OID_INT4, count);
  for (size_t i = 0; i < count; i++) {
    copy_int32(out, (int32_t)ports[i]);
  }
  copy_array_end(out, start);
}

static void encode_flows(struct copy *out, const Vedette__V1__Traffic *t) {
  size_t start = copy_array(out, OID_INET, t->n_flows);
  for (size_t i = 0; i < t->n_flows; i++) {
    copy_address(out, t->flows[i]->address.data, t->flows[i]->address.len);
  }
  copy_array_end(out, start);
  start = copy_array(out, OID_INT4, t->n_flows);
  for (size_t i = 0; i < t->n_flows; i++) {
    copy_int32(out, (int32_t)t->flows[i]->port);
  }
  copy_array_end(out, start);
  start = copy_array(out, OID_INT2, t->n_flows);
  for (size_t i = 0; i < t->n_flows; i++) {
    int transport = (int)t->flows[i]->transport;
    copy_int16(out, (int16_t)(transport > 0 && transport <= VEDETTE__V1__TRANSPORT__TRANSPORT_ICMP ? transport : 0));
  }
  copy_array_end(out, start);
  start = copy_array(out, OID_INT8, t->n_flows);
  for (size_t i = 0; i < t->n_flows; i++) {
    copy_int64(out, (int64_t)t->flows[i]->bytes_in);
  }
  copy_array_end(out, start);
  start = copy_array(out, OID_INT8, t->n_flows);
  for (size_t i = 0; i < t->n_flows; i++) {
    copy_int64(out, (int64_t)t->flows[i]->bytes_out);
  }
  copy_array_end(out, start);
}

// The key that the rows about one message share, in the column order of all tables but store.report.
static void encode_key(struct copy *out, const struct message *message, int64_t time, bool received, int64_t key) {
  copy_time(out, time);
  if (received) {
    copy_time(out, message->record.received);
  }
  copy_int64(out, message->boot);
  copy_int64(out, (int64_t)message->sequence);
  copy_int64(out, key);
  copy_int32(out, message->device->id);
  copy_int32(out, message->publisher->id);
}

static void encode_traffic(struct batch *batch, const struct message *message, int64_t key) {
  const Vedette__V1__Traffic *t = message->report->traffic;
  struct copy *out = &batch->traffic;
  copy_row(out, 20);
  encode_key(out, message, message->report->time, false, key);
  copy_int64(out, (int64_t)t->interval);
  copy_int64(out, (int64_t)t->bytes_in);
  copy_int64(out, (int64_t)t->bytes_out);
  copy_int64(out, (int64_t)t->packets_in);
  copy_int64(out, (int64_t)t->packets_out);
  copy_int32(out, (int32_t)t->connections);
  copy_int32(out, (int32_t)t->destinations);
  encode_flows(out, t);
  encode_ports(out, t->listening_tcp, t->n_listening_tcp);
  encode_ports(out, t->listening_udp, t->n_listening_udp);
}

static void encode_event(struct batch *batch, const struct message *message, size_t place, int64_t key) {
  const Vedette__V1__Event *event = message->report->events[place];
  struct copy *out = &batch->events;
  int64_t time = event->time ? event->time : message->report->time;
  int marks = time_marks(time, message->record.received, message_historical(message));
  copy_row(out, 13);
  encode_key(out, message, time, true, key);
  copy_int16(out, (int16_t)place);
  copy_int16(out, (int16_t)event->kind);
  copy_int32(out, event->count ? (int32_t)event->count : 1);
  copy_int16(out, (int16_t)marks);
  if (event->source.len > 0) {
    copy_address(out, event->source.data, event->source.len);
  } else {
    copy_null(out);
  }
  copy_text(out, event->subject, strlen(event->subject));
}

static void encode_firmware(struct batch *batch, const struct message *message, int64_t key) {
  const Vedette__V1__Firmware *firmware = message->report->firmware;
  struct copy *out = &batch->firmware;
  int verification = (int)firmware->boot_verification;
  int marks = time_marks(message->report->time, message->record.received, message_historical(message));
  copy_row(out, 11);
  encode_key(out, message, message->report->time, true, key);
  copy_int16(out, (int16_t)(verification >= 0 && verification <= 2 ? verification : 0));
  copy_text(out, firmware->version, strlen(firmware->version));
  if (firmware->image_hash.len > 0) {
    copy_text(out, (const char *)firmware->image_hash.data, firmware->image_hash.len);
  } else {
    copy_null(out);
  }
  copy_int16(out, (int16_t)marks);
}

static void encode_connectivity(struct batch *batch, const struct message *message, int64_t key) {
  const Vedette__V1__Connectivity *c = message->connectivity;
  struct copy *out = &batch->connectivity;
  copy_row(out, 10);
  copy_int32(out, message->publisher->id);
  copy_int64(out, message->boot);
  copy_int64(out, (int64_t)c->connection);
  copy_int16(out, (int16_t)c->state);
  copy_time(out, message->record.received);
  if (c->time > 0) {
    copy_time(out, c->time);
  } else {
    copy_null(out);
  }
  if (c->until > 0) {
    copy_time(out, c->until);
  } else {
    copy_null(out);
  }
  copy_int64(out, key);
  copy_bool(out, message->record.flags & (RECORD_RETAINED | RECORD_REPLAY)); // neither says when
  copy_text(out, c->reason, strlen(c->reason));
}

// Text that a peer had a hand in: columns take neither NUL nor broken UTF-8, people no control characters.
static bool is_clean(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++) {
    if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
      return false;
    }
  }
  return u8_check((const uint8_t *)text, length) == NULL;
}

static void copy_clean(struct copy *out, const char *text, size_t length, size_t limit) {
  char clean[256];
  if (length <= limit && is_clean(text, length)) {
    copy_text(out, text, length);
    return;
  }
  length = length < sizeof clean ? length : sizeof clean;
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)text[i];
    clean[i] = c >= 0x20 && c < 0x7f ? (char)c : '?';
  }
  copy_text(out, clean, length);
}

// How much of a rejected message is kept; decided once, however often the batch is tried.
static enum letter letter_kept(struct message *message) {
  const struct record *record = &message->record;
  struct letters_kept *kept = message->letters;
  const bool stranger = message->publisher == NULL;
  const int64_t day = record->received / INT64_C(86400000000);
  bool whole = record->payload_length <= MESSAGE_LIMIT && record->topic_length <= LETTER_TOPIC &&
               is_clean(record->topic, record->topic_length);
  if (message->letter != LETTER_OPEN) {
    return message->letter;
  }
  if (record->flags & RECORD_REPLAY) { // was kept before: nothing of it may get lost by asking for a replay
    return message->letter = whole ? LETTER_WHOLE : LETTER_PART;
  }
  if (kept->day != day) {
    *kept = (struct letters_kept){.day = day};
  }
  if (kept->count >= (stranger ? STRANGERS_A_DAY : LETTERS_A_DAY)) {
    return message->letter = LETTER_DROPPED;
  }
  whole = whole && kept->bytes + record->payload_length <= (stranger ? stranger_bytes : letter_bytes);
  kept->count++;
  kept->bytes += whole ? record->payload_length : 0;
  return message->letter = whole ? LETTER_WHOLE : LETTER_PART;
}

// In the order of the columns that intake.c names.
static void encode_letter(struct batch *batch, struct message *message, int64_t key) {
  const struct record *record = &message->record;
  struct copy *out = &batch->letters;
  const enum letter kept = letter_kept(message);
  if (kept == LETTER_DROPPED) {
    return;
  }
  bool part = kept == LETTER_PART && record->payload_length > PART_PAYLOAD;
  copy_row(out, 13);
  copy_int32(out, message->publisher ? message->publisher->id : 0);
  copy_int64(out, key);
  copy_int64(out, (int64_t)record->number);
  copy_time(out, record->received);
  copy_int16(out, (int16_t)message->verdict.reason);
  if (message->kind == TOPIC_REPORT && message->boot != 0 && message->sequence != 0) {
    copy_int64(out, message->boot);
    copy_int64(out, (int64_t)message->sequence);
  } else {
    copy_null(out);
    copy_null(out);
  }
  copy_int32(out, (int32_t)record->payload_length);
  copy_clean(out, record->topic, record->topic_length, LETTER_TOPIC);
  copy_clean(out, message->verdict.detail, strlen(message->verdict.detail), DETAIL_LIMIT);
  copy_text(out, (const char *)record->payload, part ? PART_PAYLOAD : record->payload_length);
  copy_bool(out, kept == LETTER_WHOLE);
  copy_int16(out, record->flags & RECORD_REPLAY ? MARK_HISTORICAL : 0);
}

// Tests build ingest with one of three faults, once in VEDETTE_FAULT_EVERY calls, to see that `vedette ledger --check` finds
// them.
#ifdef VEDETTE_FAULT
static bool fault(int kind) {
  static unsigned calls;
  return kind == VEDETTE_FAULT && ++calls % VEDETTE_FAULT_EVERY == 0;
}
#else
static bool fault(int kind) {
  (void)kind;
  return false;
}
#endif

static bool fault_drops(void) {
  return fault(1);
}

static bool fault_doubles(void) {
  return fault(2);
}

static bool fault_mislabels(void) {
  return fault(3);
}

static struct minute *minute_of(struct batch *batch, const struct message *message) {
  return batch_minute(batch, message->record.received); // batch_add made it
}

static void encode_extras(struct batch *batch, const struct message *message, int64_t key) {
  for (size_t i = 0; i < message->report->n_events; i++) {
    encode_event(batch, message, i, key);
  }
  if (message->report->traffic != NULL) {
    encode_traffic(batch, message, key);
  }
  if (message->report->firmware != NULL) {
    encode_firmware(batch, message, key);
  }
}

// What is not a row of store.report: connectivity, dead letters; and the count of duplicates.
static void encode_other(struct batch *batch, struct message *message, int64_t key) {
  struct minute *minute = minute_of(batch, message);
  if (message->outcome == OUTCOME_DUPLICATE || (message->outcome == OUTCOME_REJECTED && fault_mislabels())) {
    minute->duplicate++;
  } else if (message->outcome == OUTCOME_REJECTED) {
    uint32_t before = batch->letters.rows;
    encode_letter(batch, message, key);
    minute->rejected++;
    minute->letters += batch->letters.rows - before;
  } else if (message->outcome == OUTCOME_SHED) {
    minute->shed++;
  } else if (message->kind == TOPIC_CONNECTIVITY) {
    encode_connectivity(batch, message, key);
    minute->stored++;
  }
}

bool batch_encode(struct batch *batch, int64_t key) {
  struct copy *buffers[] = {&batch->reports,  &batch->traffic,      &batch->events,
                            &batch->firmware, &batch->connectivity, &batch->letters};
  enum { BUFFERS = sizeof buffers / sizeof buffers[0] };
  for (size_t i = 0; i < BUFFERS; i++) {
    copy_begin(buffers[i]);
  }
  for (size_t i = 0; i < batch->minute_count; i++) { // a batch may be encoded again
    struct minute *minute = &batch->minutes[i];
    *minute = (struct minute){.start = minute->start, .received = minute->received};
  }
  for (size_t i = 0; i < batch->row_count; i++) {
    const struct row *row = &batch->rows[i];
    if (!fault_drops()) {
      encode_report(batch, row, key);
    }
    if (fault_doubles()) {
      struct message twin = *row->message;
      struct row again = *row;
      twin.sequence += UINT64_C(1) << 40;
      again.message = &twin;
      encode_report(batch, &again, key);
    }
    if (row->first) {
      encode_extras(batch, row->message, key);
      minute_of(batch, row->message)->stored++;
    }
  }
  for (size_t i = 0; i < batch->count; i++) {
    encode_other(batch, &batch->messages[i], key);
  }
  bool whole = true;
  for (size_t i = 0; i < BUFFERS; i++) {
    copy_end(buffers[i]);
    whole &= !buffers[i]->broken;
  }
  return whole;
}
