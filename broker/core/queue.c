#include "broker/core/queue.h"

#include "broker/core/fanout.h"
#include "broker/core/jobs.h"
#include "broker/core/lanes.h"
#include "broker/core/leases.h"
#include "broker/core/matching.h"
#include "broker/core/ward.h"

void queue_insert(struct core *c, struct job *job) {
    if (ward_suspects(job))
        ward_add(c, job);
    else
        lanes_add(c, job);
    job->state = JOB_QUEUED;
    if (job->fanout_limit != 0)
        c->expected_parts += fanout_bond(job)->expected_parts = fanout_expected_parts(job);
    c->queued++;
    c->queued_by_priority[job->priority]++;
}

void queue_remove(struct core *c, struct job *job) {
    job->state = JOB_LOOSE;
    if (ward_suspects(job))
        ward_take(c, job);
    else
        lanes_take(c, job);
    if (job->fanout_limit != 0)
        c->expected_parts -= job->bond->expected_parts;
    c->queued--;
    c->queued_by_priority[job->priority]--;
}

struct job *queue_any(struct core *c) {
    struct requirement *requirement = TAILQ_FIRST(&c->waiting);
    return requirement != NULL ? lanes_next(requirement)->first : ward_any(c);
}

static bool before(const struct lane *a, const struct lane *b) {
    if (a->priority != b->priority)
        return a->priority < b->priority;
    return a->time != b->time ? a->time < b->time : lanes_order(a->first) < lanes_order(b->first);
}

static struct lane *best(struct core *c) {
    struct requirement *requirement;
    struct lane *found = NULL;
    TAILQ_FOREACH(requirement, &c->ready, ready_link) {
        struct lane *lane = lanes_next(requirement);
        if (found == NULL || before(lane, found))
            found = lane;
    }
    return found;
}

static void dispatch(struct core *c) {
    struct lane *lane;
    while ((lane = best(c)) != NULL) {
        struct job *job = lane->first;
        struct worker *worker = matching_least_loaded_free(lane->requirement);
        if (job->fanout_limit) {
            fanout_start(c, job);
            continue;
        }
        lanes_charge(c, lane->client);
        queue_remove(c, job);
        leases_give(c, worker, job);
    }
}

void queue_dispatch(struct core *c) {
    if (c->draining)
        return;
    dispatch(c);
    ward_serve(c);
}
