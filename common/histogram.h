/* histogram: durations, counted in buckets by their length. Pure. */
#ifndef HOPMQ_HISTOGRAM_H
#define HOPMQ_HISTOGRAM_H

#include <stdint.h>

/* The first bucket counts what took 0.1 ms or less, the last but one what took up to 10 s, and the
 * last one everything longer. */
#define HISTOGRAM_BUCKETS 17

struct histogram {
    int64_t counts[HISTOGRAM_BUCKETS];
    int64_t sum_us;
};

/* The longest duration that a bucket counts; INT64_MAX for the last bucket. */
int64_t histogram_bound_us(unsigned bucket);

/* A negative time counts as 0. */
void histogram_add(struct histogram *histogram, int64_t us);

#endif
