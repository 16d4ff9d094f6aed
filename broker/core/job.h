/* job: one trace, from its acceptance until its result is forgotten, found by its id. Pure.
 *
 * This is the object only. What becomes of a job is decided by lifecycle.c. */
#ifndef HOPMQ_JOB_H
#define HOPMQ_JOB_H

#include "broker/core/types.h"
#include "common/protocol/trace.h"

#include <assert.h>

enum job_state {
    JOB_LOOSE,      /* in no list: new, or on its way to the queue or to its end */
    JOB_QUEUED,     /* waits for a worker */
    JOB_RUNNING,    /* a worker has a lease of it */
    JOB_RIDING,     /* gets the result of another one's probing */
    JOB_FANNED_OUT, /* its parts at several workers run for it */
    JOB_DONE,       /* has a result */
};

/* One job. Its id and its trace are behind it in one block of memory. What is in the union is there
 * in that state only. */
struct job {
    struct timeline_entry timer; /* its deadline, or the end of our patience with its worker */
    RB_ENTRY(job) by_id;
    RB_ENTRY(job) by_probing; /* those that are, or were, probed for themselves */
    union {
        RB_ENTRY(job) by_order; /* queued: in its subqueue, or in quarantine */
        struct {
            /* Running, riding, done: among its worker's, its leader's, the recent. Loose: in a list
             * of jobs that a module returns. */
            TAILQ_ENTRY(job) link;
            union {
                struct lease *lease; /* running */
                struct job *leader;  /* riding */
                struct {             /* done */
                    void *result;    /* the published map */
                    int64_t done_at; /* output.records when it ended */
                };
            };
        };
    };
    SLIST_HEAD(, waiter) waiters;
    struct stream *stream;
    struct subqueue *subqueue; /* until it is done */
    struct riders *riders;     /* see coalesce.h; NULL: it has none */
    struct fanout *fanout;     /* see fanout.h; NULL: neither fanned out nor a part */
    void *trace;               /* canonical encoding, with its id */
    int64_t accepted_wall_us;
    union {
        int64_t deadline_us;
        int64_t done_us; /* when done: the monotonic clock */
    };
    int64_t ticket; /* counts acceptances: its age in the queue, its number in the store */
    uint32_t trace_size, result_size;
    uint32_t served_periods;           /* see matching_was_served() */
    uint16_t probing_at, probing_size; /* the part of `trace` that says what is probed */
    uint8_t state;                     /* enum job_state */
    uint8_t priority, run, returns, waiter_count, stop;
    bool progress, has_meta, cancelling;
    bool coalesces;       /* may ride on another one */
    bool probing_indexed; /* others may ride on it, or take its result */
    int16_t fanout_limit; /* its `fanout`; 0: none, or a part */
    char id[];            /* NUL-ended */
};

/* So that a queued trace with an id of 20 bytes and 50 of its own takes 350 bytes of heap. */
static_assert(sizeof(struct job) <= 256, "a queued trace has grown");

RB_HEAD(job_id_tree, job);

struct jobs {
    struct job_id_tree by_id;
    struct job *last; /* by id */
    struct timeline timers;
    int64_t last_ticket;
    uint64_t next_id; /* for traces without one */
    /* What the ids begin with that the broker makes. A client's must not begin so, or it could take
     * the next one. The whole epoch: two starts can share a millisecond if the clock was set back.
     */
    char own_ids[20];
};

/* For RB_FOREACH over core->jobs.by_id; job.c generates the functions. */
RB_PROTOTYPE(job_id_tree, job, by_id, )

void jobs_init(struct core *core);

struct job *job_find(struct core *core, const char *id, size_t size);

/* Makes a loose job that has no subqueue and no ticket yet; no other one has its id. */
struct job *job_new(struct core *core, const char *id, const struct trace *trace,
    const void *canonical, size_t size);
void job_free(struct core *core, struct job *job);

/* True if a client's id begins as those do that the broker makes. */
bool job_is_own_id(const struct core *core, const char *id);
void job_make_id(struct core *core, char id[TRACE_ID_BYTES + 1]);

/* Gives an accepted job the next ticket. */
void job_set_ticket(struct core *core, struct job *job);

void job_set_timer(struct core *core, struct job *job, int64_t due_us);
void job_unset_timer(struct core *core, struct job *job);

/* The next job whose timer is due; NULL if none is. */
struct job *job_due(struct core *core);

/* When that will be; TIMELINE_NEVER: never. */
int64_t job_next_due(struct core *core);

/* Decodes its trace; the pointers in it live in core->scratch.inner. */
void job_trace(struct core *core, const struct job *job, struct trace *trace);

/* Of a part of a fanout, the name of its worker, which is in its id behind the slash; else NULL. */
const char *job_part_worker(const char *id);

/* True if it stands for other jobs, or is such a part. */
bool job_is_fanout(const struct job *job);

#endif
