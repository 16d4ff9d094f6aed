/* name_cache: what is known of addresses for a while. Pure.
 *
 * It holds a bounded number of values, each of so many bytes as its user gives it, and forgets a
 * value when its time is over, or when it was not asked for the longest and room is needed.
 */
#ifndef HOPMQ_WORKER_NAME_CACHE_H
#define HOPMQ_WORKER_NAME_CACHE_H

#include "common/addr.h"

#include <stddef.h>

struct name_cache;

/* For up to `room` values, at least one. */
struct name_cache *name_cache_new(size_t room);
void name_cache_destroy(struct name_cache **cache);

/* Copies a value of size bytes, at least one, to be kept until until_us; what was there for the key
 * is gone. */
void name_cache_put(struct name_cache *cache, const struct addr *key, const void *value,
    size_t size, int64_t until_us);

/* The value of a key, aligned for any type, valid until the next call; NULL if there is none. */
const void *name_cache_find(struct name_cache *cache, const struct addr *key, int64_t now_us);

/* How many values it holds, those included whose time has been over since they were asked for. */
size_t name_cache_count(const struct name_cache *cache);

#endif
