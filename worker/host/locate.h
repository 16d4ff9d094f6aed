/* locate: where a trace goes, and from where. Names by the resolver; the source by asking the
 * kernel for its route (a connected UDP socket sends nothing). */
#ifndef HOPMQ_LOCATE_H
#define HOPMQ_LOCATE_H

#include "common/protocol/session.h"
#include "common/protocol/trace.h"
#include "worker/host/resolver.h"
#include "worker/session/agent.h"

struct locator;

/* `found` is called once for each locator_find(), with its owner and lease, from inside
 * locator_find() if no name needs to be looked up. */
struct locator *locator_new(struct resolver *resolver,
    void (*found)(void *owner, int64_t lease, const struct agent_location *location));

/* After the resolver, which answers what is still asked. */
void locator_destroy(struct locator **locator);

/* Finds an address of the trace's target and family, and the source for the route. */
void locator_find(struct locator *locator, void *owner, int64_t lease, const struct trace *trace);

/* Finds the source address of the kernel's route to dst. Returns 0 or an errno. */
int locate_source(const struct addr *dst, struct addr *src);

/* The addresses of this host's interfaces that are up, loopback's too, but not IPv6 link-local
 * ones, which mean nothing without their interface. 0 if they cannot be had, or are too many. */
size_t locate_sources(struct addr sources[SESSION_MAX_SOURCES]);

#endif
