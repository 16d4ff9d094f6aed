/* leases: which worker holds which trace. A lease is one run of a trace at a worker. Pure. */
#ifndef HOPMQ_LEASES_H
#define HOPMQ_LEASES_H

#include "broker/core/types.h"

struct lease {
    RB_ENTRY(lease) by_number;
    struct job *job;
    struct worker *worker;
    int64_t number;
    int64_t given_us;
    uint64_t listed; /* worker->heartbeats when the worker last listed it */
};

RB_HEAD(lease_number_tree, lease);

struct leases {
    struct lease_number_tree by_number;
    int64_t count;
    int64_t next; /* number */
};

/* Numbers of leases begin with config.first_lease. */
void leases_start(struct core *core);

/* The job of a lease; NULL if there is no such lease. */
struct job *leases_find(struct core *core, int64_t number);

/* The same, if this worker holds it. */
struct job *leases_find_held(struct core *core, const struct worker *worker, int64_t number);

/* Some job with a lease; NULL if there is none. */
struct job *leases_any(struct core *core);

/* Gives a loose job to the worker, with a new lease. */
void leases_give(struct core *core, struct worker *worker, struct job *job);

/* The worker holds the loose job by this lease. */
void leases_hold(struct core *core, struct worker *worker, struct job *job, int64_t number);

/* Ends the lease of a running job: it is loose. */
void leases_release(struct core *core, struct job *job);

/* Gives the store what must be known of a run after a crash. */
void leases_keep(struct core *core, const struct job *job);

/* The same, and that the job is cancelled, before it is. */
void leases_keep_cancel(struct core *core, const struct job *job);

/* ---- what a worker lists ---- */

/* The worker holds the leases that it lists, if it or `old` did before. */
void leases_adopt(struct core *core, struct worker *worker, const struct session_msg *msg,
    const struct worker *old);

/* The worker may forget what it lists and does not hold. */
void leases_disown(struct core *core, const struct worker *worker, const struct session_msg *msg);

/* Releases those that the worker did not list last, given more than age_us ago, the last one first.
 * Their jobs are added to `lost`. */
void leases_take_unlisted(
    struct core *core, struct worker *worker, int64_t age_us, struct job_list *lost);

/* Releases all of a lost worker in the same way. */
void leases_take_all(struct core *core, struct worker *worker, struct job_list *lost);

#endif
