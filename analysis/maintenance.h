// Maintenance windows: what is being worked on. While one is on, alerts of the outage family about the devices it is of are
// withheld and counted; the devices' connectivity goes on being judged. When it is over, those that were heard before it get
// their own patience to come back; one alert names all that did not. The loop's thread only.
//
// Windows live in the store and are read from there again and again. What a device has to do with them is part of its detector
// states (struct upkeep), so that checkpoints and replay bring it back; how much was withheld is in the window's row as of the
// last checkpoint. A window is judged live only, and the step that judges it has a checkpoint: no replay comes across it again.
#ifndef VEDETTE_ANALYSIS_MAINTENANCE_H
#define VEDETTE_ANALYSIS_MAINTENANCE_H

#include "analysis/fleet.h"

struct context;
struct feed_window;

// Times are Unix microseconds, of event time. Conditions that are given hold together.
struct window {
  uint32_t id;
  int32_t device, model;                        // 0: not given
  const struct label *region, *site, *firmware; // the fleet's; NULL: not given
  int64_t begins, ends;
  int64_t patience;     // from the end on, until it is judged
  char *reason;         // owned
  int64_t withheld;     // alerts
  int32_t missing;      // when it was judged
  uint32_t listed;      // devices that did not return and are not back yet
  bool read;            // by the read of the registry that is under way
  bool over;            // its end was seen
  bool judged;          // nothing is left of it but those who are listed
  bool dirty;           // differs from its row
  struct window *after; // of those that stand
  UT_hash_handle hh;
};

struct maintenance {
  struct window *windows;
  struct window *standing; // have begun and are not judged
  uint32_t read;           // by the read of the registry that is under way
  bool full;               // there were more than are taken, and it was said
  bool result;             // a window was judged in this step
};

// A device's part in it: the state of detector_maintenance.
struct upkeep {
  uint32_t window;  // in which alerts about it were withheld last; 0: none
  uint32_t counted; // kinds of which one was counted there, bits as in device.live
  uint32_t listed;  // the window from which it did not return; 0: none
};

// The store's answer: each window; then NULL, after which those that were not among them are forgotten. More than
// FEED_WINDOWS are left out, with a warning.
void maintenance_put(struct context *context, const struct feed_window *facts);
// After the replay: counts who is still listed, by their states.
void maintenance_resume(struct context *context);
// An alert of the system is live in the store, after a start: if it is one of ours, it is cleared when nobody is listed.
void maintenance_expect(struct context *context, enum alert_kind kind, const char *key);
void maintenance_forget(struct context *context);

// Event time has advanced: windows end, and are judged.
void maintenance_advance(struct context *context);
// Whether the device meets all that is given.
bool window_is_of(const struct window *window, const struct device *device);
// True, and counted, if the device's alert of this kind is not to be raised now.
bool maintenance_withholds(struct context *context, struct device *device, enum alert_kind kind);
// The device is back, or is no longer one of the fleet.
void maintenance_returned(struct context *context, struct device *device);

#endif
