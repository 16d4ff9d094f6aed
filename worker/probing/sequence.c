#include "worker/probing/sequence.h"

#include "common/hash.h"
#include "common/order.h"
#include "worker/probing/mtr_line.h"

#include <string.h>

#define LAST_PORT 65535

/* `count` numbers from this one on are not free before free_us. */
static void sequence_keep(struct sequence *s, uint32_t number, uint32_t count, int64_t free_us) {
    for (; count > 0; count--) {
        if (s->numbers[number].free_us < free_us)
            s->numbers[number].free_us = free_us;
        number = number + 1 < s->count ? number + 1 : 0;
    }
}

/* The probes of the positions from..to had numbers that were up to `ahead` after or `behind` before
 * those that we counted. What makes one number unusable does so to all that it may be. */
static void blur(struct sequence *s, uint64_t from, uint64_t to, uint32_t ahead, uint32_t behind,
    int64_t now_us) {
    uint32_t count = s->count;
    /* NOLINTBEGIN(clang-analyzer-core.DivideZero): sequence_checked() has divided by it before */
    if (to - from > count)
        from = to - count;
    for (uint64_t at = to; at-- > from;) {
        int64_t free_us = s->numbers[at % count].free_us;
        if (free_us > now_us)
            sequence_keep(s, (uint32_t)((at + 1) % count), ahead, free_us);
    }
    for (uint64_t at = from; at < to; at++) {
        int64_t free_us = s->numbers[at % count].free_us;
        if (free_us > now_us)
            sequence_keep(s, (uint32_t)((at + count - behind) % count), behind, free_us);
    }
    /* NOLINTEND(clang-analyzer-core.DivideZero) */
    s->clear = 0;
}

void sequence_init(struct sequence *s, uint32_t common, uint32_t older) {
    memset(s, 0, sizeof *s);
    s->common = common;
    s->older = older;
    s->count = common + older;
    s->owned = SEQUENCE_ALL;
    s->guard = SEQUENCE_GUARD;
}

void sequence_own(struct sequence *s, unsigned slices) { s->owned = slices; }

void sequence_start(struct sequence *s, const char *version) {
    if (s->tcp_like > 0)
        blur(s, s->sure, s->position, s->guard, s->rounds, 0);
    uint32_t count = s->common + (mtr_minor(version) >= 96 ? 0 : s->older);
    if (count < s->count)
        memmove(s->numbers, s->numbers + s->older, s->common * sizeof s->numbers[0]);
    if (count > s->count)
        memmove(s->numbers + s->older, s->numbers, s->common * sizeof s->numbers[0]);
    s->count = count;
    s->position = s->sure = s->exact = s->clear = 0;
    s->tcp_like = s->rounds = 0;
    s->guard = SEQUENCE_GUARD;
    s->reach = 0;
    s->checked = false;
}

static unsigned slice_of(const struct sequence *s, uint32_t number) {
    uint32_t before = s->count - s->common;
    return number < before ? 0 : (number - before) * SEQUENCE_SLICES / s->common;
}

/* The first number of a slice; of the slice after the last one, the count of all numbers. */
static uint32_t slice_start(const struct sequence *s, unsigned slice) {
    uint32_t before = s->count - s->common;
    uint32_t start = (slice * s->common + SEQUENCE_SLICES - 1) / SEQUENCE_SLICES;
    return slice == 0 ? 0 : before + start;
}

static bool owns(const struct sequence *s, unsigned slice) {
    return (s->owned >> slice % SEQUENCE_SLICES & 1) != 0;
}

/* How many numbers from this one on are other workers', or in the guard before them. */
static uint32_t foreign(const struct sequence *s, uint32_t at) {
    uint32_t skip = 0;
    while (skip < s->count) {
        unsigned slice = slice_of(s, at);
        uint32_t end = slice_start(s, slice + 1);
        bool guard = !owns(s, slice + 1) && at + s->guard >= end;
        if (owns(s, slice) && !guard)
            return skip;
        skip += end - at;
        at = end % s->count;
    }
    return skip;
}

void sequence_begin(struct sequence *s, uint32_t number) { s->begin = number % s->count; }

/* How many numbers are free from this position on, up to `want`. */
static uint32_t free_ahead(struct sequence *s, uint64_t position, uint32_t want, int64_t now_us) {
    if (position < s->clear_from || position > s->clear)
        s->clear_from = s->clear = position;
    while (s->clear < position + want && s->numbers[s->clear % s->count].free_us <= now_us)
        s->clear++;
    return s->clear < position + want ? (uint32_t)(s->clear - position) : want;
}

bool sequence_plan(struct sequence *s, int64_t now_us, uint32_t *skip, int64_t *wait_us) {
    uint32_t want = s->reach + 1;
    *skip = s->position < s->begin ? (uint32_t)(s->begin - s->position) : 0;
    *wait_us = INT64_MAX;
    if (s->owned == 0)
        return false;
    for (uint32_t looked = 0; looked < SEQUENCE_LOOK + want;) {
        *skip += foreign(s, (uint32_t)((s->position + *skip) % s->count));
        uint32_t ahead = free_ahead(s, s->position + *skip, want, now_us);
        if (ahead == want)
            return true;
        int64_t free_us = s->numbers[(s->position + *skip + ahead) % s->count].free_us;
        if (free_us < *wait_us)
            *wait_us = free_us;
        if (free_us <= now_us + SEQUENCE_SOON_US)
            return false;
        looked += ahead + 1;
        *skip += ahead + 1;
    }
    return false;
}

uint64_t sequence_use(struct sequence *s, int64_t forget_us, bool tcp_like) {
    s->numbers[s->position % s->count].free_us = forget_us + SEQUENCE_SILENT_US;
    s->tcp_like += tcp_like;
    return s->position++;
}

/* 0 is nobody. */
static uint32_t responder_hash(const struct addr *responder) {
    size_t size = responder->af == 4 ? 4 : sizeof responder->bytes;
    uint64_t hash = hash_bytes(HASH_START, responder->bytes, size);
    return responder->af == 0 ? 0 : (uint32_t)(hash >> 32) | 1;
}

/* Remembers the answer. True if the responder answered to an earlier probe with this number less
 * than SEQUENCE_DOUBT_US ago: this may be that answer, repeated. */
static bool note_answer(struct sequence_number *n, uint32_t responder, int64_t now_us) {
    uint32_t now_ms = (uint32_t)(now_us / 1000);
    bool repeated = false;
    for (int i = 0; i < SEQUENCE_ANSWERS; i++)
        repeated = repeated || (n->answers[i].responder == responder &&
                                   now_ms - n->answers[i].at_ms < SEQUENCE_DOUBT_US / 1000);
    memmove(n->answers + 1, n->answers, sizeof n->answers - sizeof n->answers[0]);
    n->answers[0].responder = responder;
    n->answers[0].at_ms = now_ms;
    return repeated;
}

/* A TCP-like probe since the last sequence check may have moved the prober ahead of what we count.
 */
static bool known(const struct sequence *s, uint64_t position) {
    return position >= s->exact && s->tcp_like == 0 && s->reach == 0;
}

static bool unusable_longer(const struct sequence *s, uint64_t position) {
    return !known(s, position) || s->doubts > SEQUENCE_ALL_DOUBTED / SEQUENCE_DOUBTED_OF;
}

bool sequence_answered(
    struct sequence *s, uint64_t position, const struct addr *responder, int64_t now_us) {
    uint32_t number = (uint32_t)(position % s->count), hash = responder_hash(responder);
    struct sequence_number *n = &s->numbers[number];
    bool repeated = hash != 0 && position >= s->exact && note_answer(n, hash, now_us);
    s->doubts += ((uint64_t)repeated << 16) - (s->doubts >> 16);
    bool heard = hash != 0 && !repeated && !unusable_longer(s, position);
    int64_t free_us = now_us + (heard ? SEQUENCE_ANSWERED_US : SEQUENCE_DOUBT_US);
    if (position < s->exact)
        sequence_keep(s, number, s->reach + 1, free_us);
    if (position < s->exact || n->free_us <= now_us)
        s->clear = 0; /* numbers that were found free may not be */
    if (position >= s->exact)
        n->free_us = free_us;
    return !repeated;
}

void sequence_went_round(struct sequence *s) { s->rounds++; }

void sequence_skipped(struct sequence *s, uint32_t commands) { s->position += commands; }

/* ---- sequence checks -------------------------------------------------------------------- */

bool sequence_check_due(const struct sequence *s) {
    if (s->tcp_like == 0)
        return false;
    return !s->checked || s->rounds > 0 || s->tcp_like >= SEQUENCE_CHECK_TCP_LIKE ||
           s->position - s->sure >= SEQUENCE_CHECK_NUMBERS;
}

void sequence_check(struct sequence *s, int64_t forget_us) {
    s->tcp_like = 0;
    s->check_position = sequence_use(s, forget_us, true);
}

/* The prober may drift by the next sequence check as far as it did by this one. */
static void expect_drift(struct sequence *s, uint32_t ahead) {
    uint32_t reach = ahead > 0 ? 2 * ahead + SEQUENCE_SLACK : 0;
    s->reach -= (s->reach + 7) / 8;
    if (s->reach < reach)
        s->reach = (uint32_t)order_min(reach, SEQUENCE_GUARD_MAX);
    s->guard = (uint32_t)order_max(s->reach, SEQUENCE_GUARD);
}

int64_t sequence_checked(struct sequence *s, uint16_t port, int64_t now_us) {
    uint32_t first = LAST_PORT + 1 - s->count;
    if (port < first)
        return INT64_MIN;
    uint32_t shift =
        (uint32_t)((port - first + s->count - s->check_position % s->count) % s->count);
    uint32_t ahead = shift, behind = 0;
    if (shift > s->count / 2) {
        behind = s->count - shift;
        ahead = 0;
    }
    int64_t drift = (int64_t)ahead - behind;
    ahead += s->rounds;
    behind = (uint32_t)order_max(behind, s->rounds);
    if (shift != 0 || s->rounds > 0) {
        blur(s, s->sure, s->position, ahead, behind, now_us);
        s->position += shift;
        s->exact = s->position;
    }
    s->sure = s->check_position + shift;
    s->checked = true;
    s->tcp_like--;
    s->rounds = 0;
    expect_drift(s, ahead);
    return drift;
}

int64_t sequence_slice_free_us(const struct sequence *s, unsigned slice) {
    int64_t free_us = 0;
    uint32_t start = slice_start(s, slice) + s->count - s->guard;
    uint32_t end = slice_start(s, slice + 1) + s->count;
    for (uint32_t n = start; n < end; n++)
        if (s->numbers[n % s->count].free_us > free_us)
            free_us = s->numbers[n % s->count].free_us;
    return free_us > 0 ? free_us + SEQUENCE_DOUBT_US - SEQUENCE_ANSWERED_US : 0;
}
