/* quarantine: isolates traces that may kill workers. Pure.
 *
 * A trace that has lost its worker in every run but the last allowed one may be what kills workers,
 * so its last run has a worker to itself. One worker at a time is reserved: it takes no new traces,
 * is given the quarantined trace once it runs nothing else, and runs nothing beside it. A trace
 * that kills its workers therefore costs CORE_MAX_RUNS of them, and no other trace its last run. */
#ifndef HOPMQ_QUARANTINE_H
#define HOPMQ_QUARANTINE_H

#include "broker/core/state.h"

/* True if the next run of the job is the last one allowed, so that it needs a reserved worker. */
bool quarantine_needed(const struct job *job);

/* True if the worker takes no other traces. */
bool quarantine_reserves(const struct core *core, const struct worker *worker);

/* Queues a job for a reserved worker, or takes it out of that queue. */
void quarantine_insert(struct core *core, struct job *job);
void quarantine_remove(struct core *core, struct job *job);

/* The worker has got a job, by dispatch or adoption; it is to lose it. */
void quarantine_hold(struct core *core, struct worker *worker, struct job *job);
void quarantine_release(struct core *core, const struct job *job);

/* The worker may not be able to run the job that it is reserved for: another will be. */
void quarantine_worker_unfit(struct core *core, struct worker *worker);

/* Some quarantined job that is queued; NULL if none is. */
struct job *quarantine_any(struct core *core);

/* Reserves a worker for the first quarantined job, and gives it the job once it runs nothing else.
 * To be called after the ordinary dispatch, which so has a turn between two quarantined jobs. */
void quarantine_dispatch(struct core *core);

#endif
