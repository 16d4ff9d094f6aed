/* config: what the command line of hopmq-broker asks for. */
#ifndef HOPMQ_BROKER_CONFIG_H
#define HOPMQ_BROKER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

/* How often each of --submit, --results and --workers may be given. */
#define BROKER_MAX_ENDPOINTS 8

struct broker_endpoints {
    const char *at[BROKER_MAX_ENDPOINTS];
    int count;
};

struct broker_config {
    char name[65]; /* how replies call this broker */
    struct broker_endpoints submit, results, workers;
    const char *store;    /* path of the store's file; NULL keeps everything in memory */
    int64_t keep_us;      /* age at which results are deleted from the file */
    int64_t keep_results; /* number of results above which the oldest are deleted */
    int64_t max_queued;   /* traces that may wait for a worker */
    int64_t drain_ms;     /* time that running traces get to finish on SIGTERM */
    bool insecure;        /* endpoints beyond loopback are allowed */
    const char *metrics;  /* ADDRESS:PORT of the HTTP server; NULL: there is none */
};

#endif
