/* first_hops: the routers next to the worker, where one router answers for all traces. Pure.
 *
 * Routers limit the ICMP errors that they send, often to a few hundred a second. A worker at its
 * full rate would exceed the limits of the routers next to it and see silent hops. So where one
 * responder gives most answers of a ttl, the probes to it are spread to a share of the worker's
 * rate. Where it answers only up to some rate, the ttl is slowed to that rate, and made faster
 * again while nothing is lost. If a slower rate loses as much, the loss has another cause: the ttl
 * is left alone.
 */
#ifndef HOPMQ_FIRST_HOPS_H
#define HOPMQ_FIRST_HOPS_H

#include "common/addr.h"
#include "worker/probing/pace.h"

#define FIRST_HOPS_TTLS 4

/* The ttls 1..FIRST_HOPS_TTLS are watched; each may have one in FIRST_HOPS_SHARE of the probes that
 * the worker's rate allows. */
#define FIRST_HOPS_SHARE 2

/* Loss is judged for the probes that were sent within one window of this length, when as much time
 * again has passed since its end. */
#define FIRST_HOPS_WINDOW_US 1000000

/* A window with fewer than FIRST_HOPS_MIN_PROBES probes says nothing about loss. A ttl without a
 * limit gets one when more than FIRST_HOPS_LOST_PCT are lost. A limit becomes lower when more than
 * FIRST_HOPS_FINE_PCT are lost, and higher otherwise: networks lose that much anyway. */
#define FIRST_HOPS_MIN_PROBES 16
#define FIRST_HOPS_LOST_PCT 25
#define FIRST_HOPS_FINE_PCT 10

/* A router that answers less than this share of what we would send is not waited for: a Linux
 * router sends each host only one time exceeded a second. */
#define FIRST_HOPS_WORTH_PCT 10

/* The rate of answers to a burst that is shorter than this is reckoned as if it had lasted this
 * long. */
#define FIRST_HOPS_BURST_US 250000

/* A ttl that loses at any rate is left alone for this time. */
#define FIRST_HOPS_LOSSY_US 60000000

struct first_hops_window {
    int64_t number; /* counted in FIRST_HOPS_WINDOW_US from the clock's start; -1: unused */
    int sent, answered;
    int64_t first_us, last_us; /* when the first and the last was sent */
};

struct first_hop {
    struct addr responder; /* the candidate for the one that gives most answers */
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

/* When a probe with this ttl may be sent. INT64_MIN: at any time; other times may have passed. */
int64_t first_hops_next_us(struct first_hops *first_hops, int af, int ttl, int64_t now_us);

/* A probe takes its turn. If its time has not come yet, no turn is taken, so that nobody else waits
 * longer because of it. */
void first_hops_take(struct first_hops *first_hops, int af, int ttl, int64_t now_us);

/* A probe was sent, at its turn or without one. */
void first_hops_sent(struct first_hops *first_hops, int af, int ttl, int64_t now_us);

/* The prober died: probes without an answer are forgotten, as their loss says nothing about
 * routers. */
void first_hops_lost(struct first_hops *first_hops);

/* A probe that was sent with this ttl at sent_us was answered by `responder`. */
void first_hops_answered(
    struct first_hops *first_hops, int af, int ttl, const struct addr *responder, int64_t sent_us);

/* How many ttls have a limit now. */
int first_hops_limited(const struct first_hops *first_hops);

#endif
