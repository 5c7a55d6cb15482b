#include "analysis/health.h"

#include <string.h>

static const int64_t second = 1000000;
static const int64_t hiccup = 5;   // seconds: a worker that starts again
static const int64_t present = 10; // seconds behind the wall clock: that is now

static const char *const parts[] = {"broker", "ingest", "store", "analysis"};
static const char *const words[] = {"ingest has no session at the broker", "ingest commits nothing",
                                    "what ingest has journaled waits for the store", "committed batches wait for analysis"};

static size_t part_of(const char *away) {
  size_t at = 0;
  while (at + 1 < sizeof parts / sizeof *parts && strcmp(parts[at], away) != 0) {
    at++;
  }
  return at;
}

void health_resume(struct health *health, int64_t began, const char *away) {
  health->began = began;
  health->away = parts[part_of(away)];
}

static int64_t limit_us(const struct context *context) {
  return context->config->connectivity.blind_s * second;
}

static void say(struct health *health, struct context *context, int64_t until) {
  struct device *self = fleet_find(context->fleet, 0);
  const double blind = seconds(until - health->began);
  if (self == NULL || until - health->began < limit_us(context) || alert_live(self, ALERT_BLIND)) {
    return;
  }
  alert_raise(context, self, ALERT_BLIND, SEVERITY_CRITICAL, until,
              (struct explanation){.observed = json_pack("{s:s, s:f}", "away", health->away, "blind_for_s", blind),
                                   .expected = json_pack("{s:f}", "blind_for_s_below", seconds(limit_us(context))),
                                   .baseline = json_pack("{s:s}", "of", "fixed rule: what devices send is analysed at once"),
                                   .clears_when = "what waited is analysed, and those who are there are heard again"},
              "Nothing can be said of devices for %.0f s: %s. Nobody is called absent meanwhile.", blind,
              words[part_of(health->away)]);
}

static void begin(struct health *health, struct context *context, int64_t began, const char *away) {
  if (health->began != 0 && health->ended == 0) {
    return; // one thing at a time: the first that was away
  }
  health->began = began;
  health->away = away;
  health->ended = 0;
  context_blind(context, began, 0, away);
}

static void end(struct health *health, struct context *context, int64_t ended) {
  if (health->began != 0 && health->ended == 0) {
    health->ended = ended > health->began ? ended : health->began + 1;
    say(health, context, health->ended);
    context_blind(context, health->began, health->ended, health->away);
  }
}

// It is over once those who are there are heard.
static void settle(struct health *health, struct context *context) {
  struct device *self = fleet_find(context->fleet, 0);
  if ((health->began != 0 && health->ended == 0) || context_recovering(context)) {
    return;
  }
  if (self != NULL) {
    alert_clear(context, self, ALERT_BLIND, context->now, "what waited is analysed, and those who are there are heard again");
  }
  health->began = health->ended = 0;
}

void health_batch(struct health *health, struct context *context, int64_t received_to, int64_t committed_at) {
  if (committed_at - received_to > limit_us(context)) {
    begin(health, context, received_to, "store");
    say(health, context, committed_at);
  }
}

void health_advance(struct health *health, struct context *context, int64_t now, int64_t seeing_since) {
  bool seeing = seeing_since < now;
  bool gap =
      health->seen != 0 && seeing_since > health->seen && (seeing_since - health->seen >= hiccup * second || health->began != 0);
  if (!seeing) {
    if (health->seen != 0 && now - health->seen >= hiccup * second) {
      begin(health, context, health->seen, "broker");
    }
    if (health->began != 0) {
      say(health, context, now);
    }
    return;
  }
  if (gap) {
    begin(health, context, health->seen, "ingest");
    end(health, context, seeing_since);
  }
  health->seen = now;
  settle(health, context);
}

static const char *what_is_away(const struct context *context, int64_t wall, const struct feed_batch *next) {
  if (next == NULL) {
    return "ingest";
  }
  if (wall - next->committed_at > limit_us(context)) {
    return "analysis";
  }
  return next->committed_at - next->received_to > limit_us(context) ? "store" : "ingest";
}

void health_check(struct health *health, struct context *context, int64_t wall, const struct feed_batch *next,
                  int64_t down_since) {
  int64_t lag = wall - context->now;
  if (context->now == 0) {
    return;
  }
  if (down_since != 0 && wall - down_since > limit_us(context)) {
    begin(health, context, down_since, "store");
    say(health, context, wall);
  }
  if (lag > limit_us(context)) {
    begin(health, context, context->now, what_is_away(context, wall, next));
    say(health, context, wall);
  } else if (lag < present * second && health->seen == context->now) {
    end(health, context, context->now);
    settle(health, context);
  }
}
