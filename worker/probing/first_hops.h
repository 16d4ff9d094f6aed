/* first_hops: the routers next to the worker, where one router answers for all traces. Pure.
 *
 * Routers limit the ICMP errors that they send, often to a few hundred a second. A worker at its
 * full rate would take the routers next to it beyond that and see silent hops. So where one
 * responder dominates a ttl, the probes to it are spread to a share of the worker's rate; and
 * where answers stop at some rate, that ttl is slowed to it, and faster again as long as nothing
 * is lost. Loss that does not go away with a slower rate is loss: then the ttl is left alone.
 */
#ifndef HOPMQ_FIRST_HOPS_H
#define HOPMQ_FIRST_HOPS_H

#include "common/addr.h"
#include "worker/probing/pace.h"

#define FIRST_HOPS_TTLS 4

/* One of so many probes may go to one near router. */
#define FIRST_HOPS_SHARE 2

/* What is judged: the probes sent in one such window, when a second has passed since. */
#define FIRST_HOPS_WINDOW_US 1000000

/* A window with fewer probes says nothing about loss. More lost than LOST_PCT makes us slow down,
 * and then again more than FINE_PCT; up to that is what networks lose, and we go faster. */
#define FIRST_HOPS_MIN_PROBES 16
#define FIRST_HOPS_LOST_PCT 25
#define FIRST_HOPS_FINE_PCT 10

/* A router that answers less than this share of what we would send is not worth waiting for: Linux
 * sends each host one time exceeded a second. */
#define FIRST_HOPS_WORTH_PCT 10

/* Answers to a shorter burst are taken as those of so long a time. */
#define FIRST_HOPS_BURST_US 250000

/* A ttl that loses at any rate is left alone for so long. */
#define FIRST_HOPS_LOSSY_US 60000000

struct first_hops_window {
    int64_t number; /* of FIRST_HOPS_WINDOW_US since the clock's start */
    int sent, answered;
    int64_t first_us, last_us; /* when the first and the last was sent */
};

struct first_hop {
    struct addr responder; /* the one that dominates, if votes are enough */
    int votes;
    struct pace pace;
    int64_t limit_pps; /* 0: none learnt */
    int lost_pct;      /* in the window that made us slow down */
    int64_t slowed_us, lossy_until_us;
    struct first_hops_window windows[3]; /* by number modulo 3 */
};

struct first_hops {
    int64_t spread_pps; /* 0: no limit */
    struct first_hop hops[2][FIRST_HOPS_TTLS];
};

/* pps: the worker's rate, 0 for no limit. */
void first_hops_init(struct first_hops *first_hops, int64_t pps);

/* When a probe with this ttl may go: INT64_MIN, or a time that may be over. */
int64_t first_hops_next_us(struct first_hops *first_hops, int af, int ttl, int64_t now_us);

/* One takes its turn. One that goes before its time is not counted: nobody waits longer for it. */
void first_hops_take(struct first_hops *first_hops, int af, int ttl, int64_t now_us);

/* One was sent, at its turn or without one. */
void first_hops_sent(struct first_hops *first_hops, int af, int ttl, int64_t now_us);

/* What was sent and not answered yet went down with the prober: it teaches nothing. */
void first_hops_lost(struct first_hops *first_hops);

/* A probe that was sent at sent_us with this ttl was answered by responder. */
void first_hops_answered(
    struct first_hops *first_hops, int af, int ttl, const struct addr *responder, int64_t sent_us);

/* The limits that are learnt now. */
int first_hops_limited(const struct first_hops *first_hops);

#endif
