/* tracer: conversations with one trace, compared line by line.
 *
 * A script is a row of words. `send` asks for probes until there is none to send; `send1` asks
 * once. All else is the number of a probe and what came of it:
 *   e a router answered     r the target answered    R another address posed as the target
 *   u unreachable           s the prober's no-reply  t the trace's own time is over
 *   l lost with the prober  x no free slot           n no-route without an address
 *   d denied                i invalid argument       w a word that nobody knows
 *   z a time beyond 32 bits
 */
#include "tests/unit/check.h"

#include "tests/unit/rng.h"
#include "tests/unit/transcript.h"
#include "worker/probing/tracer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct addr addr(const char *text) {
    struct addr a;
    assert_true(addr_parse(&a, text));
    return a;
}

static struct trace options(void) {
    struct trace t;
    trace_defaults(&t);
    t.attempts = 2;
    t.window = 6;
    return t;
}

/* The time does not matter to a trace with a window. */
static const struct tracer_may NOW = {0};

/* ---- harness ---------------------------------------------------------------------------- */

struct play {
    struct tracer *tracer;
    struct transcript out;  /* the transcript */
    struct transcript hops; /* what tracer_settled() gave */
    unsigned sent;
    bool end_shown;
};

static void show_probes(struct transcript *out, const struct hop_probe *probes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || probes[i].ttl != probes[i - 1].ttl)
            transcript_add(out, "%shop %d:", i > 0 ? "\n" : "", probes[i].ttl);
        transcript_add(out, " %d %s%s", probes[i].attempt, hop_verdict_name(&probes[i]),
            (probes[i].flags & HOP_OTHER_ADDRESS) != 0 ? "!" : "");
        if ((probes[i].addr.af != 0) != (probes[i].rtt_us >= 0))
            transcript_add(out, " (address %d and time %d)", probes[i].addr.af, probes[i].rtt_us);
    }
    transcript_add(out, count > 0 ? "\n" : "");
}

/* Shows what settled and how it ended, once each. */
static void show_news(struct play *p) {
    const struct hop_probe *probes;
    size_t count;
    while ((probes = tracer_settled(p->tracer, &count)) != NULL) {
        show_probes(&p->out, probes, count);
        show_probes(&p->hops, probes, count);
    }
    if (!tracer_ended(p->tracer) || p->end_shown)
        return;
    p->end_shown = true;
    struct result_body body = {.flow = -1};
    struct transcript all = {0};
    probes = tracer_result(p->tracer, &body, &count);
    transcript_add(&p->out, "%s, %" PRId64 " sent", result_stop_names[body.stop], body.probes_sent);
    if (body.error_code[0] != '\0')
        transcript_add(&p->out, ", %s: %s", body.error_code, body.error_message);
    transcript_add(&p->out, "\n");
    /* The result holds just the hops that were reported one by one. */
    show_probes(&all, probes, count);
    assert_int_equal(body.probes_sent, p->sent);
    if (!transcript_is(&all, p->hops.at != NULL ? p->hops.at : ""))
        fail_msg("the result differs from the hops that were reported");
    transcript_free(&all);
}

static void ask(struct play *p, bool once) {
    unsigned index;
    uint8_t ttl;
    bool any = false;
    while (tracer_next(p->tracer, &NOW, &index, &ttl)) {
        assert_int_equal(index, p->sent);
        transcript_add(&p->out, "%s %u:%d", any ? "" : "send", index, ttl);
        p->sent++;
        any = true;
        if (once)
            break;
    }
    transcript_add(&p->out, any ? "\n" : "nothing to send\n");
}

static struct mtr_reply reply_of(char what) {
    struct mtr_reply r = {.rtt_us = -1};
    const char *word = "no-reply";
    r.class = MTR_SILENT;
    switch (what) {
    case 'e':
    case 'u':
        r.class = what == 'e' ? MTR_EXPIRED : MTR_UNREACHABLE;
        word = what == 'e' ? "ttl-expired" : "no-route-host";
        r.addr = addr("10.0.0.1");
        r.rtt_us = 5;
        break;
    case 'r':
    case 'R':
    case 'z':
        r.class = MTR_REPLY;
        word = "reply";
        r.addr = addr(what == 'R' ? "192.0.2.9" : "192.0.2.1");
        r.rtt_us = what == 'z' ? INT64_C(3000000000) : 5;
        break;
    case 'x':
        r.class = MTR_EXHAUSTED;
        word = "probes-exhausted";
        break;
    case 'n':
        r.class = MTR_NO_ROUTE;
        word = "no-route";
        break;
    case 'd':
        r.class = MTR_DENIED;
        word = "permission-denied";
        break;
    case 'i':
        r.class = MTR_INVALID;
        word = "invalid-argument";
        break;
    case 'w':
        r.class = MTR_TROUBLE;
        word = "strange";
        break;
    default:
        break;
    }
    (void)snprintf(r.word, sizeof r.word, "%s", word);
    return r;
}

static void event(struct play *p, unsigned index, char what) {
    struct mtr_reply reply = reply_of(what);
    if (what == 't')
        tracer_timeout(p->tracer, index);
    else if (what == 'l')
        tracer_lost(p->tracer, index);
    else
        tracer_answer(p->tracer, index, &reply, 0);
}

static void run(struct play *p, const char *script) {
    while (*(script += strspn(script, " ")) != '\0') {
        if (strncmp(script, "send", 4) == 0) {
            ask(p, script[4] == '1');
            script += script[4] == '1' ? 5 : 4;
        } else {
            char *what;
            unsigned long index = strtoul(script, &what, 10);
            assert_true(what != script);
            event(p, (unsigned)index, *what);
            script = what + 1;
        }
        show_news(p);
    }
}

static void expect(const struct trace *with, const char *script, const char *expected) {
    const struct addr dst = addr("192.0.2.1");
    struct play p = {.tracer = tracer_new(with, &dst, 0)};
    run(&p, script);
    bool same = transcript_is(&p.out, expected);
    tracer_destroy(&p.tracer);
    assert_null(p.tracer);
    transcript_free(&p.out);
    transcript_free(&p.hops);
    assert_true(same);
}

/* ---- ends ------------------------------------------------------------------------------- */

static void reached(void **state) {
    (void)state;
    struct trace t = options();
    expect(&t, "send 0e send 1e 2r send",
        "send 0:1 1:2 2:3 3:4 4:5 5:6\n"
        "hop 1: 1 ttl-expired\n"
        "send 6:7\n"
        "hop 2: 1 ttl-expired\n"
        "hop 3: 1 reply\n"
        "reached, 7 sent\n"
        "nothing to send\n");
}

static void unreachable(void **state) {
    (void)state;
    struct trace t = options();
    expect(&t, "send 0e 1u",
        "send 0:1 1:2 2:3 3:4 4:5 5:6\n"
        "hop 1: 1 ttl-expired\n"
        "hop 2: 1 unreachable\n"
        "unreachable, 6 sent\n");
}

static void another_address_poses_as_the_target(void **state) {
    (void)state;
    struct trace t = options();
    expect(&t, "send1 0R", "send 0:1\nhop 1: 1 reply!\nreached, 1 sent\n");
}

/* Answers beyond the first terminal hop are never reported, in whatever order they come. */
static void answers_beyond_the_target(void **state) {
    (void)state;
    struct trace t = options();
    expect(&t, "send 5r 4r 3r 2r send 1e 0e",
        "send 0:1 1:2 2:3 3:4 4:5 5:6\n"
        "nothing to send\n"
        "hop 1: 1 ttl-expired\n"
        "hop 2: 1 ttl-expired\n"
        "hop 3: 1 reply\n"
        "reached, 6 sent\n");
}

static void out_of_order(void **state) {
    (void)state;
    struct trace t = options();
    expect(&t, "send 3e 2e 1e 0e 4r",
        "send 0:1 1:2 2:3 3:4 4:5 5:6\n"
        "hop 1: 1 ttl-expired\n"
        "hop 2: 1 ttl-expired\n"
        "hop 3: 1 ttl-expired\n"
        "hop 4: 1 ttl-expired\n"
        "hop 5: 1 reply\n"
        "reached, 6 sent\n");
}

static void max_ttl(void **state) {
    (void)state;
    struct trace t = options();
    t.first_ttl = 3;
    t.max_ttl = 4;
    expect(&t, "send 1e send 0e send",
        "send 0:3 1:4\n"
        "nothing to send\n"
        "hop 3: 1 ttl-expired\n"
        "hop 4: 1 ttl-expired\n"
        "max-ttl, 2 sent\n"
        "nothing to send\n");
    /* one hop, at the very end of the range */
    t.first_ttl = t.max_ttl = 255;
    expect(&t, "send 0s send 1s",
        "send 0:255\nsend 1:255\nhop 255: 1 no-reply 2 no-reply\nmax-ttl, 2 sent\n");
}

static void the_target_at_max_ttl_is_reached(void **state) {
    (void)state;
    struct trace t = options();
    t.max_ttl = 1;
    expect(&t, "send 0r", "send 0:1\nhop 1: 1 reply\nreached, 1 sent\n");
}

static void the_gap_limit_at_max_ttl(void **state) {
    (void)state;
    struct trace t = options();
    t.max_ttl = 2;
    t.attempts = 1;
    t.gap_limit = 2;
    expect(&t, "send 0t 1t",
        "send 0:1 1:2\nhop 1: 1 no-reply\nhop 2: 1 no-reply\ngap-limit, 2 sent\n");
}

static const char *const gap_end = "hop 1: 1 ttl-expired\n"
                                   "hop 2: 1 no-reply\n"
                                   "hop 3: 1 no-reply\n"
                                   "hop 4: 1 no-reply\n"
                                   "gap-limit, ";

/* The end is the same whether the window is smaller or larger than the gap. */
static void gap_limit(void **state) {
    (void)state;
    struct trace t = options();
    t.attempts = 1;
    t.gap_limit = 3;
    for (int window = 1; window <= 6; window++) {
        const struct addr dst = addr("192.0.2.1");
        t.window = window;
        struct play p = {.tracer = tracer_new(&t, &dst, 0)};
        for (unsigned next = 0; !tracer_ended(p.tracer); next++) {
            run(&p, "send");
            event(&p, next, next == 0 ? 'e' : 't');
            show_news(&p);
        }
        assert_non_null(strstr(p.hops.at, "hop 4: 1 no-reply\n"));
        assert_null(strstr(p.hops.at, "hop 5"));
        assert_memory_equal(p.hops.at, gap_end, strlen(p.hops.at));
        assert_non_null(strstr(p.out.at, "gap-limit, "));
        assert_true(p.sent <= 4U + (unsigned)window);
        tracer_destroy(&p.tracer);
        transcript_free(&p.out);
        transcript_free(&p.hops);
    }
}

static void an_answer_ends_a_gap(void **state) {
    (void)state;
    struct trace t = options();
    t.attempts = 1;
    t.gap_limit = 2;
    t.window = 5;
    expect(&t, "send 0t 1e 2t 3u",
        "send 0:1 1:2 2:3 3:4 4:5\n"
        "hop 1: 1 no-reply\n"
        "hop 2: 1 ttl-expired\n"
        "hop 3: 1 no-reply\n"
        "hop 4: 1 unreachable\n"
        "unreachable, 5 sent\n");
}

static void no_gap_limit(void **state) {
    (void)state;
    struct trace t = options();
    t.attempts = 1;
    t.gap_limit = 0;
    t.max_ttl = 7;
    t.window = 64;
    expect(&t, "send 0t 1t 2t 3t 4t 5t 6t",
        "send 0:1 1:2 2:3 3:4 4:5 5:6 6:7\n"
        "hop 1: 1 no-reply\nhop 2: 1 no-reply\nhop 3: 1 no-reply\nhop 4: 1 no-reply\n"
        "hop 5: 1 no-reply\nhop 6: 1 no-reply\nhop 7: 1 no-reply\nmax-ttl, 7 sent\n");
}

static void hopeless_answers(void **state) {
    (void)state;
    struct trace t = options();
    expect(&t, "send 0e 1n",
        "send 0:1 1:2 2:3 3:4 4:5 5:6\n"
        "hop 1: 1 ttl-expired\n"
        "no-route, 6 sent, unavailable: mtr-packet says no-route for 192.0.2.1\n");
    expect(&t, "send1 0d",
        "send 0:1\n"
        "denied, 1 sent, denied: mtr-packet says permission-denied for 192.0.2.1\n");
    expect(&t, "send1 0i",
        "send 0:1\n"
        "prober-error, 1 sent, bad-request: mtr-packet says invalid-argument for 192.0.2.1\n");
}

static void ended_from_outside(void **state) {
    (void)state;
    const struct trace t = options();
    const struct addr dst = addr("192.0.2.1");
    struct play p = {.tracer = tracer_new(&t, &dst, 0)};
    run(&p, "send 0e 2e");
    tracer_end(p.tracer, STOP_DEADLINE, "code", "why");
    tracer_end(p.tracer, STOP_CANCELLED, "other", "second");
    show_news(&p);
    run(&p, "1e 3r send"); /* too late */
    assert_true(transcript_is(&p.out, "send 0:1 1:2 2:3 3:4 4:5 5:6\n"
                                      "hop 1: 1 ttl-expired\n"
                                      "deadline, 6 sent, code: why\n"
                                      "nothing to send\n"));
    tracer_destroy(&p.tracer);
    transcript_free(&p.out);
    transcript_free(&p.hops);
}

static void ended_before_anything(void **state) {
    (void)state;
    const struct trace t = options();
    const struct addr dst = addr("192.0.2.1");
    struct play p = {.tracer = tracer_new(&t, &dst, 0)};
    tracer_end(p.tracer, STOP_CANCELLED, NULL, "");
    show_news(&p);
    assert_true(transcript_is(&p.out, "cancelled, 0 sent\n"));
    tracer_destroy(&p.tracer);
    tracer_destroy(&p.tracer);
    transcript_free(&p.out);
    transcript_free(&p.hops);
}

/* ---- attempts --------------------------------------------------------------------------- */

static void a_second_attempt(void **state) {
    (void)state;
    struct trace t = options();
    t.window = 1;
    expect(&t, "send 0t send 1e send 2s send 3r",
        "send 0:1\n"
        "send 1:1\n"
        "hop 1: 1 no-reply 2 ttl-expired\n"
        "send 2:2\n"
        "send 3:2\n"
        "hop 2: 1 no-reply 2 reply\n"
        "reached, 4 sent\n");
}

static void three_probes(void **state) {
    (void)state;
    struct trace t = options();
    t.probes = 3;
    t.attempts = 4;
    t.window = 2;
    expect(&t, "send 0e 1t 2e send 6e send 3r 5r 4t send 10r",
        "send 0:1 1:1 2:1 3:2 4:2 5:2\n"
        "send 6:1\n"
        "hop 1: 1 ttl-expired 2 no-reply 3 ttl-expired 4 ttl-expired\n"
        "send 7:3 8:3 9:3\n"
        "send 10:2\n"
        "hop 2: 1 reply 2 no-reply 3 reply 4 reply\n"
        "reached, 11 sent\n");
}

static void attempts_run_out(void **state) {
    (void)state;
    struct trace t = options();
    t.probes = 3;
    t.attempts = 5;
    t.max_ttl = 1;
    expect(&t, "send 0t 1t 2t send 3t 4e send",
        "send 0:1 1:1 2:1\n"
        "send 3:1 4:1\n"
        "hop 1: 1 no-reply 2 no-reply 3 no-reply 4 no-reply 5 ttl-expired\n"
        "max-ttl, 5 sent\n"
        "nothing to send\n");
}

/* The target's answer to its own ttl was lost: the next ttl, which reaches it too, ends it. */
static void a_lost_answer_of_the_target(void **state) {
    (void)state;
    struct trace t = options();
    t.attempts = 1;
    t.window = 3;
    expect(&t, "send 0e 2r 1t",
        "send 0:1 1:2 2:3\n"
        "hop 1: 1 ttl-expired\n"
        "hop 2: 1 no-reply\n"
        "hop 3: 1 reply\n"
        "reached, 3 sent\n");
}

/* ... and when a second attempt finds it after all, its own ttl is the last. */
static void the_target_answers_the_second_attempt(void **state) {
    (void)state;
    struct trace t = options();
    t.window = 3;
    expect(&t, "send 0e 2r 1t send 3r",
        "send 0:1 1:2 2:3\n"
        "hop 1: 1 ttl-expired\n"
        "send 3:2\n"
        "hop 2: 1 no-reply 2 reply\n"
        "reached, 4 sent\n");
}

static void an_unknown_word_is_data(void **state) {
    (void)state;
    struct trace t = options();
    t.window = 1;
    expect(&t, "send 0w send 1e", "send 0:1\nsend 1:1\nhop 1: 1 strange 2 ttl-expired\n");
}

/* ---- what does not count ---------------------------------------------------------------- */

static void a_lost_prober(void **state) {
    (void)state;
    struct trace t = options();
    t.window = 2;
    expect(&t, "send 1l 0l send 2t 3l send 4l send 6e 5r",
        "send 0:1 1:2\n"
        "send 2:1 3:2\n"
        "send 4:1 5:2\n"
        "send 6:1\n"
        "hop 1: 1 no-reply 2 ttl-expired\n"
        "hop 2: 1 reply\n"
        "reached, 7 sent\n");
}

/* TCP: the answer beat the raw socket; asked again, but not for ever. */
static void a_tcp_race(void **state) {
    (void)state;
    struct trace t = options();
    t.protocol = TRACE_TCP;
    t.window = 1;
    t.max_ttl = 1;
    expect(&t, "send 0n send 1n send 2e",
        "send 0:1\nsend 1:1\nsend 2:1\nhop 1: 1 ttl-expired\nmax-ttl, 3 sent\n");
    expect(&t,
        "send 0n send 1n send 2n send 3n send 4n send 5n send 6n send 7n send 8n send 9n send 10n "
        "send 11n send 12n send 13n send 14n send 15n send 16n send",
        "send 0:1\nsend 1:1\nsend 2:1\nsend 3:1\nsend 4:1\nsend 5:1\nsend 6:1\nsend 7:1\nsend "
        "8:1\nsend 9:1\nsend 10:1\nsend 11:1\nsend 12:1\nsend 13:1\nsend 14:1\nsend 15:1\nsend "
        "16:1\n"
        "no-route, 17 sent, unavailable: mtr-packet says no-route for 192.0.2.1\n"
        "nothing to send\n");
    /* Somebody has answered: then it is a hop like others. */
    t.max_ttl = 2;
    expect(&t,
        "send 0e send 1n send 2n send 3n send 4n send 5n send 6n send 7n send 8n send 9n send 10n "
        "send 11n send 12n send 13n send 14n send 15n send 16n send 17n send 18n send",
        "send 0:1\nhop 1: 1 ttl-expired\nsend 1:2\nsend 2:2\nsend 3:2\nsend 4:2\nsend 5:2\nsend "
        "6:2\nsend 7:2\nsend 8:2\nsend 9:2\nsend 10:2\nsend 11:2\nsend 12:2\nsend 13:2\nsend "
        "14:2\nsend 15:2\nsend 16:2\nsend 17:2\nsend 18:2\n"
        "hop 2: 1 no-route 2 no-route\n"
        "max-ttl, 19 sent\n"
        "nothing to send\n");
}

/* TCP: an answer of the target is asked for twice; a router at the same ttl refutes it, silence
 * does not. Nothing is sent beyond it meanwhile. */
static void a_tcp_answer_is_confirmed(void **state) {
    (void)state;
    struct trace t = options();
    t.protocol = TRACE_TCP;
    t.max_ttl = 1;
    expect(&t, "send 0r send 1r", "send 0:1\nsend 1:1\nhop 1: 1 reply\nreached, 2 sent\n");
    expect(&t, "send 0r send 1e", "send 0:1\nsend 1:1\nhop 1: 1 ttl-expired\nmax-ttl, 2 sent\n");
    expect(&t, "send 0r send 1t send 2t",
        "send 0:1\nsend 1:1\nsend 2:1\nhop 1: 1 reply\nreached, 3 sent\n");
    expect(&t, "send 0t send 1r send 2e",
        "send 0:1\nsend 1:1\nsend 2:1\nhop 1: 1 no-reply 2 ttl-expired\nmax-ttl, 3 sent\n");
    expect(&t, "send 0r send 1l send 2r",
        "send 0:1\nsend 1:1\nsend 2:1\nhop 1: 1 reply\nreached, 3 sent\n");
    t.max_ttl = 30;
    t.window = 3;
    expect(&t, "send 1r send 0e send 3e send 2e 4e send 5r send 8r",
        "send 0:1 1:2 2:3\nsend 3:2\nhop 1: 1 ttl-expired\nnothing to send\n"
        "hop 2: 1 ttl-expired\nsend 4:4 5:5\nhop 3: 1 ttl-expired\nhop 4: 1 ttl-expired\n"
        "send 6:6 7:7\nsend 8:5\nhop 5: 1 reply\nreached, 9 sent\n");
    t.probes = 3;
    t.attempts = 3;
    t.max_ttl = 1;
    expect(
        &t, "send 0r 1r 2r", "send 0:1 1:1 2:1\nhop 1: 1 reply 2 reply 3 reply\nreached, 3 sent\n");
    expect(&t, "send 0r 1e 2t send", "send 0:1 1:1 2:1\nsend 3:1\n");
    /* One refuted answer has no effect on the next: that has all of its confirmations again. */
    t.probes = 2;
    t.attempts = 4;
    expect(&t, "send 0r 1t send 2t send 3e send 4r send 5t send 6r",
        "send 0:1 1:1\nsend 2:1\nsend 3:1\nsend 4:1\nsend 5:1\nsend 6:1\n"
        "hop 1: 1 no-reply 2 ttl-expired 3 reply\nreached, 7 sent\n");
}

static void a_full_prober(void **state) {
    (void)state;
    struct trace t = options();
    t.window = 1;
    expect(&t, "send 0x send 1x send 2t send 3x send 4e",
        "send 0:1\nsend 1:1\nsend 2:1\nsend 3:1\nsend 4:1\n"
        "hop 1: 1 no-reply 2 ttl-expired\n");
}

/* ---- window ----------------------------------------------------------------------------- */

static void the_window_counts_hops(void **state) {
    (void)state;
    struct trace t = options();
    t.window = 2;
    t.probes = 2;
    t.attempts = 3;
    expect(&t, "send 2e 3e send 0e 1e send",
        "send 0:1 1:1 2:2 3:2\n"
        "send 4:3 5:3\n" /* hop 2 is settled, so it is hops 1 and 3 that are in flight */
        "hop 1: 1 ttl-expired 2 ttl-expired\n"
        "hop 2: 1 ttl-expired 2 ttl-expired\n"
        "send 6:4 7:4\n");
}

/* ---- what must not break ---------------------------------------------------------------- */

/* A time beyond 32 bits must not turn into "no time", which the broker would refuse. */
static void a_time_beyond_32_bits(void **state) {
    (void)state;
    struct trace t = options();
    expect(&t, "send1 0z", "send 0:1\nhop 1: 1 reply\nreached, 1 sent\n");
}

/* The answers of one hop in either order give one end. */
static void reached_whatever_comes_first(void **state) {
    (void)state;
    struct trace t = options();
    t.probes = 2;
    t.max_ttl = 1;
    expect(&t, "send 0r 1u", "send 0:1 1:1\nhop 1: 1 reply 2 unreachable\nreached, 2 sent\n");
    expect(&t, "send 0u 1r", "send 0:1 1:1\nhop 1: 1 unreachable 2 reply\nreached, 2 sent\n");
}

/* A word that needs an address and came without one is not passed on as that verdict. */
static void a_reply_without_address_is_no_reply_of_the_target(void **state) {
    (void)state;
    struct trace t = options();
    const struct addr dst = addr("192.0.2.1");
    struct mtr_reply reply;
    unsigned index;
    uint8_t ttl;
    size_t count = 0;
    t.attempts = 1;
    struct tracer *tracer = tracer_new(&t, &dst, 0);
    assert_true(tracer_next(tracer, &NOW, &index, &ttl));
    if (mtr_line_parse(&reply, "1 reply", 7))
        tracer_answer(tracer, index, &reply, 0);
    else
        tracer_timeout(tracer, index); /* a line that is refused is as good */
    const struct hop_probe *probes = tracer_settled(tracer, &count);
    assert_int_equal(count, 1);
    assert_string_not_equal(hop_verdict_name(&probes[0]), "reply");
    tracer_destroy(&tracer);
}

/* ---- properties ------------------------------------------------------------------------- */

#define MAX_OUT 4096

struct random_run {
    struct tracer *tracer;
    struct trace options;
    unsigned out[MAX_OUT]; /* the probes whose end is not told yet */
    uint8_t ttl_of[MAX_OUT];
    char told[MAX_OUT]; /* by index: what was told of it, or 0 */
    unsigned out_count, sent;
    int reported; /* the next ttl to be reported */
    uint64_t rng;
};

static void random_options(struct random_run *r) {
    struct trace *t = &r->options;
    trace_defaults(t);
    t->first_ttl = 1 + rng_below(&r->rng, 5);
    t->max_ttl = t->first_ttl + rng_below(&r->rng, 12);
    if (rng_below(&r->rng, 20) == 0) {
        t->max_ttl = 255;
        t->first_ttl = 250;
    }
    t->probes = 1 + rng_below(&r->rng, 4);
    t->attempts = t->probes + rng_below(&r->rng, 3);
    t->gap_limit = rng_below(&r->rng, 6);
    t->window = 1 + rng_below(&r->rng, 8);
    t->protocol = rng_below(&r->rng, 2) ? TRACE_TCP : TRACE_ICMP;
}

static unsigned count_told(const struct random_run *r, int ttl, const char *kinds) {
    unsigned n = 0;
    for (unsigned i = 0; i < r->sent; i++)
        n += r->ttl_of[i] == ttl && r->told[i] != 0 && strchr(kinds, r->told[i]) != NULL;
    return n;
}

static void check_hop(struct random_run *r, const struct hop_probe *probes, size_t count) {
    assert_int_equal(probes[0].ttl, r->reported);
    assert_in_range(count, 1, (uintmax_t)r->options.attempts);
    unsigned answers = 0;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(probes[i].ttl, r->reported);
        assert_int_equal(probes[i].attempt, i + 1);
        assert_int_equal(probes[i].addr.af != 0, probes[i].rtt_us >= 0);
        answers += probes[i].addr.af != 0;
    }
    /* every answer that was given is there, and no other */
    if (r->options.protocol == TRACE_TCP) /* some were there to confirm, or refuted */
        assert_true(answers <= count_told(r, r->reported, "eruR"));
    else
        assert_int_equal(answers, count_told(r, r->reported, "eruR"));
    assert_true(answers == r->options.probes || count == (size_t)r->options.attempts);
    r->reported++;
}

static bool terminal(const struct hop_probe *probe) {
    return probe->verdict == HOP_REPLY || probe->verdict == HOP_UNREACHABLE;
}

static void check_result(struct random_run *r, bool outside) {
    struct result_body body = {.flow = -1};
    size_t count, at = 0;
    const struct hop_probe *probes = tracer_result(r->tracer, &body, &count);
    int ttl = (int)r->options.first_ttl, gap = 0, silent_before = 0;
    bool end = false;
    assert_int_equal(body.probes_sent, r->sent);
    while (at < count) {
        bool answered = false;
        assert_false(end); /* nothing behind the first terminal hop */
        for (size_t first = at; at < count && probes[at].ttl == probes[first].ttl; at++) {
            assert_int_equal(probes[at].ttl, ttl);
            answered |= probes[at].addr.af != 0;
            end |= terminal(&probes[at]);
        }
        silent_before = gap;
        gap = answered ? 0 : gap + 1;
        if (r->options.gap_limit > 0)
            assert_true(silent_before < r->options.gap_limit); /* none behind the gap */
        ttl++;
    }
    assert_int_equal(ttl, r->reported);
    assert_true(ttl - 1 <= r->options.max_ttl);
    switch (body.stop) {
    case STOP_REACHED:
    case STOP_UNREACHABLE:
        assert_true(end);
        break;
    case STOP_GAP_LIMIT:
        assert_false(end);
        assert_int_equal(gap, r->options.gap_limit);
        break;
    case STOP_MAX_TTL:
        assert_false(end);
        assert_int_equal(ttl - 1, r->options.max_ttl);
        break;
    default:
        assert_true(outside || body.error_code[0] != '\0');
    }
}

static void check_settled(struct random_run *r) {
    const struct hop_probe *probes;
    size_t count;
    while ((probes = tracer_settled(r->tracer, &count)) != NULL)
        check_hop(r, probes, count);
}

static void check_window(const struct random_run *r) {
    bool open[256] = {false};
    int hops = 0;
    int64_t window = r->options.window;
    for (unsigned i = 0; i < r->out_count; i++) {
        hops += !open[r->ttl_of[r->out[i]]];
        open[r->ttl_of[r->out[i]]] = true;
    }
    assert_true(hops <= window);
}

static void random_send(struct random_run *r) {
    unsigned index;
    uint8_t ttl;
    if (r->sent == MAX_OUT || !tracer_next(r->tracer, &NOW, &index, &ttl))
        return;
    assert_int_equal(index, r->sent);
    assert_in_range(ttl, (uintmax_t)r->options.first_ttl, (uintmax_t)r->options.max_ttl);
    r->ttl_of[index] = ttl;
    r->out[r->out_count++] = index;
    r->sent++;
    /* what was sent and did count is never over `attempts` */
    assert_true(count_told(r, ttl, "eruRstwxn") <= r->options.attempts + TRACER_MAX_REPEATS);
    check_window(r);
}

/* A path: routers, some silent, and the target at `distance`; now and then something else. */
static char random_outcome(struct random_run *r, int ttl, int distance) {
    unsigned luck = rng_below(&r->rng, 100);
    if (luck < 3)
        return "lxwn"[rng_below(&r->rng, r->options.protocol == TRACE_TCP ? 4 : 3)];
    if (luck < 25)
        return rng_below(&r->rng, 2) ? 't' : 's';
    if (luck < 27)
        return "uR"[rng_below(&r->rng, 2)];
    if (ttl % 4 == 3 && ttl < distance)
        return 't';
    return ttl >= distance ? 'r' : 'e';
}

static void random_event(struct random_run *r, int distance) {
    if (r->out_count == 0)
        return;
    unsigned at = rng_below(&r->rng, r->out_count), index = r->out[at];
    char what = random_outcome(r, r->ttl_of[index], distance);
    struct play p = {.tracer = r->tracer};
    r->out[at] = r->out[--r->out_count];
    r->told[index] = what;
    event(&p, index, what);
}

static void random_schedules_keep_the_rules(void **state) {
    (void)state;
    uint64_t seeds = rng_seed("random_schedules");
    const struct addr dst = addr("192.0.2.1");
    static struct random_run r;
    for (int run_number = 0; run_number < 20000; run_number++) {
        memset(&r, 0, sizeof r);
        r.rng = rng_next(&seeds);
        random_options(&r);
        r.tracer = tracer_new(&r.options, &dst, 0);
        r.reported = (int)r.options.first_ttl;
        int distance = (int)r.options.first_ttl + (int)rng_below(&r.rng, 14);
        bool outside = false;
        for (int step = 0; !tracer_ended(r.tracer); step++) {
            if (step > 20000)
                fail_msg("run %d: it does not end", run_number);
            if (rng_below(&r.rng, 2) == 0)
                random_send(&r);
            else
                random_event(&r, distance);
            if (rng_below(&r.rng, 500) == 0) {
                tracer_end(r.tracer, STOP_CANCELLED, NULL, "");
                outside = true;
            }
            check_settled(&r);
        }
        check_result(&r, outside);
        tracer_destroy(&r.tracer);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reached),
        cmocka_unit_test(unreachable),
        cmocka_unit_test(another_address_poses_as_the_target),
        cmocka_unit_test(answers_beyond_the_target),
        cmocka_unit_test(out_of_order),
        cmocka_unit_test(max_ttl),
        cmocka_unit_test(the_target_at_max_ttl_is_reached),
        cmocka_unit_test(the_gap_limit_at_max_ttl),
        cmocka_unit_test(gap_limit),
        cmocka_unit_test(an_answer_ends_a_gap),
        cmocka_unit_test(no_gap_limit),
        cmocka_unit_test(hopeless_answers),
        cmocka_unit_test(ended_from_outside),
        cmocka_unit_test(ended_before_anything),
        cmocka_unit_test(a_second_attempt),
        cmocka_unit_test(three_probes),
        cmocka_unit_test(attempts_run_out),
        cmocka_unit_test(a_lost_answer_of_the_target),
        cmocka_unit_test(the_target_answers_the_second_attempt),
        cmocka_unit_test(an_unknown_word_is_data),
        cmocka_unit_test(a_lost_prober),
        cmocka_unit_test(a_tcp_race),
        cmocka_unit_test(a_tcp_answer_is_confirmed),
        cmocka_unit_test(a_full_prober),
        cmocka_unit_test(the_window_counts_hops),
        cmocka_unit_test(a_time_beyond_32_bits),
        cmocka_unit_test(reached_whatever_comes_first),
        cmocka_unit_test(a_reply_without_address_is_no_reply_of_the_target),
        cmocka_unit_test(random_schedules_keep_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
