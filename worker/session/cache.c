#include "worker/session/cache.h"

#include "common/mem.h"

#include <assert.h>
#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    RB_ENTRY(entry) link;
    TAILQ_ENTRY(entry) use;
    struct addr key;
    int64_t until_us;
    _Alignas(max_align_t) unsigned char value[];
};

RB_HEAD(cache_tree, entry);

struct cache {
    struct cache_tree entries;
    TAILQ_HEAD(, entry) uses; /* the one that was asked for last is last */
    size_t count, room;
};

static int entry_compare(const struct entry *a, const struct entry *b) {
    return addr_compare(&a->key, &b->key);
}

RB_PROTOTYPE(cache_tree, entry, link, entry_compare)
RB_GENERATE(cache_tree, entry, link, entry_compare)

static struct entry *entry_find(struct cache *c, const struct addr *key) {
    struct entry like = {.key = *key};
    return RB_FIND(cache_tree, &c->entries, &like);
}

static void entry_remove(struct cache *c, struct entry *entry) {
    (void)RB_REMOVE(cache_tree, &c->entries, entry);
    TAILQ_REMOVE(&c->uses, entry, use);
    c->count--;
    free(entry);
}

struct cache *cache_new(size_t room) {
    assert(room > 0);
    struct cache *c = mem_new(1, sizeof *c);
    RB_INIT(&c->entries);
    TAILQ_INIT(&c->uses);
    c->room = room;
    return c;
}

void cache_destroy(struct cache **cache) {
    struct cache *c = *cache;
    if (c == NULL)
        return;
    while (!TAILQ_EMPTY(&c->uses))
        entry_remove(c, TAILQ_FIRST(&c->uses));
    free(c);
    *cache = NULL;
}

void cache_put(
    struct cache *c, const struct addr *key, const void *value, size_t size, int64_t until_us) {
    struct entry *entry = mem_new(1, sizeof *entry + size);
    entry->key = *key;
    entry->until_us = until_us;
    memcpy(entry->value, value, size);
    struct entry *old = entry_find(c, key);
    if (old != NULL)
        entry_remove(c, old);
    else if (c->count == c->room)
        entry_remove(c, TAILQ_FIRST(&c->uses));
    (void)RB_INSERT(cache_tree, &c->entries, entry);
    TAILQ_INSERT_TAIL(&c->uses, entry, use);
    c->count++;
}

const void *cache_find(struct cache *c, const struct addr *key, int64_t now_us) {
    struct entry *entry = entry_find(c, key);
    if (entry == NULL)
        return NULL;
    if (entry->until_us <= now_us) {
        entry_remove(c, entry);
        return NULL;
    }
    TAILQ_REMOVE(&c->uses, entry, use);
    TAILQ_INSERT_TAIL(&c->uses, entry, use);
    return entry->value;
}

size_t cache_count(const struct cache *c) { return c->count; }
