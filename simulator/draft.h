// A report while it is being put together. One draft is reused for all reports: its room is fixed, nothing is allocated a sample.
// Single thread.
#ifndef VEDETTE_SIMULATOR_DRAFT_H
#define VEDETTE_SIMULATOR_DRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "simulator/values.h"
#include "vedette/v1/telemetry.pb-c.h"

enum {
  DRAFT_SAMPLES = 1024, // the contract's limit
  DRAFT_EVENTS = 16,
  DRAFT_FLOWS = 8,
  DRAFT_PORTS = 4,
  DRAFT_TEXT = 256 * 1024,  // bytes for names and texts
  DRAFT_PACKED = 128 * 1024 // bytes of one packed message, an oversized one included
};

struct draft; // about 500 KiB

struct draft *draft_new(void);
void draft_free(struct draft *draft);

// Starts an empty report. Strings that are handed over later without a copy have to live until it is packed.
void draft_begin(struct draft *draft, uint64_t boot, uint64_t sequence, int64_t time);

// The message itself, for the fields that need no room: historical, child, credential, wants_stored.
Vedette__V1__Report *draft_report(struct draft *draft);

// Adds a sample, its name and text copied. What does not fit is left out; false then.
bool draft_sample(struct draft *draft, const char *name, const struct value *value);
size_t draft_samples(const struct draft *draft);

// Sets what sample `index` holds.
void draft_set_sample(struct draft *draft, size_t index, const struct value *value);

// What sample `index` holds, until the next draft_begin; false if it has no value.
bool draft_value(const struct draft *draft, size_t index, const char **metric, struct value *value);

// Number of the first sample of that name with a number or an integer; draft_samples() if there is none.
size_t draft_find_number(const struct draft *draft, const char *name);
// Adds `amount` to a sample of type number or integer.
void draft_add_to(struct draft *draft, size_t index, double amount);

// Declares unit and kind of a metric.
bool draft_declare(struct draft *draft, const struct value_metric *metric);

// Firmware as it is reported: `version` is kept, the hash (32 bytes) copied.
void draft_firmware(struct draft *draft, const char *version, const uint8_t *hash, bool verified);

// Adds an event that happened `count` times at the report's time. `subject` is kept; `source` is 4 or 16 bytes, copied.
bool draft_event(struct draft *draft, Vedette__V1__EventKind kind, uint32_t count, const char *subject, const uint8_t *source,
                 size_t source_size);

// The traffic record, all zero at first call.
Vedette__V1__Traffic *draft_traffic(struct draft *draft);
// Adds a flow to it; `address` has 4 or 16 bytes, copied. NULL when there is no room.
Vedette__V1__Flow *draft_flow(struct draft *draft, const uint8_t *address, size_t size, uint32_t port,
                              Vedette__V1__Transport transport);
bool draft_listen(struct draft *draft, bool udp, uint32_t port);

// Encodes the report. Returns the bytes (valid until the next draft_begin or draft_pack) and their number in `size`;
// NULL when the message would be larger than DRAFT_PACKED.
uint8_t *draft_pack(struct draft *draft, size_t *size);

#endif
