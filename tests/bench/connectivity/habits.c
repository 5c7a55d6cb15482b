#include "tests/bench/connectivity/habits.h"

#include "vedette/v1/telemetry.pb-c.h"

#include <math.h>
#include <stddef.h>

static const int64_t second = 1000000;
static const double day = 86400;

static int64_t us(double length) {
  return (int64_t)(length * 1e6);
}

struct actor *actor_of_timer(struct timer *timer) {
  return (struct actor *)((unsigned char *)timer - offsetof(struct actor, timer));
}

// --- absences

static const double unplugged_a_day = 0.01; // of mains devices
static const double unplugged_median = 8 * 3600.0;
static const double unplugged_spread = 2;     // deviation of the logarithm: from minutes to weeks
static const double unplugged_willed = 0.7;   // the others go with the router
static const double drop_every = 5 * 86400.0; // of the Wi-Fi
static const double deaths = 0.02;            // of all devices
static const double flaps_every = 120;
static const double boots_every = 180;

static double hour_of(int64_t at) {
  return fmod((double)at / 1e6 / 3600, 24);
}

// More are unplugged in the evening: three times as many at 20 h as at 8 h. By thinning.
static int64_t next_unplugging(struct actor *a, int64_t from) {
  int64_t at = from;
  do {
    at += us(chance_exponential(&a->chance, day / unplugged_a_day / 1.5));
  } while (chance_share(&a->chance) > (1 + 0.5 * cos((hour_of(at) - 20) / 24 * 2 * M_PI)) / 1.5);
  return at;
}

static bool in_trouble(const struct actor *a, int64_t at) {
  const int64_t begins = a->begins + (a->ends - a->begins) / 3 * 2;
  return at >= begins && at < begins + 7200 * second;
}

static struct absence next_trouble(struct actor *a, int64_t from) {
  bool flaps = a->habit->trouble == TROUBLE_FLAPS;
  int64_t at = from + us((flaps ? flaps_every : boots_every) * chance_between(&a->chance, 0.8, 1.2));
  int64_t begins = a->begins + (a->ends - a->begins) / 3 * 2;
  if (!in_trouble(a, at)) {
    at = at < begins ? begins : INT64_MAX;
  }
  return (struct absence){
      .cause = flaps ? CAUSE_DROPPED : CAUSE_UNPLUGGED, .from = at, .until = at == INT64_MAX ? at : at + us(6), .willed = flaps};
}

static struct absence next_absence(struct actor *a, int64_t from) {
  struct absence next = {.cause = CAUSE_DEAD, .from = a->dies_at > from ? a->dies_at : from, .until = INT64_MAX};
  if (a->habit->trouble != NO_TROUBLE) {
    return next_trouble(a, from);
  }
  if (a->habit->class != CLASS_MAINS || a->habit->alert != NULL) {
    return next;
  }
  int64_t unplugged = next_unplugging(a, from);
  int64_t dropped = from + us(chance_exponential(&a->chance, drop_every));
  if (unplugged < next.from) {
    double takes = unplugged_median * exp(unplugged_spread * chance_normal(&a->chance));
    next = (struct absence){.cause = CAUSE_UNPLUGGED,
                            .from = unplugged,
                            .until = unplugged + us(fmin(fmax(takes, 60), 21 * day)),
                            .willed = chance_share(&a->chance) <= unplugged_willed};
  }
  if (dropped < next.from) {
    next = (struct absence){
        .cause = CAUSE_DROPPED, .from = dropped, .until = dropped + us(20 * pow(15, chance_share(&a->chance))), .willed = true};
  }
  return next;
}

const struct absence *actor_absence(const struct actor *a, int64_t at) {
  const struct absence *const both[] = {&a->past, &a->coming};
  for (size_t i = 0; i < 2; i++) {
    if (both[i]->cause != CAUSE_NONE && at >= both[i]->from && at <= both[i]->until) {
      return both[i];
    }
  }
  return NULL;
}

// --- the rhythm

static double varied(struct actor *a, double gap) {
  return gap * fmax(1 + a->habit->jitter * chance_normal(&a->chance), 0.05);
}

static double next_gap(struct actor *a, int64_t from) {
  switch (a->habit->pace) {
  case PACE_RANDOM: return chance_exponential(&a->chance, a->cadence);
  case PACE_BURSTS: a->in_burst = (a->in_burst + 1) % 10; return a->in_burst != 0 ? 1 : varied(a, a->cadence);
  case PACE_DIURNAL: return varied(a, hour_of(from) < 7 || hour_of(from) >= 22 ? 6 * a->cadence : a->cadence);
  case PACE_SLEEPS: return 1;
  default: return varied(a, a->cadence);
  }
}

// A radio that is good or bad by a Markov chain of two states: losses come in bursts.
static bool loses(struct actor *a) {
  if (a->loss > 0) {
    double bad = a->lost ? 1 - 1 / a->burst : a->loss / (1 - a->loss) / a->burst;
    a->lost = chance_share(&a->chance) <= bad;
  }
  return a->lost;
}

static int64_t next_report(struct actor *a) {
  int64_t at = a->sent;
  do {
    at += us(next_gap(a, at));
    a->sequence++;
  } while (loses(a) && at < a->coming.from);
  return at;
}

static void plan(struct actor *a, enum turn turn, int64_t sent) {
  a->turn = turn;
  a->sent = sent;
}

// What comes of it while it is away: a will perhaps, then nothing until it is back.
static void plan_absence(struct actor *a, bool willed) {
  int64_t found = a->coming.from +
                  us(a->coming.cause == CAUSE_DROPPED ? chance_between(&a->chance, 1, 5) : chance_between(&a->chance, 20, 90));
  if (willed && found < a->coming.until) {
    plan(a, TURN_WILL, found);
  } else if (a->coming.until < a->ends) {
    plan(a, TURN_BIRTH, a->coming.until);
  } else {
    plan(a, TURN_NOTHING, INT64_MAX);
  }
}

// After a report was sent.
static void plan_on(struct actor *a) {
  int64_t at = next_report(a);
  if (a->habit->pace == PACE_SLEEPS && ++a->in_burst % 3 == 0) {
    a->asleep_until = a->sent + us(varied(a, a->cadence));
    plan(a, TURN_SLEEP, a->sent + us(0.5));
  } else if (at >= a->changes_at) {
    plan(a, a->habit->announced ? TURN_CHANGE : TURN_REPORT, a->changes_at > a->sent ? a->changes_at : a->sent);
    a->cadence *= a->habit->change;
    a->changes_at = INT64_MAX;
  } else {
    plan(a, TURN_REPORT, at);
  }
}

static void came_back(struct actor *a) {
  bool boots = a->coming.cause == CAUSE_UNPLUGGED && a->sent >= a->coming.until;
  bool slept = a->asleep_until != 0;
  a->boot += boots || (slept && a->habit->boots_awake);
  a->sequence = boots ? 0 : a->sequence;
  a->connection++;
  a->asleep_until = 0;
  if (!slept || a->sent >= a->coming.until) {
    a->past = a->coming;
    a->coming = next_absence(a, a->sent);
  }
  double first = boots || slept ? 2 : chance_between(&a->chance, 0, fmin(a->cadence, day));
  plan(a, TURN_REPORT, a->sent + us(first));
  a->in_burst = 0;
}

static void plan_next(struct actor *a) {
  switch (a->turn) {
  case TURN_BIRTH: came_back(a); break;
  case TURN_REPORT: plan_on(a); break;
  case TURN_SLEEP: plan(a, TURN_BIRTH, a->sent + us((double)(a->asleep_until - a->sent) / 1e6 * (1 + a->drift))); break;
  case TURN_WILL: plan_absence(a, false); return;
  default: plan(a, TURN_REPORT, a->sent + us(varied(a, a->cadence))); break;
  }
  if (a->sent >= a->coming.from) {
    plan_absence(a, a->coming.willed);
  }
}

// --- what is received

static const double way = 0.05; // seconds, mean
static const double held = 3;   // of one in ten thousand, that TCP has to send again
static const double held_share = 0.0001;

static void send(struct actor *a) {
  double takes = chance_exponential(&a->chance, way);
  takes += chance_share(&a->chance) <= held_share ? chance_exponential(&a->chance, held) : 0;
  int64_t received = a->turn == TURN_NOTHING ? INT64_MAX : a->sent + us(takes);
  a->timer.due = received > a->timer.due ? received : a->timer.due; // nothing overtakes on one connection
}

static int32_t next_hash(struct actor *a) {
  int64_t freezes = a->begins + (a->ends - a->begins) / 3 * 2; // for a day
  bool frozen = a->habit->values == VALUES_FREEZE && a->sent >= freezes && a->sent < freezes + us(day);
  bool same = frozen || a->habit->values == VALUES_CONSTANT || (a->habit->values == VALUES_RARE && a->sent < a->values_until);
  if (!same || a->hash == 0) {
    a->hash = (int32_t)(chance_bits(&a->chance) & 0x3fffffff) | 1;
    bool waking = hour_of(a->sent) >= 7 && hour_of(a->sent) < 22;
    a->values_until = a->sent + us(chance_exponential(&a->chance, waking ? 3600 : 8 * 3600));
  }
  return a->hash;
}

static void fill(struct actor *a, struct observation *o) {
  o->boot = a->boot;
  o->sequence = a->connection;
  switch (a->turn) {
  case TURN_REPORT:
    o->sequence = a->sequence;
    o->size = 150;
    o->code = next_hash(a);
    break;
  case TURN_CHANGE: o->code = VEDETTE__V1__EVENT_KIND__EVENT_KIND_CONFIGURATION_CHANGED; break;
  case TURN_SLEEP:
    o->code = VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_ASLEEP;
    o->until = a->asleep_until;
    break;
  case TURN_WILL:
    o->code = VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_OFFLINE;
    o->will = true;
    break;
  default:
    o->code = VEDETTE__V1__CONNECTIVITY_STATE__CONNECTIVITY_STATE_ONLINE;
    o->boot = a->boot + (a->coming.cause == CAUSE_UNPLUGGED && a->sent >= a->coming.until) +
              (a->asleep_until != 0 && a->habit->boots_awake);
    o->sequence = a->connection + 1;
    break;
  }
}

struct observation actor_speak(struct actor *a) {
  static const enum observation_kind said[] = {[TURN_BIRTH] = OBSERVE_CONNECTIVITY,
                                               [TURN_REPORT] = OBSERVE_REPORT,
                                               [TURN_WILL] = OBSERVE_CONNECTIVITY,
                                               [TURN_SLEEP] = OBSERVE_CONNECTIVITY,
                                               [TURN_CHANGE] = OBSERVE_EVENT};
  const double wrong = a->habit->class == CLASS_SLEEPER ? 0 : a->drift;
  struct observation o = {.kind = said[a->turn], .device = a->id, .publisher = a->id, .received = a->timer.due, .count = 1};
  o.time = a->sent + (int64_t)((double)(a->sent - a->begins) * wrong);
  o.marks = o.time > o.received + 300 * second ? MARK_AHEAD : 0; // as ingest does
  fill(a, &o);
  plan_next(a);
  send(a);
  return o;
}

void actor_begin(struct actor *a, const struct habit *habit, int32_t id, uint64_t seed, int64_t begins, int64_t ends) {
  *a = (struct actor){
      .habit = habit, .id = id, .chance = {seed}, .cadence = habit->cadence, .begins = begins, .ends = ends, .boot = 1};
  a->loss = chance_between(&a->chance, habit->loss[0], habit->loss[1]);
  a->burst = chance_between(&a->chance, 1, 2);
  a->drift = chance_between(&a->chance, -habit->drift, habit->drift);
  bool dies = chance_share(&a->chance) <= deaths && habit->trouble == NO_TROUBLE && habit->alert == NULL;
  double when = chance_between(&a->chance, 0.4, 0.8) * (double)(ends - begins);
  a->dies_at = dies ? begins + (int64_t)when : INT64_MAX;
  a->changes_at = habit->change > 0 ? begins + (ends - begins) / 2 : INT64_MAX;
  a->coming = (struct absence){.from = INT64_MAX, .until = INT64_MAX};
  plan(a, TURN_BIRTH, begins + us(chance_between(&a->chance, 0, fmin(habit->cadence, day))));
  send(a);
}
