/* state: what the modules of the broker's core share. Only they include it.
 *
 *   core      events in, the tick              clients   requests and replies
 *   jobs      a trace from accept to result    reads     requests that wait for the store
 *   share     one probing for many traces      leases    what workers hold and send
 *   fan       one trace at many workers        sessions  workers come and go
 *   recent    the last results                 streams   sequence numbers, alive
 *   queue     who is next, dispatch            restore   what an earlier start left
 *   lanes     clients and their turns          pool      demands, and the workers that fit
 *   ward      the last run of a trace, alone
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

#include <assert.h>
#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#define PRIORITIES 10
#define LANES_TAG_BYTES (2 * 255 + 12)

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
    msgpack_object req; /* a string points into bytes */
    int socket;
    uint8_t id_size;
    bool enveloped, has_req;
    char bytes[]; /* the routing id, and the text of req */
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
    int64_t owed;                  /* of a whole that is queued: places that it will make */
    size_t member_count, member_room;
};

/* One trace, from acceptance until its result is forgotten. Its id and its trace are behind it in
 * one block of memory. What is in the union is there in that state only. */
struct job {
    struct timeline_entry timer; /* its deadline, or the end of our patience with its worker */
    RB_ENTRY(job) by_id;
    RB_ENTRY(job) by_share; /* those that are, or were, probed for themselves */
    union {
        RB_ENTRY(job) by_order; /* queued: in its lane, or among the suspects */
        struct {
            TAILQ_ENTRY(job) link; /* running, riding, done: its worker's, leader's, the recent */
            union {
                struct lease *lease;   /* running */
                struct {               /* done */
                    void *result;      /* the published map */
                    int64_t done_mark; /* what reads[] compares */
                };
            };
        };
    };
    SLIST_HEAD(, waiter) waiters;
    struct stream *stream;
    struct lane *lane; /* until it is done */
    struct bond *bond; /* NULL: none */
    void *trace;       /* canonical encoding, with its id */
    int64_t accepted_wall_us;
    union {
        int64_t deadline_us;
        int64_t done_us; /* when done: the monotonic clock */
    };
    int64_t ticket; /* counts acceptances: its place in the queue, its number in the store */
    uint32_t trace_size, result_size;
    uint32_t visits;                   /* see pool_was_servable() */
    uint16_t probing_at, probing_size; /* the part of `trace` that says what is probed */
    uint8_t state;                     /* enum job_state */
    uint8_t priority, run, returns, waiter_count, stop;
    bool progress, has_meta, cancelling, shares, offered;
    int16_t fans; /* its `fanout`; 0: none, or a place */
    char id[];    /* NUL-ended */
};

/* So that a queued trace with an id of 20 bytes and 50 of its own takes 340 bytes of heap. */
static_assert(sizeof(struct job) <= 256, "a queued trace has grown");

/* One run of a trace at a worker. */
struct lease {
    RB_ENTRY(lease) by_number;
    struct job *job;
    struct worker *worker;
    int64_t number;
    int64_t given_us;
    uint64_t listed; /* the last heartbeat of its worker that named it */
};

/* Who submits: between clients that wait, turns are shared. It lives while it has lanes. */
struct client {
    RB_ENTRY(client) by_tag;
    RB_HEAD(client_lane_tree, lane) lanes;
    int64_t queued, running; /* traces */
    uint64_t time;           /* virtual: it grows with each turn, faster if many traces run */
    char tag[];              /* printable, NUL-ended */
};

/* A client's traces of one demand and one priority. It lives while one of them has not ended. */
struct lane {
    RB_ENTRY(lane) by_turn;   /* while a trace is queued: in its demand's turns */
    RB_ENTRY(lane) by_demand; /* of its client */
    struct demand *demand;
    struct client *client;
    RB_HEAD(lane_job_tree, job) jobs; /* that are queued */
    struct job *first, *last;         /* of them; NULL: none */
    int64_t queued, held;             /* traces: queued; that have not ended */
    uint64_t time;                    /* its client's, when the lane was put among the turns */
    uint8_t priority;
};

/* What a trace asks of its worker beside labels. Bytes only: it is compared as such. */
struct need {
    uint8_t family;   /* 4, 6, 0: any */
    uint8_t protocol; /* enum trace_protocol */
    bool flow;        /* it must keep flows, of that family */
    struct addr source;
    char worker[SESSION_NAME_BYTES + 1]; /* only this one, zeros behind; empty: any */
};

/* The traces that ask the same of a worker. It lives while one of them has not ended, and a while
 * after. */
struct demand {
    RB_ENTRY(demand) by_key;
    TAILQ_ENTRY(demand) link;         /* of those with a trace queued, or of those without lanes */
    TAILQ_ENTRY(demand) ready_link;   /* while ready */
    TAILQ_ENTRY(demand) suspect_link; /* while it has suspects */
    RB_HEAD(suspect_tree, job) suspects; /* queued too, but not in their lanes; see ward.c */
    int64_t suspect_count;
    LIST_HEAD(, edge) edges;       /* to the workers that fit */
    RB_HEAD(edge_tree, edge) free; /* those of workers that can take a trace, by load */
    int64_t serving; /* workers that fit and take traces, or will when they have room */
    uint32_t visits; /* how often the first of them came */
    bool ready;      /* a trace is queued and a worker free */
    int64_t lanes, queued;
    RB_HEAD(turn_tree, lane) turns[PRIORITIES];
    struct need need;
    struct wire_doc doc;          /* the labels, decoded */
    const msgpack_object *labels; /* NULL: none */
    size_t key_size;
    const unsigned char *key; /* need, and the encoded labels; behind it in one block */
};

/* A demand and a worker that fits it. */
struct edge {
    RB_ENTRY(edge) by_load;
    LIST_ENTRY(edge) of_demand, of_worker;
    struct demand *demand;
    struct worker *worker;
};

struct worker {
    struct timeline_entry timer; /* dead, if nothing is heard until then */
    RB_ENTRY(worker) by_peer;
    RB_ENTRY(worker) by_name;
    struct peer_id peer;
    char name[SESSION_NAME_BYTES + 1], prober[65];
    char trouble[SESSION_TROUBLE_BYTES + 1]; /* why it can run no trace; empty: it can */
    struct labels labels;
    unsigned families, flows, protocols;
    struct addr *sources; /* the addresses that it has */
    size_t source_count;  /* 0: it may have any */
    int64_t capacity, running;
    struct job_list jobs;
    LIST_HEAD(, edge) edges; /* to the demands that it fits */
    int64_t heard_us;
    int64_t contested_us; /* when its name was last taken over or fought for; 0: never */
    uint64_t beats;
    bool draining, lost;
    bool serving; /* its edges count it as such */
    bool free;    /* its edges are among the free ones of their demands */
    bool ghost;   /* a name of before the restart that has not come back yet */
    bool full;    /* took a message not: nothing is given to it until it is heard again */
    bool gone;    /* that was because its connection is */
    bool resting; /* handed a trace back: nothing is given to it until its next heartbeat */
    void *stats;  /* the encoded map of its last heartbeat */
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
RB_HEAD(run_tree, lease);
RB_HEAD(demand_tree, demand);
RB_HEAD(client_tree, client);
TAILQ_HEAD(demand_list, demand);
RB_HEAD(worker_peer_tree, worker);
RB_HEAD(worker_name_tree, worker);
RB_HEAD(stream_tree, stream);

/* Used outside the module that generates them. */
RB_PROTOTYPE(job_id_tree, job, by_id, )
RB_PROTOTYPE(worker_name_tree, worker, by_name, )

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
    X(hops_dropped)                                                                                \
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
    /* What the ids begin with that we make; no client's may, or it could take the next one. With
     * the whole epoch: two starts can share a millisecond where the clock was set back. */
    char own_ids[20];
    bool draining;
    const char *refusal; /* why no traces are accepted, a word for the client; NULL: they are */
    char refusal_text[160];
    bool stalled; /* too much waits for the store */
    struct timeline job_times, worker_times;
    int64_t next_alive_us;
    struct job_id_tree jobs;
    struct job *last_id; /* of them */
    struct run_tree leases;
    struct job_share_tree shares;
    struct job *last_share; /* of them */
    int64_t queued, running, riding;
    int64_t owed; /* places of those queued that have not been spread */
    int64_t queued_by_priority[PRIORITIES];
    struct job_list recent; /* done, the oldest first */
    int64_t recent_count, recent_bytes;
    int64_t kept; /* records that were given to the store */
    TAILQ_HEAD(, parked) parked;
    int64_t parked_count, parked_bytes;
    uint64_t next_read;
    const struct record_answer *answer; /* while a parked request is handled again */
    struct demand_tree demands;
    struct demand_list waiting; /* with a trace queued */
    struct demand_list ready;   /* and a worker free */
    struct demand_list idle;    /* without lanes, the longest first */
    int64_t demand_count;       /* without those for one worker only */
    int64_t idle_count, edge_count;
    struct client_tree clients;
    int64_t client_count;
    struct demand_list suspected; /* with suspects */
    struct {
        struct worker *worker; /* that is reserved for the job, or has it; NULL: none */
        struct job *job;
    } ward;
    uint64_t turn; /* the virtual time of the client whose turn was last */
    struct worker_peer_tree peers;
    struct worker_name_tree names;
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
void core_to_client(struct core *core, const struct core_peer *peer, const msgpack_sbuffer *bytes,
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

/* Makes a job that is in no list and has no lane yet. */
struct job *jobs_new(struct core *core, const char *id, const struct trace *trace,
    const void *canonical, size_t size);
void jobs_free(struct core *core, struct job *job);

/* Accepts a trace whose id no job has. Sets its id if it has none. NULL with *err if it cannot
 * be. */
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

/* Puts a loose job into the queue. */
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

/* How many places a queued whole will make, as far as is known. */
int64_t fan_places(const struct job *whole);

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

/* Puts a loose job into its lane, at its old place if it was there before. */
void queue_insert(struct core *core, struct job *job);

/* Takes it out; it keeps its lane. */
void queue_remove(struct core *core, struct job *job);

/* Gives jobs to workers while both are there: of the jobs that a free worker fits, the one of the
 * first priority, then of the client whose turn it is, then the oldest, to the least loaded. */
void queue_dispatch(struct core *core);

/* Some job that is queued; NULL if none is. */
struct job *queue_any(struct core *core);

/* ---- lanes: clients and their turns ---- */

/* Writes the tag of a socket. */
const char *lanes_tag(const struct core_peer *peer, char tag[LANES_TAG_BYTES + 1]);

/* True if the client with this tag would be one too many. */
bool lanes_full(struct core *core, const char *tag);

/* Gives a new job the lane of its client, of its demand and of its priority. */
void lanes_join(struct core *core, struct job *job, const char *tag, struct demand *demand);

/* The job has ended and is not queued. */
void lanes_leave(struct core *core, struct job *job);

/* At most so many traces of the same client that ask for the same start before the queued job and
 * with it. Others take their turns between. Of a suspect: so many wait for a ward as it does. */
int64_t lanes_position(const struct job *job);

/* The lane of a demand whose turn is next; NULL if nothing is queued. */
struct lane *lanes_next(struct demand *demand);

/* It has got a turn. */
void lanes_charge(struct core *core, struct client *client);

/* For the queue. */
void lanes_add(struct core *core, struct job *job);
void lanes_take(struct core *core, struct job *job);

/* The order of jobs of one priority and client: by age. A place is as old as its whole. */
int64_t lanes_order(const struct job *job);

/* ---- ward: the last run of a trace, alone ---- */

/* True if the next run of the job is its last, and it waits for a ward. */
bool ward_suspects(const struct job *job);

/* True if the worker takes no other traces. */
bool ward_is(const struct core *core, const struct worker *worker);

/* A suspect is queued, or is not any more. */
void ward_add(struct core *core, struct job *job);
void ward_take(struct core *core, struct job *job);

/* The worker has got a job, by dispatch or adoption; it is to lose it. */
void ward_hold(struct core *core, struct worker *worker, struct job *job);
void ward_release(struct core *core, const struct job *job);

/* The worker may not be able to run the job that it is reserved for: another will be. */
void ward_lift(struct core *core, struct worker *worker);

/* Some suspect that is queued; NULL if none is. */
struct job *ward_any(struct core *core);

/* Reserves a worker for the first suspect, and gives it the job when it is empty. After the
 * ordinary dispatch, which so has a turn between two suspects. */
void ward_serve(struct core *core);

/* ---- pool: demands, and the workers that fit ---- */

/* Finds or makes the demand of a trace; NULL if there are too many, but not where it is for one
 * worker only. It stays until the next call unless a lane holds it. */
struct demand *pool_demand(
    struct core *core, const struct trace *trace, const char *worker); /* NULL: any */

/* The same, however many there are: of a trace that was accepted before a restart. */
struct demand *pool_demand_again(struct core *core, const struct trace *trace, const char *worker);

/* A lane is made for it, or is gone. */
void pool_hold(struct core *core, struct demand *demand);
void pool_drop(struct core *core, struct demand *demand);

/* Finds out whether it is ready, after its queue or its free workers changed. */
void pool_settle(struct core *core, struct demand *demand);

/* The worker's capabilities are new: finds the demands that it fits. Call pool_leave() before. */
void pool_meet(struct core *core, struct worker *worker);

/* It is no more. Call pool_leave() before. */
void pool_part(struct core *core, struct worker *worker);

/* It can take a trace. Its load must not change until pool_leave(). */
void pool_enter(struct core *core, struct worker *worker);
void pool_leave(struct core *core, struct worker *worker);

/* Whether it is one that serves: takes traces, unless it is busy. */
void pool_serve(struct worker *worker, bool serves);

/* The least loaded worker that can take a trace of this demand; NULL if there is none. */
struct worker *pool_first(struct demand *demand);

/* The least loaded worker that serves this demand and reads its messages, busy or not; NULL if
 * there is none. */
struct worker *pool_least(const struct demand *demand);

/* The workers that could serve it, busy or not, at most `most`: the least loaded ones. */
size_t pool_fitting(const struct demand *demand, struct worker **workers, size_t most);

/* True if some worker, busy or not, serves the demand. */
bool pool_servable(const struct demand *demand);

/* What a worker must have, in words for people. */
#define POOL_WANTS_BYTES 160
void pool_wants(const struct demand *demand, char *text, size_t room);

/* True if one did at any time since the job was accepted, or restored. */
bool pool_was_servable(const struct job *job);

void pool_free_all(struct core *core);

/* ---- leases ---- */
struct job *leases_find(struct core *core, int64_t lease);
struct job *leases_any(struct core *core);

/* Gives a loose job to the worker, with a new lease. */
void leases_give(struct core *core, struct worker *worker, struct job *job);

/* The worker holds the loose job by this lease. */
void leases_hold(struct core *core, struct worker *worker, struct job *job, int64_t number);
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

/* Keeps that it is cancelled, before it is. */
void leases_keep_cancel(struct core *core, const struct job *job);

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

/* True if it can be given some now, as soon as it has room. */
bool sessions_takes(const struct worker *worker);

/* After it handed a trace back: it would do the same with the next one at once. */
void sessions_rest(struct core *core, struct worker *worker);

/* An order of all workers by the share of their capacity that is in use. */
int sessions_compare_load(const struct worker *a, const struct worker *b);

void sessions_put_stats(struct core *core, msgpack_packer *pk);

/* ---- streams ---- */

/* NULL if there are too many; streams_full() tells before. */
struct stream *streams_get(struct core *core, const char *name);
bool streams_full(struct core *core, const char *name);
void streams_count(struct core *core, struct stream *stream);
void streams_alive(struct core *core);
void streams_free_all(struct core *core);

/* ---- clients ---- */
void clients_request(
    struct core *core, const struct core_peer *peer, const void *bytes, size_t size);
void clients_error(struct core *core, const struct core_peer *peer, const msgpack_object *req,
    const struct wire_error *err);

#endif
