#include "broker/core/worker.h"

#include "broker/core/state.h"
#include "common/mem.h"
#include "common/order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_peer(const struct worker *a, const struct worker *b) {
    const struct peer_id *x = &a->peer, *y = &b->peer;
    int order = order_compare(x->socket, y->socket);
    return order != 0 ? order : order_compare_bytes(x->bytes, x->size, y->bytes, y->size);
}

static int compare_name(const struct worker *a, const struct worker *b) {
    return strcmp(a->name, b->name);
}

RB_PROTOTYPE(worker_peer_tree, worker, by_peer, compare_peer)
RB_GENERATE(worker_peer_tree, worker, by_peer, compare_peer)
RB_GENERATE(worker_name_tree, worker, by_name, compare_name)

/* Cross-multiplied, so that it is exact. Two workers can have one name for a moment, but never one
 * peer. */
static int compare_shares(int64_t x, int64_t y, const struct worker *a, const struct worker *b) {
    return x != y ? order_compare(x, y) : compare_peer(a, b);
}

int worker_compare_load(const struct worker *a, const struct worker *b) {
    return compare_shares(a->running * b->capacity, b->running * a->capacity, a, b);
}

int worker_compare_sorted_load(const struct worker *a, const struct worker *b) {
    return compare_shares(
        a->sorted_running * b->sorted_capacity, b->sorted_running * a->sorted_capacity, a, b);
}

bool worker_serves(const struct worker *w) {
    return !w->absent && !w->lost && !w->draining && w->trouble[0] == '\0';
}

bool worker_takes(const struct worker *w) { return worker_serves(w) && !w->unsent && !w->paused; }

void workers_init(struct core *c) {
    RB_INIT(&c->workers.by_peer);
    RB_INIT(&c->workers.by_name);
    timeline_init(&c->workers.timers);
}

struct worker *worker_find(struct core *c, const struct core_peer *peer) {
    struct worker key = {.capacity = 0};
    peer_id_set(&key.peer, peer);
    return RB_FIND(worker_peer_tree, &c->workers.by_peer, &key);
}

struct worker *worker_find_name(struct core *c, const char *name) {
    struct worker key = {.capacity = 0};
    (void)snprintf(key.name, sizeof key.name, "%s", name);
    return RB_FIND(worker_name_tree, &c->workers.by_name, &key);
}

struct worker *worker_new(struct core *c, const struct core_peer *peer, const char *name) {
    struct worker *w = mem_new(1, sizeof *w);
    peer_id_set(&w->peer, peer);
    (void)snprintf(w->name, sizeof w->name, "%s", name);
    TAILQ_INIT(&w->jobs);
    LIST_INIT(&w->matches);
    (void)RB_INSERT(worker_peer_tree, &c->workers.by_peer, w);
    c->workers.count++;
    return w;
}

void worker_add_name(struct core *c, struct worker *w) {
    (void)RB_INSERT(worker_name_tree, &c->workers.by_name, w);
}

struct worker *worker_new_absent(struct core *c, const char *name) {
    struct worker *w = mem_new(1, sizeof *w);
    (void)snprintf(w->name, sizeof w->name, "%s", name);
    w->absent = true;
    TAILQ_INIT(&w->jobs);
    LIST_INIT(&w->matches);
    worker_add_name(c, w);
    return w;
}

void worker_remove(struct core *c, struct worker *w) {
    w->lost = true;
    timeline_unset(&c->workers.timers, &w->timer);
    (void)RB_REMOVE(worker_name_tree, &c->workers.by_name, w);
    if (w->absent)
        return;
    (void)RB_REMOVE(worker_peer_tree, &c->workers.by_peer, w);
    c->workers.count--;
}

void worker_free(struct worker *w) {
    free(w->sources);
    free(w->stats);
    free(w);
}

void worker_set_timer(struct core *c, struct worker *w, int64_t due_us) {
    timeline_set(&c->workers.timers, &w->timer, due_us);
}

struct worker *worker_due(struct core *c) {
    return (struct worker *)timeline_pop(&c->workers.timers, c->now.mono_us);
}

int64_t worker_next_due(struct core *c) { return timeline_next(&c->workers.timers); }

void workers_free_all(struct core *c) {
    struct worker *w;
    while ((w = RB_ROOT(&c->workers.by_name)) != NULL) {
        worker_remove(c, w);
        worker_free(w);
    }
}
