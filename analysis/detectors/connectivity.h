// What is kept of a device's connectivity: one state for the three clocks (session, data, new information), shared by the parts
// of the detector. Times are Unix microseconds, but where said otherwise.
#ifndef VEDETTE_ANALYSIS_DETECTORS_CONNECTIVITY_H
#define VEDETTE_ANALYSIS_DETECTORS_CONNECTIVITY_H

#include "analysis/cadence.h"
#include "analysis/detector.h"

// What the session and the data say; flapping and frozen are seen above it.
enum base { NEVER_SEEN, ONLINE, LATE, SILENT, LINK_LOST, OFFLINE, ASLEEP };

struct connectivity {
  // Session and data.
  int64_t heard;     // when the last report was sent, as far as that can be told, or received; 0: never
  int64_t online_at; // receipt of the last birth
  int64_t will_at;   // receipt of a last will that still stands; 0: none
  int64_t asleep_until;
  int64_t boot, boot_before;    // the present one, and the one before
  int64_t connection, sequence; // of the present boot: from its birth; of the last report
  struct cadence reports;       // gaps between reports
  float behind;                 // how late reports usually are by the device's clock, seconds
  float asleep_s;               // for how long it said to sleep
  int32_t publisher;            // of the last report
  uint8_t base;                 // enum base
  uint8_t away;                 // the base that a connection ended since the last report; 0: none
  bool through;                 // absent since its gateway is
  // Flapping.
  uint16_t drops, drops_before; // lost connections in this hour and in the one before
  uint16_t boots, boots_before;
  uint32_t hour;                  // hours since 1970
  uint32_t dropped_at, booted_at; // the last one of each, seconds since 1970
  float usual_drops, usual_boots; // an hour
  // New information.
  int32_t hash, hash_before; // of the last values, and of the others before them; 0: none
  uint32_t changed_at;       // when they were others, seconds since 1970
  uint32_t same;             // reports with these values
  struct cadence news;       // gaps between changes
};
_Static_assert(sizeof(struct connectivity) <= 256, "a device's connectivity");

// Sets what session and data say, with the reason; a gateway's children share its absence.
void connectivity_become(struct context *context, struct device *device, struct connectivity *c, enum base base, int64_t at,
                         const char *reason);
// Shows what is to be seen: the base, or what stands above it. `reason`: of the change.
void connectivity_show(struct context *context, struct device *device, const struct connectivity *c, int64_t at,
                       const char *reason);
bool connectivity_absent(const struct connectivity *c);

// flapping.c: a connection was lost, or a boot began.
void flapping_drop(struct context *context, struct device *device, struct connectivity *c, int64_t at);
void flapping_boot(struct context *context, struct device *device, struct connectivity *c, int64_t at);
void flapping_advance(struct context *context, struct device *device, struct connectivity *c);

// frozen.c: a report with these values came.
void frozen_report(struct context *context, struct device *device, struct connectivity *c, const struct observation *o);

#endif
