/* waiters: the sockets that get a job's result, and its hops where the trace asked for progress.
 * Pure. */
#ifndef HOPMQ_WAITERS_H
#define HOPMQ_WAITERS_H

#include "broker/core/types.h"
#include "common/protocol/wire.h"

/* One socket, and the `req` that it asked with. */
struct waiter {
    SLIST_ENTRY(waiter) link;
    msgpack_object req; /* a string points into bytes */
    int socket;
    uint8_t id_size;
    bool enveloped, has_req;
    char bytes[]; /* the routing id, and the text of req */
};

/* The peer gets the result of the job, once for each `req`; false with *err if too many wait. */
bool waiters_add(struct core *core, struct job *job, const struct core_peer *peer,
    const msgpack_object *req, struct wire_error *err);

/* Sends the result of `from` to those who wait for `to`, which is the same job or the fanout that
 * it was a part of. A REQ, which takes one reply, is sent the result of its own job only. */
void waiters_send(struct core *core, const struct job *from, const struct job *to);

/* Sends a finished result to one peer. */
void waiters_send_result(struct core *core, const void *result, size_t size,
    const struct core_peer *peer, const msgpack_object *req);

/* Publishes a hop of a job with `progress`, and sends it to those who wait. */
void waiters_hop(struct core *core, struct job *job, const struct session_msg *msg);

/* Publishes the result of a job. */
void waiters_publish(struct core *core, const struct job *job);

void waiters_free(struct job *job);

#endif
