#include "sim_report.h"

#include <inttypes.h>

#define NS_PER_US 1000

void sim_report_lag(struct sim_report *self, int64_t lag_ns) {
    int64_t lag_us = lag_ns / NS_PER_US;

    if (lag_ns > self->lag_max_ns)
        self->lag_max_ns = lag_ns;
    if (lag_us < 0)
        lag_us = 0;
    self->lags[lag_us < SIM_REPORT_MAX_LAG_US ? lag_us : SIM_REPORT_MAX_LAG_US]++;
}

int64_t sim_report_percentile(const struct sim_report *self, unsigned permille) {
    uint64_t all = 0, seen = 0;

    for (int64_t us = 0; us <= SIM_REPORT_MAX_LAG_US; us++)
        all += self->lags[us];
    for (int64_t us = 0; us < SIM_REPORT_MAX_LAG_US; us++) {
        seen += self->lags[us];
        if (seen * 1000 >= all * permille)
            return us;
    }
    return self->lag_max_ns / NS_PER_US;
}

void sim_report_print(
    const struct sim_report *self, const struct sim_router_counters *counters, FILE *out) {
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        {"packets_in", counters->packets},
        {"packets_out", self->out},
        {"answered", counters->answered},
        {"lost", counters->lost},
        {"silent", counters->silent},
        {"limited", counters->limited},
        {"late", counters->late},
        {"duplicates", counters->duplicates},
        {"ignored", counters->ignored},
        {"malformed", counters->malformed},
        {"bad_checksum", counters->bad_checksum},
        {"overflow", self->overflow},
        {"queue_max", self->queue_max},
        {"device_drops", self->device_drops},
        {"write_errors", self->write_errors},
        {"lag_p50_us", (uint64_t)sim_report_percentile(self, 500)},
        {"lag_p99_us", (uint64_t)sim_report_percentile(self, 990)},
        {"lag_max_us", (uint64_t)(self->lag_max_ns / NS_PER_US)},
        {"elapsed_us", (uint64_t)self->elapsed_us},
        {"cpu_us", (uint64_t)self->cpu_us},
    };

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        fprintf(out, "%c\"%s\":%" PRIu64, i > 0 ? ',' : '{', fields[i].name, fields[i].value);
    fputs("}\n", out);
}
