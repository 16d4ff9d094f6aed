#include "worker/session/name_cache.h"

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

RB_HEAD(name_cache_tree, entry);

struct name_cache {
    struct name_cache_tree entries;
    TAILQ_HEAD(, entry) uses; /* by the time of the last use; the latest is last */
    size_t count, room;
};

static int entry_compare(const struct entry *a, const struct entry *b) {
    return addr_compare(&a->key, &b->key);
}

RB_PROTOTYPE(name_cache_tree, entry, link, entry_compare)
RB_GENERATE(name_cache_tree, entry, link, entry_compare)

static struct entry *entry_find(struct name_cache *c, const struct addr *key) {
    struct entry like = {.key = *key};
    return RB_FIND(name_cache_tree, &c->entries, &like);
}

static void entry_remove(struct name_cache *c, struct entry *entry) {
    (void)RB_REMOVE(name_cache_tree, &c->entries, entry);
    TAILQ_REMOVE(&c->uses, entry, use);
    c->count--;
    free(entry);
}

struct name_cache *name_cache_new(size_t room) {
    assert(room > 0);
    struct name_cache *c = mem_new(1, sizeof *c);
    RB_INIT(&c->entries);
    TAILQ_INIT(&c->uses);
    c->room = room;
    return c;
}

void name_cache_destroy(struct name_cache **cache) {
    struct name_cache *c = *cache;
    if (c == NULL)
        return;
    while (!TAILQ_EMPTY(&c->uses))
        entry_remove(c, TAILQ_FIRST(&c->uses));
    free(c);
    *cache = NULL;
}

void name_cache_put(struct name_cache *c, const struct addr *key, const void *value, size_t size,
    int64_t until_us) {
    struct entry *entry = mem_new(1, sizeof *entry + size);
    entry->key = *key;
    entry->until_us = until_us;
    memcpy(entry->value, value, size);
    struct entry *old = entry_find(c, key);
    if (old != NULL)
        entry_remove(c, old);
    else if (c->count == c->room)
        entry_remove(c, TAILQ_FIRST(&c->uses));
    (void)RB_INSERT(name_cache_tree, &c->entries, entry);
    TAILQ_INSERT_TAIL(&c->uses, entry, use);
    c->count++;
}

const void *name_cache_find(struct name_cache *c, const struct addr *key, int64_t now_us) {
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

size_t name_cache_count(const struct name_cache *c) { return c->count; }
