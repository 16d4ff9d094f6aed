/* daemon: the worker's shell. It owns reactor, sockets, prober and locator, and carries out what
 * the cores (agent, mux) want. */
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
    const char *metrics; /* ADDRESS:PORT; NULL: no endpoint */
    bool insecure;       /* the endpoint may be on other addresses than loopback */
};

/* Runs until it is told to stop; returns the process's exit status. */
int daemon_run(const struct daemon_config *config);

#endif
