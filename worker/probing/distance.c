#include "worker/probing/distance.h"

#include "common/hash.h"

#include <string.h>

/* Families have prefixes of their own, as those of IPv4 end in zeroes. */
static size_t index_of(const struct distance *key) {
    uint64_t hash = hash_bytes(HASH_START, &key->af, sizeof key->af);
    return (hash_bytes(hash, key->prefix, sizeof key->prefix) >> 32) % DISTANCE_PREFIXES;
}

static struct distance key_of(const struct addr *target) {
    struct distance key = {.af = target->af};
    memcpy(key.prefix, target->bytes, target->af == 4 ? 3 : 6);
    return key;
}

int distance_find(const struct distances *d, const struct addr *target) {
    struct distance key = key_of(target);
    const struct distance *found = &d->at[index_of(&key)];
    bool same = found->af == key.af && memcmp(found->prefix, key.prefix, sizeof key.prefix) == 0;
    return same ? found->ttl : 0;
}

void distance_learn(struct distances *d, const struct addr *target, uint8_t ttl) {
    struct distance key = key_of(target);
    key.ttl = ttl;
    d->at[index_of(&key)] = key;
}
