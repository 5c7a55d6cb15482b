// Connectivity: what session and data say of a device together. A report is the only proof of life; a birth is one of a
// connection; a last will is a hint that newer data and newer sessions overrule; absence is judged by the device's own rhythm,
// and only over time in which we saw. A gateway's children share its absence. Silence is a state: an alert only of devices that
// are marked critical (and of cohorts, analysis/cohorts.h).
#include "analysis/detectors/connectivity.h"

#include "analysis/detectors/all.h"
#include "vedette/v1/telemetry.pb-c.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { REASON = 160, RETRY_S = 5, UNKNOWN_S = 60, BACKLOG_S = 30, BACKLOG_WITHIN_S = 900, WAKE_LEAST_S = 60, BLIND_LEAST_S = 60 };
static const int64_t second = 1000000;
static const double overslept = 0.25;  // of the announced sleep: a clock that drifts
static const double after_blind = 1.8; // usual gaps: whoever lives has reported by then
static const double blind_times = 10;  // as long as we were blind: a moment of it is no reason to wait a day more
static const double away_from = 1.5;   // usual gaps: a report was missed
static const float behind_weight = 0.02F;

static uint32_t whole_seconds(int64_t us) {
  return (uint32_t)(us / second);
}

bool connectivity_absent(const struct connectivity *c) {
  return c->base == SILENT || c->base == LINK_LOST || c->base == OFFLINE;
}

// --- what is shown

static const char *state_name(const struct device *device, const struct connectivity *c) {
  static const char *const names[] = {"never seen", "online", "late", "silent", "link lost", "offline", "asleep"};
  if (alert_live(device, ALERT_FLAPPING) || alert_live(device, ALERT_REBOOT_LOOP)) {
    return "flapping";
  }
  bool there = c->base == ONLINE || c->base == LATE;
  return there && alert_live(device, ALERT_FROZEN) ? "frozen" : names[c->base];
}

void connectivity_show(struct context *context, struct device *device, const struct connectivity *c, int64_t at,
                       const char *reason) {
  connectivity_set(context, device, state_name(device, c), at, reason);
}

// --- a gateway's children

static void child_follows(struct context *context, struct device *gateway, struct device *child, uint8_t base, int64_t at) {
  const bool absent = base == SILENT || base == LINK_LOST || base == OFFLINE;
  struct connectivity *c = device_state_of(child, &detector_connectivity);
  char reason[REASON];
  if (absent && (c->base == ONLINE || c->base == LATE)) {
    snprintf(reason, sizeof reason, "its gateway %.80s is %s", device_credential(gateway), device_connectivity(gateway));
    c->through = true;
    c->base = base;
  } else if (!absent && c->through) {
    snprintf(reason, sizeof reason, "its gateway %.80s is back", device_credential(gateway));
    c->through = false;
    c->base = ONLINE;
    c->away = LINK_LOST; // no gap of its own
    c->online_at = at;   // its time begins anew
    device_wake(context, child, at);
  } else {
    return;
  }
  connectivity_show(context, child, c, at, reason);
}

void connectivity_become(struct context *context, struct device *device, struct connectivity *c, enum base base, int64_t at,
                         const char *reason) {
  bool was_absent = connectivity_absent(c);
  c->base = (uint8_t)base;
  c->through = false;
  connectivity_show(context, device, c, at, reason);
  bool absent = connectivity_absent(c);
  for (struct device *child = NULL; absent != was_absent && (child = device_child(device, child)) != NULL;) {
    child_follows(context, device, child, c->base, at);
  }
}

static void return_online(struct context *context, struct device *device, struct connectivity *c, int64_t at, const char *how) {
  if (c->base != ONLINE) {
    connectivity_become(context, device, c, ONLINE, at, how);
    alert_clear(context, device, ALERT_SILENT, at, how);
    alert_clear(context, device, ALERT_LINK_LOST, at, how);
    alert_clear(context, device, ALERT_NEVER_SEEN, at, how);
    device_wake(context, device, at); // from here on it is always awaited
  }
}

// --- reports

// When it was sent: what waited for us, at the broker or the device, is old by the device's clock.
static int64_t when_sent(const struct context *context, struct connectivity *c, const struct observation *o) {
  const float behind = (float)seconds(o->received - o->time);
  bool sane = o->time > 0 && !(o->marks & (MARK_HISTORICAL | MARK_NO_CLOCK | MARK_AHEAD | MARK_BEHIND));
  if (!sane) {
    return o->received;
  }
  bool first = c->heard == 0;
  bool recent = o->received < context_seeing_since(context) + BACKLOG_WITHIN_S * second;
  bool waited = recent && !first && behind - c->behind > BACKLOG_S;
  if (!waited) {
    c->behind = first || behind < c->behind ? behind : c->behind + behind_weight * (behind - c->behind);
  }
  return waited ? o->received - (int64_t)((double)(behind - c->behind) * 1e6) : o->received;
}

// A boot that is neither the present one nor the one before. Late reports of the one before come in between. A sleeper whose
// memory does not survive the sleep boots at each wake: that is no fault.
static void note_boot(struct context *context, struct device *device, struct connectivity *c, int64_t boot, int64_t at) {
  if (boot == c->boot || boot == c->boot_before) {
    return;
  }
  bool first = c->boot == 0;
  c->boot_before = c->boot;
  c->boot = boot;
  c->connection = 0;
  if (!first && c->base != ASLEEP) {
    flapping_boot(context, device, c, at);
  }
}

static void learn(struct context *context, struct device *device, struct connectivity *c, int64_t sent, bool alive) {
  const double enough = context_config(context)->connectivity.learn_s;
  const bool settled = cadence_is_settled(&c->reports, enough);
  const double gap = seconds(sent - c->heard);
  // A long gap in which it lost its connection, or booted, is an absence too, however short: no rhythm, unless it comes always.
  bool missed = !alive && cadence_is_known(&c->reports) && gap > away_from * (double)c->reports.usual;
  bool absent = (c->away != 0 ? c->away : c->base) == SILENT || missed;
  cadence_learn(&c->reports, gap, whole_seconds(sent), absent, alive);
  if (!absent || alive) {
    cadence_learn_spread(&c->reports, gap);
  }
  if (absent && alive) {
    device_false_alarm(context, device);
  }
  if (cadence_is_settled(&c->reports, enough) && (!settled || c->reports.window_gaps == 1)) {
    device_tell_usual(device, (double)c->reports.usual);
    device_wake(context, device, sent); // its patience may have become shorter
  }
}

static void on_report(struct context *context, struct device *device, struct connectivity *c, const struct observation *o) {
  const int64_t since = context_seeing_since(context);
  const bool historical = o->marks & MARK_HISTORICAL;
  const bool own = o->publisher == device_id(device);
  const bool alive = o->boot == c->boot && c->online_at <= c->heard && c->will_at == 0 && !c->through;
  const int64_t sent = when_sent(context, c, o);
  const bool recovering = context_recovering(context);
  const bool waited = recovering && sent < o->received;
  if (waited) {
    context_waited(context, o->received);
  } else if (recovering && c->heard > 0 && c->heard < since && c->online_at < since) {
    context_returned(context);
  }
  if (c->heard >= since && c->heard > 0 && sent > c->heard && !historical && c->asleep_until == 0 && !c->through &&
      c->base <= SILENT && c->away <= SILENT) {
    learn(context, device, c, sent, alive);
  }
  if (own && !historical) {
    note_boot(context, device, c, o->boot, o->received);
  } else if (!own) {
    c->boot = o->boot; // of whom it speaks through
  }
  const int64_t heard = waited && sent >= since ? since - 1 : sent; // what is behind a backlog is not yet heard again
  c->heard = heard > c->heard ? heard : c->heard;
  c->will_at = 0;
  c->asleep_until = 0;
  c->away = 0;
  c->sequence = o->sequence;
  c->publisher = o->publisher;
  frozen_report(context, device, c, o);
  return_online(context, device, c, o->received, "a report arrived");
}

// --- connectivity messages

// A session's goodbye or will counts only if no later session has begun.
static bool is_stale(const struct connectivity *c, const struct observation *o) {
  return c->online_at != 0 && (o->boot != c->boot || o->sequence < c->connection);
}

static void on_birth(struct context *context, struct device *device, struct connectivity *c, const struct observation *o) {
  bool again = c->online_at != 0 && o->boot == c->boot;
  if (again && o->sequence < c->connection) {
    return;
  }
  // A connection that ended without a word, or of whose end the will was seen already.
  bool dropped = again && o->sequence > c->connection && c->will_at == 0 && (c->base == ONLINE || c->base == LATE);
  if (dropped && !o->retained) {
    flapping_drop(context, device, c, o->received);
  }
  if (!o->retained && (c->online_at != 0 || c->heard != 0)) { // the first ever is no return
    context_born(context, device, o->received, c->will_at != 0 || connectivity_absent(c));
  }
  note_boot(context, device, c, o->boot, o->received);
  c->connection = o->sequence;
  c->online_at = o->received;
  c->will_at = 0;
  c->asleep_until = 0;
  if (!o->retained) {
    c->away = c->base == ONLINE || c->base == ASLEEP ? c->away : c->base; // the gap is still open
    return_online(context, device, c, o->received, "it connected");
  }
}

static void on_offline(struct context *context, struct device *device, struct connectivity *c, const struct observation *o) {
  if (o->retained || is_stale(c, o)) {
    return;
  }
  if (!o->will) {
    c->will_at = 0;
    connectivity_become(context, device, c, OFFLINE, o->received, "it said goodbye");
    return;
  }
  c->will_at = o->received;
  flapping_drop(context, device, c, o->received);
  device_wake(context, device, o->received + context_config(context)->connectivity.guard_s * second);
}

static void on_asleep(struct context *context, struct device *device, struct connectivity *c, const struct observation *o) {
  if (o->retained || is_stale(c, o)) {
    return;
  }
  c->asleep_until = o->until > o->received ? o->until : o->received;
  c->asleep_s = (float)seconds(c->asleep_until - o->received);
  connectivity_become(context, device, c, ASLEEP, o->received, "it announced its sleep");
  device_wake(context, device, c->asleep_until);
}

static void on_connectivity(struct context *context, struct device *device, struct connectivity *c, const struct observation *o) {
  bool never = c->heard == 0 && c->online_at == 0;
  if (o->retained && !never) {
    return; // seen at subscription: says nothing about now
  }
  if (context_recovering(context) && c->heard > 0 && c->heard < context_seeing_since(context) &&
      c->online_at < context_seeing_since(context)) {
    context_returned(context);
  }
  switch (o->code) {
  case VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_ONLINE: on_birth(context, device, c, o); return;
  case VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_OFFLINE: on_offline(context, device, c, o); return;
  case VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_ASLEEP: on_asleep(context, device, c, o); return;
  default: return;
  }
}

static void observe(struct context *context, struct device *device, void *state, const struct observation *o) {
  struct connectivity *c = state;
  if (o->kind == OBSERVE_REPORT) {
    on_report(context, device, c, o); // as publisher too: a gateway that speaks for its children is alive
  } else if (o->kind == OBSERVE_CONNECTIVITY) {
    on_connectivity(context, device, c, o);
  } else if (o->kind == OBSERVE_EVENT && o->code == VEDETTE__V1__EVENT_KIND__EVENT_KIND_CONFIGURATION_CHANGED &&
             (o->roles & ROLE_SUBJECT)) {
    cadence_restart(&c->reports);
  }
}

// --- absence

static double usual_gap(const void *state) {
  return (double)((const struct connectivity *)state)->reports.usual;
}

static void raise(struct context *context, struct device *device, const struct connectivity *c, enum alert_kind kind, int64_t at,
                  double away, double patience) {
  struct observation last = {
      .publisher = c->publisher, .boot = c->boot, .sequence = c->sequence, .time = c->heard, .received = c->heard};
  const struct cadence_prior prior = device_prior(context, device);
  struct explanation explanation = {
      .observed = json_pack("{s:f}", "away_for_s", away),
      .expected = json_pack("{s:f, s:f, s:f}", "report_every_s", cadence_usual(&c->reports, &prior), "longest_usual_gap_s",
                            cadence_longest(&c->reports), "silent_after_s", patience),
      .baseline = json_pack("{s:s, s:i, s:f}", "of", "this device's own gaps between reports", "gaps",
                            (int)cadence_gaps(&c->reports), "false_alarms_a_day", context_config(context)->connectivity.rate),
      .rank = rank_among_peers(context, device, &detector_connectivity, usual_gap, "usual gap, longest first"),
      .report = c->heard ? &last : NULL,
      .clears_when = "a report or a new connection arrives",
  };
  if (kind == ALERT_SILENT) {
    alert_raise(context, device, kind, SEVERITY_CRITICAL, at, explanation,
                "%s has been silent for %.0f s; it usually reports every %.1f s, with gaps of at most %.1f s.",
                device_credential(device), away, cadence_usual(&c->reports, &prior), cadence_longest(&c->reports));
  } else {
    alert_raise(context, device, kind, SEVERITY_CRITICAL, at, explanation,
                "%s lost its connection without saying goodbye %.0f s ago and has not come back.", device_credential(device),
                away);
  }
}

// One alert, of a critical device; not while it flaps, which is one already, and not where its gateway's absence is shared.
static void tell(struct context *context, struct device *device, const struct connectivity *c, int64_t at, double away,
                 double patience) {
  bool told = alert_live(device, ALERT_SILENT) || alert_live(device, ALERT_LINK_LOST);
  bool flapping = strcmp(device_connectivity(device), "flapping") == 0;
  if (device_critical(device) && !told && !flapping && !c->through) {
    raise(context, device, c, c->base == SILENT ? ALERT_SILENT : ALERT_LINK_LOST, at, away, patience);
  }
}

static void lose(struct context *context, struct device *device, struct connectivity *c, enum base base, int64_t at, double away,
                 double patience, const char *reason) {
  connectivity_become(context, device, c, base, at, reason);
  tell(context, device, c, at, away, patience);
}

// It has been absent for a while, and what kept us from telling may be over: maintenance, or its flapping.
static void tell_still(struct context *context, struct device *device, const struct connectivity *c, int64_t now) {
  if (context_recovering(context)) {
    device_wake(context, device, now + RETRY_S * second);
    return;
  }
  int64_t since = c->base == LINK_LOST ? c->will_at : c->heard;
  tell(context, device, c, now, seconds(now - (since > 0 ? since : c->online_at)), device_patience(context, device, &c->reports));
}

// When it has to be heard, for it not to be silent. `patience`: seconds.
static int64_t due_at(const struct context *context, const struct device *device, const struct connectivity *c, double patience) {
  const struct cadence_prior prior = device_prior(context, device);
  int64_t due = c->heard + (int64_t)(patience * 1e6);
  int64_t from_birth = c->online_at + (int64_t)(patience * 1e6);
  due = due > from_birth ? due : from_birth;
  if (context_seeing_since(context) > c->heard) {
    double grace = fmin(patience, after_blind * cadence_usual(&c->reports, &prior) + prior.least);
    const double blind = seconds(context_blind_for(context));
    grace = blind > 0 ? fmin(grace, BLIND_LEAST_S + blind_times * blind) : grace;
    int64_t from_sight = context_caught_up(context) + (int64_t)(grace * 1e6);
    due = due > from_sight ? due : from_sight;
  }
  return due;
}

static bool gateway_away(const struct context *context, const struct device *device) {
  const struct device *gateway = device_gateway(context, device);
  const struct connectivity *c = gateway ? device_state_of((struct device *)gateway, &detector_connectivity) : NULL;
  return c != NULL && connectivity_absent(c);
}

static void await_wake(struct context *context, struct device *device, struct connectivity *c, int64_t now) {
  double patience = fmax(WAKE_LEAST_S, overslept * (double)c->asleep_s);
  int64_t due = c->asleep_until + (int64_t)(patience * 1e6);
  int64_t from_sight = context_seeing_since(context) + (int64_t)(patience * 1e6);
  due = context_seeing_since(context) > c->asleep_until && from_sight > due ? from_sight : due;
  if (now < due) {
    device_wake(context, device, due);
    return;
  }
  lose(context, device, c, SILENT, now, seconds(now - c->asleep_until), patience, "it did not wake when it had said");
}

static void await_report(struct context *context, struct device *device, struct connectivity *c, int64_t now) {
  char reason[REASON];
  double patience = device_patience(context, device, &c->reports);
  if (patience <= 0) { // its model may show a rhythm before it does
    device_wake(context, device, now + UNKNOWN_S * second);
    return;
  }
  const struct cadence_prior prior = device_prior(context, device);
  int64_t due = due_at(context, device, c, patience);
  const double own = cadence_late(&c->reports, &prior); // 0: its rhythm is not known
  int64_t late = due - (int64_t)((patience - (own > 0 ? fmin(own, patience) : patience)) * 1e6);
  double away = seconds(now - (c->heard > 0 ? c->heard : c->online_at));
  if (now >= due) {
    snprintf(reason, sizeof reason, "no report for %.0f s; it reports every %.1f s, and %.0f s are too long for it", away,
             cadence_usual(&c->reports, &prior), patience);
    lose(context, device, c, SILENT, now, away, patience, reason);
    return;
  }
  if (now >= late && c->base == ONLINE) {
    snprintf(reason, sizeof reason, "no report for %.0f s; it reports every %.1f s", away, cadence_usual(&c->reports, &prior));
    connectivity_become(context, device, c, LATE, now, reason);
  }
  device_wake(context, device, c->base == ONLINE ? late : due);
}

static void advance(struct context *context, struct device *device, void *state) {
  struct connectivity *c = state;
  const int64_t now = context_now(context);
  const int64_t guard = context_config(context)->connectivity.guard_s * second;
  flapping_advance(context, device, c);
  if (c->base == SILENT || c->base == LINK_LOST) {
    tell_still(context, device, c, now);
    return;
  }
  if (c->base == NEVER_SEEN || c->base == OFFLINE) {
    return;
  }
  if (context_recovering(context) || gateway_away(context, device)) {
    device_wake(context, device, now + RETRY_S * second);
  } else if (c->will_at > c->heard && now >= c->will_at + guard) {
    lose(context, device, c, LINK_LOST, c->will_at, seconds(now - c->will_at), 0, "last will, and nothing since");
  } else if (c->will_at > c->heard) {
    device_wake(context, device, c->will_at + guard);
  } else if (c->base == ASLEEP) {
    await_wake(context, device, c, now);
  } else {
    await_report(context, device, c, now);
  }
}

const struct detector detector_connectivity = {
    .name = "silent", .state_size = sizeof(struct connectivity), .version = 3, .observe = observe, .advance = advance};
