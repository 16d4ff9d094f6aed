/* queue_rig: a broker's core whose clients and workers are letters. Traces are numbers, which are
 * their ids; what the broker gave to whom, and how traces ended, is written down. */
#ifndef TEST_QUEUE_RIG_H
#define TEST_QUEUE_RIG_H

#include "tests/unit/check.h"

#include "broker/core/core.h"
#include "common/protocol/request.h"
#include "common/protocol/result.h"
#include "common/protocol/session.h"
#include "common/protocol/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct given {
    char worker;
    int trace;
    int64_t lease, run;
};

#define RIG_GIVEN 4096 /* of the last event */

struct rig {
    struct core *core;
    struct instant now;
    struct wire_doc doc;
    msgpack_sbuffer bytes;
    struct given given[RIG_GIVEN];
    int given_count;
    uint64_t asked;    /* a question to the store; 0: none */
    int errors;        /* in answers of the last event */
    char ended[4][24]; /* the last results: "ID STOP" */
    int ended_count;
    int ended_as[RESULT_STOPS];
    char status[40];
    int rejected;     /* workers that were, in the last event */
    char reason[16];  /* why the broker was busy in the last event; empty: it was not */
    bool store_waits; /* questions to it are counted in `waiting`, not answered */
    uint64_t waiting;
    msgpack_sbuffer alive; /* the last alive message */
};

/* What a trace asks for. */
struct rig_ask {
    const char *target; /* NULL: 192.0.2.1 */
    const char *source; /* NULL: none */
    int protocol;
    bool flow;
    const char *site; /* a label; NULL: none */
    int priority;
    bool fanout; /* at all that fit */
    bool coalesce;
    const char *stream;  /* NULL: the default */
    int64_t deadline_ms; /* 0: an hour */
};

#define RIG_V4 (1U << 4)
#define RIG_V6 (1U << 6)
#define RIG_ICMP (1U << TRACE_ICMP)
#define RIG_UDP (1U << TRACE_UDP)

/* A broker with room for this number of traces in its queue. */
void rig_open(struct rig *rig, int64_t max_queued);

/* The same, whose store keeps this number of results, not 100. */
void rig_open_keeping(struct rig *rig, int64_t max_queued, int64_t keep_results);
void rig_close(struct rig *rig);

/* Forgets what the last event gave; every event of the rig begins so. */
void rig_event(struct rig *rig);
void rig_after_ms(struct rig *rig, int64_t ms);

/* ---- clients ---- */

/* Submits `count` traces, numbered from `first`; ask NULL: without wishes. */
void rig_submit(struct rig *rig, char client, int first, int count, const struct rig_ask *ask);

/* One trace of a client with a longer name. */
void rig_submit_as(struct rig *rig, const char *client, int id, const struct rig_ask *ask);
void rig_cancel(struct rig *rig, int id);

/* The state of a trace as `status` tells it: "queued POSITION", "running WORKER", "done" or
 * "unknown". It lives until the next call. */
const char *rig_status(struct rig *rig, int id);

/* Asks for results. Returns how many came; *more: how many must be asked for again. */
int rig_fetch(struct rig *rig, int first, int count, int *more);

/* Sends a request that is padded to this size. */
void rig_status_padded(struct rig *rig, int id, size_t size);

/* The number of streams in the last alive message; the seq of one, or -1. */
int rig_alive_streams(struct rig *rig);
int64_t rig_alive_seq(struct rig *rig, const char *stream);

/* The position of a trace in the queue. */
int rig_position(struct rig *rig, int id);

/* A number of the map `queue` of `stats`; a counter. */
int64_t rig_queue(struct rig *rig, const char *name);
int64_t rig_counter(struct rig *rig, const char *name);

/* ---- workers ---- */

void rig_tell(struct rig *rig, char worker, const struct session_msg *msg);

/* A worker with a longer name. */
void rig_tell_as(struct rig *rig, const char *worker, const struct session_msg *msg);
void rig_join_as(struct rig *rig, const char *worker, int64_t capacity);

/* A hello for a worker of IPv4 and ICMP, with the label site unless that is NULL. */
struct session_msg rig_hello(char worker, int64_t capacity, const char *site);
void rig_join(struct rig *rig, char worker, int64_t capacity, const char *site);
void rig_bye(struct rig *rig, char worker);
void rig_result(struct rig *rig, char worker, int64_t lease);

/* A result with this number of bytes more in its body. */
void rig_large_result(struct rig *rig, char worker, int64_t lease, size_t more);
void rig_return(struct rig *rig, char worker, int64_t lease);

/* A heartbeat that lists all that it has. */
void rig_beat(struct rig *rig, char worker);

/* ---- what no answer of the broker tells ---- */

/* The number of the lease of a running trace. */
int64_t rig_lease(struct rig *rig, int id);

/* How many traces run of the submitter of this trace. */
int64_t rig_running_of_submitter(struct rig *rig, int id);

/* The worker that is reserved for a quarantined trace, by its name; '-': none. */
char rig_reserved(const struct rig *rig);
int64_t rig_idle_requirements(const struct rig *rig);

/* The last event gave just one trace, this one. */
#define RIG_GAVE(rig, to, id)                                                                      \
    do {                                                                                           \
        assert_int_equal((rig)->given_count, 1);                                                   \
        assert_int_equal((rig)->given[0].trace, id);                                               \
        assert_int_equal((rig)->given[0].worker, to);                                              \
    } while (0)

#define RIG_ENDED(rig, text) assert_string_equal((rig)->ended[((rig)->ended_count - 1) % 4], text)

#endif
