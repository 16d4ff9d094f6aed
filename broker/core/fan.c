#include "broker/core/fan.h"

#include "broker/core/jobs.h"
#include "broker/core/lanes.h"
#include "broker/core/pool.h"
#include "broker/core/queue.h"
#include "broker/core/sessions.h"
#include "common/mem.h"
#include "common/protocol/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bond *fan_bond(struct job *job) {
    if (job->bond == NULL) {
        job->bond = mem_new(1, sizeof *job->bond);
        job->bond->job = job;
        TAILQ_INIT(&job->bond->riders);
        TAILQ_INIT(&job->bond->places);
    }
    return job->bond;
}

void fan_free(struct job *job) {
    if (job->bond != NULL)
        free(job->bond->members);
    free(job->bond);
    job->bond = NULL;
}

const char *fan_worker(const char *id) {
    const char *slash = strchr(id, '/');
    return slash != NULL ? slash + 1 : NULL;
}

/* Takes the whole from the queue: from now on its places run for it. */
static void spread(struct core *c, struct job *whole) {
    if (whole->state == JOB_QUEUED)
        queue_remove(c, whole);
    timeline_unset(&c->job_times, &whole->timer);
    whole->state = JOB_SPREAD;
    (void)fan_bond(whole);
}

void fan_join(struct core *c, struct job *whole, struct job *place) {
    if (whole->state != JOB_SPREAD)
        spread(c, whole);
    struct bond *bond = fan_bond(place);
    bond->whole = whole;
    TAILQ_INSERT_TAIL(&whole->bond->places, bond, by_whole);
}

int64_t fan_places(const struct job *whole) {
    int64_t most = whole->fans > 0 ? whole->fans : CORE_MAX_PLACES;
    int64_t there = whole->lane->demand->serving;
    return there < most ? there : most;
}

void fan_spread(struct core *c, struct job *whole) {
    struct trace trace;
    struct worker *workers[CORE_MAX_PLACES];
    struct job *places[CORE_MAX_PLACES];
    char id[RECORD_ID_BYTES + 1];
    jobs_trace(c, whole, &trace);
    size_t most = trace.fanout > 0 ? (size_t)trace.fanout : CORE_MAX_PLACES;
    size_t count = pool_fitting(whole->lane->demand, workers, most);
    const char *client = whole->lane->client->tag;
    spread(c, whole);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(id, sizeof id, "%s/%s", whole->id, workers[i]->name);
        places[i] = jobs_new(c, id, &trace, whole->trace, whole->trace_size);
        lanes_join(c, places[i], client, pool_demand(c, &trace, workers[i]->name));
        jobs_keep_place(c, places[i], whole);
        fan_join(c, whole, places[i]);
    }
    for (size_t i = 0; i < count; i++)
        jobs_queue(c, places[i]);
}

void fan_member(struct core *c, struct job *whole, const char *worker, int stop, int64_t seq) {
    if (whole->state != JOB_SPREAD)
        spread(c, whole);
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

void fan_settle(struct core *c, struct job *whole) {
    if (!TAILQ_EMPTY(&whole->bond->places))
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

void fan_ended(struct core *c, struct job *place, int64_t seq) {
    struct job *whole = place->bond->whole;
    if (whole == NULL)
        return;
    place->bond->whole = NULL;
    TAILQ_REMOVE(&whole->bond->places, place->bond, by_whole);
    fan_member(c, whole, fan_worker(place->id), place->stop, seq);
    jobs_tell(c, place, whole);
    fan_settle(c, whole);
}

void fan_cancel(struct core *c, struct job *whole) {
    struct bond *place, *next;
    for (place = TAILQ_FIRST(&whole->bond->places); place != NULL; place = next) {
        next = TAILQ_NEXT(place, by_whole);
        jobs_cancel(c, place->job);
    }
}
