// Times as people and programs read them. Inside the command a time is microseconds since 1970-01-01T00:00:00Z.
#ifndef VEDETTE_CLI_WHEN_H
#define VEDETTE_CLI_WHEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WHEN_SIZE = 40 }; // bytes that any of the texts below fits in

// Reads what PostgreSQL writes for timestamptz with DateStyle ISO. False for "infinity" and other text.
bool when_from_store(const char *text, int64_t *microseconds);

// RFC 3339 in UTC: 2026-03-01T12:00:00.250000Z
void when_utc(int64_t microseconds, char out[WHEN_SIZE]);

// Local time with its offset: 2026-03-01T13:00:00+01:00
void when_local(int64_t microseconds, char out[WHEN_SIZE]);

// Local time of day: 13:00:00
void when_clock(int64_t microseconds, char out[WHEN_SIZE]);

// A length of time in a few characters: 0.3 s, 12 s, 4 min, 3 h, 2 d
void when_duration(double seconds, char out[WHEN_SIZE]);

// Reads what a person types for a length of time: 250ms, 90s, 30m, 2h, 7d, 1w. False when it is none.
bool when_length(const char *text, int64_t *microseconds);

// Reads what a person types for a point in time: 90s, 30m, 2h, 7d, 1w (ago), 2026-03-01, 2026-03-01T12:00[:00[.5]][Z|+01:00],
// where without a zone it is local. False when it is none of them. `now` in microseconds.
bool when_read(const char *text, int64_t now, int64_t *microseconds);

// As when_read for what is to come: 2h is in two hours.
bool when_read_ahead(const char *text, int64_t now, int64_t *microseconds);

int64_t when_now(void);

#endif
