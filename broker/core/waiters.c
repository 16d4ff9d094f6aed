#include "broker/core/waiters.h"

#include "broker/core/state.h"
#include "common/mem.h"
#include "common/protocol/request.h"
#include "common/protocol/result.h"

#include <stdlib.h>
#include <string.h>

static struct core_peer peer_of(const struct waiter *w) {
    return (struct core_peer){w->bytes, w->id_size, w->socket, w->enveloped};
}

static const msgpack_object *req_of(const struct waiter *w) { return w->has_req ? &w->req : NULL; }

/* A socket that asks again with the same `req` gets one answer. */
static bool waits_already(
    const struct job *job, const struct core_peer *peer, const msgpack_object *req) {
    const struct waiter *w;
    SLIST_FOREACH(w, &job->waiters, link)
    if (w->socket == peer->socket && w->id_size == peer->size &&
        memcmp(w->bytes, peer->id, peer->size) == 0 && w->has_req == (req != NULL) &&
        (req == NULL || msgpack_object_equal(w->req, *req)))
        return true;
    return false;
}

bool waiters_add(struct core *c, struct job *job, const struct core_peer *peer,
    const msgpack_object *req, struct wire_error *err) {
    if (waits_already(job, peer, req))
        return true;
    if (job->waiter_count == CORE_MAX_WAITERS) {
        c->counters.busy++;
        wire_busy(err, "id", "waiters", CORE_RETRY_REFUSED_MS, "%s: %d sockets wait for it already",
            job->id, CORE_MAX_WAITERS);
        return false;
    }
    size_t text = req != NULL && req->type == MSGPACK_OBJECT_STR ? req->via.str.size : 0;
    struct waiter *waiter = mem_new(1, sizeof *waiter + peer->size + text);
    waiter->socket = peer->socket;
    waiter->enveloped = peer->enveloped;
    waiter->id_size = (uint8_t)peer->size;
    memcpy(waiter->bytes, peer->id, peer->size);
    if (req != NULL) {
        waiter->has_req = true;
        waiter->req = *req;
    }
    if (text > 0)
        waiter->req.via.str.ptr = memcpy(waiter->bytes + peer->size, req->via.str.ptr, text);
    SLIST_INSERT_HEAD(&job->waiters, waiter, link);
    job->waiter_count++;
    return true;
}

void waiters_free(struct job *job) {
    struct waiter *waiter;
    while ((waiter = SLIST_FIRST(&job->waiters)) != NULL) {
        SLIST_REMOVE_HEAD(&job->waiters, link);
        free(waiter);
    }
    job->waiter_count = 0;
}

/* ---- results ---------------------------------------------------------------------------- */

void waiters_send_result(struct core *c, const void *result, size_t size,
    const struct core_peer *peer, const msgpack_object *req) {
    msgpack_packer pk;
    if (req == NULL) {
        output_to_client(c, peer, result, size, CORE_KEPT);
        return;
    }
    output_packer(&pk, &c->scratch.out);
    result_put_with_req(&pk, result, size, req);
    output_to_client(c, peer, c->scratch.out.data, c->scratch.out.size, CORE_KEPT);
}

void waiters_send(struct core *c, const struct job *from, const struct job *to) {
    const struct waiter *waiter;
    SLIST_FOREACH(waiter, &to->waiters, link) {
        struct core_peer peer = peer_of(waiter);
        if (from == to || !peer.enveloped)
            waiters_send_result(c, from->result, from->result_size, &peer, req_of(waiter));
    }
}

#define TOPIC_BYTES (sizeof "result.." + TRACE_ID_BYTES + RECORD_ID_BYTES)

/* `kind` is "result." or "hop.". */
static const char *make_topic(char topic[TOPIC_BYTES], const char *kind, const struct job *job) {
    char *at = stpcpy(stpcpy(topic, kind), job->stream->name);
    *at++ = '.';
    (void)stpcpy(at, job->id);
    return topic;
}

void waiters_publish(struct core *c, const struct job *job) {
    char topic[TOPIC_BYTES];
    output_publish(c, make_topic(topic, "result.", job), job->result, job->result_size);
}

/* ---- hops ------------------------------------------------------------------------------- */

static void put_hop(struct core *c, const struct job *job, const struct session_msg *msg,
    const msgpack_object *req) {
    msgpack_packer pk;
    output_packer(&pk, &c->scratch.out);
    request_put_head(&pk, "hop", req, 4);
    wire_put_key_text(&pk, "id", job->id);
    wire_put_key_text(&pk, "stream", job->stream->name);
    wire_put_key_int(&pk, "ttl", msg->ttl);
    wire_put_text(&pk, "probes");
    msgpack_pack_object(&pk, *msg->probes);
}

void waiters_hop(struct core *c, struct job *job, const struct session_msg *msg) {
    const struct waiter *waiter;
    char topic[TOPIC_BYTES];
    if (!job->progress)
        return;
    if (c->stalled) {
        c->counters.hops_dropped++; /* it would wait for the store too, as too much does already */
        return;
    }
    c->counters.hops++;
    put_hop(c, job, msg, NULL);
    output_publish(c, make_topic(topic, "hop.", job), c->scratch.out.data, c->scratch.out.size);
    SLIST_FOREACH(waiter, &job->waiters, link) {
        struct core_peer peer = peer_of(waiter);
        if (peer.enveloped)
            continue; /* a REQ takes one reply, the result */
        put_hop(c, job, msg, req_of(waiter));
        output_to_client(c, &peer, c->scratch.out.data, c->scratch.out.size, CORE_KEPT);
    }
}
