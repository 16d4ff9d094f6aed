/* pace: when the next probe may be sent. Pure.
 *
 * Probes are sent evenly: in a burst, answers wait in the prober, and round-trip times are too long
 * (measured: bursts of 100 raise the median by 0.3 ms). After a pause or a late wake-up, a small
 * burst is allowed.
 */
#ifndef HOPMQ_PACE_H
#define HOPMQ_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* A burst is the probes of PACE_IDLE_US, but no more than PACE_BURST. At high rates it is those of
 * PACE_QUANTUM_US, but no more than PACE_BURST_MAX. */
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

/* The probes of a burst at this rate; at least 1. */
int64_t pace_burst(int64_t pps);

/* True if a probe may be sent now. */
bool pace_ready(const struct pace *pace, int64_t now_us);

/* A probe is sent now. */
void pace_take(struct pace *pace, int64_t now_us);

/* When the next probe may be sent; INT64_MIN: at any time. */
int64_t pace_next_us(const struct pace *pace);

#endif
