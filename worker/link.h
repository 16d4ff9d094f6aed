/* link: the worker's connection to one broker, and the agent that speaks the worker protocol over
 * it.
 *
 * The agent decides what is said; the link sends it, and brings the agent what comes from the
 * socket, from the locator and from the cache of names. The agent also notices that a broker is
 * silent (agent.h). ZeroMQ alone notices that a connection broke, and connects again.
 */
#ifndef HOPMQ_WORKER_LINK_H
#define HOPMQ_WORKER_LINK_H

#include "common/runtime/reactor.h"
#include "worker/host/locate.h"
#include "worker/session/agent.h"
#include "worker/session/names.h"

struct link;

/* What the links of a worker share; all of it is borrowed. */
struct link_shared {
    const struct agent_config *config;
    struct reactor *reactor;
    struct mux *mux;
    struct locator *locator;
    struct names *names;
};

/* Begins to connect. NULL, with a message on standard error, if ZeroMQ does not accept the
 * endpoint, which is borrowed. */
struct link *link_new(const struct link_shared *shared, const char *endpoint);

/* Messages that are not sent yet get linger_ms to leave the process. */
void link_destroy(struct link **link, int linger_ms);

const char *link_endpoint(const struct link *link);
struct agent *link_agent(const struct link *link);

/* For locator_new() and for the sink of names, whose owners are links. */
void link_on_located(void *owner, int64_t lease, const struct agent_location *location);
void link_on_named(void *owner, int64_t lease, const struct addr *addr, const char *name);

#endif
