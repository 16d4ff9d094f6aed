/* requests: clients' requests in, replies out, docs/protocol.md, section 6. Pure. */
#ifndef HOPMQ_REQUESTS_H
#define HOPMQ_REQUESTS_H

#include "broker/core/types.h"
#include "common/protocol/wire.h"

/* Answers a request, now or when the store has answered. While deferred_begin() has an answer, the
 * request is one that has waited for it. */
void requests_handle(
    struct core *core, const struct core_peer *peer, const void *bytes, size_t size);

/* Sends and counts an error. `req` may be NULL. */
void requests_send_error(struct core *core, const struct core_peer *peer, const msgpack_object *req,
    const struct wire_error *err);

#endif
