// What a device's rhythm is, learned from the gaps between what comes of it, and how long a gap has to be before it means
// absence.
//
// The tail of the gaps is taken as exponential beyond the usual one: then the largest of n gaps grows as ln n, and a gap that is
// exceeded once in N, N >> n, lies further out by the factor ln N / ln n (Gumbel 1958, "Statistics of Extremes", section 4.2). So
// patience = usual + (largest of n − usual) × ln N / ln n, with N the gaps in which one false alarm is allowed. Where long gaps
// are rare and of another kind than the usual ones (a hiccup of the network once a day) that is too little: the largest gaps of
// days are taken as Gumbel's too, and their own scatter says how far out one in ten thousand days lies. A gap that was called
// absence is not learned, unless the device was up all the time, or such gaps come again and again: then they are the rhythm.
//
// Plain data of fixed size, part of a detector's state. Seconds, but where said otherwise.
#ifndef VEDETTE_ANALYSIS_CADENCE_H
#define VEDETTE_ANALYSIS_CADENCE_H

#include <stdbool.h>
#include <stdint.h>

enum { CADENCE_WINDOWS = 8 };

struct cadence {
  float usual;                    // mean gap, of the time that passes; 0: unknown
  float spread;                   // mean difference of a gap from the usual one, of which no more than that counts
  float longest[CADENCE_WINDOWS]; // largest gap of each window
  uint32_t gaps;                  // in all windows
  uint32_t window_began;          // the newest, seconds since 1970 …
  float window_s;                 // … and how long a window is
  uint16_t window_gaps;           // in the newest; no more than it needs
  uint8_t at;                     // the newest window
  uint8_t windows;                // that are over, up to as many as there are
  float absence;                  // the last gap that was called one; 0: none, or it is long ago
  uint8_t absences;               // such gaps of about that length, one after the other …
  uint8_t between;                // … with so many others since the last
  bool changing;                  // until it is known again
};

// What is known of the kind of device before it has shown its own.
struct cadence_prior {
  double usual;     // expected gap; 0: nothing
  double tolerated; // as many usual gaps are never absence: 2.2 is one lost report and jitter
  double least;     // the way of a message can take so long: added to all, and no patience is less than ten times this
  double rate;      // false alarms a day that are allowed
  double young;     // patience is so many times as long until a day was seen: nights are not known yet
  double learn_s;   // where `usual` is not given nothing is said before so much was seen
};

// A gap that ended `at` (seconds since 1970). `absent`: it had been called absence. `alive`: the device was up and connected all
// the time, as its boot and connection say; what was called absence was none.
void cadence_learn(struct cadence *cadence, double gap, uint32_t at, bool absent, bool alive);
// What it is for is learned of few rhythms only: how much gaps differ. One gap, however long, moves it by little.
void cadence_learn_spread(struct cadence *cadence, double gap);
// It was told that the rhythm changes: it is learned anew, with much patience until it is known.
void cadence_restart(struct cadence *cadence);

bool cadence_is_known(const struct cadence *cadence); // enough gaps of its own
// Enough of it was seen (seconds) for others to be measured by it.
bool cadence_is_settled(const struct cadence *cadence, double seen);
double cadence_usual(const struct cadence *cadence, const struct cadence_prior *prior);
double cadence_longest(const struct cadence *cadence); // of all windows
uint32_t cadence_gaps(const struct cadence *cadence);  // as above
// Seconds without anything after which the device is absent; 0: nobody can say yet.
double cadence_patience(const struct cadence *cadence, const struct cadence_prior *prior);
// Likewise, after which it is late: more than it has been for days.
double cadence_late(const struct cadence *cadence, const struct cadence_prior *prior);

#endif
