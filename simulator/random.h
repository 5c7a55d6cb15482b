// Deterministic numbers: a hash for values that depend on (seed, device, time) and a small generator for jitter.
// Not for secrets. Everything here is a pure function of its arguments.
#ifndef VEDETTE_SIMULATOR_RANDOM_H
#define VEDETTE_SIMULATOR_RANDOM_H

#include <stdint.h>

struct random_state {
  uint64_t state;
};

// Mixes 64 bits (the finaliser of splitmix64).
static inline uint64_t random_mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

// A hash of two numbers, to be chained for more.
static inline uint64_t random_pair(uint64_t a, uint64_t b) {
  return random_mix(random_mix(a) ^ b);
}

// A hash of a text.
static inline uint64_t random_text(uint64_t seed, const char *text) {
  for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
    seed = random_pair(seed, *c);
  }
  return seed;
}

// [0, 1) from a hash.
static inline double random_unit(uint64_t hash) {
  return (double)(hash >> 11) * 0x1p-53;
}

// Roughly normal with mean 0 and deviation 1, from a hash: the sum of four 16-bit parts (bounded by about ±3.5).
static inline double random_normal(uint64_t hash) {
  double sum = 0;
  for (int i = 0; i < 4; i++) {
    sum += (double)((hash >> (16 * i)) & 0xffff) / 65536.0;
  }
  return (sum - 2.0) * 1.7320508075688772;
}

static inline uint64_t random_next(struct random_state *random) {
  random->state += 0x9e3779b97f4a7c15U;
  return random_mix(random->state);
}

// [low, high)
static inline double random_between(struct random_state *random, double low, double high) {
  return low + (high - low) * random_unit(random_next(random));
}

#endif
