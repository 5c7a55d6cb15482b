// Simulated devices for the connectivity model: when each reports, what its radio loses, when it sleeps, is unplugged and dies,
// and what of it is received when. The truth that verdicts are compared with is in the same struct.
//
// Times are Unix microseconds of event time; lengths are seconds.
#ifndef VEDETTE_BENCH_HABITS_H
#define VEDETTE_BENCH_HABITS_H

#include "analysis/detector.h"
#include "analysis/timers.h"
#include "tests/bench/connectivity/chance.h"

enum pace { PACE_STEADY, PACE_RANDOM, PACE_BURSTS, PACE_SLEEPS, PACE_DIURNAL };
enum trouble { NO_TROUBLE, TROUBLE_FLAPS, TROUBLE_BOOTS };
enum values { VALUES_NEW, VALUES_FREEZE, VALUES_CONSTANT, VALUES_RARE };

// What the devices of a kind have in common.
struct habit {
  const char *name;
  enum device_class class;
  enum pace pace;
  double cadence;   // between reports; of PACE_RANDOM the mean, of PACE_BURSTS between bursts, of PACE_SLEEPS the sleep
  double jitter;    // deviation of a gap, share of the cadence
  double loss[2];   // share of reports that the radio loses, from … to …
  double change;    // from the middle of the run on the cadence is this times as long; 0: it stays
  bool announced;   // … which an event says
  bool boots_awake; // a sleeper whose memory does not survive the sleep: each wake is a boot
  double drift;     // its clock runs wrong by up to this share
  enum trouble trouble;
  enum values values;
  const char *alert; // that each device raises once, as it should; NULL: none
  const char *may;   // that it may raise, since it is so; NULL: none
  uint32_t devices, quick_devices;
};

extern const struct habit habits[]; // ends with a NULL name

enum cause { CAUSE_NONE, CAUSE_DEAD, CAUSE_UNPLUGGED, CAUSE_DROPPED };

struct absence {
  enum cause cause;
  int64_t from, until; // until INT64_MAX: for good
  bool willed;         // the broker's last will is seen
};

enum turn { TURN_BIRTH, TURN_REPORT, TURN_WILL, TURN_SLEEP, TURN_CHANGE, TURN_NOTHING };

// One device.
struct actor {
  struct timer timer; // its next message is received then
  const struct habit *habit;
  struct chance chance;
  int32_t id;
  double cadence, loss, burst, drift;
  int64_t begins, ends; // of the run
  int64_t sent;         // its next message
  enum turn turn;       // what that is; TURN_NOTHING: none comes any more
  int64_t boot, connection, sequence, asleep_until;
  int64_t dies_at, changes_at; // INT64_MAX: never
  int64_t values_until;        // VALUES_RARE: they stay the same until then
  int32_t hash;
  uint32_t in_burst;
  bool lost;                   // the radio lost the last report
  struct absence past, coming; // `coming`: the present one, or the next
};

struct actor *actor_of_timer(struct timer *timer);
// Its whole life from `begins` to `ends`; the first message is prepared.
void actor_begin(struct actor *actor, const struct habit *habit, int32_t id, uint64_t seed, int64_t begins, int64_t ends);
// The message that is due, as analysis is shown it; the next one is prepared (actor->timer.due, unless TURN_NOTHING).
struct observation actor_speak(struct actor *actor);
// The absence in which it was at a time; NULL: it was there.
const struct absence *actor_absence(const struct actor *actor, int64_t at);

#endif
