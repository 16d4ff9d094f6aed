#include "worker/probing/distance.h"

#include <string.h>

/* FNV-1a. */
static uint32_t place_of(const struct distance *key) {
    uint32_t hash = 2166136261U ^ key->af;
    for (size_t i = 0; i < sizeof key->prefix; i++)
        hash = (hash * 16777619U) ^ key->prefix[i];
    return (hash * 16777619U >> 8) % DISTANCE_PREFIXES;
}

static struct distance key_of(const struct addr *target) {
    struct distance key = {.af = target->af};
    memcpy(key.prefix, target->bytes, target->af == 4 ? 3 : 6);
    return key;
}

int distance_find(const struct distances *d, const struct addr *target) {
    struct distance key = key_of(target);
    const struct distance *found = &d->at[place_of(&key)];
    bool same = found->af == key.af && memcmp(found->prefix, key.prefix, sizeof key.prefix) == 0;
    return same ? found->ttl : 0;
}

void distance_learn(struct distances *d, const struct addr *target, uint8_t ttl) {
    struct distance key = key_of(target);
    key.ttl = ttl;
    d->at[place_of(&key)] = key;
}
