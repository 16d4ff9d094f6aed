/* core: the broker's decisions. Pure.
 *
 * Messages and time go in; messages, publications and log lines come out through the sink, in
 * order. A trace that was accepted ends in one result; core_tick() does all timed work.
 */
#ifndef HOPMQ_CORE_H
#define HOPMQ_CORE_H

#include "broker/core/records.h"
#include "common/instant.h"

#define CORE_MAX_RUNS 3            /* starts of one trace at workers */
#define CORE_MAX_RETURNS 10        /* times that workers may hand one trace back */
#define CORE_MAX_WAITERS 16        /* sockets that wait for one trace */
#define CORE_MAX_STREAMS 1000000   /* that ever had a result */
#define CORE_MAX_REQUIREMENTS 1000 /* sets of labels and other needs, of traces without result */
#define CORE_IDLE_REQUIREMENTS 16  /* without such traces: kept, as they may come again */
#define CORE_MAX_MATCHES                                                                           \
    1000000 /* pairs of a requirement and a worker that fits: then no new requirements */
#define CORE_MAX_SUBMITTERS 100000 /* that have a trace without result */
#define CORE_MAX_WORKERS 10000
#define CORE_MAX_RIDERS 1000   /* traces that share the probing of one */
#define CORE_MAX_PARTS 1000    /* of one fanout */
#define CORE_MAX_DEFERRED 1000 /* requests that wait for the store, and their bytes */
#define CORE_MAX_DEFERRED_BYTES (64 * 1024 * 1024)
#define CORE_RECENT 10000 /* results that stay in memory, and their bytes */
#define CORE_RECENT_BYTES (16 * 1024 * 1024)
#define CORE_CANCEL_US 250000   /* a worker's time to answer a cancel */
#define CORE_GRACE_US 1000000   /* a worker's time to end a trace whose deadline has come */
#define CORE_HELD_US 1000000    /* a commit that takes longer keeps messages from their peers */
#define CORE_ABSENT_US 10000000 /* after a restart: for workers to tell which traces they have */
#define CORE_ALIVE_US 1000000   /* between two alive messages */
#define CORE_ACTIVE_US 60000000 /* a stream is active so long after its last result */
#define CORE_MAX_ALIVE_STREAMS 1000
#define CORE_MAX_FETCH_BYTES (512 * 1024) /* so that its values are below a reader's limit */
#define CORE_RATE_SECONDS 10
#define CORE_MAX_RESULT_ENDPOINTS 8

struct core;

struct core_config {
    char name[65];
    const char *version;
    int64_t max_queued;
    int64_t keep_results;  /* as the store has it */
    int64_t epoch, origin; /* see store_start */
    int64_t seq, number;   /* the last ones that were given */
    int64_t first_lease;   /* 1..2^62, at random, so that leases of two epochs do not meet */
    const char *results[CORE_MAX_RESULT_ENDPOINTS]; /* endpoints to subscribe to */
    int result_count;
};

/* Who asked: a routing id, of the submit or the workers socket `socket`. */
struct core_peer {
    const void *id;
    size_t size;    /* 1..255 */
    int socket;     /* the shell's own number for it */
    bool enveloped; /* with the empty frame of a REQ */
};

/* When a message may leave the process. */
enum core_when {
    CORE_KEPT, /* when all is committed that was given to the store before it was said */
    CORE_NOW,  /* it depends on nothing that is kept */
};

/* Why a message did not reach its peer. */
enum core_sent {
    CORE_GONE, /* the peer is not there any more */
    CORE_FULL, /* the peer does not read */
};

enum core_side { CORE_CLIENT, CORE_WORKER };

enum core_level { CORE_WARN, CORE_INFO, CORE_DEBUG };

/* What the core wants, in its order. Nothing here may call the core. */
struct core_sink {
    void *context;
    void (*to_client)(void *context, const struct core_peer *peer, const void *bytes, size_t size,
        enum core_when when);
    void (*to_worker)(void *context, const struct core_peer *peer, const void *bytes, size_t size,
        enum core_when when);
    void (*publish)(void *context, const char *topic, const void *bytes, size_t size); /* kept */
    void (*keep_trace)(void *context, const struct record_trace *trace);
    void (*keep_run)(void *context, const struct record_run *run);
    void (*keep_result)(void *context, const struct record_result *result);
    /* Answered by core_answer(), in the order of the questions. */
    void (*read)(void *context, const struct record_read *read);
    void (*say)(void *context, enum core_level level, const char *event, const char *detail);
};

struct core *core_new(
    const struct core_config *config, const struct core_sink *sink, const struct instant *now);
void core_destroy(struct core **core);

/* What the store has of an earlier start, before any other event: streams first, traces in the
 * order of their numbers, results of parts of a fanout after their trace; then core_restored(). */
void core_restore_stream(struct core *core, const char *name, int64_t seq);
void core_restore_trace(struct core *core, const struct record_trace *trace);
void core_restore_member(struct core *core, const struct record_result *result);
void core_restored(struct core *core, const struct instant *now);

/* A message of one frame from a client or a worker. */
void core_client_message(struct core *core, const struct core_peer *peer, const void *bytes,
    size_t size, const struct instant *now);
void core_worker_message(struct core *core, const struct core_peer *peer, const void *bytes,
    size_t size, const struct instant *now);

/* A message of the wrong number of frames. */
void core_client_frames(
    struct core *core, const struct core_peer *peer, unsigned frames, const struct instant *now);
void core_worker_frames(struct core *core, const struct core_peer *peer, unsigned frames);

/* The store's answer to sink.read. */
void core_answer(struct core *core, const struct record_answer *answer, const struct instant *now);

/* A message that could not be sent, with the bytes that the sink was given. */
void core_undelivered(struct core *core, enum core_side side, const struct core_peer *peer,
    const void *bytes, size_t size, enum core_sent sent, const struct instant *now);

/* So many messages were dropped whose peers did not read, and that nobody goes on from. */
void core_dropped(struct core *core, enum core_side side, int64_t count);

/* From now on new traces are `busy` with this reason, a word of docs/protocol.md, section 4, and
 * message; NULL: they are taken again. With reason "store" too much waits for the store: all
 * requests whose answer would wait too are busy. */
void core_refuse(struct core *core, const char *reason, const char *message);

/* Connections of an endpoint that began or ended; shown in stats. */
void core_connection(struct core *core, bool began);

void core_tick(struct core *core, const struct instant *now);

/* When core_tick() wants to be called next, on the monotonic clock. */
int64_t core_next(struct core *core);

/* No new traces, and no dispatch of queued ones. */
void core_drain(struct core *core);

/* True when a draining core has no trace at a worker. */
bool core_drained(const struct core *core);

/* Ends all traces that are left, with stop `cancelled`: of a broker whose store ends with it. */
void core_shutdown(struct core *core, const struct instant *now);

/* What the shell knows; counts are shown in stats. */
struct core_shell {
    int64_t held_us;  /* when the store last held messages back for CORE_HELD_US; 0: never */
    int64_t kept_seq; /* the last seq that is on disk, or nearly */
    int64_t results_kept;
    int64_t
        publish_dropped; /* times that a subscriber began to lose publications, or nobody got one */
};

/* The last seq that was given. */
int64_t core_seq(const struct core *core);

struct core_shell *core_shell(struct core *core);

#endif
