/* resolver: questions to the host's name servers, by c-ares in our loop, without blocking. */
#ifndef HOPMQ_WORKER_RESOLVER_H
#define HOPMQ_WORKER_RESOLVER_H

#include "common/runtime/reactor.h"
#include "worker/session/names.h"

#include <ares.h>

/* A name server is asked so often, and so long the first time; then twice as long each time. */
#define RESOLVER_TRIES 2
#define RESOLVER_TRY_MS 2000

struct resolver;

/* NULL with a message on standard error. */
struct resolver *resolver_new(struct reactor *reactor);

/* Answers with a failure what is still asked: who is called must still be there. */
void resolver_destroy(struct resolver **resolver);

/* The addresses of a name, of family 4, 6, or 0 for both. `found` is called once, perhaps from
 * inside; it frees info, which may be NULL. */
void resolver_addresses(struct resolver *resolver, const char *name, int af,
    void (*found)(void *context, int status, struct ares_addrinfo *info), void *context);

/* The name of an address. `found` is called once, perhaps from inside, as names_answer(). */
void resolver_name(struct resolver *resolver, const struct addr *addr,
    void (*found)(void *context, const struct addr *addr, enum names_outcome outcome,
        const char *name, uint32_t ttl_s),
    void *context);

/* As a core's: what is due, and when next. */
void resolver_tick(struct resolver *resolver);
int64_t resolver_next(struct resolver *resolver, int64_t now_us);

#endif
