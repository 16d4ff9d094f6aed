/* queue: who is next, and at which worker. Pure. */
#ifndef HOPMQ_QUEUE_H
#define HOPMQ_QUEUE_H

#include "broker/core/state.h"

/* Puts a loose job into its subqueue, at its old place if it was there before. */
void queue_insert(struct core *core, struct job *job);

/* Takes it out; it keeps its subqueue. */
void queue_remove(struct core *core, struct job *job);

/* Gives jobs to workers while both are there: of the jobs that a free worker fits, the one of the
 * first priority, then of the client whose turn it is, then the oldest, to the least loaded. */
void queue_dispatch(struct core *core);

/* Some job that is queued; NULL if none is. */
struct job *queue_any(struct core *core);

#endif
