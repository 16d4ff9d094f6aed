#include "broker/core/lifecycle.h"

#include "broker/core/state.h"
#include "common/mem.h"
#include "common/protocol/result.h"

#include <bsd/string.h>
#include <stdio.h>
#include <string.h>

/* ---- the end ---------------------------------------------------------------------------- */

/* Takes the job out of whatever it is in, for good. */
static void detach(struct core *c, struct job *job) {
    job_unset_timer(c, job);
    if (job->state == JOB_QUEUED)
        queue_remove(c, job);
    else if (job->state == JOB_RUNNING)
        leases_release(c, job);
    else if (job->state == JOB_RIDING)
        coalesce_leave(c, job);
    fairqueue_leave(c, job);
}

static void make_result(struct core *c, struct job *job, const struct ending *e) {
    msgpack_packer pk;
    struct trace trace;
    struct result_head head = {.seq = c->streams.seq,
        .stream_seq = job->stream->seq,
        .epoch = c->config.epoch,
        .accepted_us = job->accepted_wall_us,
        .run = e->run};
    (void)strlcpy(head.worker, e->worker, sizeof head.worker);
    (void)strlcpy(head.id, job->id, sizeof head.id);
    (void)strlcpy(head.stream, job->stream->name, sizeof head.stream);
    if (e->shared != NULL)
        (void)strlcpy(head.shared, e->shared, sizeof head.shared);
    if (job->has_meta) {
        job_trace(c, job, &trace);
        head.meta = trace.meta;
    }
    output_packer(&pk, &c->scratch.result);
    result_merge(&pk, &head, e->body, e->size);
    job->result = mem_copy(c->scratch.result.data, c->scratch.result.size);
    job->result_size = (uint32_t)c->scratch.result.size;
}

static void keep_result(struct core *c, const struct job *job) {
    const struct record_result record = {.seq = c->streams.seq,
        .stream_seq = job->stream->seq,
        .number = job->ticket,
        .id = job->id,
        .stream = job->stream->name,
        .finished_us = c->now.wall_us,
        .trace = job->trace,
        .trace_size = job->trace_size,
        .result = job->result,
        .result_size = job->result_size};
    output_keep_result(c, &record);
}

/* Ends this job only. The caller ends what ends with it. */
static void end_one(struct core *c, struct job *job, const struct ending *e) {
    detach(c, job);
    streams_count(c, job->stream);
    make_result(c, job, e);
    job->state = JOB_DONE;
    job->stop = (uint8_t)e->stop;
    c->counters.results++;
    c->counters.shared += e->shared != NULL;
    c->results_by_stop[e->stop]++;
    keep_result(c, job);
    waiters_publish(c, job);
    waiters_send(c, job, job);
    waiters_free(job);
    recent_add(c, job);
}

static void put_in_queue(struct core *c, struct job *job) {
    queue_insert(c, job);
    job_set_timer(c, job, job->deadline_us);
    coalesce_add(c, job);
}

/* The first of the riders is probed for the others. */
static void probe_for_riders(struct core *c, struct job_list *riders) {
    struct job *first = TAILQ_FIRST(riders), *rider;
    if (first == NULL)
        return;
    TAILQ_REMOVE(riders, first, link);
    put_in_queue(c, first);
    while ((rider = TAILQ_FIRST(riders)) != NULL) {
        TAILQ_REMOVE(riders, rider, link);
        coalesce_ride(c, rider, first);
    }
}

static void end_riders(struct core *c, struct job *leader, const struct ending *e) {
    struct job_list riders = TAILQ_HEAD_INITIALIZER(riders);
    struct job *rider;
    struct ending shared = *e;
    shared.shared = leader->id;
    coalesce_take_riders(c, leader, &riders);
    if (!coalesce_shares_end(e->stop)) {
        probe_for_riders(c, &riders);
        return;
    }
    while ((rider = TAILQ_FIRST(&riders)) != NULL) {
        TAILQ_REMOVE(&riders, rider, link);
        end_one(c, rider, &shared);
    }
}

void lifecycle_end_fanout(struct core *c, struct job *whole) {
    fanout_put_summary(c, whole);
    fanout_free(whole);
    end_one(c, whole,
        &(struct ending){.body = c->scratch.body.data,
            .size = c->scratch.body.size,
            .stop = STOP_SUMMARY,
            .worker = ""});
}

/* This needs no recursion: riders have no riders, parts have none either, and a fanout is no part.
 */
void lifecycle_finish(struct core *c, struct job *job, const struct ending *e) {
    end_one(c, job, e);
    end_riders(c, job, e);
    struct job *whole = fanout_part_ended(c, job, c->streams.seq);
    if (whole == NULL)
        return;
    waiters_send(c, job, whole);
    if (fanout_is_complete(whole))
        lifecycle_end_fanout(c, whole);
}

void lifecycle_end(
    struct core *c, struct job *job, int stop, const char *code, const char *message) {
    msgpack_packer pk;
    struct trace trace;
    struct result_body body;
    char worker[SESSION_NAME_BYTES + 1] = "";
    job_trace(c, job, &trace);
    result_from_trace(&body, &trace);
    body.started_us = body.finished_us = c->now.wall_us;
    body.stop = stop;
    if (code != NULL) {
        (void)snprintf(body.error_code, sizeof body.error_code, "%s", code);
        (void)snprintf(body.error_message, sizeof body.error_message, "%s", message);
    }
    if (job->state == JOB_RUNNING)
        (void)snprintf(worker, sizeof worker, "%s", job->lease->worker->name);
    output_packer(&pk, &c->scratch.body);
    result_put_body(&pk, &body, NULL, 0);
    lifecycle_finish(c, job,
        &(struct ending){.body = c->scratch.body.data,
            .size = c->scratch.body.size,
            .stop = stop,
            .worker = worker,
            .run = job->run});
}

/* ---- the beginning ---------------------------------------------------------------------- */

void lifecycle_begin(struct core *c, struct job *job, int64_t max_age_ms) {
    struct coalesce_source source;
    enum coalesce_choice choice =
        job->coalesces ? coalesce_join(c, job, max_age_ms * 1000, &source) : COALESCE_NOTHING;
    switch (choice) {
    case COALESCE_NOTHING:
        put_in_queue(c, job);
        break;
    case COALESCE_RIDES:
        break;
    case COALESCE_ENDS:
        lifecycle_finish(c, job,
            &(struct ending){.body = c->scratch.body.data,
                .size = c->scratch.body.size,
                .stop = source.stop,
                .worker = source.head.worker,
                .run = source.head.run,
                .shared = source.id});
        break;
    }
}

static void keep_trace(struct core *c, struct job *job) {
    job_set_ticket(c, job);
    const struct record_trace record = {.number = job->ticket,
        .id = job->id,
        .submitter = job->subqueue->submitter->tag,
        .accepted_us = job->accepted_wall_us,
        .trace = job->trace,
        .trace_size = job->trace_size,
        .run = {.number = job->ticket, .worker = ""}};
    output_keep_trace(c, &record);
}

struct job *lifecycle_accept(
    struct core *c, const struct core_peer *peer, struct trace *trace, struct wire_error *err) {
    char tag[FAIRQUEUE_TAG_BYTES + 1];
    msgpack_packer pk;
    struct requirement *requirement = admission_check(c, fairqueue_tag(peer, tag), trace, err);
    if (requirement == NULL)
        return NULL;
    output_packer(&pk, &c->scratch.body);
    trace_put_map(&pk, trace);
    struct job *job = job_new(c, trace->id, trace, c->scratch.body.data, c->scratch.body.size);
    fairqueue_join(c, job, tag, requirement);
    job->accepted_wall_us = c->now.wall_us;
    job->deadline_us = c->now.mono_us + trace->deadline_ms * 1000;
    c->counters.accepted++;
    keep_trace(c, job);
    lifecycle_begin(c, job, trace->max_age_ms);
    return job;
}

/* ---- on the way ------------------------------------------------------------------------- */

static void start_fanout(struct core *c, struct job *whole) {
    struct job_list parts = TAILQ_HEAD_INITIALIZER(parts);
    struct job *part;
    fanout_start(c, whole, &parts);
    TAILQ_FOREACH(part, &parts, link)
    keep_trace(c, part);
    while ((part = TAILQ_FIRST(&parts)) != NULL) {
        TAILQ_REMOVE(&parts, part, link);
        put_in_queue(c, part);
    }
}

static void start(struct core *c, struct job *job, struct worker *worker) {
    if (job->fanout_limit != 0) {
        queue_remove(c, job);
        start_fanout(c, job);
        return;
    }
    fairqueue_charge(c, job->subqueue->submitter);
    queue_remove(c, job);
    leases_give(c, worker, job);
}

void lifecycle_dispatch(struct core *c) {
    struct job *job;
    struct worker *worker;
    if (c->draining)
        return;
    while ((job = queue_next(c, &worker)) != NULL)
        start(c, job, worker);
    if ((job = quarantine_next(c, &worker)) != NULL)
        start(c, job, worker);
}

static void requeue_loose(struct core *c, struct job *job) {
    c->counters.requeued++;
    if (job->cancelling) {
        lifecycle_end(c, job, STOP_CANCELLED, NULL, NULL);
    } else if (job->run >= CORE_MAX_RUNS || job->returns >= CORE_MAX_RETURNS) {
        char message[96];
        (void)snprintf(message, sizeof message, "started %d times, handed back %d times", job->run,
            job->returns);
        lifecycle_end(c, job, STOP_WORKER_LOST, "unavailable", message);
    } else {
        put_in_queue(c, job);
    }
}

void lifecycle_requeue(struct core *c, struct job *job) {
    leases_release(c, job);
    requeue_loose(c, job);
}

void lifecycle_requeue_all(struct core *c, struct job_list *jobs) {
    struct job *job;
    while ((job = TAILQ_FIRST(jobs)) != NULL) {
        TAILQ_REMOVE(jobs, job, link);
        requeue_loose(c, job);
    }
}

/* Tells the worker, which gets CORE_CANCEL_US to answer, but no more than the deadline leaves. A
 * job that was cancelled before a restart may be cancelled again while its worker is still absent.
 */
static void cancel_running(struct core *c, struct job *job) {
    int64_t until_us = c->now.mono_us + CORE_CANCEL_US;
    if (job->timer.due_us > until_us)
        job_set_timer(c, job, until_us);
    if (job->cancelling)
        return;
    job->cancelling = true;
    leases_keep(c, job);
    output_to_worker(c, job->lease->worker,
        &(struct session_msg){.op = SESSION_CANCEL, .lease = job->lease->number});
}

static void cancel_one(struct core *c, struct job *job) {
    if (job->state == JOB_QUEUED || job->state == JOB_RIDING)
        lifecycle_end(c, job, STOP_CANCELLED, NULL, NULL);
    else if (job->state == JOB_RUNNING)
        cancel_running(c, job);
}

void lifecycle_cancel(struct core *c, struct job *job) {
    if (job->state != JOB_FANNED_OUT) {
        cancel_one(c, job);
        return;
    }
    /* The last part that ends here ends the whole too. */
    struct job *part = fanout_next_part(job, NULL), *next;
    for (; part != NULL; part = next) {
        next = fanout_next_part(job, part);
        cancel_one(c, part);
    }
}

static void end_waiting(struct core *c, struct job *job) {
    char message[MATCHING_TEXT_BYTES + 40] = "no worker that fits was there: ";
    if (matching_was_served(job)) {
        lifecycle_end(c, job, STOP_DEADLINE, NULL, NULL);
        return;
    }
    matching_describe(job->subqueue->requirement, message + strlen(message), MATCHING_TEXT_BYTES);
    lifecycle_end(c, job, STOP_NO_WORKER, "unavailable", message);
}

void lifecycle_due(struct core *c, struct job *job) {
    if (job->state == JOB_QUEUED || job->state == JOB_RIDING) {
        end_waiting(c, job);
        return;
    }
    /* Its worker may forget the lease. */
    output_to_worker(c, job->lease->worker,
        &(struct session_msg){.op = SESSION_DONE, .lease = job->lease->number});
    lifecycle_end(c, job, job->cancelling ? STOP_CANCELLED : STOP_DEADLINE, "unavailable",
        "its worker did not answer in time");
}

/* ---- forgetting ------------------------------------------------------------------------- */

static void forget(struct core *c, struct job *job) {
    coalesce_remove(c, job);
    fanout_free(job);
    waiters_free(job);
    job_free(c, job);
}

void lifecycle_trim(struct core *c) {
    struct job *job;
    while ((job = recent_take_excess(c)) != NULL)
        forget(c, job);
}

void lifecycle_end_all(struct core *c) {
    struct job *job;
    while ((job = queue_any(c)) != NULL || (job = leases_any(c)) != NULL)
        lifecycle_end(c, job, STOP_CANCELLED, "unavailable", "the broker was stopped");
}

void lifecycle_free_all(struct core *c) {
    struct job *job, *next;
    RB_FOREACH(job, job_id_tree, &c->jobs.by_id)
    if (job->state == JOB_RIDING)
        coalesce_leave(c, job);
    /* All are detached before one is freed, since parts are sorted by the ticket of their fanout.
     */
    RB_FOREACH(job, job_id_tree, &c->jobs.by_id)
    if (job->state != JOB_DONE)
        detach(c, job);
    RB_FOREACH_SAFE(job, job_id_tree, &c->jobs.by_id, next)
    forget(c, job);
}
