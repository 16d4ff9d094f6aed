#include "broker/core/queue.h"

#include "broker/core/fairqueue.h"
#include "broker/core/fanout.h"
#include "broker/core/jobs.h"
#include "broker/core/leases.h"
#include "broker/core/matching.h"
#include "broker/core/quarantine.h"

void queue_insert(struct core *c, struct job *job) {
    if (quarantine_needed(job))
        quarantine_insert(c, job);
    else
        fairqueue_insert(c, job);
    job->state = JOB_QUEUED;
    if (job->fanout_limit != 0)
        c->expected_parts += fanout_bond(job)->expected_parts = fanout_expected_parts(job);
    c->queued++;
    c->queued_by_priority[job->priority]++;
}

void queue_remove(struct core *c, struct job *job) {
    job->state = JOB_LOOSE;
    if (quarantine_needed(job))
        quarantine_remove(c, job);
    else
        fairqueue_remove(c, job);
    if (job->fanout_limit != 0)
        c->expected_parts -= job->bond->expected_parts;
    c->queued--;
    c->queued_by_priority[job->priority]--;
}

struct job *queue_any(struct core *c) {
    struct requirement *requirement = TAILQ_FIRST(&c->waiting);
    return requirement != NULL ? fairqueue_next(requirement)->first : quarantine_any(c);
}

static bool before(const struct subqueue *a, const struct subqueue *b) {
    if (a->priority != b->priority)
        return a->priority < b->priority;
    return a->virtual_time != b->virtual_time
               ? a->virtual_time < b->virtual_time
               : fairqueue_order(a->first) < fairqueue_order(b->first);
}

static struct subqueue *best(struct core *c) {
    struct requirement *requirement;
    struct subqueue *found = NULL;
    TAILQ_FOREACH(requirement, &c->ready, ready_link) {
        struct subqueue *subqueue = fairqueue_next(requirement);
        if (found == NULL || before(subqueue, found))
            found = subqueue;
    }
    return found;
}

static void dispatch(struct core *c) {
    struct subqueue *subqueue;
    while ((subqueue = best(c)) != NULL) {
        struct job *job = subqueue->first;
        struct worker *worker = matching_least_loaded_free(subqueue->requirement);
        if (job->fanout_limit) {
            fanout_start(c, job);
            continue;
        }
        fairqueue_charge(c, subqueue->submitter);
        queue_remove(c, job);
        leases_give(c, worker, job);
    }
}

void queue_dispatch(struct core *c) {
    if (c->draining)
        return;
    dispatch(c);
    quarantine_dispatch(c);
}
