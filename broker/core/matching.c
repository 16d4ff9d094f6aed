#include "broker/core/matching.h"

#include "broker/core/state.h"
#include "common/mem.h"
#include "common/order.h"
#include "common/protocol/labels.h"
#include "common/protocol/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A requirement and a worker that fits it. */
struct match {
    RB_ENTRY(match) by_load;
    LIST_ENTRY(match) of_requirement, of_worker;
    struct requirement *requirement;
    struct worker *worker;
};

static int compare_key(const struct requirement *a, const struct requirement *b) {
    return order_compare_bytes(a->key, a->key_size, b->key, b->key_size);
}

static int compare_load(const struct match *a, const struct match *b) {
    return worker_compare_sorted_load(a->worker, b->worker);
}

RB_PROTOTYPE(requirement_tree, requirement, by_key, compare_key)
RB_GENERATE(requirement_tree, requirement, by_key, compare_key)
RB_PROTOTYPE(match_tree, match, by_load, compare_load)
RB_GENERATE(match_tree, match, by_load, compare_load)

void matching_init(struct core *c) {
    RB_INIT(&c->matching.requirements);
    TAILQ_INIT(&c->matching.ready);
    TAILQ_INIT(&c->matching.idle);
}

/* ---- what fits -------------------------------------------------------------------------- */

static void read_need(struct need *need, const struct trace *trace, const char *worker) {
    struct addr target;
    memset(need, 0, sizeof *need);
    (void)addr_parse(&need->source, trace->source);
    (void)addr_parse(&target, trace->target);
    need->family = trace->af != 0   ? (uint8_t)trace->af
                   : target.af != 0 ? target.af
                                    : need->source.af;
    need->protocol = (uint8_t)trace->protocol;
    need->flow = trace->flow >= 0;
    if (worker != NULL)
        memcpy(need->worker, worker, strlen(worker));
}

static bool for_one(const struct requirement *requirement) {
    return requirement->need.worker[0] != '\0';
}

static bool has_source(const struct worker *w, const struct addr *source) {
    bool found = source->af == 0 || w->source_count == 0;
    for (size_t i = 0; i < w->source_count && !found; i++)
        found = addr_equal(&w->sources[i], source);
    return found;
}

static bool fits(const struct worker *w, const struct requirement *requirement) {
    const struct need *need = &requirement->need;
    unsigned families = need->family != 0 ? 1U << need->family : ~0U;
    if (for_one(requirement) && strcmp(need->worker, w->name) != 0)
        return false;
    return (w->families & families) != 0 && (w->protocols >> need->protocol & 1) != 0 &&
           (!need->flow || (w->families & w->flows & families) != 0) &&
           has_source(w, &need->source) && labels_fit(&w->labels, requirement->labels);
}

/* ---- matches ------------------------------------------------------------------------------ */

void matching_update_ready(struct core *c, struct requirement *requirement) {
    bool ready = requirement->queued > 0 && !RB_EMPTY(&requirement->free);
    if (ready && !requirement->ready)
        TAILQ_INSERT_TAIL(&c->matching.ready, requirement, ready_link);
    else if (!ready && requirement->ready)
        TAILQ_REMOVE(&c->matching.ready, requirement, ready_link);
    requirement->ready = ready;
}

static void count_serving(struct requirement *requirement, bool more) {
    requirement->served_periods += more && requirement->serving == 0;
    requirement->serving += more ? 1 : -1;
}

static void set_free(struct core *c, struct match *match, bool is_free) {
    if (is_free)
        (void)RB_INSERT(match_tree, &match->requirement->free, match);
    else
        (void)RB_REMOVE(match_tree, &match->requirement->free, match);
    matching_update_ready(c, match->requirement);
}

static void add_match(struct core *c, struct requirement *requirement, struct worker *w) {
    struct match *match = mem_new(1, sizeof *match);
    match->requirement = requirement;
    match->worker = w;
    LIST_INSERT_HEAD(&requirement->matches, match, of_requirement);
    LIST_INSERT_HEAD(&w->matches, match, of_worker);
    c->matching.match_count++;
    if (w->serving)
        count_serving(requirement, true);
    if (w->free)
        set_free(c, match, true);
}

static void remove_match(struct core *c, struct match *match) {
    if (match->worker->free)
        set_free(c, match, false);
    if (match->worker->serving)
        count_serving(match->requirement, false);
    LIST_REMOVE(match, of_requirement);
    LIST_REMOVE(match, of_worker);
    c->matching.match_count--;
    free(match);
}

/* ---- requirements ---------------------------------------------------------------------------- */

static void free_requirement(struct core *c, struct requirement *requirement) {
    struct match *match, *next;
    LIST_FOREACH_SAFE(match, &requirement->matches, of_requirement, next)
    remove_match(c, match);
    (void)RB_REMOVE(requirement_tree, &c->matching.requirements, requirement);
    c->matching.requirement_count -= !for_one(requirement);
    wire_doc_free(&requirement->doc);
    free(requirement);
}

static void free_idle(struct core *c) {
    struct requirement *requirement = TAILQ_FIRST(&c->matching.idle);
    TAILQ_REMOVE(&c->matching.idle, requirement, link);
    c->matching.idle_count--;
    free_requirement(c, requirement);
}

static void add_idle(struct core *c, struct requirement *requirement) {
    if (c->matching.idle_count == CORE_IDLE_REQUIREMENTS)
        free_idle(c);
    TAILQ_INSERT_TAIL(&c->matching.idle, requirement, link);
    c->matching.idle_count++;
}

static void read_labels(struct requirement *requirement) {
    struct wire_error err;
    if (requirement->key_size == sizeof requirement->need)
        return;
    if (!wire_doc_init(&requirement->doc) ||
        !wire_doc_read(&requirement->doc, requirement->key + sizeof requirement->need,
            requirement->key_size - sizeof requirement->need, REQUEST_MAX_VALUES, &err))
        abort(); /* it was packed a moment ago */
    requirement->labels = &requirement->doc.root;
}

static struct requirement *new_requirement(struct core *c, const struct requirement *key) {
    struct requirement *requirement = mem_new(1, sizeof *requirement + key->key_size);
    struct worker *w;
    *requirement = *key;
    requirement->key = memcpy(requirement + 1, key->key, key->key_size);
    LIST_INIT(&requirement->matches);
    RB_INIT(&requirement->quarantined);
    RB_INIT(&requirement->free);
    for (int p = 0; p < PRIORITIES; p++)
        RB_INIT(&requirement->by_time[p]);
    read_labels(requirement);
    (void)RB_INSERT(requirement_tree, &c->matching.requirements, requirement);
    c->matching.requirement_count += !for_one(requirement);
    if (for_one(requirement)) {
        w = worker_find_name(c, requirement->need.worker);
        if (w != NULL && fits(w, requirement))
            add_match(c, requirement, w);
        return requirement;
    }
    RB_FOREACH(w, worker_name_tree, &c->workers.by_name)
    if (fits(w, requirement))
        add_match(c, requirement, w);
    return requirement;
}

static struct requirement *get_requirement(
    struct core *c, const struct trace *trace, const char *worker, bool bounded) {
    struct requirement key = {.key_size = 0};
    msgpack_packer pk;
    read_need(&key.need, trace, worker);
    output_packer(&pk, &c->scratch.body);
    (void)msgpack_sbuffer_write(&c->scratch.body, (const char *)&key.need, sizeof key.need);
    if (trace->workers != NULL && trace->workers->via.map.size > 0)
        msgpack_pack_object(&pk, *trace->workers);
    key.key = (const unsigned char *)c->scratch.body.data;
    key.key_size = c->scratch.body.size;
    struct requirement *requirement = RB_FIND(requirement_tree, &c->matching.requirements, &key);
    if (requirement != NULL)
        return requirement;
    while (c->matching.requirement_count >= CORE_MAX_REQUIREMENTS && c->matching.idle_count > 0)
        free_idle(c);
    if (bounded && (c->matching.requirement_count >= CORE_MAX_REQUIREMENTS ||
                       c->matching.match_count >= CORE_MAX_MATCHES))
        return NULL;
    requirement = new_requirement(c, &key);
    add_idle(c, requirement);
    return requirement;
}

/* There are few requirements without labels and source: those are made even when one submitter's
 * many labels have used up the bound. */
struct requirement *matching_requirement(
    struct core *c, const struct trace *trace, const char *worker) {
    bool labels = trace->workers != NULL && trace->workers->via.map.size > 0;
    return get_requirement(
        c, trace, worker, worker == NULL && (labels || trace->source[0] != '\0'));
}

struct requirement *matching_requirement_unbounded(
    struct core *c, const struct trace *trace, const char *worker) {
    return get_requirement(c, trace, worker, false);
}

void matching_hold(struct core *c, struct requirement *requirement) {
    if (requirement->subqueues++ > 0)
        return;
    TAILQ_REMOVE(&c->matching.idle, requirement, link);
    c->matching.idle_count--;
}

void matching_release(struct core *c, struct requirement *requirement) {
    if (--requirement->subqueues == 0)
        add_idle(c, requirement);
}

static size_t append(char *text, size_t room, size_t at, const char *before, const char *what) {
    int more = at < room ? snprintf(text + at, room - at, "%s%s", before, what) : 0;
    return at + (size_t)more;
}

void matching_describe(const struct requirement *requirement, char *text, size_t room) {
    const struct need *need = &requirement->need;
    char source[ADDR_TEXT], name[LABEL_BYTES + 1];
    size_t at = append(text, room, 0, "", trace_protocol_names[need->protocol]);
    if (need->family != 0)
        at = append(text, room, at, need->family == 4 ? ", IPv4" : ", IPv6", "");
    if (need->flow)
        at = append(text, room, at, ", constant flows", "");
    if (need->source.af != 0)
        at = append(text, room, at, ", address ", addr_print(&need->source, source));
    if (for_one(requirement))
        at = append(text, room, at, ", name ", need->worker);
    for (uint32_t i = 0; requirement->labels != NULL && i < requirement->labels->via.map.size;
         i++) {
        const msgpack_object_kv *label = &requirement->labels->via.map.ptr[i];
        (void)snprintf(
            name, sizeof name, "%.*s", (int)label->key.via.str.size, label->key.via.str.ptr);
        at = append(text, room, at, ", ", name);
        (void)snprintf(
            name, sizeof name, "%.*s", (int)label->val.via.str.size, label->val.via.str.ptr);
        at = append(text, room, at, "=", name);
    }
}

bool matching_is_served(const struct requirement *requirement) { return requirement->serving > 0; }

void matching_watch(struct job *job) {
    const struct requirement *requirement = job->subqueue->requirement;
    job->served_periods = requirement->served_periods - (requirement->serving > 0);
}

bool matching_was_served(const struct job *job) {
    return job->subqueue->requirement->served_periods != job->served_periods;
}

/* ---- workers ---------------------------------------------------------------------------- */

void matching_remove_worker(struct core *c, struct worker *w) {
    struct match *match, *next;
    LIST_FOREACH_SAFE(match, &w->matches, of_worker, next)
    remove_match(c, match);
}

void matching_add_worker(struct core *c, struct worker *w) {
    struct requirement *requirement;
    matching_remove_worker(c, w);
    RB_FOREACH(requirement, requirement_tree, &c->matching.requirements)
    if (fits(w, requirement))
        add_match(c, requirement, w);
}

static void set_free_all(struct core *c, struct worker *w, bool is_free) {
    struct match *match;
    LIST_FOREACH(match, &w->matches, of_worker)
    set_free(c, match, is_free);
    w->free = is_free;
}

static void set_serving(struct worker *w, bool serves) {
    struct match *match;
    if (w->serving == serves)
        return;
    w->serving = serves;
    LIST_FOREACH(match, &w->matches, of_worker)
    count_serving(match->requirement, serves);
}

void matching_update(struct core *c, struct worker *w) {
    if (w->free)
        set_free_all(c, w, false);
    w->sorted_running = w->running;
    w->sorted_capacity = w->capacity;
    set_serving(w, worker_serves(w));
    if (worker_takes(w) && !w->reserved && w->running < w->capacity)
        set_free_all(c, w, true);
}

struct worker *matching_least_loaded_free(struct requirement *requirement) {
    struct match *match = RB_MIN(match_tree, &requirement->free);
    return match != NULL ? match->worker : NULL;
}

struct worker *matching_least_loaded(const struct requirement *requirement) {
    struct worker *least = NULL;
    struct match *match;
    LIST_FOREACH(match, &requirement->matches, of_requirement) {
        struct worker *w = match->worker;
        if (worker_takes(w) && (least == NULL || worker_compare_load(w, least) < 0))
            least = w;
    }
    return least;
}

static int by_load(const void *a, const void *b) {
    struct worker *const *x = a, *const *y = b;
    return worker_compare_load(*x, *y);
}

size_t matching_workers(
    const struct requirement *requirement, struct worker **workers, size_t most) {
    struct worker **all = mem_new((size_t)requirement->serving + 1, sizeof(void *));
    struct match *match;
    size_t count = 0;
    LIST_FOREACH(match, &requirement->matches, of_requirement)
    if (match->worker->serving)
        all[count++] = match->worker;
    qsort(all, count, sizeof(void *), by_load);
    if (count > most)
        count = most;
    memcpy(workers, all, count * sizeof(void *));
    free(all);
    return count;
}

void matching_free_all(struct core *c) {
    while (c->matching.idle_count > 0)
        free_idle(c);
}
