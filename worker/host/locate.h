/* locate: finds the destination and the source address of a trace. The resolver looks up names. The
 * kernel tells the source: a UDP socket is connected, which sends nothing, and has its address. */
#ifndef HOPMQ_LOCATE_H
#define HOPMQ_LOCATE_H

#include "common/protocol/session.h"
#include "common/protocol/trace.h"
#include "worker/host/resolver.h"
#include "worker/session/agent.h"

struct locator;

/* Each locator_find() calls `found` once with its owner and lease, before it returns if no name
 * needs to be looked up. */
struct locator *locator_new(struct resolver *resolver,
    void (*found)(void *owner, int64_t lease, const struct agent_location *location));

/* To be called after resolver_destroy(), which still answers open questions. */
void locator_destroy(struct locator **locator);

/* Finds an address of the trace's target in the family it asks for, and the source address. */
void locator_find(struct locator *locator, void *owner, int64_t lease, const struct trace *trace);

/* Finds the source address of the kernel's route to dst. Returns 0 or an errno. */
int locate_source(const struct addr *dst, struct addr *src);

/* Lists the addresses of interfaces that are up, also of loopback, but no link-local IPv6 address,
 * which has no meaning without its interface. Returns how many there are; 0 if they cannot be read
 * or are more than SESSION_MAX_SOURCES. */
size_t locate_sources(struct addr sources[SESSION_MAX_SOURCES]);

#endif
