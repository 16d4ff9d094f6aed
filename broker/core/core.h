/* core: the broker's decisions. Pure.
 *
 * Messages and time go in; messages, publications and log lines come out through the sink, in
 * order. A trace that was accepted ends in one result; core_tick() does all timed work.
 */
#ifndef HOPMQ_CORE_H
#define HOPMQ_CORE_H

#include "broker/core/records.h"
#include "common/instant.h"

/* ---- bounds: what is over one is answered `busy`, unless it says otherwise ---- */

/* Starts of one trace at workers, and times that workers may hand it back: the trace ends then. */
#define CORE_MAX_RUNS 3
#define CORE_MAX_RETURNS 10

/* Sockets that wait for the result of one trace. */
#define CORE_MAX_WAITERS 16

/* Streams that have ever had a trace. */
#define CORE_MAX_STREAMS 1000000

/* Different requirements (labels, source and so on) of traces without a result. Some without such
 * traces are kept as well, since they may come again. */
#define CORE_MAX_REQUIREMENTS 1000
#define CORE_IDLE_REQUIREMENTS 16

/* Pairs of a requirement and a worker that fits it. */
#define CORE_MAX_MATCHES 1000000

/* Submitters that have a trace without a result. */
#define CORE_MAX_SUBMITTERS 100000

/* Sessions of workers: one more is rejected. */
#define CORE_MAX_WORKERS 10000

/* Traces that ride on one: one more is probed itself. */
#define CORE_MAX_RIDERS 1000

/* Parts of one fanout: it runs at no more workers. */
#define CORE_MAX_PARTS 1000

/* Requests that wait for the store, and their bytes. */
#define CORE_MAX_DEFERRED 1000
#define CORE_MAX_DEFERRED_BYTES (64 * 1024 * 1024)

/* Results that stay in memory, and their bytes: the store has the older ones. */
#define CORE_RECENT 10000
#define CORE_RECENT_BYTES (16 * 1024 * 1024)

/* Streams that one alive message lists: those with the latest results. */
#define CORE_MAX_ALIVE_STREAMS 1000

/* Bytes of results in one answer, so that its values stay below a reader's limit. One result comes
 * in any case. */
#define CORE_MAX_FETCH_BYTES (512 * 1024)

#define CORE_MAX_RESULT_ENDPOINTS 8

/* ---- times ---- */

/* A worker has this time to answer a cancel, and to end a trace whose deadline has come. */
#define CORE_CANCEL_US 250000
#define CORE_GRACE_US 1000000

/* A commit that takes longer than this holds messages back for too long: see core_shell. */
#define CORE_HELD_US 1000000

/* After a restart, workers have this time to say which traces they have. */
#define CORE_ABSENT_US 10000000

/* The time between two alive messages. */
#define CORE_ALIVE_US 1000000

/* A stream is active for this time after its last result. */
#define CORE_ACTIVE_US 60000000

/* The rates in `stats` are averages over this number of alive messages, that is, of seconds. */
#define CORE_RATE_SECONDS 10

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

/* A peer: its routing id at one of the submit or workers sockets. */
struct core_peer {
    const void *id;
    size_t size;    /* 1..255 */
    int socket;     /* the shell's number for that socket */
    bool enveloped; /* it sent the empty frame of a REQ, and wants it back */
};

/* When a message may leave the process. */
enum core_when {
    CORE_KEPT, /* once everything is committed that the store was given before this message */
    CORE_NOW,  /* at once: it depends on nothing in the store */
};

/* Why a message did not reach its peer. */
enum core_sent {
    CORE_GONE, /* the peer is not there any more */
    CORE_FULL, /* the peer does not read */
};

enum core_side { CORE_CLIENT, CORE_WORKER };

enum core_level { CORE_WARN, CORE_INFO, CORE_DEBUG };

/* How the shell carries out what the core wants, in the order of the calls. None of these may call
 * the core. */
struct core_sink {
    void *context;
    void (*to_client)(void *context, const struct core_peer *peer, const void *bytes, size_t size,
        enum core_when when);
    void (*to_worker)(void *context, const struct core_peer *peer, const void *bytes, size_t size,
        enum core_when when);
    void (*publish)(
        void *context, const char *topic, const void *bytes, size_t size); /* CORE_KEPT */
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

/* Restores what an earlier start left in the store, before any other event. Call these for all
 * streams first, then for the traces in the order of their numbers, then for the results of parts
 * of fanouts that have not ended, and core_restored() last. */
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

/* `count` messages were dropped because their peers did not read, and nothing follows from that. */
void core_dropped(struct core *core, enum core_side side, int64_t count);

/* From now on new traces are answered `busy`, with this message and this reason, which is a word of
 * docs/protocol.md, section 4. With the reason "store" too much waits for the store, and all
 * requests whose answer would wait too are answered so. With NULL, traces are accepted again. */
void core_refuse(struct core *core, const char *reason, const char *message);

/* A connection to an endpoint began, or ended. `stats` counts both. */
void core_connection(struct core *core, bool began);

void core_tick(struct core *core, const struct instant *now);

/* When core_tick() wants to be called next, on the monotonic clock. */
int64_t core_next(struct core *core);

/* From now on no trace is accepted and none is started. */
void core_drain(struct core *core);

/* True when a draining core has no trace at a worker. */
bool core_drained(const struct core *core);

/* Ends all traces that are left, with the stop `cancelled`: for a broker whose store is its memory.
 */
void core_shutdown(struct core *core, const struct instant *now);

/* What the shell knows and tells the core. `stats` shows the counts. */
struct core_shell {
    int64_t held_us;  /* when the store last held messages back for CORE_HELD_US; 0: never */
    int64_t kept_seq; /* of the last result that is on disk, or a moment behind it */
    int64_t results_kept;
    /* Times that a subscriber began to lose publications, or that nobody got one. */
    int64_t publish_dropped;
};

/* The seq of the last result. */
int64_t core_seq(const struct core *core);

struct core_shell *core_shell(struct core *core);

#endif
