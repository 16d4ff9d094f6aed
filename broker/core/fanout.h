/* fanout: one trace at several workers. Pure.
 *
 * The fanout itself waits in the queue until a worker that fits is free. Then each worker that fits
 * gets a part, which is a job of its own, and the fanout ends with a summary when all parts have
 * ended. */
#ifndef HOPMQ_FANOUT_H
#define HOPMQ_FANOUT_H

#include "broker/core/types.h"
#include "common/protocol/result.h"

/* What a job has to do with a fanout: as the whole of it, or as a part. */
struct fanout {
    struct job *job;
    struct job *whole; /* of a part that has not ended */
    TAILQ_ENTRY(fanout) of_whole;
    TAILQ_HEAD(, fanout) parts;    /* of a whole: those that have not ended */
    struct result_member *members; /* of a whole: those that have */
    size_t member_count, member_room;
    int64_t expected_parts; /* of a whole that is queued */
};

/* How many parts a job that is queued now will make, as far as is known; 0 if it is no fanout. It
 * is remembered until the job is queued again. */
int64_t fanout_expect_parts(struct job *job);
int64_t fanout_expected_parts(const struct job *job);

/* Makes a part for each worker that fits. They are loose, in a list, without tickets yet. */
void fanout_start(struct core *core, struct job *whole, struct job_list *parts);

/* Adds a part to a loose or fanned out whole. */
void fanout_add_part(struct core *core, struct job *whole, struct job *part);

/* Notes how a part of a loose or fanned out whole has ended, which was at this worker. */
void fanout_add_member(
    struct core *core, struct job *whole, const char *worker, int stop, int64_t seq);

/* The job has ended with this seq. Returns the whole that it was a part of; NULL if it was none. */
struct job *fanout_part_ended(struct core *core, struct job *job, int64_t seq);

/* True if a whole that was fanned out has no parts left. */
bool fanout_is_complete(const struct job *whole);

/* Writes the body of the summary into core->scratch.body. */
void fanout_put_summary(struct core *core, const struct job *whole);

/* The first part of a whole that has not ended, or the one behind `part`; NULL: there is none. */
struct job *fanout_next_part(const struct job *whole, const struct job *part);
void fanout_free(struct job *job);

#endif
