/* ward: a trace whose workers were lost again and again may be what kills them. So its last run is
 * made alone: one worker at a time, the ward, is reserved for such a suspect. It takes nothing new,
 * gets the suspect when it is empty, and nothing beside it. So a trace that kills its worker costs
 * CORE_MAX_RUNS workers, and no neighbour its own last run. Pure. */
#ifndef HOPMQ_WARD_H
#define HOPMQ_WARD_H

#include "broker/core/state.h"

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

#endif
