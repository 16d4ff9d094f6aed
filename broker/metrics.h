/* metrics: writes the broker's counters and gauges for Prometheus; docs/metrics.md explains each.
 * Pure. */
#ifndef HOPMQ_BROKER_METRICS_H
#define HOPMQ_BROKER_METRICS_H

#include "broker/core/core.h"
#include "broker/store/store.h"
#include "common/exposition.h"

/* Workers that have series of their own: the first ones in the order of their names. */
#define METRICS_MAX_WORKERS 1000

void metrics_put_core(const struct core *core, struct exposition *e);
void metrics_put_store(const struct store_counters *counters, struct exposition *e);

#endif
