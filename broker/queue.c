/* queue: who is next, and at which worker. Jobs that ask for the same labels wait together, so
 * that finding the next one for a worker never scans jobs. */
#include "broker/state.h"

#include "common/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const struct demand *a, const struct demand *b) {
    if (a->key_size != b->key_size)
        return a->key_size < b->key_size ? -1 : 1;
    return memcmp(a->key, b->key, a->key_size);
}

RB_PROTOTYPE(demand_tree, demand, by_key, compare)
RB_GENERATE(demand_tree, demand, by_key, compare)

static struct demand *demand_new(const void *key, size_t size) {
    struct demand *demand = mem_new(1, sizeof *demand + size + 1);
    demand->key_size = size;
    if (size > 0)
        memcpy(demand->key, key, size);
    for (int p = 0; p < PRIORITIES; p++)
        TAILQ_INIT(&demand->jobs[p]);
    return demand;
}

static void demand_free(struct demand *demand) {
    wire_doc_free(&demand->doc);
    free(demand);
}

struct demand *queue_demand(struct core *c, const struct trace *trace, const char *worker) {
    msgpack_packer pk;
    const msgpack_object *labels = trace->workers;
    state_packer(&pk, &c->body);
    if (labels != NULL && labels->via.map.size > 0)
        msgpack_pack_object(&pk, *labels);
    size_t label_size = c->body.size;
    if (worker != NULL)
        wire_put_text(&pk, worker);
    struct demand *made = demand_new(c->body.data, c->body.size);
    made->label_size = label_size;
    if (worker != NULL)
        (void)snprintf(made->worker, sizeof made->worker, "%s", worker);
    struct demand *found = RB_FIND(demand_tree, &c->demands, made);
    if (found != NULL || c->demand_count >= CORE_MAX_DEMANDS) {
        demand_free(made);
        return found;
    }
    struct wire_error err;
    if (made->label_size > 0) {
        if (!wire_doc_init(&made->doc) ||
            !wire_doc_read(&made->doc, made->key, made->label_size, REQUEST_MAX_VALUES, &err))
            abort(); /* it was packed a moment ago */
        made->labels = &made->doc.root;
    }
    (void)RB_INSERT(demand_tree, &c->demands, made);
    TAILQ_INSERT_TAIL(&c->demand_list, made, link);
    c->demand_count++;
    return made;
}

static bool empty(const struct demand *demand) {
    for (int p = 0; p < PRIORITIES; p++)
        if (demand->counts[p] > 0)
            return false;
    return true;
}

/* A job that comes back has an old ticket and goes in front of all younger ones. */
void queue_insert(struct core *c, struct job *job, struct demand *demand) {
    struct job_list *list = &demand->jobs[job->priority];
    struct job *at = TAILQ_LAST(list, job_list);
    if (at == NULL || at->ticket < job->ticket) {
        TAILQ_INSERT_TAIL(list, job, link);
    } else {
        for (at = TAILQ_FIRST(list); at->ticket < job->ticket;)
            at = TAILQ_NEXT(at, link);
        TAILQ_INSERT_BEFORE(at, job, link);
    }
    job->state = JOB_QUEUED;
    job->demand = demand;
    demand->counts[job->priority]++;
    c->queued++;
}

void queue_remove(struct core *c, struct job *job) {
    struct demand *demand = job->demand;
    TAILQ_REMOVE(&demand->jobs[job->priority], job, link);
    demand->counts[job->priority]--;
    job->demand = NULL;
    c->queued--;
    queue_release(c, demand);
}

void queue_release(struct core *c, struct demand *demand) {
    if (!empty(demand))
        return;
    (void)RB_REMOVE(demand_tree, &c->demands, demand);
    TAILQ_REMOVE(&c->demand_list, demand, link);
    c->demand_count--;
    demand_free(demand);
}

int64_t queue_position(const struct job *job) {
    const struct demand *demand = job->demand;
    const struct job *first = TAILQ_FIRST(&demand->jobs[job->priority]);
    int64_t before = (int64_t)(job->ticket - first->ticket) + 1;
    if (before > demand->counts[job->priority])
        before = demand->counts[job->priority];
    for (int p = 0; p < job->priority; p++)
        before += demand->counts[p];
    return before;
}

static struct job *head_of(struct demand *demand) {
    for (int p = 0; p < PRIORITIES; p++)
        if (demand->counts[p] > 0)
            return TAILQ_FIRST(&demand->jobs[p]);
    return NULL;
}

struct job *queue_any(struct core *c) {
    return TAILQ_EMPTY(&c->demand_list) ? NULL : head_of(TAILQ_FIRST(&c->demand_list));
}

static bool before(const struct job *a, const struct job *b) {
    return a->priority != b->priority ? a->priority < b->priority : a->ticket < b->ticket;
}

static bool fits(const struct worker *w, const struct demand *demand) {
    return labels_fit(&w->labels, demand->labels) &&
           (demand->worker[0] == '\0' || strcmp(demand->worker, w->name) == 0);
}

size_t queue_fitting(
    struct core *c, const struct demand *demand, struct worker **workers, size_t most) {
    struct worker *worker;
    size_t count = 0;
    RB_FOREACH(worker, worker_name_tree, &c->names)
    if (count < most && sessions_serves(worker) && fits(worker, demand))
        workers[count++] = worker;
    return count;
}

/* The least loaded worker with room that has the labels. */
static struct worker *fitting(struct core *c, const struct demand *demand) {
    struct worker *worker;
    RB_FOREACH(worker, worker_load_tree, &c->free_workers)
    if (fits(worker, demand))
        return worker;
    return NULL;
}

bool queue_servable(struct core *c, const struct demand *demand) {
    struct worker *worker;
    RB_FOREACH(worker, worker_name_tree, &c->names)
    if (sessions_serves(worker) && fits(worker, demand))
        return true;
    return false;
}

void queue_dispatch(struct core *c) {
    while (!c->draining && !RB_EMPTY(&c->free_workers)) {
        struct demand *demand;
        struct job *best = NULL;
        struct worker *best_worker = NULL;
        TAILQ_FOREACH(demand, &c->demand_list, link) {
            struct job *job = head_of(demand);
            if (best != NULL && before(best, job))
                continue;
            struct worker *worker = fitting(c, demand);
            if (worker != NULL) {
                best = job;
                best_worker = worker;
            }
        }
        if (best == NULL)
            return;
        if (best->fans) {
            fan_spread(c, best);
            continue;
        }
        queue_remove(c, best);
        best->state = JOB_LOOSE;
        leases_give(c, best_worker, best);
    }
}
