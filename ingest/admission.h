// Admission: how much a device may send before its messages are shed, so that one device cannot take the store from the others.
//
// A token bucket a device, and one a gateway for what it sends for its children. Tokens come with time: of receipt, or of the
// device's own clock where that advanced further, so that a device that was cut off may hand over what it kept meanwhile. A tenth
// of each bucket is reserved for what is urgent (connectivity, security events): it is shed last. Pure functions.
#ifndef VEDETTE_INGEST_ADMISSION_H
#define VEDETTE_INGEST_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
  double tokens;
  int64_t received; // of the latest message, Unix microseconds; 0: none yet, the bucket is full
  int64_t time;     // latest device time; 0: none yet
};

struct allowance {
  uint32_t rate;  // messages a second; 0: no limit
  uint32_t burst; // most tokens
};

// Lets time pass up to a message received at `received` with device time `time` (0: none; both Unix microseconds).
void bucket_fill(struct bucket *bucket, const struct allowance *allowance, int64_t received, int64_t time);
// True if a token is there for a message; bucket_take takes it.
bool bucket_has(const struct bucket *bucket, const struct allowance *allowance, bool urgent);
void bucket_take(struct bucket *bucket, const struct allowance *allowance);

#endif
