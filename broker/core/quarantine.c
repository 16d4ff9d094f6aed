#include "broker/core/quarantine.h"

#include "broker/core/state.h"
#include "common/order.h"

static int compare_order(const struct job *a, const struct job *b) {
    if (a->priority != b->priority)
        return a->priority - b->priority;
    return order_compare(fairqueue_order(a), fairqueue_order(b));
}

RB_PROTOTYPE(quarantined_tree, job, by_order, compare_order)
RB_GENERATE(quarantined_tree, job, by_order, compare_order)

void quarantine_init(struct core *c) { TAILQ_INIT(&c->quarantine.requirements); }

bool quarantine_needed(const struct job *job) { return job->run >= CORE_MAX_RUNS - 1; }

/* Ordinary traces get a turn at the worker before it can be reserved again. */
static void end_reservation(struct core *c) {
    struct worker *w = c->quarantine.worker;
    c->quarantine.worker = NULL;
    c->quarantine.job = NULL;
    w->reserved = false;
    matching_update(c, w);
}

void quarantine_insert(struct core *c, struct job *job) {
    struct requirement *requirement = job->subqueue->requirement;
    if (requirement->quarantined_count++ == 0)
        TAILQ_INSERT_TAIL(&c->quarantine.requirements, requirement, quarantine_link);
    (void)RB_INSERT(quarantined_tree, &requirement->quarantined, job);
}

void quarantine_remove(struct core *c, struct job *job) {
    struct requirement *requirement = job->subqueue->requirement;
    (void)RB_REMOVE(quarantined_tree, &requirement->quarantined, job);
    if (--requirement->quarantined_count == 0)
        TAILQ_REMOVE(&c->quarantine.requirements, requirement, quarantine_link);
    if (c->quarantine.job == job)
        end_reservation(c);
}

void quarantine_worker_unfit(struct core *c, const struct worker *w) {
    if (w->reserved && c->quarantine.job->state == JOB_QUEUED)
        end_reservation(c);
}

void quarantine_hold(struct core *c, struct worker *w, struct job *job) {
    if (job->run < CORE_MAX_RUNS)
        return;
    if (c->quarantine.job != NULL)
        end_reservation(c);
    c->quarantine.worker = w;
    c->quarantine.job = job;
    w->reserved = true;
}

void quarantine_release(struct core *c, const struct job *job) {
    if (c->quarantine.job == job)
        end_reservation(c);
}

struct job *quarantine_any(struct core *c) {
    struct requirement *requirement = TAILQ_FIRST(&c->quarantine.requirements);
    return requirement != NULL ? RB_ROOT(&requirement->quarantined) : NULL;
}

/* The first of the quarantined jobs that some worker serves. */
static struct job *first_served(struct core *c) {
    struct requirement *requirement;
    struct job *first = NULL;
    TAILQ_FOREACH(requirement, &c->quarantine.requirements, quarantine_link) {
        struct job *job = RB_MIN(quarantined_tree, &requirement->quarantined);
        if (matching_is_served(requirement) && (first == NULL || compare_order(job, first) < 0))
            first = job;
    }
    return first;
}

static void reserve(struct core *c) {
    struct job *job = first_served(c);
    struct worker *w = job != NULL ? matching_least_loaded(job->subqueue->requirement) : NULL;
    if (w == NULL)
        return;
    c->quarantine.worker = w;
    c->quarantine.job = job;
    w->reserved = true;
    matching_update(c, w);
    output_log(c, CORE_INFO, "quarantine", "id=%s worker=%s running=%lld", job->id, w->name,
        (long long)w->running);
}

struct job *quarantine_next(struct core *c, struct worker **worker) {
    if (c->quarantine.job == NULL)
        reserve(c);
    struct job *job = c->quarantine.job;
    if (job == NULL || job->state != JOB_QUEUED || c->quarantine.worker->running > 0)
        return NULL;
    *worker = c->quarantine.worker;
    return job;
}
