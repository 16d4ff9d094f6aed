#include "worker/probing/tracer_state.h"

#include "common/mem.h"
#include "common/order.h"

/* If the target is not where it was thought to be, this many ttls behind the last router that
 * answered are sent ahead. */
#define AHEAD_OF_SEEN 4

/* Divides TRACER_PATIENCE_ALL_US if there is no gap_limit. */
#define USUAL_GAP 5

static const struct hop *hop_at(const struct tracer *t, int ttl) {
    return &t->hops[ttl - t->first_ttl];
}

int tracer_last_ttl(const struct tracer *t) {
    return (int)order_min(order_min(t->end_ttl, t->held_ttl), t->max_ttl);
}

static bool wants_probe(const struct tracer *t, const struct hop *hop) {
    if (hop->confirmation == CONFIRM_HELD)
        return hop->outstanding == 0;
    return hop->answered + hop->outstanding < t->probes && hop->sent < t->attempts;
}

bool tracer_hop_settled(const struct tracer *t, const struct hop *hop) {
    return hop->outstanding == 0 && !wants_probe(t, hop);
}

static bool is_held(const struct tracer_may *may, int ttl) {
    return ttl < 32 && (may->held >> ttl & 1) != 0;
}

static int64_t patience_us(const struct tracer *t) {
    int64_t most_us = TRACER_PATIENCE_ALL_US / (t->gap_limit > 0 ? t->gap_limit : USUAL_GAP);
    most_us = order_min(most_us, t->timeout_us / 2);
    int64_t us = t->longest_us > 0 ? order_min(2 * t->longest_us, most_us) : most_us;
    return order_max(us, TRACER_PATIENCE_MIN_US);
}

/* The last ttl that could be needed before another router has answered. */
static int gap_end(const struct tracer *t) {
    int end = t->gap_limit > 0 ? t->seen + t->gap_limit : t->max_ttl;
    return (int)order_min(end, t->max_ttl);
}

/* The last ttl that is surely needed. A ttl that is held does not stop those behind it. */
static int needed_ttl(const struct tracer *t, const struct tracer_may *may) {
    int64_t long_ago_us = may->at_us - patience_us(t);
    int ttl = t->seen + 1;
    for (; ttl < gap_end(t); ttl++) {
        const struct hop *hop = hop_at(t, ttl);
        bool silent = hop->first_sent_us >= 0 &&
                      (hop->first_sent_us <= long_ago_us || tracer_hop_settled(t, hop));
        if (!silent && !is_held(may, ttl))
            break;
    }
    return ttl;
}

static int ahead_ttl(const struct tracer *t) {
    if (t->distance > t->seen)
        return t->distance;
    int beyond_seen = t->seen + AHEAD_OF_SEEN;
    return t->distance > 0 ? beyond_seen
                           : (int)order_max(t->first_ttl + TRACER_AHEAD - 1, beyond_seen);
}

/* With `window`: the first `window` hops that are not settled may have probes out. */
static int pick_in_window(const struct tracer *t, const struct tracer_may *may) {
    int in_flight = 0;
    for (int ttl = t->floor; ttl <= tracer_last_ttl(t) && in_flight < t->window; ttl++) {
        const struct hop *hop = hop_at(t, ttl);
        if (wants_probe(t, hop) && !is_held(may, ttl))
            return ttl;
        in_flight += !tracer_hop_settled(t, hop);
    }
    return 0;
}

/* At the ttl where a TCP-like trace's target is thought to be, its answer will have to be
 * confirmed. An idle worker sends the second probe at once, which saves a round trip. */
static bool wants_pair(const struct tracer *t) {
    if (!t->tcp_like || t->distance < t->floor || t->distance > tracer_last_ttl(t))
        return false;
    const struct hop *hop = hop_at(t, t->distance);
    return hop->sent == 1 && hop->sent < t->attempts && hop->outstanding == 1 &&
           hop->repeats == 0 && hop->confirmation == CONFIRM_OPEN;
}

/* The ttl to send next, or 0. Ahead of what is needed, a hop gets one probe only. */
static int pick(const struct tracer *t, const struct tracer_may *may) {
    if (t->ended)
        return 0;
    if (t->window > 0)
        return pick_in_window(t, may);
    int needed = needed_ttl(t, may);
    int64_t wanted = may->ahead ? order_max(needed, ahead_ttl(t)) : needed;
    int last = (int)order_min(tracer_last_ttl(t), wanted);
    for (int ttl = t->floor; ttl <= last; ttl++) {
        const struct hop *hop = hop_at(t, ttl);
        if (wants_probe(t, hop) && !is_held(may, ttl) && (ttl <= needed || hop->sent == 0))
            return ttl;
    }
    /* An answer that is to be confirmed is needed wherever it is. */
    bool confirm = t->held_ttl <= tracer_last_ttl(t) && wants_probe(t, hop_at(t, t->held_ttl));
    if (confirm && !is_held(may, t->held_ttl))
        return t->held_ttl;
    return may->ahead && wants_pair(t) && !is_held(may, t->distance) ? t->distance : 0;
}

int tracer_held(const struct tracer *t, const struct tracer_may *may) {
    const struct tracer_may free = {.at_us = may->at_us, .ahead = may->ahead};
    int ttl = pick(t, &free);
    return ttl > 0 && is_held(may, ttl) ? ttl : 0;
}

int64_t tracer_more_us(const struct tracer *t, int64_t at_us) {
    if (t->ended || t->window > 0)
        return INT64_MAX;
    int ttl = needed_ttl(t, &(struct tracer_may){.at_us = at_us});
    bool waits = ttl < gap_end(t) && ttl < tracer_last_ttl(t);
    int64_t sent_us = waits ? hop_at(t, ttl)->first_sent_us : -1;
    return sent_us >= 0 ? sent_us + patience_us(t) : INT64_MAX;
}

static void add_record(struct tracer *t, struct record record) {
    if (t->record_count == t->record_room) {
        t->record_room = t->record_room == 0 ? 16 : t->record_room * 3 / 2;
        t->records = mem_grow(t->records, t->record_room, sizeof *t->records);
    }
    t->records[t->record_count++] = record;
}

bool tracer_next(struct tracer *t, const struct tracer_may *may, unsigned *index, uint8_t *ttl) {
    int chosen = pick(t, may);
    if (chosen == 0)
        return false;
    struct hop *hop = &t->hops[chosen - t->first_ttl];
    bool confirms = hop->confirmation == CONFIRM_HELD || !wants_probe(t, hop);
    if (confirms && hop->confirmation == CONFIRM_OPEN)
        hop->confirmation = CONFIRM_PAIRED;
    hop->sent += !confirms;
    hop->outstanding++;
    if (hop->first_sent_us < 0)
        hop->first_sent_us = may->at_us;
    *index = t->record_count;
    *ttl = (uint8_t)chosen;
    add_record(t, (struct record){.ttl = *ttl,
                      .rtt_us = -1,
                      .sent_us = may->at_us,
                      .state = RECORD_OUT,
                      .confirms = confirms});
    return true;
}
