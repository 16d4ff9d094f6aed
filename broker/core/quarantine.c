#include "broker/core/quarantine.h"

#include "broker/core/fairqueue.h"
#include "broker/core/jobs.h"
#include "broker/core/leases.h"
#include "broker/core/matching.h"
#include "broker/core/queue.h"
#include "broker/core/sessions.h"
#include "common/order.h"

static int compare(const struct job *a, const struct job *b) {
    if (a->priority != b->priority)
        return a->priority - b->priority;
    return order_compare(fairqueue_order(a), fairqueue_order(b));
}

RB_PROTOTYPE(quarantined_tree, job, by_order, compare)
RB_GENERATE(quarantined_tree, job, by_order, compare)

bool quarantine_needed(const struct job *job) { return job->run >= CORE_MAX_RUNS - 1; }

bool quarantine_reserves(const struct core *c, const struct worker *w) {
    return c->quarantine.worker == w;
}

/* Ordinary traces get a turn at the worker before it can be reserved again. */
static void quarantine_end(struct core *c) {
    struct worker *w = c->quarantine.worker;
    c->quarantine.worker = NULL;
    c->quarantine.job = NULL;
    sessions_unload(c, w);
    sessions_load(c, w);
}

void quarantine_insert(struct core *c, struct job *job) {
    struct requirement *requirement = job->subqueue->requirement;
    if (requirement->quarantined_count++ == 0)
        TAILQ_INSERT_TAIL(&c->quarantined, requirement, quarantine_link);
    (void)RB_INSERT(quarantined_tree, &requirement->quarantined, job);
}

void quarantine_remove(struct core *c, struct job *job) {
    struct requirement *requirement = job->subqueue->requirement;
    (void)RB_REMOVE(quarantined_tree, &requirement->quarantined, job);
    if (--requirement->quarantined_count == 0)
        TAILQ_REMOVE(&c->quarantined, requirement, quarantine_link);
    if (c->quarantine.job == job)
        quarantine_end(c);
}

void quarantine_worker_unfit(struct core *c, struct worker *w) {
    if (quarantine_reserves(c, w) && c->quarantine.job->state == JOB_QUEUED)
        quarantine_end(c);
}

void quarantine_hold(struct core *c, struct worker *w, struct job *job) {
    if (job->run < CORE_MAX_RUNS)
        return;
    c->quarantine.worker = w;
    c->quarantine.job = job;
}

void quarantine_release(struct core *c, const struct job *job) {
    if (c->quarantine.job == job)
        quarantine_end(c);
}

struct job *quarantine_any(struct core *c) {
    struct requirement *requirement = TAILQ_FIRST(&c->quarantined);
    return requirement != NULL ? RB_ROOT(&requirement->quarantined) : NULL;
}

/* The first of the quarantined jobs that some worker serves. */
static struct job *first_quarantined(struct core *c) {
    struct requirement *requirement;
    struct job *first = NULL;
    TAILQ_FOREACH(requirement, &c->quarantined, quarantine_link) {
        struct job *job = RB_MIN(quarantined_tree, &requirement->quarantined);
        if (matching_is_served(requirement) && (first == NULL || compare(job, first) < 0))
            first = job;
    }
    return first;
}

static void reserve(struct core *c) {
    struct job *job = first_quarantined(c);
    struct worker *w = job != NULL ? matching_least_loaded(job->subqueue->requirement) : NULL;
    if (w == NULL)
        return;
    sessions_unload(c, w);
    c->quarantine.worker = w;
    c->quarantine.job = job;
    core_say(c, CORE_INFO, "quarantine", "id=%s worker=%s running=%lld", job->id, w->name,
        (long long)w->running);
}

void quarantine_dispatch(struct core *c) {
    if (c->quarantine.job == NULL)
        reserve(c);
    struct worker *w = c->quarantine.worker;
    struct job *job = c->quarantine.job;
    if (job == NULL || job->state != JOB_QUEUED || w->running > 0)
        return;
    fairqueue_charge(c, job->subqueue->submitter);
    queue_remove(c, job);
    leases_give(c, w, job);
}
