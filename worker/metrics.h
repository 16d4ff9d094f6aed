/* metrics: what a worker counts, for Prometheus, and whether it serves; docs/metrics.md tells what
 * each metric is. Pure. */
#ifndef HOPMQ_WORKER_METRICS_H
#define HOPMQ_WORKER_METRICS_H

#include "common/exposition.h"
#include "worker/probing/mux.h"
#include "worker/session/agent.h"

/* The session with one broker. */
struct metrics_session {
    const char *endpoint;
    struct agent *agent;
};

void metrics_put_worker(
    struct mux *mux, const struct metrics_session *sessions, size_t count, struct exposition *e);

/* Why it runs no traces, a line; NULL: it does, for one broker at least. */
const char *metrics_unready(
    const struct mux *mux, const struct metrics_session *sessions, size_t count);

#endif
