/*
 * sim_random: the hash that draws the simulated internet and the generator of its weather.
 *
 * Pure. Both are splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number
 * generators" (OOPSLA 2014), with the constants of Vigna's splitmix64.c (public domain).
 */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

/* Percentages are kept as parts per million, so that 0.01 % is exact. */
#define SIM_RANDOM_ALL 1000000u

struct sim_random {
    uint64_t state; /* any value is a valid seed */
};

/* A hash of `hash` and one more value. Chain it to hash several values. */
uint64_t sim_random_mix(uint64_t hash, uint64_t value);

/* Maps 64 random bits to 0..limit-1. `limit` is at least 1. */
uint32_t sim_random_below(uint64_t bits, uint32_t limit);

/* True for `ppm` in a million of all values of `bits`: never for 0, always for SIM_RANDOM_ALL. */
bool sim_random_chance(uint64_t bits, uint32_t ppm);

/* The next 64 random bits of a sequence. */
uint64_t sim_random_next(struct sim_random *self);

#endif
