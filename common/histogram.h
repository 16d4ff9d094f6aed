/* histogram: how long something took, counted by size. Pure. */
#ifndef HOPMQ_HISTOGRAM_H
#define HOPMQ_HISTOGRAM_H

#include <stdint.h>

/* The first holds what took 0.1 ms or less, the last but one 10 s, the last all that was longer. */
#define HISTOGRAM_PLACES 17

struct histogram {
    int64_t counts[HISTOGRAM_PLACES];
    int64_t sum_us;
};

/* What a place holds at most; INT64_MAX for the last. */
int64_t histogram_bound_us(unsigned place);

/* A negative time counts as 0. */
void histogram_add(struct histogram *histogram, int64_t us);

#endif
