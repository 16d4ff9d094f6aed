#include "worker/sequence.h"

#include "worker/mtr_line.h"

void sequence_start(struct sequence *s, const char *version) {
    s->count = mtr_minor(version) >= 96 ? 65535 - 33434 + 1 : 65535 - 33000 + 1;
    s->position = 0;
}

static unsigned slice_of(const struct sequence *s, uint32_t number) {
    return (unsigned)((uint64_t)number * SEQUENCE_SLICES / s->count);
}

/* The first number that is of the slice, or behind all. */
static uint32_t slice_start(const struct sequence *s, unsigned slice) {
    return (uint32_t)(((uint64_t)slice * s->count + SEQUENCE_SLICES - 1) / SEQUENCE_SLICES);
}

static bool owns(const struct sequence *s, unsigned slice) {
    return (s->owned >> slice % SEQUENCE_SLICES & 1) != 0;
}

/* How many numbers from here on are others', or in the guard before them. */
static uint32_t foreign(const struct sequence *s, uint32_t at) {
    uint32_t skip = 0;
    while (skip < s->count) {
        unsigned slice = slice_of(s, at);
        uint32_t end = slice_start(s, slice + 1);
        bool guard = !owns(s, slice + 1) && at + SEQUENCE_GUARD >= end;
        if (owns(s, slice) && !guard)
            return skip;
        skip += end - at;
        at = end % s->count;
    }
    return skip;
}

bool sequence_plan(const struct sequence *s, int64_t now_us, uint32_t *skip, int64_t *wait_us) {
    uint32_t at = (uint32_t)(s->position % s->count);
    *skip = 0;
    *wait_us = INT64_MAX;
    if (s->owned == 0)
        return false;
    for (int looked = 0; looked < SEQUENCE_LOOK; looked++) {
        uint32_t jump = foreign(s, at);
        *skip += jump;
        at = (at + jump) % s->count;
        if (s->free_us[at] <= now_us)
            return true;
        if (s->free_us[at] < *wait_us)
            *wait_us = s->free_us[at];
        ++*skip;
        at = (at + 1) % s->count;
    }
    return false;
}

uint32_t sequence_use(struct sequence *s, int64_t forget_us) {
    uint32_t number = (uint32_t)(s->position++ % s->count);
    s->free_us[number] = forget_us + SEQUENCE_LATE_US;
    return number;
}

void sequence_answered(struct sequence *s, uint32_t number, int64_t now_us) {
    s->free_us[number] = now_us + SEQUENCE_LATE_US;
}

void sequence_skipped(struct sequence *s, uint32_t commands) { s->position += commands; }

int64_t sequence_slice_free_us(const struct sequence *s, unsigned slice) {
    int64_t free_us = 0;
    for (uint32_t n = slice_start(s, slice); n < slice_start(s, slice + 1); n++)
        if (s->free_us[n] > free_us)
            free_us = s->free_us[n];
    return free_us;
}
