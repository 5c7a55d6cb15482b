#include "tests/bench/connectivity/chance.h"

#include <math.h>

// SplitMix64 (Steele, Lea and Flood 2014).
uint64_t chance_bits(struct chance *chance) {
  uint64_t z = chance->state += 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

double chance_share(struct chance *chance) {
  return ((double)(chance_bits(chance) >> 11) + 1) / 9007199254740992.0;
}

double chance_between(struct chance *chance, double least, double most) {
  return least + (most - least) * chance_share(chance);
}

double chance_exponential(struct chance *chance, double mean) {
  return -mean * log(chance_share(chance));
}

double chance_normal(struct chance *chance) {
  double radius = sqrt(-2 * log(chance_share(chance)));
  return radius * cos(6.283185307179586 * chance_share(chance));
}
