#include "broker/core/coalesce.h"

#include "broker/core/fanout.h"
#include "broker/core/jobs.h"
#include "common/order.h"
#include "common/protocol/result.h"
#include "common/tree_append.h"

#include <stdio.h>
#include <string.h>

static const void *probing(const struct job *job) {
    return (const char *)job->trace + job->probing_at;
}

/* Identical traces stand side by side, in the order of their acceptance. */
static int compare(const struct job *a, const struct job *b) {
    int order = order_compare_bytes(probing(a), a->probing_size, probing(b), b->probing_size);
    return order != 0 ? order : order_compare(a->ticket, b->ticket);
}

RB_PROTOTYPE(probing_tree, job, by_probing, compare)
RB_GENERATE(probing_tree, job, by_probing, compare)
TREE_APPEND_GENERATE(probing_tree, job, by_probing, compare)

void coalesce_add(struct core *c, struct job *job) {
    if (job->probing_indexed)
        return;
    (void)probing_tree_insert(&c->probings, &c->last_probing, job);
    job->probing_indexed = true;
}

void coalesce_remove(struct core *c, struct job *job) {
    if (job->probing_indexed)
        probing_tree_remove(&c->probings, &c->last_probing, job);
    job->probing_indexed = false;
}

/* The last accepted of those that ask for the same. */
static struct job *last_identical(struct core *c, struct job *job) {
    struct job *last = c->last_probing, *behind;
    if (last != NULL && compare(last, job) > 0 &&
        (behind = RB_NFIND(probing_tree, &c->probings, job)) != NULL)
        last = RB_PREV(probing_tree, &c->probings, behind);
    bool same = last != NULL && last->probing_size == job->probing_size &&
                memcmp(probing(last), probing(job), job->probing_size) == 0;
    return same ? last : NULL;
}

/* Worth taking later: with a path. */
static bool has_path(int stop) {
    return stop == STOP_REACHED || stop == STOP_UNREACHABLE || stop == STOP_GAP_LIMIT ||
           stop == STOP_MAX_TTL || stop == STOP_LOOP;
}

/* Was it cut short for reasons of its own trace? All other ends hold for the riders too: above all
 * one that makes workers die must not be tried anew for each of them. */
static bool is_its_own(int stop) {
    return stop == STOP_CANCELLED || stop == STOP_DEADLINE || stop == STOP_NO_WORKER;
}

/* Ends the job with what a finished one found. False if that cannot be read, though we made it. */
static bool coalesce_with_ended(struct core *c, struct job *job, const struct job *from) {
    struct wire_error err;
    struct result_head head;
    char id[RECORD_ID_BYTES + 1];
    msgpack_packer pk;
    if (!wire_doc_read(
            &c->inner, from->result, from->result_size, RESULT_MAX_PUBLISHED_VALUES, &err) ||
        !result_get_head(&head, &c->inner.root, &err))
        return false;
    state_packer(&pk, &c->body);
    result_put_body_of(&pk, &c->inner.root);
    (void)snprintf(id, sizeof id, "%s", from->id);
    jobs_finish(c, job,
        &(struct ending){.body = c->body.data,
            .size = c->body.size,
            .stop = from->stop,
            .worker = head.worker,
            .run = head.run,
            .shared = id});
    return true;
}

static void coalesce_ride(struct core *c, struct job *job, struct job *leader) {
    struct bond *bond = fanout_bond(leader);
    fanout_bond(job)->leader = leader;
    TAILQ_INSERT_TAIL(&bond->riders, job, link);
    bond->rider_count++;
    job->state = JOB_RIDING;
    timeline_set(&c->job_times, &job->timer, job->deadline_us);
    c->riding++;
}

bool coalesce_join(struct core *c, struct job *job, int64_t max_age_us) {
    struct job *other = last_identical(c, job);
    if (other == NULL)
        return false;
    if (other->state == JOB_DONE) {
        bool fresh = c->now.mono_us - other->done_us <= max_age_us;
        return fresh && has_path(other->stop) && coalesce_with_ended(c, job, other);
    }
    if (other->cancelling || (other->bond != NULL && other->bond->rider_count >= CORE_MAX_RIDERS))
        return false;
    coalesce_ride(c, job, other);
    return true;
}

void coalesce_leave(struct core *c, struct job *job) {
    struct job *leader = job->bond->leader;
    TAILQ_REMOVE(&leader->bond->riders, job, link);
    leader->bond->rider_count--;
    job->bond->leader = NULL;
    job->state = JOB_LOOSE;
    c->riding--;
}

void coalesce_leader_ended(struct core *c, struct job *leader, const struct ending *e) {
    struct job *rider, *first = NULL;
    struct ending shared = *e;
    shared.shared = leader->id;
    if (is_its_own(e->stop) && (first = TAILQ_FIRST(&leader->bond->riders)) != NULL) {
        coalesce_leave(c, first);
        jobs_queue(c, first);
        if (first->state != JOB_QUEUED)
            first = NULL;
    }
    while ((rider = TAILQ_FIRST(&leader->bond->riders)) != NULL) {
        coalesce_leave(c, rider);
        if (!is_its_own(e->stop))
            jobs_finish(c, rider, &shared);
        else if (first != NULL)
            coalesce_ride(c, rider, first);
        else
            jobs_queue(c, rider);
    }
}
