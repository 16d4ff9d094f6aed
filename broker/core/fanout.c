#include "broker/core/fanout.h"

#include "broker/core/fairqueue.h"
#include "broker/core/jobs.h"
#include "broker/core/matching.h"
#include "broker/core/queue.h"
#include "broker/core/sessions.h"
#include "common/mem.h"
#include "common/order.h"
#include "common/protocol/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bond *fanout_bond(struct job *job) {
    if (job->bond == NULL) {
        job->bond = mem_new(1, sizeof *job->bond);
        job->bond->job = job;
        TAILQ_INIT(&job->bond->riders);
        TAILQ_INIT(&job->bond->parts);
    }
    return job->bond;
}

void fanout_free(struct job *job) {
    if (job->bond != NULL)
        free(job->bond->members);
    free(job->bond);
    job->bond = NULL;
}

const char *fanout_part_worker(const char *id) {
    const char *slash = strchr(id, '/');
    return slash != NULL ? slash + 1 : NULL;
}

/* Takes the whole from the queue: from now on its parts run for it. */
static void fan_out(struct core *c, struct job *whole) {
    if (whole->state == JOB_QUEUED)
        queue_remove(c, whole);
    timeline_unset(&c->job_times, &whole->timer);
    whole->state = JOB_FANNED_OUT;
    (void)fanout_bond(whole);
}

void fanout_add_part(struct core *c, struct job *whole, struct job *part) {
    if (whole->state != JOB_FANNED_OUT)
        fan_out(c, whole);
    struct bond *bond = fanout_bond(part);
    bond->whole = whole;
    TAILQ_INSERT_TAIL(&whole->bond->parts, bond, by_whole);
}

int64_t fanout_expected_parts(const struct job *whole) {
    int64_t most = whole->fanout_limit > 0 ? whole->fanout_limit : CORE_MAX_PARTS;
    int64_t there = whole->subqueue->requirement->serving;
    return order_min(there, most);
}

void fanout_start(struct core *c, struct job *whole) {
    struct trace trace;
    struct worker *workers[CORE_MAX_PARTS];
    struct job *parts[CORE_MAX_PARTS];
    char id[RECORD_ID_BYTES + 1];
    jobs_trace(c, whole, &trace);
    size_t most = trace.fanout > 0 ? (size_t)trace.fanout : CORE_MAX_PARTS;
    size_t count = matching_workers(whole->subqueue->requirement, workers, most);
    const char *submitter = whole->subqueue->submitter->tag;
    fan_out(c, whole);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(id, sizeof id, "%s/%s", whole->id, workers[i]->name);
        parts[i] = jobs_new(c, id, &trace, whole->trace, whole->trace_size);
        fairqueue_join(c, parts[i], submitter, matching_requirement(c, &trace, workers[i]->name));
        jobs_keep_part(c, parts[i], whole);
        fanout_add_part(c, whole, parts[i]);
    }
    for (size_t i = 0; i < count; i++)
        jobs_queue(c, parts[i]);
}

void fanout_add_member(
    struct core *c, struct job *whole, const char *worker, int stop, int64_t seq) {
    if (whole->state != JOB_FANNED_OUT)
        fan_out(c, whole);
    struct bond *bond = whole->bond;
    if (bond->member_count == bond->member_room) {
        bond->member_room = bond->member_room * 2 + 4;
        bond->members = mem_grow(bond->members, bond->member_room, sizeof *bond->members);
    }
    struct result_member *member = &bond->members[bond->member_count++];
    *member = (struct result_member){.seq = seq, .stop = stop};
    (void)snprintf(member->worker, sizeof member->worker, "%s", worker);
    (void)snprintf(member->id, sizeof member->id, "%s/%s", whole->id, worker);
}

void fanout_settle(struct core *c, struct job *whole) {
    if (!TAILQ_EMPTY(&whole->bond->parts))
        return;
    msgpack_packer pk;
    struct trace trace;
    struct result_body body;
    jobs_trace(c, whole, &trace);
    result_from_trace(&body, &trace);
    body.started_us = body.finished_us = c->now.wall_us;
    body.stop = STOP_SUMMARY;
    state_packer(&pk, &c->body);
    result_put_summary(&pk, &body, whole->bond->member_count);
    for (size_t i = 0; i < whole->bond->member_count; i++)
        result_put_member(&pk, &whole->bond->members[i]);
    jobs_finish(c, whole,
        &(struct ending){
            .body = c->body.data, .size = c->body.size, .stop = STOP_SUMMARY, .worker = ""});
}

void fanout_part_ended(struct core *c, struct job *part, int64_t seq) {
    struct job *whole = part->bond->whole;
    if (whole == NULL)
        return;
    part->bond->whole = NULL;
    TAILQ_REMOVE(&whole->bond->parts, part->bond, by_whole);
    fanout_add_member(c, whole, fanout_part_worker(part->id), part->stop, seq);
    jobs_tell(c, part, whole);
    fanout_settle(c, whole);
}

void fanout_cancel(struct core *c, struct job *whole) {
    struct bond *part, *next;
    for (part = TAILQ_FIRST(&whole->bond->parts); part != NULL; part = next) {
        next = TAILQ_NEXT(part, by_whole);
        jobs_cancel(c, part->job);
    }
}
