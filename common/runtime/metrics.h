/* metrics: an HTTP server for Prometheus and health checks, in a thread of its own (libmicrohttpd).
 *
 *   /metrics   what metrics_publish() was given last, and the process's own metrics
 *   /healthz   200 while metrics_publish() was called within the last METRICS_HEALTHY_US, else 503
 *   /readyz    200 while it is healthy and the last call had no reason against it, else 503
 *
 * The main loop never waits for it: connections are few and end when nothing moves on them, and
 * what the thread holds the lock for is one copy; while it does, metrics_publish() leaves what it
 * has for the next time.
 */
#ifndef HOPMQ_METRICS_H
#define HOPMQ_METRICS_H

#include "common/exposition.h"

#include <stdbool.h>

#define METRICS_HEALTHY_US 5000000
#define METRICS_CONNECTIONS 16
#define METRICS_TIMEOUT_S 5

struct metrics;

/* Listens at ADDRESS:PORT, see listen_at(); NULL with a message on standard error. */
struct metrics *metrics_new(const char *address, bool insecure);
void metrics_destroy(struct metrics **metrics);

/* The main loop goes round. `page` is exchanged for one that may be filled next time. `unready` is
 * why this process does not serve now, a line; NULL: it does. */
void metrics_publish(struct metrics *metrics, struct exposition *page, const char *unready);

#endif
