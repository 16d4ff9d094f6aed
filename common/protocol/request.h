/* request: what clients ask of the broker; docs/protocol.md, sections 3, 4 and 6. Pure. */
#ifndef HOPMQ_REQUEST_H
#define HOPMQ_REQUEST_H

#include "common/protocol/trace.h"
#include "common/protocol/wire.h"

#define REQUEST_MAX_BYTES (1024 * 1024)
#define REQUEST_MAX_VALUES 131072
#define REQUEST_MAX_ITEMS 1000 /* traces in a submit, ids in a request */

enum request_op {
    REQUEST_TRACE,
    REQUEST_SUBMIT,
    REQUEST_STATUS,
    REQUEST_FETCH,
    REQUEST_REPLAY,
    REQUEST_CANCEL,
    REQUEST_STATS,
    REQUEST_PING,
};

/* A decoded request; its pointers borrow from the document. */
struct request {
    int op;                       /* enum request_op */
    const msgpack_object *req;    /* NULL: none */
    const msgpack_object *root;   /* the whole map; of `trace` the trace itself */
    const msgpack_object *traces; /* of `submit`: an array of 1..REQUEST_MAX_ITEMS */
    const msgpack_object *ids;    /* of status, fetch, cancel: an array of as many strings */
    bool notify;
    int64_t after, limit;            /* of `replay` */
    char stream[TRACE_ID_BYTES + 1]; /* the same; empty: all streams */
};

/* Reads v, op, req and the fields of the op. `req` is set, if it can be, also on failure, so
 * that the error can carry it. */
bool request_get(struct request *request, const msgpack_object *root, struct wire_error *err);

/* Begins a message from or to the broker: a map of `pairs` more pairs after v, op and req
 * (NULL: none). */
void request_put_head(
    msgpack_packer *pk, const char *op, const msgpack_object *req, uint32_t pairs);

/* Packs a whole `submit` around `count` traces that are packed already. */
void request_put_submit(
    msgpack_sbuffer *out, int64_t req, bool notify, const msgpack_sbuffer *traces, uint32_t count);

/* Packs a whole `fetch`, `cancel` or `status`. */
void request_put_ids(
    msgpack_sbuffer *out, const char *op, int64_t req, const char *const *ids, uint32_t count);

/* Packs a whole `replay`; stream NULL: all. */
void request_put_replay(
    msgpack_sbuffer *out, int64_t req, int64_t after, const char *stream, int64_t limit);

/* Packs a whole `error`. */
void request_put_error(msgpack_packer *pk, const msgpack_object *req, const struct wire_error *err);

/* Packs the map {code, message, field?, reason?, retry_ms?} that stands for one failed trace in
 * `accepted`. */
void request_put_error_map(msgpack_packer *pk, const struct wire_error *err);

#endif
