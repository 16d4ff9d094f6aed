/* session: the messages between a worker and the broker; docs/protocol.md, section 9. Pure. */
#ifndef HOPMQ_SESSION_H
#define HOPMQ_SESSION_H

#include "common/addr.h"
#include "common/protocol/hop.h"
#include "common/protocol/labels.h"
#include "common/protocol/trace.h"
#include "common/protocol/wire.h"

/* The versions of the session that this program speaks: what the two sides tell each other. The `v`
 * of each map, WIRE_VERSION, says how a message is encoded. */
#define SESSION_VERSION_MIN 1
#define SESSION_VERSION_MAX 2

#define SESSION_MAX_BYTES (4 * 1024 * 1024)
#define SESSION_MAX_VALUES 1048576
#define SESSION_NAME_BYTES 64
#define SESSION_TROUBLE_BYTES 200
#define SESSION_MAX_CAPACITY 100000
/* The numbers that a broker takes in `stats`: it refuses a heartbeat with more. A worker asserts
 * that it sends no more, and a larger limit helps only once every broker has it. */
#define SESSION_MAX_STATS 32
#define SESSION_MAX_SOURCES 64
#define SESSION_PROBES_DEPTH 8

/* Each side sends a heartbeat every SESSION_HEARTBEAT_MS. After SESSION_DEAD_MS of silence the
 * broker gives the worker's traces to others, and the worker takes the session for lost. */
#define SESSION_HEARTBEAT_MS 1000
#define SESSION_DEAD_MS 5000

enum session_op {
    SESSION_HELLO,
    SESSION_HEARTBEAT, /* in both directions */
    SESSION_HOP,
    SESSION_RESULT,
    SESSION_RETURN,
    SESSION_DRAIN,
    SESSION_BYE,
    SESSION_WELCOME,
    SESSION_REJECT,
    SESSION_WHO,
    SESSION_TRACE,
    SESSION_CANCEL,
    SESSION_DONE,
};

/* A number that a worker reports about itself. */
struct session_stat {
    const char *name;
    int64_t value;
};

/* One message of either direction; an op uses the members that docs/protocol.md names for it.
 * Pointers borrow from the document that was read, or from the caller who writes. */
struct session_msg {
    int op; /* enum session_op */
    int64_t lease, run, deadline_ms, ttl;
    int64_t epoch, heartbeat_ms, dead_ms;
    int64_t capacity, version_min, version_max;
    int64_t version;    /* that the broker chose */
    unsigned families;  /* 1 << 4, 1 << 6 */
    unsigned flows;     /* the families in which a constant flow works; written from version 2 on */
    unsigned protocols; /* 1 << enum trace_protocol */
    char name[SESSION_NAME_BYTES + 1];
    char prober[65];
    char code[33], message[225], reason[201];
    char trouble[SESSION_TROUBLE_BYTES + 1]; /* why it can run no trace; empty: it can */
    struct labels labels;
    const int64_t *leases;
    size_t lease_count;
    const struct addr *sources; /* the worker's own addresses */
    size_t source_count;        /* 0: it may have any */
    const void *body;           /* an encoded map */
    size_t body_size;
    const void *trace_bytes; /* to write: an encoded map */
    size_t trace_size;
    const msgpack_object *trace;        /* as read: any value, see trace_get() */
    const struct hop_probe *hop_probes; /* to write */
    size_t hop_probe_count;
    const msgpack_object *probes;         /* as read: a checked array */
    const struct session_stat *stat_list; /* to write */
    size_t stat_count;
    const msgpack_object *stats;    /* as read: a checked map */
    bool leases_given, flows_given; /* as read: whether the message has them */
    msgpack_zone *zone;             /* as read: of the document, which holds the arrays */
};

/* Reads a message. Its arrays are allocated in the document's zone. What an older peer does not
 * send is filled in: `version` becomes 1, and `flows` becomes `af` if `protocols` has udp. */
bool session_get(struct session_msg *msg, struct wire_doc *doc, struct wire_error *err);

/* The highest version that we and the sender of a hello speak; 0 if there is none. */
int64_t session_version(const struct session_msg *msg);

void session_put(msgpack_packer *pk, const struct session_msg *msg);

/* The values of hello's `af` (and `flows`) and `protocols`. */
void session_put_families(msgpack_packer *pk, unsigned families);
void session_put_protocols(msgpack_packer *pk, unsigned protocols);

/* "hello", "welcome", ... */
const char *session_op_name(int op);

#endif
