/* state: what the modules of the broker's core share. Only they include it.
 *
 *   core      events in, the tick                     clients   requests and replies
 *   jobs      a trace's life from accept to archive   sessions  workers and leases
 *   queue     who is next, dispatch                   streams   sequence numbers, alive
 */
#ifndef HOPMQ_STATE_H
#define HOPMQ_STATE_H

#include "broker/core.h"
#include "common/labels.h"
#include "common/request.h"
#include "common/session.h"
#include "common/timeline.h"
#include "common/trace.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#define PRIORITIES 10

/* A routing id that outlives its message. */
struct peer_id {
    uint8_t size;
    bool enveloped;
    int socket;
    uint8_t bytes[255];
};

enum job_state {
    JOB_LOOSE, /* in no list: new, or on its way from a worker to the queue or to its end */
    JOB_QUEUED,
    JOB_RUNNING,
    JOB_DONE,
};

/* A socket that gets the result (and, where asked, the hops) of a job. */
struct waiter {
    SLIST_ENTRY(waiter) link;
    struct peer_id peer;
    bool has_req;
    msgpack_object req; /* a string points into req_text */
    char req_text[64];
};

TAILQ_HEAD(job_list, job);

/* One trace, from acceptance until its result is forgotten. */
struct job {
    struct timeline_entry timer; /* its deadline, or the end of our patience with its worker */
    RB_ENTRY(job) by_id;
    RB_ENTRY(job) by_lease;
    TAILQ_ENTRY(job) link; /* in its demand's queue, its worker's list, or the archive */
    SLIST_HEAD(, waiter) waiters;
    struct stream *stream;
    struct demand *demand; /* while queued */
    struct worker *worker; /* while running */
    void *trace;           /* canonical encoding, with its id */
    void *result;          /* when done: the published map */
    uint32_t trace_size, result_size;
    int64_t accepted_wall_us, deadline_us, dispatched_us;
    int64_t lease;   /* while running */
    uint64_t ticket; /* place in the queue */
    uint64_t listed; /* the last heartbeat of its worker that named its lease */
    uint8_t state;   /* enum job_state */
    uint8_t priority, run, returns, waiter_count;
    bool progress, has_meta, cancelling;
    char id[]; /* NUL-ended */
};

/* The jobs that ask for the same labels. */
struct demand {
    RB_ENTRY(demand) by_key;
    TAILQ_ENTRY(demand) link; /* all demands; each has a job queued */
    struct job_list jobs[PRIORITIES];
    int64_t counts[PRIORITIES];
    struct wire_doc doc;          /* the labels, decoded from key */
    const msgpack_object *labels; /* NULL: none */
    size_t key_size;
    unsigned char key[]; /* their encoding */
};

struct worker {
    struct timeline_entry timer; /* dead, if nothing is heard until then */
    RB_ENTRY(worker) by_peer;
    RB_ENTRY(worker) by_name;
    RB_ENTRY(worker) by_load; /* only those that can take a job */
    struct peer_id peer;
    char name[SESSION_NAME_BYTES + 1], prober[65];
    char trouble[SESSION_TROUBLE_BYTES + 1]; /* why it can run no trace; empty: it can */
    struct labels labels;
    unsigned families, protocols;
    int64_t capacity, running;
    struct job_list jobs;
    int64_t heard_us;
    int64_t contested_us; /* when its name was last taken over or fought for; 0: never */
    uint64_t beats;
    bool draining, lost, in_load;
    bool full;   /* took no more messages: nothing is given to it until it is heard again */
    void *stats; /* the encoded map of its last heartbeat */
    size_t stats_size;
};

struct stream {
    RB_ENTRY(stream) by_name;
    TAILQ_ENTRY(stream) active_link;
    int64_t seq, last_result_us;
    bool active;
    char name[];
};

RB_HEAD(job_id_tree, job);
RB_HEAD(job_lease_tree, job);
RB_HEAD(demand_tree, demand);
RB_HEAD(worker_peer_tree, worker);
RB_HEAD(worker_name_tree, worker);
RB_HEAD(worker_load_tree, worker);
RB_HEAD(stream_tree, stream);

/* Used outside the module that generates them: leases by sessions, workers by the queue. */
RB_PROTOTYPE(job_lease_tree, job, by_lease, )
RB_PROTOTYPE(worker_name_tree, worker, by_name, )
RB_PROTOTYPE(worker_load_tree, worker, by_load, )

/* Named in docs/protocol.md, section 10; CORE_COUNTERS keeps names and members together. */
#define CORE_COUNTERS(X)                                                                           \
    X(requests)                                                                                    \
    X(bad_requests)                                                                                \
    X(too_large)                                                                                   \
    X(accepted)                                                                                    \
    X(repeated)                                                                                    \
    X(busy)                                                                                        \
    X(conflicts)                                                                                   \
    X(dispatched)                                                                                  \
    X(requeued)                                                                                    \
    X(returned)                                                                                    \
    X(results)                                                                                     \
    X(late_results)                                                                                \
    X(hops)                                                                                        \
    X(forgotten)                                                                                   \
    X(workers_joined)                                                                              \
    X(workers_lost)                                                                                \
    X(leases_lost)                                                                                 \
    X(worker_messages)                                                                             \
    X(bad_worker_messages)                                                                         \
    X(rejected_workers)                                                                            \
    X(dropped_to_clients)                                                                          \
    X(dropped_to_workers)                                                                          \
    X(connections_opened)                                                                          \
    X(connections_closed)

struct counters {
#define X(name) int64_t name;
    CORE_COUNTERS(X)
#undef X
};

struct core {
    struct core_config config;
    struct core_sink sink;
    struct core_time now; /* of the event that is being handled */
    int64_t started_us;
    int64_t seq, next_lease;
    uint64_t next_ticket, next_id;
    bool draining;
    struct timeline job_times, worker_times;
    int64_t next_alive_us;
    struct job_id_tree jobs;
    struct job_lease_tree leases;
    int64_t queued, running;
    struct job_list archive; /* oldest first */
    int64_t archived;
    struct demand_tree demands;
    TAILQ_HEAD(, demand) demand_list;
    int demand_count;
    struct worker_peer_tree peers;
    struct worker_name_tree names;
    struct worker_load_tree free_workers;
    int64_t worker_count;
    struct stream_tree streams;
    int64_t stream_count;
    TAILQ_HEAD(active_list, stream) active; /* the latest result first */
    struct counters counters;
    struct rate {
        int64_t accepted, results;
    } rates[CORE_RATE_SECONDS]; /* the counters at the last alive messages */
    unsigned rate_at;
    struct wire_doc doc, inner; /* the message, and what is encoded inside it */
    msgpack_sbuffer out, body, result;
};

/* Starts a fresh message in a buffer. */
static inline void state_packer(msgpack_packer *pk, msgpack_sbuffer *buffer) {
    msgpack_sbuffer_clear(buffer);
    msgpack_packer_init(pk, buffer, msgpack_sbuffer_write);
}

/* ---- core ---- */
void core_say(struct core *core, enum core_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void core_to_client(struct core *core, const struct peer_id *peer, const msgpack_sbuffer *bytes);
enum core_sent core_to_worker(
    struct core *core, const struct worker *worker, const struct session_msg *msg);
void core_to_peer(struct core *core, const struct core_peer *peer, const struct session_msg *msg);
void peer_id_set(struct peer_id *id, const struct core_peer *peer);
struct core_peer peer_id_get(const struct peer_id *id);

/* ---- jobs ---- */
struct job *jobs_find(struct core *core, const char *id, size_t size);
struct job *jobs_find_lease(struct core *core, int64_t lease);

/* Accepts a trace, or finds that it was accepted before. Sets its id if it has none. NULL with
 * *err if it cannot be. */
struct job *jobs_accept(struct core *core, struct trace *trace, struct wire_error *err);

/* The peer gets the result; false with *err if too many wait already. */
bool jobs_wait(struct core *core, struct job *job, const struct core_peer *peer,
    const msgpack_object *req, struct wire_error *err);

/* Ends a job with the encoded body that its worker made. */
void jobs_finish(struct core *core, struct job *job, const void *body, size_t size);

/* Ends a job with a body that the broker makes. */
void jobs_end(struct core *core, struct job *job, int stop, const char *code, const char *message);

/* Its worker is lost or gave it back: queue it again, or end it. */
void jobs_again(struct core *core, struct job *job);

void jobs_cancel(struct core *core, struct job *job);
void jobs_due(struct core *core, struct job *job);
void jobs_hop(struct core *core, struct job *job, const struct session_msg *msg);

/* Sends a finished result to one peer. */
void jobs_send_result(
    struct core *core, struct job *job, const struct core_peer *peer, const msgpack_object *req);

/* Ends all that are queued or running: the broker stops. */
void jobs_end_all(struct core *core);
void jobs_free_all(struct core *core);

/* ---- queue ---- */

/* Finds or makes the demand of these labels; NULL if there are too many. */
struct demand *queue_demand(struct core *core, const msgpack_object *labels);
void queue_insert(struct core *core, struct job *job, struct demand *demand);
void queue_remove(struct core *core, struct job *job);
int64_t queue_position(const struct job *job);

/* Gives jobs to workers while both are there. */
void queue_dispatch(struct core *core);

/* The first job in the queue of some demand; NULL if nothing is queued. */
struct job *queue_any(struct core *core);

/* True if some worker, busy or not, could serve the job's demand. */
bool queue_servable(struct core *core, const struct demand *demand);

/* ---- sessions ---- */
void sessions_message(
    struct core *core, const struct core_peer *peer, const struct session_msg *msg);
void sessions_due(struct core *core, struct worker *worker);
void sessions_lost(struct core *core, struct worker *worker, const char *why);
void sessions_take(struct core *core, struct worker *worker, struct job *job);
void sessions_release(struct core *core, struct job *job);
struct worker *sessions_find(struct core *core, const struct core_peer *peer);
void sessions_free_all(struct core *core);

/* True if it takes traces, unless it is busy. */
bool sessions_serves(const struct worker *worker);

void sessions_put_stats(struct core *core, msgpack_packer *pk);

/* ---- streams ---- */

/* NULL if there are too many. */
struct stream *streams_get(struct core *core, const char *name);
void streams_count(struct core *core, struct stream *stream);
void streams_alive(struct core *core);
void streams_free_all(struct core *core);

/* ---- clients ---- */
void clients_request(
    struct core *core, const struct core_peer *peer, const void *bytes, size_t size);
void clients_error(struct core *core, const struct core_peer *peer, const msgpack_object *req,
    const struct wire_error *err);

#endif
