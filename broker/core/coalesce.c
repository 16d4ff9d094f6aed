#include "broker/core/coalesce.h"

#include "broker/core/state.h"
#include "common/mem.h"
#include "common/order.h"
#include "common/tree_append.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const void *probing_of(const struct job *job) {
    return (const char *)job->trace + job->probing_at;
}

/* Sorts traces that probe the same next to each other, in the order of their acceptance. */
static int compare_probing(const struct job *a, const struct job *b) {
    int order = order_compare_bytes(probing_of(a), a->probing_size, probing_of(b), b->probing_size);
    return order != 0 ? order : order_compare(a->ticket, b->ticket);
}

RB_PROTOTYPE(probing_tree, job, by_probing, compare_probing)
RB_GENERATE(probing_tree, job, by_probing, compare_probing)
TREE_APPEND_GENERATE(probing_tree, job, by_probing, compare_probing)

void coalesce_init(struct core *c) { RB_INIT(&c->coalesce.probings); }

void coalesce_add(struct core *c, struct job *job) {
    if (job->probing_indexed || job_is_fanout(job))
        return;
    (void)probing_tree_insert(&c->coalesce.probings, &c->coalesce.last, job);
    job->probing_indexed = true;
}

void coalesce_remove(struct core *c, struct job *job) {
    if (job->probing_indexed)
        probing_tree_remove(&c->coalesce.probings, &c->coalesce.last, job);
    job->probing_indexed = false;
}

/* The one accepted last of those that probe the same; NULL if there is none. */
static struct job *last_identical(struct core *c, struct job *job) {
    struct job *last = c->coalesce.last, *behind;
    if (last != NULL && compare_probing(last, job) > 0 &&
        (behind = RB_NFIND(probing_tree, &c->coalesce.probings, job)) != NULL)
        last = RB_PREV(probing_tree, &c->coalesce.probings, behind);
    bool same = last != NULL && last->probing_size == job->probing_size &&
                memcmp(probing_of(last), probing_of(job), job->probing_size) == 0;
    return same ? last : NULL;
}

/* Only a result with a path is worth taking later. */
static bool has_path(int stop) {
    return stop == STOP_REACHED || stop == STOP_UNREACHABLE || stop == STOP_GAP_LIMIT ||
           stop == STOP_MAX_TTL || stop == STOP_LOOP;
}

bool coalesce_shares_end(int stop) {
    return stop != STOP_CANCELLED && stop != STOP_DEADLINE && stop != STOP_NO_WORKER;
}

/* Reads the result of an ended job. False if it cannot be read, although the broker made it. */
static bool read_source(struct core *c, const struct job *from, struct coalesce_source *source) {
    struct wire_error err;
    msgpack_packer pk;
    if (!wire_doc_read(&c->scratch.inner, from->result, from->result_size,
            RESULT_MAX_PUBLISHED_VALUES, &err) ||
        !result_get_head(&source->head, &c->scratch.inner.root, &err))
        return false;
    output_packer(&pk, &c->scratch.body);
    result_put_body_of(&pk, &c->scratch.inner.root);
    (void)snprintf(source->id, sizeof source->id, "%s", from->id);
    source->stop = from->stop;
    return true;
}

void coalesce_ride(struct core *c, struct job *job, struct job *leader) {
    if (leader->riders == NULL) {
        leader->riders = mem_new(1, sizeof *leader->riders);
        TAILQ_INIT(&leader->riders->jobs);
    }
    TAILQ_INSERT_TAIL(&leader->riders->jobs, job, link);
    leader->riders->count++;
    job->leader = leader;
    job->state = JOB_RIDING;
    job_set_timer(c, job, job->deadline_us);
    c->coalesce.riding++;
}

enum coalesce_choice coalesce_join(
    struct core *c, struct job *job, int64_t max_age_us, struct coalesce_source *source) {
    struct job *other = last_identical(c, job);
    if (other == NULL)
        return COALESCE_NOTHING;
    if (other->state == JOB_DONE) {
        bool fresh = c->now.mono_us - other->done_us <= max_age_us;
        return fresh && has_path(other->stop) && read_source(c, other, source) ? COALESCE_ENDS
                                                                               : COALESCE_NOTHING;
    }
    if (other->cancelling || (other->riders != NULL && other->riders->count >= CORE_MAX_RIDERS))
        return COALESCE_NOTHING;
    coalesce_ride(c, job, other);
    return COALESCE_RIDES;
}

void coalesce_leave(struct core *c, struct job *job) {
    struct job *leader = job->leader;
    TAILQ_REMOVE(&leader->riders->jobs, job, link);
    if (--leader->riders->count == 0) {
        free(leader->riders);
        leader->riders = NULL;
    }
    job->state = JOB_LOOSE;
    c->coalesce.riding--;
}

void coalesce_take_riders(struct core *c, struct job *leader, struct job_list *riders) {
    while (leader->riders != NULL) {
        struct job *rider = TAILQ_FIRST(&leader->riders->jobs);
        coalesce_leave(c, rider);
        TAILQ_INSERT_TAIL(riders, rider, link);
    }
}
