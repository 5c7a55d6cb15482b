// How likely something beyond all that was seen is.
//
// Of n values the largest, M, lies where one in n does. Were the tail Pareto's, P(x) = x^-a, with x counted from where the values
// begin, then the largest is n^(1/a) times the typical one, and (1 + d) M is reached with the chance n^-1 (1 + d)^-a = n^-(1 +
// h), h = ln(1 + d) / ln(M / typical), whatever a is. Lighter tails are rarer still, so the chance is stated too high, not too
// low. The logarithm is taken a quarter larger, since M and the typical value are only estimates.
#ifndef VEDETTE_ANALYSIS_SERIES_TAIL_H
#define VEDETTE_ANALYSIS_SERIES_TAIL_H

// The chance, at each value, of one that lies `beyond` times the range of what was seen outside of it, and so far on the side of
// which the range is `extent` times what is typical. `seen`: values that the range is of.
double tail_chance(double seen, double extent, double beyond);

#endif
