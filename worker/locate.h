/* locate: where a trace goes, and from where. Names by c-ares, without blocking; the source by
 * asking the kernel for its route (a connected UDP socket sends nothing). */
#ifndef HOPMQ_LOCATE_H
#define HOPMQ_LOCATE_H

#include "common/reactor.h"
#include "common/trace.h"
#include "worker/agent.h"

/* A name server is asked so often, and so long each time. */
#define LOCATE_TRIES 2
#define LOCATE_TRY_MS 2000

struct locator;

/* `found` is called once for each locator_find(), with its owner and lease, from inside
 * locator_find() if no name needs to be looked up. NULL with a message on standard error. */
struct locator *locator_new(struct reactor *reactor,
    void (*found)(void *owner, int64_t lease, const struct agent_location *location));

/* Calls `found` for what is still looked up: the owners must still be there. */
void locator_destroy(struct locator **locator);

/* Finds an address of the trace's target and family, and the source for the route. */
void locator_find(struct locator *locator, void *owner, int64_t lease, const struct trace *trace);

/* As a core's: what is due, and when next. */
void locator_tick(struct locator *locator);
int64_t locator_next(struct locator *locator, int64_t now_us);

#endif
