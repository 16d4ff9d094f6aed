#include "worker/probing/first_hops.h"

#include "common/order.h"

#include <string.h>

/* A majority vote (Boyer and Moore): each answer of the candidate is a vote for it, each of another
 * responder is one against it. With VOTES_ENOUGH it is taken for the router that answers for all.
 * VOTES_MAX bounds how long another router needs to take its place. */
#define VOTES_ENOUGH 3
#define VOTES_MAX 64

static struct first_hop *hop_of(struct first_hops *n, int af, int ttl) {
    return ttl <= FIRST_HOPS_TTLS ? &n->hops[af == 6][ttl - 1] : NULL;
}

static void set_pace(const struct first_hops *n, struct first_hop *hop) {
    int64_t next_ns = hop->pace.next_ns;
    pace_init(&hop->pace, hop->limit_pps > 0 ? hop->limit_pps : n->spread_pps);
    hop->pace.next_ns = next_ns;
}

void first_hops_init(struct first_hops *n, int64_t pps) {
    memset(n, 0, sizeof *n);
    n->spread_pps = pps > 0 && pps < FIRST_HOPS_SHARE ? 1 : pps / FIRST_HOPS_SHARE;
    for (int family = 0; family < 2; family++)
        for (int i = 0; i < FIRST_HOPS_TTLS; i++) {
            pace_init(&n->hops[family][i].pace, n->spread_pps);
            for (int w = 0; w < 3; w++)
                n->hops[family][i].windows[w].number = -1;
        }
}

/* ---- what a window teaches -------------------------------------------------------------- */

static void slow_down(
    struct first_hop *hop, const struct first_hops_window *w, int lost_pct, int64_t now_us) {
    bool first = hop->limit_pps == 0;
    /* Probes that had waited too long may have been sent beyond the limit. Then the window does not
     * say what the router loses at the limit. */
    bool kept = w->sent <= hop->limit_pps + hop->limit_pps / 4;
    bool hopeless =
        first ? lost_pct > 100 - FIRST_HOPS_WORTH_PCT : kept && lost_pct * 4 > hop->lost_pct * 3;
    if (hopeless) {
        hop->limit_pps = 0;
        hop->lossy_until_us = now_us + FIRST_HOPS_LOSSY_US;
        return;
    }
    int64_t span_us = order_max(w->last_us - w->first_us, FIRST_HOPS_BURST_US);
    hop->limit_pps = w->answered * INT64_C(1000000) / span_us;
    hop->lost_pct = first ? lost_pct : hop->lost_pct;
    hop->slowed_us = now_us;
}

static void judge(struct first_hops *n, struct first_hop *hop, const struct first_hops_window *w,
    int64_t now_us) {
    int lost_pct = (w->sent - w->answered) * 100 / w->sent;
    bool current = w->number * FIRST_HOPS_WINDOW_US >= hop->slowed_us;
    if (!current || now_us < hop->lossy_until_us)
        return;
    if (w->answered == 0)
        hop->limit_pps = 0; /* no rate would help against a silent router */
    else if (w->sent >= FIRST_HOPS_MIN_PROBES &&
             lost_pct > (hop->limit_pps > 0 ? FIRST_HOPS_FINE_PCT : FIRST_HOPS_LOST_PCT))
        slow_down(hop, w, lost_pct, now_us);
    else if (hop->limit_pps > 0 && lost_pct <= FIRST_HOPS_FINE_PCT)
        hop->limit_pps += hop->limit_pps / 16 + 1;
    /* A limit above what the worker sends anyway is none. */
    if (hop->limit_pps > (n->spread_pps > 0 ? n->spread_pps : PACE_MAX_PPS))
        hop->limit_pps = 0;
    set_pace(n, hop);
}

/* Judges each window once, when its answers have had FIRST_HOPS_WINDOW_US to come. */
static void look_back(struct first_hops *n, struct first_hop *hop, int64_t now_us) {
    for (int i = 0; i < 3; i++) {
        struct first_hops_window *w = &hop->windows[i];
        if (w->number < 0 || now_us < (w->number + 2) * FIRST_HOPS_WINDOW_US)
            continue;
        judge(n, hop, w, now_us);
        w->number = -1;
    }
}

/* ---- what happens ----------------------------------------------------------------------- */

int64_t first_hops_next_us(struct first_hops *n, int af, int ttl, int64_t now_us) {
    struct first_hop *hop = hop_of(n, af, ttl);
    if (hop == NULL)
        return INT64_MIN;
    look_back(n, hop, now_us);
    return hop->votes >= VOTES_ENOUGH ? pace_next_us(&hop->pace) : INT64_MIN;
}

void first_hops_take(struct first_hops *n, int af, int ttl, int64_t now_us) {
    struct first_hop *hop = hop_of(n, af, ttl);
    if (hop != NULL && pace_ready(&hop->pace, now_us))
        pace_take(&hop->pace, now_us);
}

void first_hops_sent(struct first_hops *n, int af, int ttl, int64_t now_us) {
    struct first_hop *hop = hop_of(n, af, ttl);
    if (hop == NULL)
        return;
    look_back(n, hop, now_us);
    int64_t number = now_us / FIRST_HOPS_WINDOW_US;
    struct first_hops_window *w = &hop->windows[number % 3];
    if (w->number != number)
        *w = (struct first_hops_window){.number = number};
    if (w->sent++ == 0)
        w->first_us = now_us;
    w->last_us = now_us;
}

void first_hops_answered(
    struct first_hops *n, int af, int ttl, const struct addr *responder, int64_t sent_us) {
    struct first_hop *hop = hop_of(n, af, ttl);
    if (hop == NULL)
        return;
    if (addr_equal(responder, &hop->responder)) {
        hop->votes += hop->votes < VOTES_MAX;
    } else if (--hop->votes < 0) {
        hop->responder = *responder;
        hop->votes = 1;
        hop->limit_pps = 0;
        set_pace(n, hop);
    }
    struct first_hops_window *w = &hop->windows[sent_us / FIRST_HOPS_WINDOW_US % 3];
    if (w->number == sent_us / FIRST_HOPS_WINDOW_US)
        w->answered++;
}

void first_hops_lost(struct first_hops *n) {
    for (int family = 0; family < 2; family++)
        for (int i = 0; i < FIRST_HOPS_TTLS; i++)
            for (int w = 0; w < 3; w++)
                n->hops[family][i].windows[w].number = -1;
}

int first_hops_limited(const struct first_hops *n) {
    int limited = 0;
    for (int family = 0; family < 2; family++)
        for (int i = 0; i < FIRST_HOPS_TTLS; i++)
            limited += n->hops[family][i].limit_pps > 0;
    return limited;
}
