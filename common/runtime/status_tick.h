/* status_tick: tells the world how this process is, from inside its main loop: the HTTP endpoint of
 * http_status.h, and the service manager (ready, status, watchdog). Once a second, so that what is
 * told is at most so old, and nothing where nobody listens. */
#ifndef HOPMQ_STATUS_TICK_H
#define HOPMQ_STATUS_TICK_H

#include "common/exposition.h"
#include "common/runtime/reactor.h"

#define STATUS_TICK_US 1000000

struct status_tick;

struct status_tick_sink {
    void *context;
    /* Why this process does not serve now, a line; NULL: it does. */
    const char *(*unready)(void *context);
    void (*put_metrics)(void *context, struct exposition *e);
};

/* `metrics` is where the endpoint is, see http_status_new(); NULL: there is none. NULL with a
 * message on standard error if it cannot be had. The manager is told that the process is ready when
 * the loop goes round. */
struct status_tick *status_tick_new(struct reactor *reactor, const struct status_tick_sink *sink,
    const char *metrics, bool insecure);
void status_tick_destroy(struct status_tick **status_tick);

/* The process has begun to end: tells all at once. */
void status_tick_stopping(struct status_tick *status_tick);

#endif
