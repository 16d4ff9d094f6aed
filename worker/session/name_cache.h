/* name_cache: host names by address, each kept for its own time. Pure.
 *
 * It holds a bounded number of values. A value is forgotten when its time is over, or, when a new
 * one needs room, if it is the one that was asked for longest ago.
 */
#ifndef HOPMQ_WORKER_NAME_CACHE_H
#define HOPMQ_WORKER_NAME_CACHE_H

#include "common/addr.h"

#include <stddef.h>

struct name_cache;

/* A cache for up to `room` values; room is at least 1. */
struct name_cache *name_cache_new(size_t room);
void name_cache_destroy(struct name_cache **cache);

/* Copies a value of `size` bytes, at least one, and keeps it until until_us. It replaces the value
 * that the key had. */
void name_cache_put(struct name_cache *cache, const struct addr *key, const void *value,
    size_t size, int64_t until_us);

/* Returns the value of a key, aligned for any type and valid until the next call, or NULL. */
const void *name_cache_find(struct name_cache *cache, const struct addr *key, int64_t now_us);

/* How many values are held. Those whose time is over count until somebody asks for them. */
size_t name_cache_count(const struct name_cache *cache);

#endif
