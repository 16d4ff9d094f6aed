/* result: how a trace ended; docs/protocol.md, section 7. Pure.
 *
 * A worker makes the body (target to hops) and the broker puts its own keys before it without
 * decoding the body again; result_merge() is that step.
 */
#ifndef HOPMQ_RESULT_H
#define HOPMQ_RESULT_H

#include "common/protocol/trace.h"
#include "common/protocol/wire.h"

/* Why a trace ended; docs/protocol.md glosses each. */
enum result_stop {
    STOP_REACHED,
    STOP_UNREACHABLE,
    STOP_GAP_LIMIT,
    STOP_MAX_TTL,
    STOP_LOOP,
    STOP_DEADLINE,
    STOP_CANCELLED,
    STOP_UNRESOLVED,
    STOP_NO_ROUTE,
    STOP_DENIED,
    STOP_PROBER_ERROR,
    STOP_WORKER_LOST,
    STOP_NO_WORKER,
    STOP_SUMMARY, /* of a whole fanout; no worker says so */
};

#define RESULT_STOPS (STOP_SUMMARY + 1)

extern const char *const result_stop_names[];

/* A trace's id, or of one part of a fanout that of the whole, "/" and the worker's name. */
#define RESULT_ID_BYTES (2 * TRACE_ID_BYTES + 1)
#define RESULT_ID_CHARS (WIRE_ID_CHARS | WIRE_SLASH)

/* True for 1 to TRACE_ID_BYTES of WIRE_ID_CHARS, or two such with "/" between. */
bool result_is_id(const char *text, size_t size);

struct result_body {
    char target[TRACE_TARGET_BYTES + 1];
    char dst[ADDR_TEXT], src[ADDR_TEXT]; /* empty: nil */
    int protocol;
    int64_t port; /* 0: absent */
    int64_t flow; /* -1: absent */
    bool constant_flow;
    int64_t src_port; /* 0: absent */
    int64_t first_ttl, max_ttl;
    int64_t started_us, finished_us;
    char prober[65]; /* empty: absent */
    int64_t probes_sent;
    int stop;                    /* enum result_stop */
    const msgpack_object *error; /* what result_get_body() found */
    char error_code[33];         /* empty: no error */
    char error_message[225];
    const msgpack_object *hops;    /* what result_get_body() found, a checked array */
    const msgpack_object *names;   /* the same, a checked map; NULL: the trace did not ask */
    const msgpack_object *members; /* the same, a checked array, of a summary; NULL: none */
};

#define RESULT_MAX_NAMES 256
#define RESULT_NAME_BYTES 253

/* The host name of an address, see result_is_name(); NULL or empty: none is known. */
struct result_name {
    struct addr addr;
    char *name;
};

/* One part of a fanout, as its summary lists it. */
struct result_member {
    char worker[65];
    char id[RESULT_ID_BYTES + 1];
    int stop;    /* enum result_stop */
    int64_t seq; /* of its own result */
};

#define RESULT_MAX_MEMBERS 10000

/* What the broker adds. */
struct result_head {
    int64_t seq, stream_seq, epoch, accepted_us, run;
    char id[RESULT_ID_BYTES + 1], stream[TRACE_ID_BYTES + 1];
    char worker[65];                  /* empty: absent */
    char shared[RESULT_ID_BYTES + 1]; /* the trace that probed for this one; empty: absent */
    const msgpack_object *req;        /* NULL: absent */
    const msgpack_object *meta;       /* NULL: absent */
};

/* Copies what the body repeats from the trace. Everything else becomes 0. */
void result_from_trace(struct result_body *body, const struct trace *trace);

struct hop_probe;

/* Packs a body as a map, its hops from probes ordered by ttl and attempt. */
void result_put_body(msgpack_packer *pk, const struct result_body *body,
    const struct hop_probe *probes, size_t count);

/* Packs the body of a summary up to the array of its `count` members, which are packed next, each
 * by result_put_member(). The body's stop is STOP_SUMMARY, it has no hops. */
void result_put_summary(msgpack_packer *pk, const struct result_body *body, size_t count);
void result_put_member(msgpack_packer *pk, const struct result_member *member);

/* Reads an element of `members`. `path` comes before field names in errors. */
bool result_get_member(struct result_member *member, const msgpack_object *map, const char *path,
    struct wire_error *err);

/* Packs a body that result_put_body() made again, with the map `names` at its end: of at most
 * RESULT_MAX_NAMES entries those whose name is known. */
void result_put_names(msgpack_packer *pk, const void *body, size_t size,
    const struct result_name *names, size_t count);

/* True for what may be passed on as a host's name: 1 to RESULT_NAME_BYTES of WIRE_HOST_CHARS, not
 * the root, and not what could be taken for an address. */
bool result_is_name(const char *text, size_t size);

/* Reads and checks a body, or the body's part of a whole result. */
bool result_get_body(struct result_body *body, const msgpack_object *map, struct wire_error *err);

/* The most values and levels that a body may have. 255 hops of 32 probes with 8 labels each have
 * 450,000 values, and what stands around a body in a message must fit too. */
#define RESULT_MAX_VALUES 500000
#define RESULT_MAX_DEPTH 12

/* The same for a whole result: the broker adds its keys and `meta`, which has at most one value a
 * byte. */
#define RESULT_MAX_PUBLISHED_VALUES (RESULT_MAX_VALUES + 2048)

/* The stop of a body or whole result that was checked. */
int result_stop_of(const msgpack_object *map);

/* Packs the pairs of a whole result that make its body, as a map. */
void result_put_body_of(msgpack_packer *pk, const msgpack_object *result);

/* Checks what a worker sent as a body. It must pass result_get_body(), be portable, and have no key
 * that only the broker may set. */
bool result_check_body(const msgpack_object *map, struct wire_error *err);

/* Reads the broker's part of a whole result. */
bool result_get_head(struct result_head *head, const msgpack_object *map, struct wire_error *err);

/* Packs the whole result: v, op, head, and then the pairs of body, the encoding of a map that
 * result_check_body() accepted or the broker made. */
void result_merge(
    msgpack_packer *pk, const struct result_head *head, const void *body, size_t size);

/* Packs a whole result that result_merge() made without `req` again, with it. */
void result_put_with_req(
    msgpack_packer *pk, const void *result, size_t size, const msgpack_object *req);

#endif
