/* queue: the jobs that wait for a worker, and which of them is next. Pure. */
#ifndef HOPMQ_QUEUE_H
#define HOPMQ_QUEUE_H

#include "broker/core/types.h"

struct queue {
    int64_t count; /* jobs that are queued */
    int64_t by_priority[PRIORITIES];
    int64_t expected_parts; /* that queued fanouts will make, as far as is known */
};

/* Queues a loose job, at its old position if it was queued before. */
void queue_insert(struct core *core, struct job *job);

/* Takes it out: it is loose, and keeps its subqueue. */
void queue_remove(struct core *core, struct job *job);

/* The job that is to start next at *worker; NULL if there is none. Of the jobs that a free worker
 * fits it is one of the first priority, then of the submitter whose turn it is, then the oldest;
 * the worker is the least loaded one. */
struct job *queue_next(struct core *core, struct worker **worker);

/* Some job that is queued; NULL if none is. */
struct job *queue_any(struct core *core);

/* The `position` of a queued job, as docs/protocol.md has it. */
int64_t queue_position(const struct job *job);

#endif
