/* daemon: the broker's shell. It owns reactor and sockets and carries out what the core wants. */
#ifndef HOPMQ_BROKER_DAEMON_H
#define HOPMQ_BROKER_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#define DAEMON_MAX_ENDPOINTS 8

struct daemon_endpoints {
    const char *at[DAEMON_MAX_ENDPOINTS];
    int count;
};

struct daemon_config {
    char name[65];
    struct daemon_endpoints submit, results, workers;
    const char *store;             /* its file; NULL: memory */
    int64_t keep_us, keep_results; /* in the store; memory has no age */
    int64_t max_queued, drain_ms;
    bool insecure;
    const char *metrics; /* ADDRESS:PORT; NULL: no endpoint */
};

/* Runs until it is told to stop; returns the process's exit status. */
int daemon_run(const struct daemon_config *config);

#endif
