/* listeners: the broker's three endpoints, and the connections that begin and end there. Shell. */
#ifndef HOPMQ_LISTENERS_H
#define HOPMQ_LISTENERS_H

#include "broker/config.h"
#include "common/runtime/reactor.h"

struct listeners;

struct listeners_events {
    void *context;
    void (*peers)(void *context); /* messages wait at the submit or the workers endpoint */
    void (*connection)(void *context, bool began);
};

/* Binds them all, and has the reactor tell of what comes; NULL with a message on standard error if
 * one of them cannot be had. */
struct listeners *listeners_new(const struct broker_config *config, struct reactor *reactor,
    const struct listeners_events *events);

zsock_t *listeners_submit(const struct listeners *listeners);
zsock_t *listeners_results(const struct listeners *listeners);
zsock_t *listeners_workers(const struct listeners *listeners);

/* Closes them; the last messages get up to linger_ms to leave the process. */
void listeners_destroy(struct listeners **listeners, int linger_ms);

#endif
