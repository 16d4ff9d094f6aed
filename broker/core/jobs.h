/* jobs: a trace's life from acceptance to its result; and the last results, which stay in memory
 * for status, fetch, repeated ids and shared probings. Pure. */
#ifndef HOPMQ_JOBS_H
#define HOPMQ_JOBS_H

#include "broker/core/state.h"
#include "common/protocol/trace.h"

#include <assert.h>

enum job_state {
    JOB_LOOSE, /* in no list: new, or on its way from a worker to the queue or to its end */
    JOB_QUEUED,
    JOB_RUNNING,
    JOB_RIDING,     /* on the probing of another */
    JOB_FANNED_OUT, /* its parts at several workers run for it */
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

/* What one job has to do with others; most have none of it. */
struct bond {
    struct job *job;
    struct job_list riders; /* that get the result of this one's probing too */
    int rider_count;
    struct job *leader; /* while riding */
    struct job *whole;  /* of a part that has not ended */
    TAILQ_ENTRY(bond) by_whole;
    TAILQ_HEAD(, bond) parts;      /* of a whole: those that have not ended */
    struct result_member *members; /* of a whole: those that have */
    int64_t expected_parts;        /* of a whole that is queued: parts that it will make */
    size_t member_count, member_room;
};

/* One trace, from acceptance until its result is forgotten. Its id and its trace are behind it in
 * one block of memory. What is in the union is there in that state only. */
struct job {
    struct timeline_entry timer; /* its deadline, or the end of our patience with its worker */
    RB_ENTRY(job) by_id;
    RB_ENTRY(job) by_probing; /* those that are, or were, probed for themselves */
    union {
        RB_ENTRY(job) by_order; /* queued: in its subqueue, or in quarantine */
        struct {
            TAILQ_ENTRY(job) link; /* running, riding, done: its worker's, leader's, the recent */
            union {
                struct lease *lease;   /* running */
                struct {               /* done */
                    void *result;      /* the published map */
                    int64_t done_mark; /* compared with the mark of deferred requests */
                };
            };
        };
    };
    SLIST_HEAD(, waiter) waiters;
    struct stream *stream;
    struct subqueue *subqueue; /* until it is done */
    struct bond *bond;         /* NULL: none */
    void *trace;               /* canonical encoding, with its id */
    int64_t accepted_wall_us;
    union {
        int64_t deadline_us;
        int64_t done_us; /* when done: the monotonic clock */
    };
    int64_t ticket; /* counts acceptances: its place in the queue, its number in the store */
    uint32_t trace_size, result_size;
    uint32_t served_periods;           /* see matching_was_served() */
    uint16_t probing_at, probing_size; /* the part of `trace` that says what is probed */
    uint8_t state;                     /* enum job_state */
    uint8_t priority, run, returns, waiter_count, stop;
    bool progress, has_meta, cancelling, coalesces, probing_indexed;
    int16_t fanout_limit; /* its `fanout`; 0: none, or a part */
    char id[];            /* NUL-ended */
};

/* So that a queued trace with an id of 20 bytes and 50 of its own takes 340 bytes of heap. */
static_assert(sizeof(struct job) <= 256, "a queued trace has grown");

/* Used outside the module that generates it. */
RB_PROTOTYPE(job_id_tree, job, by_id, )

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

/* Makes a job that is in no list and has no subqueue yet. */
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
void jobs_requeue(struct core *core, struct job *job);

/* Puts a loose job into the queue. */
void jobs_queue(struct core *core, struct job *job);

void jobs_cancel(struct core *core, struct job *job);
void jobs_due(struct core *core, struct job *job);
void jobs_hop(struct core *core, struct job *job, const struct session_msg *msg);

/* Reads the trace of a job; its pointers live in core->inner. */
void jobs_trace(struct core *core, const struct job *job, struct trace *trace);

/* Gives the store a part of a whole. */
void jobs_keep_part(struct core *core, struct job *part, const struct job *whole);

/* Sends the result of one to those who wait for another, or for itself. */
void jobs_tell(struct core *core, const struct job *from, const struct job *to);

/* Sends a finished result to one peer. */
void jobs_send_result(struct core *core, const void *result, size_t size,
    const struct core_peer *peer, const msgpack_object *req);

/* Ends all that have not ended: the broker stops for good. */
void jobs_end_all(struct core *core);
void jobs_free_all(struct core *core);

/* ---- recent: the last results ---- */
void recent_add(struct core *core, struct job *job);

/* Forgets what is over the limits, unless a question to the store is older than it. At the end of
 * an event, when nobody points to a finished job. */
void recent_trim(struct core *core);

#endif
