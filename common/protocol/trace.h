/* trace: what a client asks for; docs/protocol.md, section 5. Pure. */
#ifndef HOPMQ_TRACE_H
#define HOPMQ_TRACE_H

#include "common/addr.h"
#include "common/protocol/wire.h"

#define TRACE_TARGET_BYTES 253
#define TRACE_ID_BYTES 64
#define TRACE_META_BYTES 1024
#define TRACE_MAX_FANOUT 1000
#define TRACE_FANOUT_ALL (-1)
#define TRACE_META_DEPTH 12 /* it is carried some levels deeper than the client wrote it */

enum trace_protocol { TRACE_ICMP, TRACE_UDP, TRACE_TCP, TRACE_SCTP };

/* The names of enum trace_protocol, ended by NULL. */
extern const char *const trace_protocol_names[];

struct trace {
    char target[TRACE_TARGET_BYTES + 1]; /* a literal is canonical after trace_get() */
    char id[TRACE_ID_BYTES + 1];         /* empty: the broker makes one */
    char stream[TRACE_ID_BYTES + 1];
    char source[ADDR_TEXT]; /* canonical, or empty */
    int64_t af;             /* 4, 6, 0 */
    int protocol;           /* enum trace_protocol */
    int64_t port;           /* 0: none */
    int64_t first_ttl, max_ttl;
    int64_t probes;
    int64_t attempts; /* probes + 1 unless given */
    int64_t timeout_ms;
    int64_t gap_limit;  /* 0: off */
    int64_t loop_limit; /* 0: off */
    int64_t window;     /* 0: the worker chooses */
    int64_t flow;       /* -1: none */
    int64_t size, tos, bit_pattern;
    int64_t priority; /* 0 is first */
    int64_t deadline_ms;
    bool progress;
    bool names;         /* the result is to have the host names of those that answered */
    bool coalesce;      /* another trace that probes the same may probe for this one */
    int64_t max_age_ms; /* the greatest age of a result that is taken instead */
    int64_t fanout;     /* the number of workers, or TRACE_FANOUT_ALL; 0: one, and no parts */
    bool wait;          /* false: `unavailable` at once if no worker could serve it */
    const msgpack_object *workers; /* NULL: any; borrowed from the document */
    const msgpack_object *meta;    /* NULL: none; borrowed from the document */
};

/* True for TCP and SCTP: mtr-packet sends their probes through a socket of the kernel each, and the
 * kernel repeats a probe that is not answered. */
bool trace_is_tcp_like(int protocol);

/* The row of a field, such as for its range; NULL if there is none of that name. */
const struct wire_field *trace_field(const char *name);

/* Sets every member to the default of docs/protocol.md; target and id are empty. */
void trace_defaults(struct trace *trace);

/* Reads a trace from a map, fills in what depends on other fields (attempts, port), and checks
 * what fields say together. `path` comes before field names in errors. */
bool trace_get(
    struct trace *trace, const msgpack_object *map, const char *path, struct wire_error *err);

/* Checks a trace that was not read by trace_get() by the same rules. */
bool trace_check(struct trace *trace, const char *path, struct wire_error *err);

/* How many keys trace_put() writes. */
uint32_t trace_count(const struct trace *trace);

/* Packs keys and values and leaves out defaults, so that equal traces give equal bytes. First come
 * the fields that say what is probed and from where, then the others, from `id` on. */
void trace_put(msgpack_packer *pk, const struct trace *trace);

/* Packs the trace as a map. */
void trace_put_map(msgpack_packer *pk, const struct trace *trace);

/* The pairs in the bytes of trace_put_map() that say what is probed and from where. Two traces with
 * the same pairs can share their probes. NULL if the bytes are not such a map. */
const void *trace_probing(const void *map, size_t size, size_t *probing_size);

#endif
