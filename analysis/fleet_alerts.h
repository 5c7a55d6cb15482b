// Alerts of the whole system (device 0) of which several of one kind may be live at a time, told apart by a key: one for each
// cohort, storm or maintenance window. What has one alert a kind at most uses alert_raise. The loop's thread only.
//
// How many are live at a time is bounded by those who raise them.
#ifndef VEDETTE_ANALYSIS_FLEET_ALERTS_H
#define VEDETTE_ANALYSIS_FLEET_ALERTS_H

#include "analysis/context.h"

// Raises the alert of this kind and key at `at`. While it is live, raising does nothing. `kind` is a constant, `key` is copied
// and not empty: what it is about and which one, as in "maintenance:7".
void fleet_alert_raise(struct context *context, enum alert_kind kind, const char *key, enum severity severity, int64_t at,
                       struct explanation explanation, const char *sentence, ...) __attribute__((format(printf, 7, 8)));
void fleet_alert_clear(struct context *context, enum alert_kind kind, const char *key, int64_t at, const char *why);
bool fleet_alert_live(const struct context *context, enum alert_kind kind, const char *key);

// What the store says is live, after a start.
void fleet_alert_load(struct context *context, enum alert_kind kind, const char *key);
// Forgets which are live.
void fleet_alerts_forget(struct context *context);

#endif
