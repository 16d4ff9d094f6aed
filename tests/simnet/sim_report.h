/*
 * sim_report: how well the simulation kept up, and what it did.
 */
#ifndef SIM_REPORT_H
#define SIM_REPORT_H

#include <stdint.h>
#include <stdio.h>

#include "sim_router.h"

/* Lags are counted by the microsecond up to here; what is longer only moves the maximum. */
#define SIM_REPORT_MAX_LAG_US 100000

struct sim_report {
    uint64_t out;               /* packets written to the device */
    uint64_t write_errors;      /* packets that the device did not take */
    uint64_t overflow;          /* replies that the delay queue had no room for */
    uint64_t queue_max;         /* most replies that waited at one time */
    uint64_t device_drops;      /* packets that the device dropped before they were read */
    int64_t elapsed_us, cpu_us; /* of this process; the COMMAND is not counted */
    int64_t lag_max_ns;
    uint64_t lags[SIM_REPORT_MAX_LAG_US + 1]; /* replies by whole microseconds behind due time */
};

/* Counts a reply that was written this long after its due time. */
void sim_report_lag(struct sim_report *self, int64_t lag_ns);

/* The lag in microseconds that `permille` of a thousand replies did not exceed. */
int64_t sim_report_percentile(const struct sim_report *self, unsigned permille);

/* Writes one JSON object and a newline. */
void sim_report_print(
    const struct sim_report *self, const struct sim_router_counters *counters, FILE *out);

#endif
