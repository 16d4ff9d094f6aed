/* fan: one trace at many workers. The whole waits in the queue for its first turn; then each worker
 * that fits gets a place, a job of its own, and the whole ends with a summary when all of them
 * have. Pure. */
#ifndef HOPMQ_FAN_H
#define HOPMQ_FAN_H

#include "broker/core/state.h"

/* Its turn has come: puts a place for each worker that fits into the queue. */
void fan_spread(struct core *core, struct job *whole);

/* A place of it, new or restored; how one ended before the restart. */
void fan_join(struct core *core, struct job *whole, struct job *place);
void fan_member(struct core *core, struct job *whole, const char *worker, int stop, int64_t seq);

/* Ends a whole that has no places left. */
void fan_settle(struct core *core, struct job *whole);

/* How many places a queued whole will make, as far as is known. */
int64_t fan_places(const struct job *whole);

/* If the job is a place: it has ended with this seq. */
void fan_ended(struct core *core, struct job *job, int64_t seq);
void fan_cancel(struct core *core, struct job *whole);

/* The part of a place's id behind the slash; NULL: not a place. */
const char *fan_worker(const char *id);
void fan_free(struct job *job);
struct bond *fan_bond(struct job *job);

#endif
