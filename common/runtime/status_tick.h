/* status_tick: reports from inside the main loop, once every STATUS_TICK_US, how this process is:
 * to the HTTP server (http_status.h) and to the service manager (systemd.h: ready, status,
 * watchdog). It does nothing if neither is there. */
#ifndef HOPMQ_STATUS_TICK_H
#define HOPMQ_STATUS_TICK_H

#include "common/exposition.h"
#include "common/runtime/reactor.h"

#define STATUS_TICK_US 1000000

struct status_tick;

struct status_tick_sink {
    void *context;
    /* One line why this process does not serve now; NULL if it does. */
    const char *(*unready)(void *context);
    void (*put_metrics)(void *context, struct exposition *e);
};

/* `metrics` is the address of the HTTP server, see http_status_new(); NULL for none. Returns NULL
 * with a message on standard error if the server cannot be started. The service manager learns that
 * the process is ready when the loop runs. */
struct status_tick *status_tick_new(struct reactor *reactor, const struct status_tick_sink *sink,
    const char *metrics, bool insecure);
void status_tick_destroy(struct status_tick **status_tick);

/* Reports at once that the process has begun to stop. */
void status_tick_stopping(struct status_tick *status_tick);

#endif
