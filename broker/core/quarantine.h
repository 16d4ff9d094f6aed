/* quarantine: isolates traces that may kill workers. Pure.
 *
 * A trace that has lost its worker in every run but the last allowed one may be what kills workers,
 * so its last run has a worker to itself. One worker at a time is reserved: it takes no new traces,
 * is given the quarantined trace once it runs nothing else, and runs nothing beside it. A trace
 * that kills its workers therefore costs CORE_MAX_RUNS of them, and no other trace its last run. */
#ifndef HOPMQ_QUARANTINE_H
#define HOPMQ_QUARANTINE_H

#include "broker/core/types.h"

struct quarantine {
    struct requirement_list requirements; /* with a quarantined job that is queued */
    struct worker *worker;                /* that is reserved; NULL: none */
    struct job *job;                      /* that it is reserved for, or runs */
};

void quarantine_init(struct core *core);

/* True if the next run of the job is the last one allowed, so that it needs a reserved worker. */
bool quarantine_needed(const struct job *job);

/* Queues a job for a reserved worker, or takes it out of that queue. */
void quarantine_insert(struct core *core, struct job *job);
void quarantine_remove(struct core *core, struct job *job);

/* The worker got the job, by dispatch or because it listed its lease: if this is the job's last
 * run, the worker is reserved for it. matching_update() of this worker must follow. */
void quarantine_hold(struct core *core, struct worker *worker, struct job *job);

/* No worker has the job any more. */
void quarantine_release(struct core *core, const struct job *job);

/* The worker may not be able to run the job that it is reserved for: another will be. */
void quarantine_worker_unfit(struct core *core, const struct worker *worker);

/* Some quarantined job that is queued; NULL if none is. */
struct job *quarantine_any(struct core *core);

/* Reserves a worker for the first quarantined job unless one is reserved. Returns the job that is
 * to start now, and its worker, if that runs nothing else; NULL otherwise. To be called after the
 * ordinary dispatch, which so has a turn between two quarantined jobs. */
struct job *quarantine_next(struct core *core, struct worker **worker);

#endif
