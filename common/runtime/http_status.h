/* http_status: an HTTP server for Prometheus and health checks, in a thread of its own
 * (libmicrohttpd).
 *
 *   /metrics   the page that http_status_publish() was last given, and metrics of the process
 *   /healthz   200 if http_status_publish() was called within HTTP_STATUS_HEALTHY_US, else 503
 *   /readyz    200 if it is healthy and the last call gave no reason against it, else 503
 *
 * The main loop never waits for the server. The thread holds the lock for one copy only, and while
 * it does, http_status_publish() keeps its page for the next call. Connections are at most
 * HTTP_STATUS_CONNECTIONS, and end after HTTP_STATUS_TIMEOUT_S without traffic. */
#ifndef HOPMQ_HTTP_STATUS_H
#define HOPMQ_HTTP_STATUS_H

#include "common/exposition.h"

#include <stdbool.h>

#define HTTP_STATUS_HEALTHY_US 5000000
#define HTTP_STATUS_CONNECTIONS 16
#define HTTP_STATUS_TIMEOUT_S 5

struct http_status;

/* Listens at ADDRESS:PORT, see listen_at(); NULL with a message on standard error. */
struct http_status *http_status_new(const char *address, bool insecure);
void http_status_destroy(struct http_status **http);

/* To be called by the main loop to show that it runs. Takes the page, and leaves another one there
 * to be filled next time. `unready` is one line why this process does not serve now, NULL if it
 * does. */
void http_status_publish(struct http_status *http, struct exposition *page, const char *unready);

#endif
