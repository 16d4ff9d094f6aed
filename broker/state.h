/* state: what the modules of the broker's core share. Only they include it.
 *
 *   core      events in, the tick              clients   requests and replies
 *   jobs      a trace from accept to result    reads     requests that wait for the store
 *   share     one probing for many traces      leases    what workers hold and send
 *   fan       one trace at many workers        sessions  workers come and go
 *   recent    the last results                 streams   sequence numbers, alive
 *   queue     who is next, dispatch            restore   what an earlier start left
 */
#ifndef HOPMQ_STATE_H
#define HOPMQ_STATE_H

#include "broker/core.h"
#include "common/labels.h"
#include "common/request.h"
#include "common/result.h"
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
    JOB_RIDING, /* on the probing of another */
    JOB_SPREAD, /* its places at several workers run for it */
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

/* What one job has to do with others; most have none of it. */
struct bond {
    struct job *job;
    struct job_list riders; /* that get the result of this one's probing too */
    int rider_count;
    struct job *leader; /* while riding */
    struct job *whole;  /* of a place that has not ended */
    TAILQ_ENTRY(bond) by_whole;
    TAILQ_HEAD(, bond) places;     /* of a whole: those that have not ended */
    struct result_member *members; /* of a whole: those that have */
    size_t member_count, member_room;
};

/* One trace, from acceptance until its result is forgotten. */
struct job {
    struct timeline_entry timer; /* its deadline, or the end of our patience with its worker */
    RB_ENTRY(job) by_id;
    RB_ENTRY(job) by_lease;
    RB_ENTRY(job) by_share; /* those that are, or were, probed for themselves */
    TAILQ_ENTRY(job) link;  /* in its demand's queue, its worker's list, or among the recent */
    SLIST_HEAD(, waiter) waiters;
    struct stream *stream;
    struct demand *demand; /* while queued */
    struct worker *worker; /* while running */
    struct bond *bond;     /* NULL: none */
    void *trace;           /* canonical encoding, with its id */
    void *result;          /* when done: the published map */
    uint32_t trace_size, result_size;
    uint16_t probing_size;
    const void *probing; /* the part of `trace` that says what is probed */
    int64_t accepted_wall_us, deadline_us, dispatched_us;
    int64_t lease;   /* while running */
    int64_t ticket;  /* counts acceptances: its place in the queue, its number in the store */
    uint64_t listed; /* the last heartbeat of its worker that named its lease */
    int64_t done_us, done_mark; /* when done: monotonic clock, and what reads[] compares */
    uint8_t state;              /* enum job_state */
    uint8_t priority, run, returns, waiter_count, stop;
    bool progress, has_meta, cancelling, shares, fans, offered;
    char id[]; /* NUL-ended */
};

/* The jobs that ask for the same labels. */
struct demand {
    RB_ENTRY(demand) by_key;
    TAILQ_ENTRY(demand) link; /* all demands; each has a job queued */
    struct job_list jobs[PRIORITIES];
    int64_t counts[PRIORITIES];
    struct wire_doc doc;                 /* the labels, decoded from key */
    const msgpack_object *labels;        /* NULL: none */
    char worker[SESSION_NAME_BYTES + 1]; /* only this one; empty: any */
    size_t label_size, key_size;
    unsigned char key[]; /* their encoding, and the worker */
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
    unsigned families, flows, protocols;
    struct addr *sources; /* the addresses that it has */
    size_t source_count;  /* 0: it may have any */
    int64_t capacity, running;
    struct job_list jobs;
    int64_t heard_us;
    int64_t contested_us; /* when its name was last taken over or fought for; 0: never */
    uint64_t beats;
    bool draining, lost, in_load;
    bool ghost;  /* a name of before the restart that has not come back yet */
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

/* A request that waits for the store. */
struct parked {
    TAILQ_ENTRY(parked) link;
    uint64_t ticket;
    int64_t mark; /* the records that were given to the store before */
    struct peer_id peer;
    size_t size;
    unsigned char bytes[];
};

RB_HEAD(job_id_tree, job);
RB_HEAD(job_share_tree, job);
RB_HEAD(job_lease_tree, job);
RB_HEAD(demand_tree, demand);
RB_HEAD(worker_peer_tree, worker);
RB_HEAD(worker_name_tree, worker);
RB_HEAD(worker_load_tree, worker);
RB_HEAD(stream_tree, stream);

/* Used outside the module that generates them. */
RB_PROTOTYPE(job_id_tree, job, by_id, )
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
    X(shared)                                                                                      \
    X(reads)                                                                                       \
    X(replays)                                                                                     \
    X(restored)                                                                                    \
    X(adopted)                                                                                     \
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
    int64_t seq, number, next_lease;
    uint64_t next_id;
    bool draining;
    const char *refusal; /* why no traces are accepted, a word for the client; NULL: they are */
    char refusal_text[160];
    struct timeline job_times, worker_times;
    int64_t next_alive_us;
    struct job_id_tree jobs;
    struct job_lease_tree leases;
    struct job_share_tree shares;
    int64_t queued, running, riding;
    struct job_list recent; /* done, the oldest first */
    int64_t recent_count, recent_bytes;
    int64_t kept; /* records that were given to the store */
    TAILQ_HEAD(, parked) parked;
    int64_t parked_count, parked_bytes;
    uint64_t next_read;
    const struct record_answer *answer; /* while a parked request is handled again */
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
    int64_t results_by_stop[RESULT_STOPS];
    struct core_shell shell;
    struct rate {
        int64_t accepted, results;
    } rates[CORE_RATE_SECONDS]; /* the counters at the last alive messages */
    unsigned rate_at;
    struct wire_doc doc, inner;        /* the message, and what is encoded inside it */
    const struct record_result **rows; /* those of `answer`, by id */
    msgpack_sbuffer out, reply, body, result, texts;
};

/* Starts a fresh message in a buffer. */
static inline void state_packer(msgpack_packer *pk, msgpack_sbuffer *buffer) {
    msgpack_sbuffer_clear(buffer);
    msgpack_packer_init(pk, buffer, msgpack_sbuffer_write);
}

/* ---- core ---- */
void core_say(struct core *core, enum core_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void core_to_client(struct core *core, const struct peer_id *peer, const msgpack_sbuffer *bytes,
    enum core_when when);
void core_to_worker(struct core *core, const struct worker *worker, const struct session_msg *msg);
void core_to_peer(struct core *core, const struct core_peer *peer, const struct session_msg *msg);
void peer_id_set(struct peer_id *id, const struct core_peer *peer);
struct core_peer peer_id_get(const struct peer_id *id);

/* ---- jobs ---- */

/* How a job ended. */
struct ending {
    const void *body; /* encoded, as result_check_body() wants it */
    size_t size;
    int stop;           /* enum result_stop */
    const char *worker; /* empty: none had it */
    int64_t run;
    const char *shared; /* the id of the trace that was probed instead; NULL: itself */
};

struct job *jobs_find(struct core *core, const char *id, size_t size);

/* Makes a job that is in no list yet. */
struct job *jobs_new(struct core *core, const char *id, const struct trace *trace,
    const void *canonical, size_t size);
void jobs_free(struct core *core, struct job *job);

/* Accepts a trace, or finds that it was accepted before. Sets its id if it has none. NULL with
 * *err if it cannot be. */
struct job *jobs_accept(
    struct core *core, const struct core_peer *peer, struct trace *trace, struct wire_error *err);

/* True if these are the bytes of the trace; else false, `conflict` and counted. */
bool jobs_same(struct core *core, const char *id, const void *trace, size_t size,
    const struct trace *asked, struct wire_error *err);

/* The peer gets the result; false with *err if too many wait already. */
bool jobs_wait(struct core *core, struct job *job, const struct core_peer *peer,
    const msgpack_object *req, struct wire_error *err);

void jobs_finish(struct core *core, struct job *job, const struct ending *ending);

/* Ends a job with a body that the broker makes. */
void jobs_end(struct core *core, struct job *job, int stop, const char *code, const char *message);

/* Its worker is lost or gave it back: queue it again, or end it. */
void jobs_again(struct core *core, struct job *job);

/* Puts a loose job into the queue, or ends it if that cannot be. */
void jobs_queue(struct core *core, struct job *job);

void jobs_cancel(struct core *core, struct job *job);
void jobs_due(struct core *core, struct job *job);
void jobs_hop(struct core *core, struct job *job, const struct session_msg *msg);

/* Reads the trace of a job; its pointers live in core->inner. */
void jobs_trace(struct core *core, const struct job *job, struct trace *trace);

/* Gives the store a place of a whole. */
void jobs_keep_place(struct core *core, struct job *place, const struct job *whole);

/* Sends the result of one to those who wait for another, or for itself. */
void jobs_tell(struct core *core, const struct job *from, const struct job *to);

/* Sends a finished result to one peer. */
void jobs_send_result(struct core *core, const void *result, size_t size,
    const struct core_peer *peer, const msgpack_object *req);

/* Ends all that have not ended: the broker stops for good. */
void jobs_end_all(struct core *core);
void jobs_free_all(struct core *core);

/* ---- share ---- */

/* A job that is probed for itself can be found by others from now on. */
void share_offer(struct core *core, struct job *job);
void share_withdraw(struct core *core, struct job *job);

/* Lets a loose job ride on an identical one, or take its result if that is not older than
 * max_age_us. False if there is none: it is probed for itself. */
bool share_board(struct core *core, struct job *job, int64_t max_age_us);

/* Takes a rider from its leader. */
void share_leave(struct core *core, struct job *job);

/* The leader has ended: its riders end too, or the first of them is probed for the others. */
void share_arrive(struct core *core, struct job *leader, const struct ending *ending);

/* ---- fan ---- */

/* Its turn has come: puts a place for each worker that fits into the queue. */
void fan_spread(struct core *core, struct job *whole);

/* A place of it, new or restored; how one ended before the restart. */
void fan_join(struct core *core, struct job *whole, struct job *place);
void fan_member(struct core *core, struct job *whole, const char *worker, int stop, int64_t seq);

/* Ends a whole that has no places left. */
void fan_settle(struct core *core, struct job *whole);

/* If the job is a place: it has ended with this seq. */
void fan_ended(struct core *core, struct job *job, int64_t seq);
void fan_cancel(struct core *core, struct job *whole);

/* The part of a place's id behind the slash; NULL: not a place. */
const char *fan_worker(const char *id);
void fan_free(struct job *job);
struct bond *fan_bond(struct job *job);

/* ---- recent ---- */
void recent_add(struct core *core, struct job *job);

/* Forgets what is over the limits, unless a question to the store is older than it. At the end of
 * an event, when nobody points to a finished job. */
void recent_trim(struct core *core);

/* ---- reads ---- */

/* Keeps the request until the store has answered; false with *err if too many wait. */
bool reads_park(struct core *core, const struct core_peer *peer, const void *bytes, size_t size,
    struct record_read *read, struct wire_error *err);

/* The row of an id in the answer that is being handled; NULL: none. */
const struct record_result *reads_row(const struct core *core, const char *id, size_t size);
void reads_free_all(struct core *core);

/* ---- queue ---- */

/* Finds or makes the demand of this trace; NULL if there are too many. */
struct demand *queue_demand(
    struct core *core, const struct trace *trace, const char *worker); /* NULL: any */

/* Frees a demand that nothing waits for. */
void queue_release(struct core *core, struct demand *demand);

/* The workers that could serve it, busy or not, at most `most`: the least loaded ones. */
size_t queue_fitting(
    struct core *core, const struct demand *demand, struct worker **workers, size_t most);
void queue_insert(struct core *core, struct job *job, struct demand *demand);
void queue_remove(struct core *core, struct job *job);
int64_t queue_position(const struct job *job);

/* Gives jobs to workers while both are there. */
void queue_dispatch(struct core *core);

/* The first job in the queue of some demand; NULL if nothing is queued. */
struct job *queue_any(struct core *core);

/* True if some worker, busy or not, could serve the job's demand. */
bool queue_servable(struct core *core, const struct demand *demand);

/* ---- leases ---- */
struct job *leases_find(struct core *core, int64_t lease);
struct job *leases_any(struct core *core);

/* Gives a loose job to the worker, with a new lease. */
void leases_give(struct core *core, struct worker *worker, struct job *job);

/* The worker holds the loose job, whose lease is set. */
void leases_hold(struct core *core, struct worker *worker, struct job *job);
void leases_release(struct core *core, struct job *job);

/* What a worker says of its leases. */
void leases_adopt(struct core *core, struct worker *worker, const struct session_msg *msg,
    const struct worker *old);

/* It may forget what it holds and we do not count as its. */
void leases_disown(struct core *core, const struct worker *worker, const struct session_msg *msg);

/* The leases that its last message did not name, given more than age_us ago, are lost. */
void leases_sweep(struct core *core, struct worker *worker, int64_t age_us);
void leases_hop(struct core *core, struct worker *worker, const struct session_msg *msg);
void leases_result(struct core *core, struct worker *worker, const struct session_msg *msg);
void leases_return(struct core *core, struct worker *worker, const struct session_msg *msg);

/* This message to the worker could not be sent: what it gave goes back. */
void leases_unsent(struct core *core, struct worker *worker, const struct session_msg *msg);

/* Gives what must be known of a run after a crash to the store. */
void leases_keep(struct core *core, const struct job *job);

/* ---- sessions ---- */
void sessions_message(
    struct core *core, const struct core_peer *peer, const struct session_msg *msg);
void sessions_due(struct core *core, struct worker *worker);
void sessions_lost(struct core *core, struct worker *worker, const char *why);
struct worker *sessions_find(struct core *core, const struct core_peer *peer);

/* Holds what a worker of this name had before the restart, until it comes back. */
struct worker *sessions_ghost(struct core *core, const char *name);
void sessions_undelivered(
    struct core *core, struct worker *worker, const struct session_msg *msg, enum core_sent sent);
void sessions_free_all(struct core *core);

/* Before and after running, capacity, draining, trouble or full change. */
void sessions_unload(struct core *core, struct worker *worker);
void sessions_load(struct core *core, struct worker *worker);

/* Counts and logs a message that does not fit. */
void sessions_bad(struct core *core, const struct worker *worker, const char *message);

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
