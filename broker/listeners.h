/* listeners: the broker's three endpoints, and which connections open and close there. Shell. */
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

/* Binds all endpoints, and has the reactor call the events. NULL with a message on standard error
 * if one cannot be bound. */
struct listeners *listeners_new(const struct broker_config *config, struct reactor *reactor,
    const struct listeners_events *events);

zsock_t *listeners_submit(const struct listeners *listeners);
zsock_t *listeners_results(const struct listeners *listeners);
zsock_t *listeners_workers(const struct listeners *listeners);

/* Closes the endpoints; the last messages may take linger_ms to leave the process. */
void listeners_destroy(struct listeners **listeners, int linger_ms);

#endif
