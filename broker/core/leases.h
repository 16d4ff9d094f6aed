/* leases: what workers hold, and what they send for it. Pure. */
#ifndef HOPMQ_LEASES_H
#define HOPMQ_LEASES_H

#include "broker/core/state.h"

/* One run of a trace at a worker. */
struct lease {
    RB_ENTRY(lease) by_number;
    struct job *job;
    struct worker *worker;
    int64_t number;
    int64_t given_us;
    uint64_t listed; /* the last heartbeat of its worker that named it */
};

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

#endif
