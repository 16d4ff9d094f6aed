/* restore: what an earlier start left in the store. */
#include "broker/core/core.h"

#include "broker/core/coalesce.h"
#include "broker/core/fairqueue.h"
#include "broker/core/fanout.h"
#include "broker/core/jobs.h"
#include "broker/core/leases.h"
#include "broker/core/matching.h"
#include "broker/core/sessions.h"
#include "broker/core/state.h"
#include "broker/core/streams.h"
#include "common/protocol/request.h"
#include "common/protocol/result.h"

#include <inttypes.h>
#include <string.h>

void core_restore_stream(struct core *c, const char *name, int64_t seq) {
    struct stream *stream = streams_get(c, name);
    if (stream != NULL)
        stream->seq = seq;
}

/* What is left of its deadline by the wall clock, which may have been set meanwhile. */
static int64_t left_us(const struct core *c, const struct trace *trace, int64_t accepted_us) {
    int64_t all_us = trace->deadline_ms * 1000, left = accepted_us + all_us - c->now.wall_us;
    return left < 0 ? 0 : left > all_us ? all_us : left;
}

/* The whole that a part belongs to; NULL if it has ended, or the job is no part. */
static struct job *whole_of(struct core *c, const char *id) {
    const char *worker = fanout_part_worker(id);
    struct job *whole = NULL;
    if (worker != NULL)
        whole = jobs_find(c, id, (size_t)(worker - id) - 1);
    return whole != NULL && whole->fanout_limit && whole->state != JOB_DONE ? whole : NULL;
}

/* Its worker may still have it. */
static bool restore_lease(struct core *c, struct job *job, const struct record_run *run) {
    if (run->lease <= 0 || run->worker[0] == '\0' || leases_find(c, run->lease) != NULL)
        return false;
    leases_hold(c, sessions_absent(c, run->worker), job, run->lease);
    if (!job->fanout_limit && fanout_part_worker(job->id) == NULL)
        coalesce_add(c, job);
    return true;
}

void core_restore_trace(struct core *c, const struct record_trace *record) {
    struct wire_error err;
    struct trace trace;
    if (!wire_doc_read(&c->doc, record->trace, record->trace_size, REQUEST_MAX_VALUES, &err) ||
        !trace_get(&trace, &c->doc.root, "", &err) ||
        jobs_find(c, record->id, strlen(record->id)) != NULL) {
        core_say(c, CORE_WARN, "restore", "id=%s why=\"its record is wrong\"", record->id);
        return;
    }
    struct job *job = jobs_new(c, record->id, &trace, record->trace, record->trace_size);
    struct job *whole = whole_of(c, record->id);
    fairqueue_join(c, job, record->submitter,
        matching_requirement_unbounded(c, &trace, fanout_part_worker(record->id)));
    job->ticket = record->number;
    job->accepted_wall_us = record->accepted_us;
    job->deadline_us = c->now.mono_us + left_us(c, &trace, record->accepted_us);
    job->run = (uint8_t)record->run.run;
    job->returns = (uint8_t)record->run.returns;
    job->cancelling = record->run.cancelling;
    c->counters.restored++;
    if (whole != NULL)
        fanout_add_part(c, whole, job);
    if (restore_lease(c, job, &record->run))
        return;
    timeline_set(&c->job_times, &job->timer, job->deadline_us);
    if (!job->coalesces || !coalesce_join(c, job, trace.max_age_ms * 1000))
        jobs_queue(c, job);
}

void core_restore_member(struct core *c, const struct record_result *result) {
    struct wire_error err;
    struct job *whole = whole_of(c, result->id);
    if (whole == NULL || !wire_doc_read(&c->doc, result->result, result->result_size,
                             RESULT_MAX_PUBLISHED_VALUES, &err))
        return;
    fanout_add_member(
        c, whole, fanout_part_worker(result->id), result_stop_of(&c->doc.root), result->seq);
}

void core_restored(struct core *c, const struct instant *now) {
    struct job *job, *next;
    struct worker *w;
    c->now = *now;
    RB_FOREACH(w, worker_name_tree, &c->names) /* loading may have taken its time */
    timeline_set(&c->worker_times, &w->timer, now->mono_us + CORE_ABSENT_US);
    RB_FOREACH_SAFE(job, job_id_tree, &c->jobs, next)
    if (job->state == JOB_FANNED_OUT)
        fanout_settle(c, job);
    if (c->counters.restored > 0)
        core_say(c, CORE_INFO, "restored",
            "traces=%" PRId64 " queued=%" PRId64 " running=%" PRId64 " seq=%" PRId64,
            c->counters.restored, c->queued, c->running, c->seq);
}
