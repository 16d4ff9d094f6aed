#include "broker/core/queue.h"

#include "broker/core/state.h"

void queue_insert(struct core *c, struct job *job) {
    if (quarantine_needed(job))
        quarantine_insert(c, job);
    else
        fairqueue_insert(c, job);
    job->state = JOB_QUEUED;
    c->queue.expected_parts += fanout_expect_parts(job);
    c->queue.count++;
    c->queue.by_priority[job->priority]++;
}

void queue_remove(struct core *c, struct job *job) {
    job->state = JOB_LOOSE;
    if (quarantine_needed(job))
        quarantine_remove(c, job);
    else
        fairqueue_remove(c, job);
    c->queue.expected_parts -= fanout_expected_parts(job);
    c->queue.count--;
    c->queue.by_priority[job->priority]--;
}

struct job *queue_any(struct core *c) {
    struct job *job = fairqueue_any(c);
    return job != NULL ? job : quarantine_any(c);
}

static bool comes_before(const struct subqueue *a, const struct subqueue *b) {
    if (a->priority != b->priority)
        return a->priority < b->priority;
    if (a->virtual_time != b->virtual_time)
        return a->virtual_time < b->virtual_time;
    return fairqueue_order(a->first) < fairqueue_order(b->first);
}

static struct subqueue *first_subqueue(struct core *c) {
    struct requirement *requirement;
    struct subqueue *first = NULL;
    TAILQ_FOREACH(requirement, &c->matching.ready, ready_link) {
        struct subqueue *subqueue = fairqueue_next(requirement);
        if (first == NULL || comes_before(subqueue, first))
            first = subqueue;
    }
    return first;
}

struct job *queue_next(struct core *c, struct worker **worker) {
    struct subqueue *first = first_subqueue(c);
    if (first == NULL)
        return NULL;
    *worker = matching_least_loaded_free(first->requirement);
    return first->first;
}

int64_t queue_position(const struct job *job) {
    return quarantine_needed(job) ? job->subqueue->requirement->quarantined_count
                                  : fairqueue_position(job);
}
