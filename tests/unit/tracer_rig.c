#include "tests/unit/tracer_rig.h"

struct addr addr(const char *text) {
    struct addr a;
    assert_true(addr_parse(&a, text));
    return a;
}

struct trace options(void) {
    struct trace t;
    trace_defaults(&t);
    t.attempts = 2;
    return t;
}

struct mtr_reply reply_at(enum mtr_class class, int ttl, int64_t rtt_us) {
    struct mtr_reply r = {.class = class, .rtt_us = rtt_us};
    r.addr = class == MTR_REPLY ? addr("192.0.2.1") : (struct addr){4, {10, 0, 0, (uint8_t)ttl}};
    (void)snprintf(r.word, sizeof r.word, "%s", "word");
    return r;
}

struct mtr_reply silence(enum mtr_class class) {
    struct mtr_reply r = {.class = class, .rtt_us = -1};
    (void)snprintf(r.word, sizeof r.word, "%s", "word");
    return r;
}
