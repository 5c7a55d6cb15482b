// Frozen values: reports go on coming and say nothing new. The gaps between changes are a rhythm like that between reports,
// learned in the same way; what is constant by nature never shows one and is never judged. Where nearly every report brought
// something new, twenty alike are enough; where changes are rare, eight days have to be seen, so that nights and weekends are
// among them.
#include "analysis/detectors/connectivity.h"

#include <math.h>

enum { SAME_LEAST = 20, CHANGES_LEAST = 32, DENSE = 4 };
static const int64_t second = 1000000;

static bool is_judged(const struct context *context, const struct connectivity *c, uint32_t now) {
  const struct cadence *news = &c->news;
  bool dense = cadence_longest(news) <= DENSE * (double)c->reports.usual;
  bool seen_long = news->windows > 0 || (news->window_began != 0 &&
                                         now - news->window_began >= context_config(context)->connectivity.frozen_learn_h * 3600);
  return cadence_gaps(news) >= CHANGES_LEAST && seen_long && (dense || news->windows == CADENCE_WINDOWS);
}

static double patience(const struct context *context, const struct connectivity *c) {
  const struct cadence_prior prior = {.tolerated = SAME_LEAST,
                                      .least = context_config(context)->connectivity.slack_s,
                                      .rate = context_config(context)->connectivity.rate};
  return fmax(cadence_patience(&c->news, &prior), SAME_LEAST * (double)c->reports.usual);
}

static void judge(struct context *context, struct device *device, struct connectivity *c, const struct observation *o) {
  uint32_t now = (uint32_t)(o->received / second);
  double unchanged = now - c->changed_at;
  if (c->same < SAME_LEAST || alert_live(device, ALERT_FROZEN) || !is_judged(context, c, now) ||
      unchanged < patience(context, c)) {
    return;
  }
  alert_raise(context, device, ALERT_FROZEN, SEVERITY_WARNING, o->received,
              (struct explanation){
                  .observed = json_pack("{s:f, s:i}", "unchanged_for_s", unchanged, "reports_alike", (int)c->same),
                  .expected = json_pack("{s:f, s:f, s:f}", "change_every_s", (double)c->news.usual, "longest_usual_s",
                                        cadence_longest(&c->news), "frozen_after_s", patience(context, c)),
                  .baseline = json_pack("{s:s, s:i}", "of", "this device's own changes", "changes", (int)cadence_gaps(&c->news)),
                  .report = o,
                  .clears_when = "a report brings another value",
              },
              "%s goes on reporting, and no value has changed for %.0f s in %u reports; usually one does every %.1f s.",
              device_credential(device), unchanged, c->same, (double)c->news.usual);
  connectivity_show(context, device, c, o->received, "it reports, and no value changes any more");
}

void frozen_report(struct context *context, struct device *device, struct connectivity *c, const struct observation *o) {
  uint32_t now = (uint32_t)(o->received / second);
  if (o->code == 0 || !(o->roles & ROLE_SUBJECT) || (o->marks & MARK_HISTORICAL)) {
    return;
  }
  // Reports of two kinds that take turns (one in ten has more in it) say nothing new either.
  if (o->code == c->hash || o->code == c->hash_before) {
    c->same += c->same < UINT32_MAX;
    judge(context, device, c, o);
    return;
  }
  bool frozen = alert_live(device, ALERT_FROZEN);
  bool seen_through =
      c->hash != 0 && (int64_t)c->changed_at * second >= context_seeing_since(context) && (c->base == ONLINE || c->base == LATE);
  if (seen_through && now >= c->changed_at) {
    cadence_learn(&c->news, now - c->changed_at, now, frozen, false);
  }
  c->hash_before = c->hash;
  c->hash = o->code;
  c->changed_at = now;
  c->same = 0;
  if (frozen) {
    alert_clear(context, device, ALERT_FROZEN, o->received, "a value changed");
    connectivity_show(context, device, c, o->received, "a value changed");
  }
}
