/* core: the broker's decisions. Pure.
 *
 * Messages and time go in; messages, publications and log lines come out through the sink, in
 * order. A trace that was accepted ends in one result; core_tick() does all timed work.
 */
#ifndef HOPMQ_CORE_H
#define HOPMQ_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CORE_MAX_RUNS 3         /* starts of one trace at workers */
#define CORE_MAX_RETURNS 10     /* times that workers may hand one trace back */
#define CORE_MAX_WAITERS 16     /* sockets that wait for one trace */
#define CORE_MAX_STREAMS 100000 /* in an epoch */
#define CORE_MAX_DEMANDS 1000   /* sets of labels with a trace queued */
#define CORE_MAX_WORKERS 10000
#define CORE_CANCEL_US 250000   /* a worker's time to answer a cancel */
#define CORE_GRACE_US 1000000   /* a worker's time to end a trace whose deadline has come */
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
    int64_t max_queued, keep_results;
    int64_t epoch;
    int64_t first_lease; /* 1..2^62, at random, so that leases of two epochs do not meet */
    const char *results[CORE_MAX_RESULT_ENDPOINTS]; /* endpoints to subscribe to */
    int result_count;
};

/* Both clocks at one event: decisions use the first, results show the second. */
struct core_time {
    int64_t mono_us;
    int64_t wall_us;
};

/* Who asked: a routing id, of the submit or the workers socket `socket`. */
struct core_peer {
    const void *id;
    size_t size;    /* 1..255 */
    int socket;     /* the shell's own number for it */
    bool enveloped; /* with the empty frame of a REQ */
};

enum core_sent {
    CORE_GONE, /* the peer is not there any more; the message is dropped */
    CORE_SENT,
    CORE_FULL, /* the peer does not read; the message is dropped */
};

enum core_level { CORE_WARN, CORE_INFO, CORE_DEBUG };

struct core_sink {
    void *context;
    enum core_sent (*to_client)(
        void *context, const struct core_peer *peer, const void *bytes, size_t size);
    enum core_sent (*to_worker)(
        void *context, const struct core_peer *peer, const void *bytes, size_t size);
    void (*publish)(void *context, const char *topic, const void *bytes, size_t size);
    void (*say)(void *context, enum core_level level, const char *event, const char *detail);
};

struct core *core_new(
    const struct core_config *config, const struct core_sink *sink, const struct core_time *now);
void core_destroy(struct core **core);

/* A message of one frame from a client or a worker. */
void core_client_message(struct core *core, const struct core_peer *peer, const void *bytes,
    size_t size, const struct core_time *now);
void core_worker_message(struct core *core, const struct core_peer *peer, const void *bytes,
    size_t size, const struct core_time *now);

/* A message of the wrong number of frames. */
void core_client_frames(
    struct core *core, const struct core_peer *peer, unsigned frames, const struct core_time *now);
void core_worker_frames(struct core *core, const struct core_peer *peer, unsigned frames);

/* Connections of an endpoint that began or ended; shown in stats. */
void core_connection(struct core *core, bool began);

void core_tick(struct core *core, const struct core_time *now);

/* When core_tick() wants to be called next, on the monotonic clock. */
int64_t core_next(struct core *core);

/* No new traces, and no dispatch of queued ones. */
void core_drain(struct core *core);

/* True when a draining core has no trace at a worker. */
bool core_drained(const struct core *core);

/* Ends all traces that are left, with stop `cancelled`. */
void core_shutdown(struct core *core, const struct core_time *now);

#endif
