#include "broker/core/fanout.h"

#include "broker/core/state.h"
#include "common/mem.h"
#include "common/order.h"

#include <stdio.h>
#include <stdlib.h>

static struct fanout *get_fanout(struct job *job) {
    if (job->fanout == NULL) {
        job->fanout = mem_new(1, sizeof *job->fanout);
        job->fanout->job = job;
        TAILQ_INIT(&job->fanout->parts);
    }
    return job->fanout;
}

void fanout_free(struct job *job) {
    if (job->fanout != NULL)
        free(job->fanout->members);
    free(job->fanout);
    job->fanout = NULL;
}

/* ---- before it starts ------------------------------------------------------------------- */

static int64_t most_parts(const struct job *whole) {
    return whole->fanout_limit > 0 ? whole->fanout_limit : CORE_MAX_PARTS;
}

int64_t fanout_expect_parts(struct job *job) {
    if (job->fanout_limit == 0)
        return 0;
    int64_t serving = job->subqueue->requirement->serving;
    return get_fanout(job)->expected_parts = order_min(serving, most_parts(job));
}

int64_t fanout_expected_parts(const struct job *job) {
    return job->fanout != NULL ? job->fanout->expected_parts : 0;
}

/* ---- parts ------------------------------------------------------------------------------ */

static void fan_out(struct core *c, struct job *whole) {
    job_unset_timer(c, whole);
    whole->state = JOB_FANNED_OUT;
    (void)get_fanout(whole);
}

void fanout_add_part(struct core *c, struct job *whole, struct job *part) {
    if (whole->state != JOB_FANNED_OUT)
        fan_out(c, whole);
    struct fanout *fanout = get_fanout(part);
    fanout->whole = whole;
    TAILQ_INSERT_TAIL(&whole->fanout->parts, fanout, of_whole);
}

void fanout_start(struct core *c, struct job *whole, struct job_list *parts) {
    struct trace trace;
    struct worker *workers[CORE_MAX_PARTS];
    char id[RECORD_ID_BYTES + 1];
    job_trace(c, whole, &trace);
    size_t count =
        matching_workers(whole->subqueue->requirement, workers, (size_t)most_parts(whole));
    const char *submitter = whole->subqueue->submitter->tag;
    fan_out(c, whole);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(id, sizeof id, "%s/%s", whole->id, workers[i]->name);
        struct job *part = job_new(c, id, &trace, whole->trace, whole->trace_size);
        fairqueue_join(c, part, submitter, matching_requirement(c, &trace, workers[i]->name));
        part->accepted_wall_us = whole->accepted_wall_us;
        part->deadline_us = whole->deadline_us;
        fanout_add_part(c, whole, part);
        TAILQ_INSERT_TAIL(parts, part, link);
    }
}

struct job *fanout_next_part(const struct job *whole, const struct job *part) {
    const struct fanout *next =
        part == NULL ? TAILQ_FIRST(&whole->fanout->parts) : TAILQ_NEXT(part->fanout, of_whole);
    return next != NULL ? next->job : NULL;
}

/* ---- the end ---------------------------------------------------------------------------- */

void fanout_add_member(
    struct core *c, struct job *whole, const char *worker, int stop, int64_t seq) {
    if (whole->state != JOB_FANNED_OUT)
        fan_out(c, whole);
    struct fanout *fanout = whole->fanout;
    if (fanout->member_count == fanout->member_room) {
        fanout->member_room = fanout->member_room * 2 + 4;
        fanout->members = mem_grow(fanout->members, fanout->member_room, sizeof *fanout->members);
    }
    struct result_member *member = &fanout->members[fanout->member_count++];
    *member = (struct result_member){.seq = seq, .stop = stop};
    (void)snprintf(member->worker, sizeof member->worker, "%s", worker);
    (void)snprintf(member->id, sizeof member->id, "%s/%s", whole->id, worker);
}

struct job *fanout_part_ended(struct core *c, struct job *job, int64_t seq) {
    struct job *whole = job->fanout != NULL ? job->fanout->whole : NULL;
    if (whole == NULL)
        return NULL;
    TAILQ_REMOVE(&whole->fanout->parts, job->fanout, of_whole);
    fanout_free(job);
    fanout_add_member(c, whole, job_part_worker(job->id), job->stop, seq);
    return whole;
}

bool fanout_is_complete(const struct job *whole) {
    return whole->state == JOB_FANNED_OUT && TAILQ_EMPTY(&whole->fanout->parts);
}

void fanout_put_summary(struct core *c, const struct job *whole) {
    msgpack_packer pk;
    struct trace trace;
    struct result_body body;
    job_trace(c, whole, &trace);
    result_from_trace(&body, &trace);
    body.started_us = body.finished_us = c->now.wall_us;
    body.stop = STOP_SUMMARY;
    output_packer(&pk, &c->scratch.body);
    result_put_summary(&pk, &body, whole->fanout->member_count);
    for (size_t i = 0; i < whole->fanout->member_count; i++)
        result_put_member(&pk, &whole->fanout->members[i]);
}
