/* tracer_rig: what tests of one trace share. */
#ifndef TEST_TRACER_RIG_H
#define TEST_TRACER_RIG_H

#include "tests/unit/check.h"

#include "worker/probing/tracer.h"

#include <stdio.h>

#define MS INT64_C(1000)
#define SECOND INT64_C(1000000)

/* Room for the probes of a trace. */
#define MAX_PROBES 4000

static inline struct addr addr(const char *text) {
    struct addr a;
    assert_true(addr_parse(&a, text));
    return a;
}

static inline struct trace options(void) {
    struct trace t;
    trace_defaults(&t);
    t.attempts = 2;
    return t;
}

/* An answer as it comes from this ttl: routers have addresses of their own. */
static inline struct mtr_reply reply_at(enum mtr_class class, int ttl, int64_t rtt_us) {
    struct mtr_reply r = {.class = class, .rtt_us = rtt_us};
    r.addr = class == MTR_REPLY ? addr("192.0.2.1") : (struct addr){4, {10, 0, 0, (uint8_t)ttl}};
    (void)snprintf(r.word, sizeof r.word, "%s", "word");
    return r;
}

/* A line without an address. */
static inline struct mtr_reply silence(enum mtr_class class) {
    struct mtr_reply r = {.class = class, .rtt_us = -1};
    (void)snprintf(r.word, sizeof r.word, "%s", "word");
    return r;
}

#endif
