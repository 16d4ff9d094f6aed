/* fanout: one trace at many workers. The whole waits in the queue for its first turn; then each
 * worker that fits gets a part, a job of its own, and the whole ends with a summary when all of
 * them have. Pure. */
#ifndef HOPMQ_FANOUT_H
#define HOPMQ_FANOUT_H

#include "broker/core/state.h"

/* Its turn has come: puts a part for each worker that fits into the queue. */
void fanout_start(struct core *core, struct job *whole);

/* A part of it, new or restored; how one ended before the restart. */
void fanout_add_part(struct core *core, struct job *whole, struct job *part);
void fanout_add_member(
    struct core *core, struct job *whole, const char *worker, int stop, int64_t seq);

/* Ends a whole that has no parts left. */
void fanout_settle(struct core *core, struct job *whole);

/* How many parts a queued whole will make, as far as is known. */
int64_t fanout_expected_parts(const struct job *whole);

/* If the job is a part: it has ended with this seq. */
void fanout_part_ended(struct core *core, struct job *job, int64_t seq);
void fanout_cancel(struct core *core, struct job *whole);

/* The part of a part's id behind the slash; NULL: not a part. */
const char *fanout_part_worker(const char *id);
void fanout_free(struct job *job);
struct bond *fanout_bond(struct job *job);

#endif
