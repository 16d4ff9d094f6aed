/* metrics: a worker's page of metrics for Prometheus, and whether the worker is ready to run
 * traces. docs/metrics.md explains each metric. Pure. */
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

/* Returns one line that says why the worker runs no traces; NULL if it runs them for at least one
 * broker. */
const char *metrics_unready(
    const struct mux *mux, const struct metrics_session *sessions, size_t count);

#endif
