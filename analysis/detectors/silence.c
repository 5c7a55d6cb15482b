// Silent and link lost: no report for longer than the device's own cadence explains, or a last will that nothing contradicts.
//
// Cadence is learned from the gaps between receipts: `usual` is their exponential mean, `longest` a maximum that decays with the
// time that passes, not with the number of reports (a flood must not teach a device to be fast). Silence is judged only by time
// in which we saw: after we were blind every device gets its full time again. A gateway's children inherit its outage.
#include "analysis/detectors/all.h"

#include "vedette/v1/telemetry.pb-c.h"

#include <math.h>
#include <string.h>

enum { GAPS_LEARNED = 3, MEAN_WEIGHT = 16, DECAY = 64 };

struct silence {
  int64_t heard;     // receipt of the last report; 0: never
  int64_t online_at; // receipt of the last birth
  int64_t will_at;   // receipt of a last will that still stands; 0: none
  int64_t asleep_until;
  int64_t boot, connection;                    // of the present session, from its birth
  int64_t last_time, last_boot, last_sequence; // of the last report, for the explanation
  double usual, longest;                       // gaps, seconds
  int32_t last_publisher;
  uint32_t gaps;
};

static double threshold_s(const struct context *context, const struct silence *s) {
  const struct config_silence *config = &context_config(context)->silence;
  return config->factor * s->longest + config->slack_s;
}

static void learn(const struct context *context, struct silence *s, double gap) {
  if (s->gaps == 0) {
    s->usual = s->longest = gap;
  } else {
    s->usual += (gap - s->usual) / (s->gaps < MEAN_WEIGHT ? s->gaps + 1 : MEAN_WEIGHT);
    if (gap > s->longest) {
      // One long gap may be an outage of the device, several are a new cadence.
      bool wild = s->gaps > GAPS_LEARNED && gap > threshold_s(context, s);
      s->longest = wild ? fmin(gap, 2 * s->longest) : gap;
    } else if (s->longest > 0) {
      s->longest += (gap - s->longest) * (gap / s->longest) / DECAY;
    }
  }
  if (s->gaps < UINT32_MAX) {
    s->gaps++;
  }
}

static void return_online(struct context *context, struct device *device, int64_t at, const char *how) {
  connectivity_set(context, device, "online", at, how);
  alert_clear(context, device, "silent", at, how);
  alert_clear(context, device, "link lost", at, how);
}

static void on_report(struct context *context, struct device *device, struct silence *s, const struct observation *o) {
  bool seen_through = s->heard > 0 && context_seeing_since(context) <= s->heard && s->asleep_until == 0;
  if (seen_through && o->received > s->heard && !(o->marks & 1)) {
    learn(context, s, seconds(o->received - s->heard));
  }
  s->heard = o->received > s->heard ? o->received : s->heard;
  s->will_at = 0;
  s->asleep_until = 0;
  s->last_time = o->time;
  s->last_boot = o->boot;
  s->last_sequence = o->sequence;
  s->last_publisher = o->publisher;
  return_online(context, device, o->received, "a report arrived");
}

// A session's goodbye or will counts only if no later session has begun.
static bool is_stale(const struct silence *s, const struct observation *o) {
  return s->online_at != 0 && (o->boot != s->boot || o->sequence != s->connection);
}

static void on_connectivity(struct context *context, struct device *device, struct silence *s, const struct observation *o) {
  bool never = s->heard == 0 && s->online_at == 0;
  if (o->retained && !never) {
    return; // seen at subscription: says nothing about now
  }
  switch (o->code) {
  case VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_ONLINE:
    if (s->online_at != 0 && o->boot == s->boot && o->sequence < s->connection) {
      return;
    }
    s->boot = o->boot;
    s->connection = o->sequence;
    s->online_at = o->received;
    s->will_at = 0;
    s->asleep_until = 0;
    if (!o->retained) {
      return_online(context, device, o->received, "it connected");
    }
    return;
  case VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_OFFLINE:
    if (o->retained || is_stale(s, o)) {
      return;
    }
    if (o->will) {
      s->will_at = o->received;
    } else {
      s->will_at = 0;
      connectivity_set(context, device, "offline", o->received, "it said goodbye");
    }
    return;
  case VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_ASLEEP:
    if (!o->retained && !is_stale(s, o)) {
      s->asleep_until = o->until > o->received ? o->until : o->received;
      connectivity_set(context, device, "asleep", o->received, "it announced its sleep");
    }
    return;
  default: return;
  }
}

static void observe(struct context *context, struct device *device, void *state, const struct observation *o) {
  struct silence *s = state;
  if (o->kind == OBSERVE_REPORT) {
    on_report(context, device, s, o); // as publisher too: a gateway that speaks for its children is alive
  } else if (o->kind == OBSERVE_CONNECTIVITY) {
    on_connectivity(context, device, s, o);
  }
}

static double usual_gap(const void *state) {
  return ((const struct silence *)state)->usual;
}

static struct explanation explain(struct context *context, const struct device *device, const struct silence *s,
                                  const struct observation *last, json_t *observed) {
  return (struct explanation){
      .observed = observed,
      .expected = json_pack("{s:f, s:f, s:f}", "report_every_s", s->usual, "longest_usual_gap_s", s->longest, "silent_after_s",
                            threshold_s(context, s)),
      .baseline = json_pack("{s:s, s:i}", "of", "this device's own gaps between reports", "gaps", (int)s->gaps),
      .rank = rank_among_peers(context, device, &detector_silence, usual_gap, "usual gap, longest first"),
      .report = s->heard ? last : NULL,
      .clears_when = "a report or a new connection arrives",
  };
}

static void raise(struct context *context, struct device *device, struct silence *s, bool will) {
  int64_t now = context_now(context);
  struct observation last = {.publisher = s->last_publisher,
                             .boot = s->last_boot,
                             .sequence = s->last_sequence,
                             .time = s->last_time,
                             .received = s->heard};
  enum severity severity = device_critical(device) ? SEVERITY_CRITICAL : SEVERITY_WARNING;
  const char *name = device_credential(device);
  double quiet = seconds(now - s->heard);
  if (will) {
    json_t *observed =
        json_pack("{s:f, s:f}", "link_lost_for_s", seconds(now - s->will_at), "silent_for_s", s->heard ? quiet : 0.0);
    alert_raise(context, device, "link lost", severity, s->will_at, explain(context, device, s, &last, observed),
                "%s lost its connection without saying goodbye %.0f s ago and has not come back.", name,
                seconds(now - s->will_at));
    connectivity_set(context, device, "link lost", s->will_at, "last will, and nothing since");
  } else {
    alert_raise(context, device, "silent", severity, now,
                explain(context, device, s, &last, json_pack("{s:f}", "silent_for_s", quiet)),
                "%s has been silent for %.0f s; it usually reports every %.1f s, with gaps of at most %.1f s.", name, quiet,
                s->usual, s->longest);
    connectivity_set(context, device, "silent", now, "no report within its cadence");
  }
}

// A child whose gateway is away is not judged: the outage is the gateway's.
static bool gateway_away(struct context *context, const struct device *device) {
  const struct device *gateway = device_gateway(context, device);
  const char *state = gateway ? device_connectivity(gateway) : "online";
  return strcmp(state, "silent") == 0 || strcmp(state, "link lost") == 0 || strcmp(state, "offline") == 0;
}

static void advance(struct context *context, struct device *device, void *state) {
  struct silence *s = state;
  const struct config_silence *config = &context_config(context)->silence;
  const int64_t second = 1000000;
  int64_t now = context_now(context);
  const char *is = device_connectivity(device);
  if (strcmp(is, "silent") == 0 || strcmp(is, "link lost") == 0 || (s->will_at == 0 && strcmp(is, "offline") == 0)) {
    return;
  }
  if (s->will_at > s->heard && now - s->will_at >= config->guard_s * second) {
    raise(context, device, s, true);
    return;
  }
  if (s->gaps < GAPS_LEARNED) {
    return;
  }
  int64_t patience = (int64_t)(threshold_s(context, s) * 1e6);
  int64_t settle = config->settle_s * second;
  int64_t due = s->heard + patience;
  int64_t from_birth = s->online_at + patience;
  int64_t from_wake = s->asleep_until ? s->asleep_until + patience : 0;
  int64_t from_sight = context_seeing_since(context) + (patience > settle ? patience : settle);
  due = due > from_birth ? due : from_birth;
  due = due > from_wake ? due : from_wake;
  due = context_seeing_since(context) > s->heard && due < from_sight ? from_sight : due;
  if (now >= due && !gateway_away(context, device)) {
    raise(context, device, s, false);
  }
}

const struct detector detector_silence = {
    .name = "silent", .state_size = sizeof(struct silence), .version = 1, .observe = observe, .advance = advance};
