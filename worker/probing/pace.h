/* pace: when the next probe may go. Pure.
 *
 * A rate is spread evenly: bursts ruin round-trip times, since answers then wait in the prober
 * (measured: bursts of 100 raise the median by 0.3 ms). What a pause saves up is a small burst,
 * and what a late wake-up missed is caught up with within one.
 */
#ifndef HOPMQ_PACE_H
#define HOPMQ_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* A burst is what PACE_IDLE_US of pause save up, at most PACE_BURST probes; or, for high rates,
 * those of PACE_QUANTUM_US, at most PACE_BURST_MAX. */
#define PACE_IDLE_US 8000
#define PACE_BURST 8
#define PACE_QUANTUM_US 1000
#define PACE_BURST_MAX 64

/* The highest rate that can be asked for. */
#define PACE_MAX_PPS 1000000

struct pace {
    int64_t interval_ns; /* 0: no limit */
    int64_t burst_ns;
    int64_t next_ns; /* when the next one is due */
};

/* pps: 1..1000000, or 0 for no limit. */
void pace_init(struct pace *pace, int64_t pps);

/* How many may go at once. */
int64_t pace_burst(int64_t pps);

/* True if one may go now. */
bool pace_ready(const struct pace *pace, int64_t now_us);

/* One goes now. */
void pace_take(struct pace *pace, int64_t now_us);

/* When the next one may go, or INT64_MIN where there is no limit. */
int64_t pace_next_us(const struct pace *pace);

#endif
