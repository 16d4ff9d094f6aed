#include "broker/core/pool.h"

#include "broker/core/jobs.h"
#include "broker/core/lanes.h"
#include "broker/core/sessions.h"
#include "common/mem.h"
#include "common/protocol/labels.h"
#include "common/protocol/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A demand and a worker that fits it. */
struct edge {
    RB_ENTRY(edge) by_load;
    LIST_ENTRY(edge) of_demand, of_worker;
    struct demand *demand;
    struct worker *worker;
};

static int compare_key(const struct demand *a, const struct demand *b) {
    if (a->key_size != b->key_size)
        return a->key_size < b->key_size ? -1 : 1;
    return memcmp(a->key, b->key, a->key_size);
}

static int compare_load(const struct edge *a, const struct edge *b) {
    return sessions_compare_load(a->worker, b->worker);
}

RB_PROTOTYPE(demand_tree, demand, by_key, compare_key)
RB_GENERATE(demand_tree, demand, by_key, compare_key)
RB_PROTOTYPE(edge_tree, edge, by_load, compare_load)
RB_GENERATE(edge_tree, edge, by_load, compare_load)

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

static bool for_one(const struct demand *demand) { return demand->need.worker[0] != '\0'; }

static bool has_source(const struct worker *w, const struct addr *source) {
    bool found = source->af == 0 || w->source_count == 0;
    for (size_t i = 0; i < w->source_count && !found; i++)
        found = addr_equal(&w->sources[i], source);
    return found;
}

static bool fits(const struct worker *w, const struct demand *demand) {
    const struct need *need = &demand->need;
    unsigned families = need->family != 0 ? 1U << need->family : ~0U;
    if (for_one(demand) && strcmp(need->worker, w->name) != 0)
        return false;
    return (w->families & families) != 0 && (w->protocols >> need->protocol & 1) != 0 &&
           (!need->flow || (w->families & w->flows & families) != 0) &&
           has_source(w, &need->source) && labels_fit(&w->labels, demand->labels);
}

/* ---- edges ------------------------------------------------------------------------------ */

void pool_settle(struct core *c, struct demand *demand) {
    bool ready = demand->queued > 0 && !RB_EMPTY(&demand->free);
    if (ready && !demand->ready)
        TAILQ_INSERT_TAIL(&c->ready, demand, ready_link);
    else if (!ready && demand->ready)
        TAILQ_REMOVE(&c->ready, demand, ready_link);
    demand->ready = ready;
}

static void count_serving(struct demand *demand, bool more) {
    demand->visits += more && demand->serving == 0;
    demand->serving += more ? 1 : -1;
}

static void set_free(struct core *c, struct edge *edge, bool is_free) {
    if (is_free)
        (void)RB_INSERT(edge_tree, &edge->demand->free, edge);
    else
        (void)RB_REMOVE(edge_tree, &edge->demand->free, edge);
    pool_settle(c, edge->demand);
}

static void tie(struct core *c, struct demand *demand, struct worker *w) {
    struct edge *edge = mem_new(1, sizeof *edge);
    edge->demand = demand;
    edge->worker = w;
    LIST_INSERT_HEAD(&demand->edges, edge, of_demand);
    LIST_INSERT_HEAD(&w->edges, edge, of_worker);
    c->edge_count++;
    if (w->serving)
        count_serving(demand, true);
    if (w->free)
        set_free(c, edge, true);
}

static void cut(struct core *c, struct edge *edge) {
    if (edge->worker->free)
        set_free(c, edge, false);
    if (edge->worker->serving)
        count_serving(edge->demand, false);
    LIST_REMOVE(edge, of_demand);
    LIST_REMOVE(edge, of_worker);
    c->edge_count--;
    free(edge);
}

/* ---- demands ---------------------------------------------------------------------------- */

static void free_demand(struct core *c, struct demand *demand) {
    struct edge *edge, *next;
    LIST_FOREACH_SAFE(edge, &demand->edges, of_demand, next)
    cut(c, edge);
    (void)RB_REMOVE(demand_tree, &c->demands, demand);
    c->demand_count -= !for_one(demand);
    wire_doc_free(&demand->doc);
    free(demand);
}

static void free_idle(struct core *c) {
    struct demand *demand = TAILQ_FIRST(&c->idle);
    TAILQ_REMOVE(&c->idle, demand, link);
    c->idle_count--;
    free_demand(c, demand);
}

static void add_idle(struct core *c, struct demand *demand) {
    if (c->idle_count == CORE_IDLE_DEMANDS)
        free_idle(c);
    TAILQ_INSERT_TAIL(&c->idle, demand, link);
    c->idle_count++;
}

static void read_labels(struct demand *demand) {
    struct wire_error err;
    if (demand->key_size == sizeof demand->need)
        return;
    if (!wire_doc_init(&demand->doc) ||
        !wire_doc_read(&demand->doc, demand->key + sizeof demand->need,
            demand->key_size - sizeof demand->need, REQUEST_MAX_VALUES, &err))
        abort(); /* it was packed a moment ago */
    demand->labels = &demand->doc.root;
}

static struct demand *new_demand(struct core *c, const struct demand *key) {
    struct demand *demand = mem_new(1, sizeof *demand + key->key_size);
    struct worker *w;
    *demand = *key;
    demand->key = memcpy(demand + 1, key->key, key->key_size);
    LIST_INIT(&demand->edges);
    RB_INIT(&demand->suspects);
    RB_INIT(&demand->free);
    for (int p = 0; p < PRIORITIES; p++)
        RB_INIT(&demand->turns[p]);
    read_labels(demand);
    (void)RB_INSERT(demand_tree, &c->demands, demand);
    c->demand_count += !for_one(demand);
    if (for_one(demand)) {
        struct worker one = {.capacity = 0};
        memcpy(one.name, demand->need.worker, sizeof one.name);
        w = RB_FIND(worker_name_tree, &c->names, &one);
        if (w != NULL && fits(w, demand))
            tie(c, demand, w);
        return demand;
    }
    RB_FOREACH(w, worker_name_tree, &c->names)
    if (fits(w, demand))
        tie(c, demand, w);
    return demand;
}

static struct demand *get_demand(
    struct core *c, const struct trace *trace, const char *worker, bool bounded) {
    struct demand key = {.key_size = 0};
    msgpack_packer pk;
    read_need(&key.need, trace, worker);
    state_packer(&pk, &c->body);
    (void)msgpack_sbuffer_write(&c->body, (const char *)&key.need, sizeof key.need);
    if (trace->workers != NULL && trace->workers->via.map.size > 0)
        msgpack_pack_object(&pk, *trace->workers);
    key.key = (const unsigned char *)c->body.data;
    key.key_size = c->body.size;
    struct demand *demand = RB_FIND(demand_tree, &c->demands, &key);
    if (demand != NULL)
        return demand;
    while (c->demand_count >= CORE_MAX_DEMANDS && c->idle_count > 0)
        free_idle(c);
    if (bounded && (c->demand_count >= CORE_MAX_DEMANDS || c->edge_count >= CORE_MAX_EDGES))
        return NULL;
    demand = new_demand(c, &key);
    add_idle(c, demand);
    return demand;
}

/* Without labels and source there are few kinds: nobody's many labels may keep those out. */
struct demand *pool_demand(struct core *c, const struct trace *trace, const char *worker) {
    bool labels = trace->workers != NULL && trace->workers->via.map.size > 0;
    return get_demand(c, trace, worker, worker == NULL && (labels || trace->source[0] != '\0'));
}

struct demand *pool_demand_again(struct core *c, const struct trace *trace, const char *worker) {
    return get_demand(c, trace, worker, false);
}

void pool_hold(struct core *c, struct demand *demand) {
    if (demand->lanes++ > 0)
        return;
    TAILQ_REMOVE(&c->idle, demand, link);
    c->idle_count--;
}

void pool_drop(struct core *c, struct demand *demand) {
    if (--demand->lanes == 0)
        add_idle(c, demand);
}

static size_t add(char *text, size_t room, size_t at, const char *before, const char *what) {
    int more = at < room ? snprintf(text + at, room - at, "%s%s", before, what) : 0;
    return at + (size_t)more;
}

void pool_wants(const struct demand *demand, char *text, size_t room) {
    const struct need *need = &demand->need;
    char source[ADDR_TEXT], name[LABEL_BYTES + 1];
    size_t at = add(text, room, 0, "", trace_protocol_names[need->protocol]);
    if (need->family != 0)
        at = add(text, room, at, need->family == 4 ? ", IPv4" : ", IPv6", "");
    if (need->flow)
        at = add(text, room, at, ", constant flows", "");
    if (need->source.af != 0)
        at = add(text, room, at, ", address ", addr_print(&need->source, source));
    if (for_one(demand))
        at = add(text, room, at, ", name ", need->worker);
    for (uint32_t i = 0; demand->labels != NULL && i < demand->labels->via.map.size; i++) {
        const msgpack_object_kv *label = &demand->labels->via.map.ptr[i];
        (void)snprintf(
            name, sizeof name, "%.*s", (int)label->key.via.str.size, label->key.via.str.ptr);
        at = add(text, room, at, ", ", name);
        (void)snprintf(
            name, sizeof name, "%.*s", (int)label->val.via.str.size, label->val.via.str.ptr);
        at = add(text, room, at, "=", name);
    }
}

bool pool_servable(const struct demand *demand) { return demand->serving > 0; }

bool pool_was_servable(const struct job *job) { return job->lane->demand->visits != job->visits; }

/* ---- workers ---------------------------------------------------------------------------- */

void pool_part(struct core *c, struct worker *w) {
    struct edge *edge, *next;
    LIST_FOREACH_SAFE(edge, &w->edges, of_worker, next)
    cut(c, edge);
}

void pool_meet(struct core *c, struct worker *w) {
    struct demand *demand;
    pool_part(c, w);
    RB_FOREACH(demand, demand_tree, &c->demands)
    if (fits(w, demand))
        tie(c, demand, w);
}

void pool_enter(struct core *c, struct worker *w) {
    struct edge *edge;
    w->free = true;
    LIST_FOREACH(edge, &w->edges, of_worker)
    set_free(c, edge, true);
}

void pool_leave(struct core *c, struct worker *w) {
    struct edge *edge;
    if (!w->free)
        return;
    LIST_FOREACH(edge, &w->edges, of_worker)
    set_free(c, edge, false);
    w->free = false;
}

void pool_serve(struct worker *w, bool serves) {
    struct edge *edge;
    if (w->serving == serves)
        return;
    w->serving = serves;
    LIST_FOREACH(edge, &w->edges, of_worker)
    count_serving(edge->demand, serves);
}

struct worker *pool_first(struct demand *demand) {
    struct edge *edge = RB_MIN(edge_tree, &demand->free);
    return edge != NULL ? edge->worker : NULL;
}

struct worker *pool_least(const struct demand *demand) {
    struct worker *least = NULL;
    struct edge *edge;
    LIST_FOREACH(edge, &demand->edges, of_demand) {
        struct worker *w = edge->worker;
        if (sessions_takes(w) && (least == NULL || sessions_compare_load(w, least) < 0))
            least = w;
    }
    return least;
}

static int by_load(const void *a, const void *b) {
    struct worker *const *x = a, *const *y = b;
    return sessions_compare_load(*x, *y);
}

size_t pool_fitting(const struct demand *demand, struct worker **workers, size_t most) {
    struct worker **all = mem_new((size_t)demand->serving + 1, sizeof(void *));
    struct edge *edge;
    size_t count = 0;
    LIST_FOREACH(edge, &demand->edges, of_demand)
    if (edge->worker->serving)
        all[count++] = edge->worker;
    qsort(all, count, sizeof(void *), by_load);
    if (count > most)
        count = most;
    memcpy(workers, all, count * sizeof(void *));
    free(all);
    return count;
}

void pool_free_all(struct core *c) {
    while (c->idle_count > 0)
        free_idle(c);
}
