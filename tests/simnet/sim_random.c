#include "sim_random.h"

/* The odd integer nearest to 2^64 divided by the golden ratio. */
#define GAMMA UINT64_C(0x9e3779b97f4a7c15)

static uint64_t finish(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t sim_random_mix(uint64_t hash, uint64_t value) {
    return finish(finish(hash + GAMMA) ^ value);
}

uint32_t sim_random_below(uint64_t bits, uint32_t limit) {
    /* Multiplying the high half is as even as a division and faster. */
    return (uint32_t)(((bits >> 32) * limit) >> 32);
}

bool sim_random_chance(uint64_t bits, uint32_t ppm) {
    return sim_random_below(bits, SIM_RANDOM_ALL) < ppm;
}

uint64_t sim_random_next(struct sim_random *self) {
    self->state += GAMMA;
    return finish(self->state);
}
