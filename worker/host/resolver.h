/* resolver: asks the host's name servers through c-ares, in the worker's loop, without blocking. */
#ifndef HOPMQ_WORKER_RESOLVER_H
#define HOPMQ_WORKER_RESOLVER_H

#include "common/runtime/reactor.h"
#include "worker/session/names.h"

#include <ares.h>

/* A name server gets RESOLVER_TRIES tries. The first one waits RESOLVER_TRY_MS for an answer, each
 * further one twice as long as the one before. */
#define RESOLVER_TRIES 2
#define RESOLVER_TRY_MS 2000

struct resolver;

/* Returns NULL, with a message on standard error, if c-ares refuses. */
struct resolver *resolver_new(struct reactor *reactor);

/* Answers all open questions with a failure: those who asked must still exist. */
void resolver_destroy(struct resolver **resolver);

/* Looks up the addresses of a name, of family 4 or 6, or 0 for both. `found` is called once,
 * perhaps before this returns. It frees info, which may be NULL. */
void resolver_addresses(struct resolver *resolver, const char *name, int af,
    void (*found)(void *context, int status, struct ares_addrinfo *info), void *context);

/* Looks up the name of an address. `found` is called once, perhaps before this returns, with what
 * names_answer() takes. */
void resolver_name(struct resolver *resolver, const struct addr *addr,
    void (*found)(void *context, const struct addr *addr, enum names_outcome outcome,
        const char *name, uint32_t ttl_s),
    void *context);

/* Does what is due, and says when it wants to be called next. */
void resolver_tick(struct resolver *resolver);
int64_t resolver_next(struct resolver *resolver, int64_t now_us);

#endif
