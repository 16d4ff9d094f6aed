#include "broker/core/fairqueue.h"

#include "broker/core/state.h"
#include "common/decimal.h"
#include "common/mem.h"
#include "common/order.h"
#include "common/tree_append.h"

#include <stdlib.h>
#include <string.h>

int64_t fairqueue_order(const struct job *job) {
    return job->fanout != NULL && job->fanout->whole != NULL ? job->fanout->whole->ticket
                                                             : job->ticket;
}

/* No subqueue has two parts of one fanout: they are for different workers. */
static int compare_order(const struct job *a, const struct job *b) {
    return order_compare(fairqueue_order(a), fairqueue_order(b));
}

static int compare_virtual_time(const struct subqueue *a, const struct subqueue *b) {
    if (a->virtual_time != b->virtual_time)
        return a->virtual_time < b->virtual_time ? -1 : 1;
    return compare_order(a->first, b->first);
}

static int compare_requirement(const struct subqueue *a, const struct subqueue *b) {
    if (a->requirement != b->requirement)
        return (uintptr_t)a->requirement < (uintptr_t)b->requirement ? -1 : 1;
    return a->priority - b->priority;
}

static int compare_tag(const struct submitter *a, const struct submitter *b) {
    return strcmp(a->tag, b->tag);
}

RB_PROTOTYPE(subqueue_job_tree, job, by_order, compare_order)
RB_GENERATE(subqueue_job_tree, job, by_order, compare_order)
TREE_APPEND_GENERATE(subqueue_job_tree, job, by_order, compare_order)
RB_PROTOTYPE(virtual_time_tree, subqueue, by_virtual_time, compare_virtual_time)
RB_GENERATE(virtual_time_tree, subqueue, by_virtual_time, compare_virtual_time)
RB_PROTOTYPE(submitter_subqueue_tree, subqueue, by_requirement, compare_requirement)
RB_GENERATE(submitter_subqueue_tree, subqueue, by_requirement, compare_requirement)
RB_PROTOTYPE(submitter_tree, submitter, by_tag, compare_tag)
RB_GENERATE(submitter_tree, submitter, by_tag, compare_tag)
ORDER_FIND_TEXT(submitter_tree, submitter, by_tag, tag)

void fairqueue_init(struct core *c) {
    RB_INIT(&c->fairqueue.submitters);
    TAILQ_INIT(&c->fairqueue.waiting);
}

/* ---- submitters and subqueues ----------------------------------------------------------- */

const char *fairqueue_tag(const struct core_peer *peer, char tag[FAIRQUEUE_TAG_BYTES + 1]) {
    const uint8_t *id = peer->id;
    char *at = decimal_put(tag, (uint64_t)peer->socket);
    *at++ = '-';
    for (size_t i = 0; i < peer->size; i++) {
        *at++ = "0123456789abcdef"[id[i] >> 4];
        *at++ = "0123456789abcdef"[id[i] & 15];
    }
    *at = '\0';
    return tag;
}

static struct submitter *new_submitter(struct core *c, const char *tag) {
    size_t size = strlen(tag) + 1;
    struct submitter *submitter = mem_new(1, sizeof *submitter + size);
    memcpy(submitter->tag, tag, size);
    submitter->virtual_time = c->fairqueue.virtual_time;
    RB_INIT(&submitter->subqueues);
    (void)RB_INSERT(submitter_tree, &c->fairqueue.submitters, submitter);
    c->fairqueue.submitter_count++;
    return submitter;
}

static struct subqueue *get_subqueue(struct core *c, struct submitter *submitter,
    struct requirement *requirement, uint8_t priority) {
    struct subqueue key = {.requirement = requirement, .priority = priority};
    struct subqueue *subqueue = RB_FIND(submitter_subqueue_tree, &submitter->subqueues, &key);
    if (subqueue != NULL)
        return subqueue;
    subqueue = mem_new(1, sizeof *subqueue);
    subqueue->submitter = submitter;
    subqueue->requirement = requirement;
    subqueue->priority = priority;
    RB_INIT(&subqueue->jobs);
    (void)RB_INSERT(submitter_subqueue_tree, &submitter->subqueues, subqueue);
    matching_hold(c, requirement);
    return subqueue;
}

bool fairqueue_full(struct core *c, const char *tag) {
    return c->fairqueue.submitter_count >= CORE_MAX_SUBMITTERS &&
           submitter_tree_find(&c->fairqueue.submitters, tag) == NULL;
}

void fairqueue_join(
    struct core *c, struct job *job, const char *tag, struct requirement *requirement) {
    struct submitter *submitter = submitter_tree_find(&c->fairqueue.submitters, tag);
    if (submitter == NULL)
        submitter = new_submitter(c, tag);
    job->subqueue = get_subqueue(c, submitter, requirement, job->priority);
    job->subqueue->held++;
    matching_watch(job);
}

void fairqueue_leave(struct core *c, struct job *job) {
    struct subqueue *subqueue = job->subqueue;
    struct submitter *submitter = subqueue->submitter;
    job->subqueue = NULL;
    if (--subqueue->held > 0)
        return;
    (void)RB_REMOVE(submitter_subqueue_tree, &submitter->subqueues, subqueue);
    matching_release(c, subqueue->requirement);
    free(subqueue);
    if (!RB_EMPTY(&submitter->subqueues))
        return;
    (void)RB_REMOVE(submitter_tree, &c->fairqueue.submitters, submitter);
    c->fairqueue.submitter_count--;
    free(submitter);
}

/* ---- turns ------------------------------------------------------------------------------ */

/* Gives the subqueue another first job, and sorts it into the tree by that and by its submitter's
 * virtual time. */
static void set_first(struct subqueue *subqueue, struct job *first) {
    struct virtual_time_tree *tree = &subqueue->requirement->by_time[subqueue->priority];
    if (subqueue->first != NULL)
        (void)RB_REMOVE(virtual_time_tree, tree, subqueue);
    subqueue->first = first;
    subqueue->virtual_time = subqueue->submitter->virtual_time;
    if (first != NULL)
        (void)RB_INSERT(virtual_time_tree, tree, subqueue);
}

void fairqueue_insert(struct core *c, struct job *job) {
    struct subqueue *subqueue = job->subqueue;
    struct submitter *submitter = subqueue->submitter;
    struct requirement *requirement = subqueue->requirement;
    if (submitter->queued++ == 0 && submitter->virtual_time < c->fairqueue.virtual_time)
        submitter->virtual_time = c->fairqueue.virtual_time;
    (void)subqueue_job_tree_insert(&subqueue->jobs, &subqueue->last, job);
    subqueue->queued++;
    if (subqueue->first == NULL || compare_order(job, subqueue->first) < 0)
        set_first(subqueue, job);
    if (requirement->queued++ == 0) {
        TAILQ_INSERT_TAIL(&c->fairqueue.waiting, requirement, link);
        matching_update_ready(c, requirement);
    }
}

void fairqueue_remove(struct core *c, struct job *job) {
    struct subqueue *subqueue = job->subqueue;
    struct requirement *requirement = subqueue->requirement;
    struct job *next = RB_NEXT(subqueue_job_tree, &subqueue->jobs, job);
    subqueue_job_tree_remove(&subqueue->jobs, &subqueue->last, job);
    subqueue->queued--;
    subqueue->submitter->queued--;
    if (subqueue->first == job)
        set_first(subqueue, next);
    if (--requirement->queued == 0) {
        TAILQ_REMOVE(&c->fairqueue.waiting, requirement, link);
        matching_update_ready(c, requirement);
    }
}

struct subqueue *fairqueue_next(struct requirement *requirement) {
    for (int p = 0; p < PRIORITIES; p++) {
        struct subqueue *subqueue;
        while ((subqueue = RB_MIN(virtual_time_tree, &requirement->by_time[p])) != NULL) {
            if (subqueue->virtual_time == subqueue->submitter->virtual_time)
                return subqueue;
            set_first(subqueue, subqueue->first);
        }
    }
    return NULL;
}

void fairqueue_charge(struct core *c, struct submitter *submitter) {
    if (submitter->virtual_time < c->fairqueue.virtual_time)
        submitter->virtual_time = c->fairqueue.virtual_time;
    c->fairqueue.virtual_time = submitter->virtual_time;
    submitter->virtual_time += 1 + (uint64_t)submitter->running;
}

int64_t fairqueue_position(const struct job *job) {
    const struct subqueue *subqueue = job->subqueue, *other;
    int64_t before = fairqueue_order(job) - fairqueue_order(subqueue->first) + 1;
    if (before > subqueue->queued)
        before = subqueue->queued;
    struct subqueue key = {.requirement = subqueue->requirement};
    for (other = RB_NFIND(submitter_subqueue_tree, &subqueue->submitter->subqueues, &key);
         other != subqueue; other = RB_NEXT(submitter_subqueue_tree,
                                &subqueue->submitter->subqueues, (struct subqueue *)other))
        before += other->queued;
    return before;
}

void fairqueue_count_running(struct job *job, int change) {
    job->subqueue->submitter->running += change;
}

struct job *fairqueue_any(struct core *c) {
    struct requirement *requirement = TAILQ_FIRST(&c->fairqueue.waiting);
    return requirement != NULL ? fairqueue_next(requirement)->first : NULL;
}
