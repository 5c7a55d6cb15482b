// Random numbers of a seed: the same run again on every machine.
#ifndef VEDETTE_BENCH_CHANCE_H
#define VEDETTE_BENCH_CHANCE_H

#include <stdint.h>

struct chance {
  uint64_t state;
};

uint64_t chance_bits(struct chance *chance);
double chance_share(struct chance *chance); // 0 < x <= 1
double chance_between(struct chance *chance, double least, double most);
double chance_exponential(struct chance *chance, double mean);
double chance_normal(struct chance *chance); // mean 0, deviation 1

#endif
