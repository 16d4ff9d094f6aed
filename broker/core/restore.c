#include "broker/core/restore.h"

#include "broker/core/sessions.h"
#include "broker/core/state.h"
#include "common/protocol/request.h"
#include "common/protocol/result.h"

#include <inttypes.h>
#include <string.h>

/* The time to the deadline by the wall clock. That may have been set meanwhile, so the result is at
 * least 0 and at most the whole time. */
static int64_t left_us(const struct core *c, const struct trace *trace, int64_t accepted_us) {
    int64_t all_us = trace->deadline_ms * 1000, left = accepted_us + all_us - c->now.wall_us;
    return left < 0 ? 0 : left > all_us ? all_us : left;
}

/* If this is the id of a part: its fanout, unless that has ended. Otherwise NULL. */
static struct job *whole_of(struct core *c, const char *id) {
    const char *worker = job_part_worker(id);
    struct job *whole = NULL;
    if (worker != NULL)
        whole = job_find(c, id, (size_t)(worker - id) - 1);
    return whole != NULL && whole->fanout_limit != 0 && whole->state != JOB_DONE ? whole : NULL;
}

/* A fanout is queued when it is restored. If parts of it follow, it had been fanned out already. */
static void leave_queue(struct core *c, struct job *whole) {
    if (whole->state == JOB_QUEUED)
        queue_remove(c, whole);
}

/* If the job had a lease, its worker may still run it: the worker holds it, and is absent. */
static bool restore_lease(struct core *c, struct job *job, const struct record_run *run) {
    if (run->lease <= 0 || run->worker[0] == '\0' || leases_find(c, run->lease) != NULL)
        return false;
    leases_hold(c, sessions_absent(c, run->worker), job, run->lease);
    coalesce_add(c, job);
    return true;
}

void restore_trace(struct core *c, const struct record_trace *record) {
    struct wire_error err;
    struct trace trace;
    const struct wire_doc *doc = &c->scratch.message;
    if (!wire_doc_read(
            &c->scratch.message, record->trace, record->trace_size, REQUEST_MAX_VALUES, &err) ||
        !trace_get(&trace, &doc->root, "", &err) ||
        job_find(c, record->id, strlen(record->id)) != NULL) {
        output_log(c, CORE_WARN, "restore", "id=%s why=\"its record is wrong\"", record->id);
        return;
    }
    struct job *job = job_new(c, record->id, &trace, record->trace, record->trace_size);
    struct job *whole = whole_of(c, record->id);
    fairqueue_join(c, job, record->submitter,
        matching_requirement_unbounded(c, &trace, job_part_worker(record->id)));
    job->ticket = record->number;
    job->accepted_wall_us = record->accepted_us;
    job->deadline_us = c->now.mono_us + left_us(c, &trace, record->accepted_us);
    job->run = (uint8_t)record->run.run;
    job->returns = (uint8_t)record->run.returns;
    job->cancelling = record->run.cancelling;
    c->counters.restored++;
    if (whole != NULL) {
        leave_queue(c, whole);
        fanout_add_part(c, whole, job);
    }
    if (!restore_lease(c, job, &record->run))
        lifecycle_begin(c, job, trace.max_age_ms);
}

void restore_member(struct core *c, const struct record_result *result) {
    struct wire_error err;
    struct job *whole = whole_of(c, result->id);
    if (whole == NULL || !wire_doc_read(&c->scratch.message, result->result, result->result_size,
                             RESULT_MAX_PUBLISHED_VALUES, &err))
        return;
    leave_queue(c, whole);
    fanout_add_member(c, whole, job_part_worker(result->id),
        result_stop_of(&c->scratch.message.root), result->seq);
}

void restore_end(struct core *c) {
    struct job *job, *next;
    sessions_restored(c); /* loading may have taken long */
    RB_FOREACH_SAFE(job, job_id_tree, &c->jobs.by_id, next)
    if (job->state == JOB_FANNED_OUT && fanout_is_complete(job))
        lifecycle_end_fanout(c, job);
    if (c->counters.restored > 0)
        output_log(c, CORE_INFO, "restored",
            "traces=%" PRId64 " queued=%" PRId64 " running=%" PRId64 " seq=%" PRId64,
            c->counters.restored, c->queue.count, c->leases.count, c->streams.seq);
}
