/* metrics: what the broker counts, for Prometheus; docs/metrics.md tells what each metric is. Pure.
 */
#ifndef HOPMQ_BROKER_METRICS_H
#define HOPMQ_BROKER_METRICS_H

#include "broker/core/core.h"
#include "broker/store/store.h"
#include "common/exposition.h"

/* So many workers are listed by name, in the order of their names. */
#define METRICS_MAX_WORKERS 1000

void metrics_put_core(const struct core *core, struct exposition *e);
void metrics_put_store(const struct store_counters *counters, struct exposition *e);

#endif
