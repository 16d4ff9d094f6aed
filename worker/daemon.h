/* daemon: the worker's main loop. It owns what a worker has one of (reactor, mux, prober, locator,
 * names, slices) and a link for each broker, handles signals, and drains. */
#ifndef HOPMQ_WORKER_DAEMON_H
#define HOPMQ_WORKER_DAEMON_H

#include "worker/session/agent.h"

#define DAEMON_MAX_BROKERS 8

struct daemon_config {
    struct agent_config agent;
    int64_t pps; /* see mux_new() */
    int64_t drain_ms;
    const char *brokers[DAEMON_MAX_BROKERS];
    int broker_count;
    const char *metrics; /* ADDRESS:PORT; NULL: no metrics are served */
    bool insecure;       /* `metrics` may be an address that is not loopback's */
};

/* Runs until a signal and the drain that follows end it. Returns the exit status. */
int daemon_run(const struct daemon_config *config);

#endif
