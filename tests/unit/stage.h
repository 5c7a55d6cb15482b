// A stage for detectors: a small fleet, event time that the test moves, and what comes of it. Devices: 1 `a`, 2 `gw` (a gateway,
// critical), 3 `child` (of gw), all of model 1.
#ifndef VEDETTE_TESTS_STAGE_H
#define VEDETTE_TESTS_STAGE_H

#include "unit.h"

#include "analysis/context.h"
#include "vedette/v1/telemetry.pb-c.h"

extern const int64_t second; // microseconds
extern const int64_t start;  // a time at which nothing has happened yet
extern struct config_analysis config;
extern struct fleet fleet;
extern struct context context;
extern int64_t seeing; // we see since; moved by a test that makes us blind

int stage_setup(void **state);
int stage_teardown(void **state);

enum {
  ONLINE_MESSAGE = VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_ONLINE,
  OFFLINE_MESSAGE = VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_OFFLINE,
  ASLEEP_MESSAGE = VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_ASLEEP
};

// Time passes, second by second.
void advance(int64_t to);
void observe(enum observation_kind kind, int32_t device, int64_t at, int code, int32_t count);
void report(int32_t device, int64_t at); // of boot 1
// Reports every `gap` seconds from `from` on; returns the time of the last.
int64_t steady(int32_t device, int64_t from, double gap, int count);
void connectivity(int32_t device, int64_t at, int code, int64_t connection, bool will); // of boot 1
void show(struct observation observation);                                              // time passes up to its receipt

bool live(int32_t device, const char *kind);
const char *is(int32_t device);                // its connectivity
int raised(const char *kind);                  // how often, since the start
int became(int32_t device, const char *state); // likewise

#endif
