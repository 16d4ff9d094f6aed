#include "broker/core/ward.h"

#include "broker/core/fairqueue.h"
#include "broker/core/jobs.h"
#include "broker/core/leases.h"
#include "broker/core/matching.h"
#include "broker/core/queue.h"
#include "broker/core/sessions.h"

static int compare(const struct job *a, const struct job *b) {
    if (a->priority != b->priority)
        return a->priority - b->priority;
    int64_t x = fairqueue_order(a), y = fairqueue_order(b);
    return x < y ? -1 : x > y;
}

RB_PROTOTYPE(suspect_tree, job, by_order, compare)
RB_GENERATE(suspect_tree, job, by_order, compare)

bool ward_suspects(const struct job *job) { return job->run >= CORE_MAX_RUNS - 1; }

bool ward_is(const struct core *c, const struct worker *w) { return c->ward.worker == w; }

/* Ordinary traces get a turn at the worker before it can be reserved again. */
static void end(struct core *c) {
    struct worker *w = c->ward.worker;
    c->ward.worker = NULL;
    c->ward.job = NULL;
    sessions_unload(c, w);
    sessions_load(c, w);
}

void ward_add(struct core *c, struct job *job) {
    struct requirement *requirement = job->subqueue->requirement;
    if (requirement->suspect_count++ == 0)
        TAILQ_INSERT_TAIL(&c->suspected, requirement, suspect_link);
    (void)RB_INSERT(suspect_tree, &requirement->suspects, job);
}

void ward_take(struct core *c, struct job *job) {
    struct requirement *requirement = job->subqueue->requirement;
    (void)RB_REMOVE(suspect_tree, &requirement->suspects, job);
    if (--requirement->suspect_count == 0)
        TAILQ_REMOVE(&c->suspected, requirement, suspect_link);
    if (c->ward.job == job)
        end(c);
}

void ward_lift(struct core *c, struct worker *w) {
    if (ward_is(c, w) && c->ward.job->state == JOB_QUEUED)
        end(c);
}

void ward_hold(struct core *c, struct worker *w, struct job *job) {
    if (job->run < CORE_MAX_RUNS)
        return;
    c->ward.worker = w;
    c->ward.job = job;
}

void ward_release(struct core *c, const struct job *job) {
    if (c->ward.job == job)
        end(c);
}

struct job *ward_any(struct core *c) {
    struct requirement *requirement = TAILQ_FIRST(&c->suspected);
    return requirement != NULL ? RB_ROOT(&requirement->suspects) : NULL;
}

/* The first of the suspects that some worker could serve. */
static struct job *first_suspect(struct core *c) {
    struct requirement *requirement;
    struct job *first = NULL;
    TAILQ_FOREACH(requirement, &c->suspected, suspect_link) {
        struct job *job = RB_MIN(suspect_tree, &requirement->suspects);
        if (matching_is_served(requirement) && (first == NULL || compare(job, first) < 0))
            first = job;
    }
    return first;
}

static void reserve(struct core *c) {
    struct job *job = first_suspect(c);
    struct worker *w = job != NULL ? matching_least_loaded(job->subqueue->requirement) : NULL;
    if (w == NULL)
        return;
    sessions_unload(c, w);
    c->ward.worker = w;
    c->ward.job = job;
    core_say(c, CORE_INFO, "ward", "id=%s worker=%s running=%lld", job->id, w->name,
        (long long)w->running);
}

void ward_serve(struct core *c) {
    if (c->ward.job == NULL)
        reserve(c);
    struct worker *w = c->ward.worker;
    struct job *job = c->ward.job;
    if (job == NULL || job->state != JOB_QUEUED || w->running > 0)
        return;
    fairqueue_charge(c, job->subqueue->submitter);
    queue_remove(c, job);
    leases_give(c, w, job);
}
