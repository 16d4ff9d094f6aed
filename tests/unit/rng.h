/* rng: the random numbers of property tests, reproducible from a printed seed.
 *
 * splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (OOPSLA
 * 2014), with the constants of Vigna's splitmix64.c (public domain).
 */
#ifndef TEST_RNG_H
#define TEST_RNG_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static inline uint64_t rng_next(uint64_t *state) {
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 0..limit-1 */
static inline uint32_t rng_below(uint64_t *state, uint32_t limit) {
    return (uint32_t)(((rng_next(state) >> 32) * limit) >> 32);
}

/* HOPMQ_SEED, or one that is the same in every run; printed, so that a failure can be repeated. */
static inline uint64_t rng_seed(const char *test) {
    const char *given = getenv("HOPMQ_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : UINT64_C(20240229);
    printf("%s: HOPMQ_SEED=%llu\n", test, (unsigned long long)seed);
    return seed;
}

#endif
