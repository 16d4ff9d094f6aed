/* instant: both clocks at one event. Pure. */
#ifndef HOPMQ_INSTANT_H
#define HOPMQ_INSTANT_H

#include <stdint.h>

struct instant {
    int64_t mono_us; /* CLOCK_MONOTONIC: decides what is due */
    int64_t wall_us; /* CLOCK_REALTIME: what results and logs show */
};

#endif
