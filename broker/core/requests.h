/* requests: requests in, replies out, docs/protocol.md, section 6; and the requests that wait for
 * the store's answer. Pure. */
#ifndef HOPMQ_REQUESTS_H
#define HOPMQ_REQUESTS_H

#include "broker/core/state.h"

void requests_handle(
    struct core *core, const struct core_peer *peer, const void *bytes, size_t size);
void requests_send_error(struct core *core, const struct core_peer *peer, const msgpack_object *req,
    const struct wire_error *err);

/* ---- deferred: requests that wait for the store ---- */

/* A request that waits for the store. */
struct deferred {
    TAILQ_ENTRY(deferred) link;
    uint64_t ticket;
    int64_t mark; /* the records that were given to the store before */
    struct peer_id peer;
    size_t size;
    unsigned char bytes[];
};

/* Keeps the request until the store has answered; false with *err if too many wait. */
bool deferred_add(struct core *core, const struct core_peer *peer, const void *bytes, size_t size,
    struct record_read *read, struct wire_error *err);

/* The row of an id in the answer that is being handled; NULL: none. */
const struct record_result *deferred_row(const struct core *core, const char *id, size_t size);
void deferred_free_all(struct core *core);

#endif
