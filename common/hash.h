/* hash: FNV-1a of 64 bits (Fowler, Noll, Vo), for tables and for telling texts apart. Anybody can
 * find two inputs of one hash: use it only where that harms nobody else. Pure. */
#ifndef HOPMQ_HASH_H
#define HOPMQ_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START UINT64_C(0xcbf29ce484222325)

/* Goes on from `hash`, which is HASH_START or what an earlier call returned. */
static inline uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
