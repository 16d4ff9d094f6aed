/* lifecycle: what becomes of a job, from its acceptance to its result. Pure.
 *
 * The modules below say what they want: which job is next, which jobs lost their worker, who shared
 * a probing or a fanout with a job that has ended. This one acts: it alone queues, starts, requeues
 * and ends jobs, and frees them. */
#ifndef HOPMQ_LIFECYCLE_H
#define HOPMQ_LIFECYCLE_H

#include "broker/core/types.h"
#include "common/protocol/wire.h"

/* How a job ended. */
struct ending {
    const void *body; /* encoded, as result_check_body() wants it */
    size_t size;
    int stop;           /* enum result_stop */
    const char *worker; /* empty: none had it */
    int64_t run;
    const char *shared; /* the id of the trace that was probed instead; NULL: itself */
};

/* Accepts a trace whose id no job has, and sets its id if it has none. NULL with *err, and counted,
 * if it cannot be accepted. */
struct job *lifecycle_accept(
    struct core *core, const struct core_peer *peer, struct trace *trace, struct wire_error *err);

/* Queues a loose job, or lets it share what another one found or will find if it has `coalesce`;
 * it may have ended then. */
void lifecycle_begin(struct core *core, struct job *job, int64_t max_age_ms);

/* Starts jobs while there are jobs and workers that fit. To be called at the end of an event that
 * queues jobs or frees workers. */
void lifecycle_dispatch(struct core *core);

/* The worker of a running job is lost, or handed it back: queues it again, or ends it. */
void lifecycle_requeue(struct core *core, struct job *job);

/* The same for loose jobs in a list. */
void lifecycle_requeue_all(struct core *core, struct job_list *jobs);

/* Ends a job that is not done. */
void lifecycle_finish(struct core *core, struct job *job, const struct ending *ending);

/* Ends a job with a body that the broker makes; `code` NULL: without `error`. */
void lifecycle_end(
    struct core *core, struct job *job, int stop, const char *code, const char *message);

/* Ends a fanout whose parts have all ended. */
void lifecycle_end_fanout(struct core *core, struct job *whole);

void lifecycle_cancel(struct core *core, struct job *job);

/* The timer of the job is due. */
void lifecycle_due(struct core *core, struct job *job);

/* Forgets results over the limits of recent.h. At the end of an event, when nobody points to a
 * finished job. */
void lifecycle_trim(struct core *core);

/* Ends all that have not ended: the broker stops for good. */
void lifecycle_end_all(struct core *core);
void lifecycle_free_all(struct core *core);

#endif
