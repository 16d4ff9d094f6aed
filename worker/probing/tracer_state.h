/* tracer_state: what tracer.c (what came of probes) and tracer_plan.c (what to send next) share. No
 * other file includes it. Pure. */
#ifndef HOPMQ_TRACER_STATE_H
#define HOPMQ_TRACER_STATE_H

#include "worker/probing/tracer.h"

#define NO_END 256 /* beyond every ttl */

/* Whether the target is known to answer at a ttl. Over TCP and SCTP its answer is believed only
 * when a second one has come, or when TRACER_CONFIRMATIONS more probes got none: mtr-packet may
 * have taken a router's time exceeded for it. */
enum confirmation {
    CONFIRM_OPEN,   /* no answer of the target has come */
    CONFIRM_PAIRED, /* the same, and a second probe was sent without waiting for the first */
    CONFIRM_HELD,   /* an answer, in `held`, is to be confirmed */
    CONFIRM_SURE,   /* the target does answer at this ttl */
};

/* One ttl. It is settled when nothing can change it any more: see tracer_hop_settled(). */
struct hop {
    int64_t first_sent_us; /* since the trace's start; -1: not yet */
    unsigned held;         /* the index of the record that CONFIRM_HELD is about */
    unsigned responder;    /* 1 + the index of a router's first answer; 0: none */
    uint8_t sent, answered, outstanding, repeats;
    uint8_t confirmation; /* enum confirmation */
    uint8_t unconfirmed;  /* probes sent to confirm `held` that got no answer */
    uint8_t doubts;       /* in a row, of answers that may have been another probe's */
};

/* What a record of the probe list is. */
enum record_state {
    RECORD_OUT,  /* sent, nothing known yet */
    RECORD_HELD, /* answered, but not believed yet */
    RECORD_DONE, /* its outcome stands in the probe */
    RECORD_VOID, /* it does not count, and is never reported */
};

/* Small, since a worker may have thousands of traces. struct hop_probe explains most members. */
struct record {
    int64_t sent_us;
    void *more; /* the labels, mpls_count of them, or of HOP_OTHER the word */
    int32_t rtt_us;
    struct addr addr;
    uint8_t ttl, flags, mpls_count;
    uint8_t verdict; /* enum hop_verdict */
    uint8_t state;   /* enum record_state */
    bool confirms;   /* sent to confirm an answer; no attempt, and not counted in hop.sent */
};

struct tracer {
    struct addr dst;
    int first_ttl, max_ttl, probes, attempts, gap_limit, loop_limit, window, distance;
    int64_t timeout_us;
    bool tcp_like;          /* probes over sockets, TCP or SCTP */
    struct record *records; /* in the order of sending, until tracer_result() */
    unsigned record_count, record_room;
    int floor;          /* the first ttl that is not settled */
    int reported;       /* the next ttl that tracer_settled() gives out */
    int seen;           /* the highest ttl at which a router answered; first_ttl - 1: none */
    int end_ttl;        /* the lowest ttl with a terminal answer */
    int held_ttl;       /* the lowest ttl that holds an answer */
    int gap;            /* silent hops in a row that end before floor */
    int loops;          /* hops before floor that loop back */
    int64_t longest_us; /* of the round-trip times so far */
    bool ended;
    enum result_stop stop, end_stop; /* end_stop: what end_ttl's answer means */
    const char *error_code;          /* static */
    char error_message[160];
    struct hop_probe *view; /* what tracer_settled() and tracer_result() returned last */
    size_t view_room;
    struct hop hops[]; /* by ttl - first_ttl */
};

/* No probe is sent beyond this ttl: an answer of the target, confirmed or not, or max_ttl. */
int tracer_last_ttl(const struct tracer *tracer);

bool tracer_hop_settled(const struct tracer *tracer, const struct hop *hop);

#endif
