/* http_status: an HTTP server for Prometheus and health checks, in a thread of its own
 * (libmicrohttpd).
 *
 *   /metrics   what http_status_publish() was given last, and the process's own metrics
 *   /healthz   200 while http_status_publish() was called within the last HTTP_STATUS_HEALTHY_US,
 * else 503 /readyz    200 while it is healthy and the last call had no reason against it, else 503
 *
 * The main loop never waits for it: connections are few and end when nothing moves on them, and
 * what the thread holds the lock for is one copy; while it does, http_status_publish() leaves what
 * it has for the next time.
 */
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

/* The main loop goes round. `page` is exchanged for one that may be filled next time. `unready` is
 * why this process does not serve now, a line; NULL: it does. */
void http_status_publish(struct http_status *http, struct exposition *page, const char *unready);

#endif
