#include "worker/session/names.h"

#include "common/mem.h"
#include "common/order.h"
#include "common/timeline.h"
#include "worker/session/name_cache.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <stdlib.h>
#include <string.h>

/* One trace that wants a name. */
struct want {
    STAILQ_ENTRY(want) link;
    void *owner;
    int64_t lease;
};

/* An address whose name is not known yet. */
struct lookup {
    RB_ENTRY(lookup) link;
    TAILQ_ENTRY(lookup) turn; /* in names.queue, while it is not asked */
    struct addr addr;
    bool asked;
    int64_t since_us;
    STAILQ_HEAD(, want) wants;
};

RB_HEAD(lookup_tree, lookup);

struct names {
    struct names_sink sink;
    struct name_cache *cache;
    struct lookup_tree lookups;
    TAILQ_HEAD(, lookup) queue; /* in the order in which they were wanted */
    size_t wanted, asked;
    bool asking; /* in names_ask(): sink.ask() may bring its answer at once */
    struct names_counters counters;
};

static int lookup_compare(const struct lookup *a, const struct lookup *b) {
    return addr_compare(&a->addr, &b->addr);
}

RB_PROTOTYPE(lookup_tree, lookup, link, lookup_compare)
RB_GENERATE(lookup_tree, lookup, link, lookup_compare)

static struct lookup *lookup_find(struct names *n, const struct addr *addr) {
    struct lookup like = {.addr = *addr};
    return RB_FIND(lookup_tree, &n->lookups, &like);
}

static void lookup_free(struct names *n, struct lookup *lookup) {
    struct want *want;
    (void)RB_REMOVE(lookup_tree, &n->lookups, lookup);
    if (lookup->asked)
        n->asked--;
    else
        TAILQ_REMOVE(&n->queue, lookup, turn);
    while ((want = STAILQ_FIRST(&lookup->wants)) != NULL) {
        STAILQ_REMOVE_HEAD(&lookup->wants, link);
        n->wanted--;
        free(want);
    }
    free(lookup);
}

/* Gives the name to all who want it, and forgets the lookup. */
static void settle(struct names *n, struct lookup *lookup, const char *name) {
    const struct want *want;
    STAILQ_FOREACH(want, &lookup->wants, link)
    n->sink.named(want->owner, want->lease, &lookup->addr, name);
    lookup_free(n, lookup);
}

/* Asks for those whose turn it is. An answer that comes during sink.ask() makes room for the next
 * question, which the loop below then asks. */
static void names_ask(struct names *n) {
    if (n->asking)
        return;
    n->asking = true;
    while (n->asked < NAMES_ASKED && !TAILQ_EMPTY(&n->queue)) {
        struct lookup *lookup = TAILQ_FIRST(&n->queue);
        struct addr addr = lookup->addr;
        TAILQ_REMOVE(&n->queue, lookup, turn);
        lookup->asked = true;
        n->asked++;
        n->counters.queries++;
        n->sink.ask(n->sink.context, &addr);
    }
    n->asking = false;
}

void names_want(
    struct names *n, void *owner, int64_t lease, const struct addr *addr, int64_t now_us) {
    const char *known = name_cache_find(n->cache, addr, now_us);
    if (known == NULL && n->wanted == NAMES_WANTED) {
        n->counters.failures++;
        known = "";
    }
    if (known != NULL) {
        n->sink.named(owner, lease, addr, known);
        return;
    }
    struct lookup *lookup = lookup_find(n, addr);
    if (lookup == NULL) {
        lookup = mem_new(1, sizeof *lookup);
        lookup->addr = *addr;
        lookup->since_us = now_us;
        STAILQ_INIT(&lookup->wants);
        (void)RB_INSERT(lookup_tree, &n->lookups, lookup);
        TAILQ_INSERT_TAIL(&n->queue, lookup, turn);
    }
    struct want *want = mem_new(1, sizeof *want);
    want->owner = owner;
    want->lease = lease;
    STAILQ_INSERT_TAIL(&lookup->wants, want, link);
    n->wanted++;
    names_ask(n);
}

void names_answer(struct names *n, const struct addr *addr, enum names_outcome outcome,
    const char *name, uint32_t ttl_s, int64_t now_us) {
    struct lookup *lookup = lookup_find(n, addr);
    if (lookup == NULL || !lookup->asked)
        return;
    int64_t keep_s = outcome == NAMES_FAILED ? NAMES_FAILED_S : NAMES_NONE_S;
    if (outcome == NAMES_NAMED)
        keep_s = order_min(order_max(ttl_s, NAMES_MIN_S), NAMES_MAX_S);
    else
        name = "";
    n->counters.refused += outcome == NAMES_REFUSED;
    n->counters.failures += outcome == NAMES_FAILED;
    name_cache_put(n->cache, addr, name, strlen(name) + 1, now_us + keep_s * INT64_C(1000000));
    settle(n, lookup, name);
    names_ask(n);
}

void names_tick(struct names *n, int64_t now_us) {
    while (names_next(n) <= now_us) {
        n->counters.failures++;
        settle(n, TAILQ_FIRST(&n->queue), "");
    }
}

int64_t names_next(const struct names *n) {
    const struct lookup *first = TAILQ_FIRST(&n->queue);
    return first == NULL ? TIMELINE_NEVER : first->since_us + NAMES_QUEUE_US;
}

struct names_counters names_counters(const struct names *n) {
    struct names_counters counters = n->counters;
    counters.cached = (int64_t)name_cache_count(n->cache);
    return counters;
}

struct names *names_new(const struct names_sink *sink) {
    struct names *n = mem_new(1, sizeof *n);
    n->sink = *sink;
    n->cache = name_cache_new(NAMES_ROOM);
    RB_INIT(&n->lookups);
    TAILQ_INIT(&n->queue);
    return n;
}

void names_destroy(struct names **names) {
    struct names *n = *names;
    if (n == NULL)
        return;
    struct lookup *lookup, *next;
    RB_FOREACH_SAFE(lookup, lookup_tree, &n->lookups, next)
    lookup_free(n, lookup);
    name_cache_destroy(&n->cache);
    free(n);
    *names = NULL;
}
