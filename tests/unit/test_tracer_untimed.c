/* tracer: answers that come late, times that cannot be trusted, and paths that loop.
 *
 * A script is a row of words: `send` asks for probes until there is none, all else is the number
 * of a probe and what came of it:
 *   e a router answered    r the target    u unreachable     t the trace's own time is over
 *   l lost                 x no free slot  n no-route
 *   E, R, U, N             the prober's line for one that had timed out: as e, r, u; no-reply
 *   y, Y, o                e, r and no-reply whose time cannot be trusted
 *   g                      e while the prober lagged
 */
#include "tests/unit/tracer_rig.h"
#include "tests/unit/transcript.h"

#include <stdlib.h>
#include <string.h>

struct play {
    struct tracer *tracer;
    struct transcript out;
    unsigned sent, told[200];
    uint8_t ttl[200];
    int64_t rtt_us;
};

static const char *flags_of(const struct hop_probe *probe, char out[80]) {
    static const char *const names[] = {
        " other-address", " late", " syn-retransmit", " prober-lag", " clock-step"};
    out[0] = '\0';
    for (int i = 0; i < 5; i++)
        if ((probe->flags >> i & 1) != 0)
            strcat(out, names[i]);
    return out;
}

static void show(struct play *p) {
    const struct hop_probe *probes;
    size_t count;
    char flags[80];
    while ((probes = tracer_settled(p->tracer, &count)) != NULL) {
        transcript_add(&p->out, "hop %d:", probes[0].ttl);
        for (size_t i = 0; i < count; i++) {
            transcript_add(&p->out, " %d %s%s", probes[i].attempt, hop_verdict_name(&probes[i]),
                flags_of(&probes[i], flags));
            if (probes[i].addr.af != 0 && probes[i].rtt_us < 0)
                transcript_add(&p->out, " (no time)");
        }
        transcript_add(&p->out, "\n");
    }
}

static void tell(struct play *p, unsigned index, char what) {
    static const char letters[] = "eruEURyYg";
    static const enum mtr_class classes[] = {MTR_EXPIRED, MTR_REPLY, MTR_UNREACHABLE, MTR_EXPIRED,
        MTR_UNREACHABLE, MTR_REPLY, MTR_EXPIRED, MTR_REPLY, MTR_EXPIRED};
    const char *letter = strchr(letters, what);
    struct mtr_reply reply = silence(what == 'x'   ? MTR_EXHAUSTED
                                     : what == 'n' ? MTR_NO_ROUTE
                                                   : MTR_SILENT);
    assert_true(index < p->sent);
    if (letter != NULL)
        reply = reply_at(classes[letter - letters], p->ttl[index], p->rtt_us);
    if (what == 't')
        tracer_timeout(p->tracer, index);
    else if (what == 'l')
        tracer_lost(p->tracer, index);
    else if (strchr("EURN", what) != NULL)
        transcript_add(&p->out, "%s\n",
            tracer_late(p->tracer, index, &reply, HOP_PROBER_LAG) ? "taken" : "not taken");
    else if (strchr("yYo", what) != NULL)
        tracer_untimed(p->tracer, index, &reply);
    else
        tracer_answer(p->tracer, index, &reply, what == 'g' ? HOP_PROBER_LAG : 0);
}

static void run(struct play *p, const char *script) {
    const struct tracer_may may = {0};
    unsigned index;
    uint8_t ttl;
    while (*(script += strspn(script, " ")) != '\0') {
        if (strncmp(script, "send", 4) == 0) {
            while (tracer_next(p->tracer, &may, &index, &ttl)) {
                transcript_add(&p->out, "%u:%d ", index, ttl);
                p->ttl[index] = ttl;
                p->sent = index + 1;
            }
            transcript_add(&p->out, "sent\n");
            script += 4;
        } else {
            char *what;
            index = (unsigned)strtoul(script, &what, 10);
            assert_true(what != script);
            tell(p, index, *what);
            script = what + 1;
        }
        show(p);
    }
    if (!tracer_ended(p->tracer))
        return;
    struct result_body body = {.flow = -1};
    size_t count;
    (void)tracer_result(p->tracer, &body, &count);
    transcript_add(&p->out, "%s, %zu probes\n", result_stop_names[body.stop], count);
}

static void expect_rtt(
    const struct trace *with, int64_t rtt_us, const char *script, const char *expected) {
    const struct addr dst = addr("192.0.2.1");
    struct play p = {.tracer = tracer_new(with, &dst, 0), .rtt_us = rtt_us};
    run(&p, script);
    bool same = transcript_is(&p.out, expected);
    tracer_destroy(&p.tracer);
    transcript_free(&p.out);
    assert_true(same);
}

static void expect(const struct trace *with, const char *script, const char *expected) {
    expect_rtt(with, 5 * MS, script, expected);
}

static struct trace two_hops(void) {
    struct trace t = options();
    t.window = 1;
    t.max_ttl = 2;
    return t;
}

/* ---- late answers ----------------------------------------------------------------------- */

/* While its hop still waits, a late answer is as good as another; the hop waits for what is out. */
static void a_late_answer_of_a_hop_that_waits(void **state) {
    (void)state;
    struct trace t = two_hops();
    expect(&t, "send 0t 0E send",
        "0:1 sent\ntaken\nhop 1: 1 ttl-expired late prober-lag\n"
        "1:2 sent\n");
    expect(&t, "send 0t send 0E send 1e send",
        "0:1 sent\n1:1 sent\ntaken\nsent\n"
        "hop 1: 1 ttl-expired late prober-lag 2 ttl-expired\n2:2 sent\n");
    expect(&t, "send 0t send 0E 1t send",
        "0:1 sent\n1:1 sent\ntaken\nhop 1: 1 ttl-expired late prober-lag 2 no-reply\n2:2 sent\n");
}

/* What was sent again is lost, or asks to be repeated: the late answer is all that is needed. */
static void a_late_answer_and_a_probe_in_vain(void **state) {
    (void)state;
    struct trace t = two_hops();
    static const char expected[] = "0:1 sent\n1:1 sent\ntaken\n"
                                   "hop 1: 1 ttl-expired late prober-lag\n2:2 sent\n";
    expect(&t, "send 0t send 0E 1l send", expected);
    expect(&t, "send 0t send 0E 1x send", expected);
    expect(&t, "send 0t send 0E 1y send", expected);
    t.max_ttl = 1;
    expect(&t, "send 0t send 0E 1l",
        "0:1 sent\n1:1 sent\ntaken\nhop 1: 1 ttl-expired late prober-lag\nmax-ttl, 1 probes\n");
}

static void a_late_answer_of_the_target(void **state) {
    (void)state;
    struct trace t = two_hops();
    expect(&t, "send 0t send 0R 1r",
        "0:1 sent\n1:1 sent\ntaken\n"
        "hop 1: 1 reply late prober-lag 2 reply\nreached, 2 probes\n");
    expect(&t, "send 0t 0R",
        "0:1 sent\ntaken\nhop 1: 1 reply late prober-lag\n"
        "reached, 1 probes\n");
    expect(&t, "send 0t 0U",
        "0:1 sent\ntaken\nhop 1: 1 unreachable late prober-lag\nunreachable, 1 probes\n");
}

static void a_late_answer_is_taken_once(void **state) {
    (void)state;
    struct trace t = two_hops();
    t.probes = 2;
    t.attempts = 3;
    expect(&t, "send 0t 0E 0E 0R send", "0:1 1:1 sent\ntaken\nnot taken\nnot taken\nsent\n");
}

static void late_lines_that_are_not_taken(void **state) {
    (void)state;
    struct trace t = two_hops();
    /* silence is no news */
    expect(&t, "send 0t 0N send", "0:1 sent\nnot taken\n1:1 sent\n");
    /* the hop is settled, and reported */
    expect(&t, "send 0t send 1t 0E",
        "0:1 sent\n1:1 sent\nhop 1: 1 no-reply 2 no-reply\n"
        "not taken\n");
    expect(&t, "send 0t send 1e 0E",
        "0:1 sent\n1:1 sent\nhop 1: 1 no-reply 2 ttl-expired\n"
        "not taken\n");
    /* the trace has ended */
    expect(&t, "send 0t send 1r 0R",
        "0:1 sent\n1:1 sent\nhop 1: 1 no-reply 2 reply\nnot taken\n"
        "reached, 2 probes\n");
}

/* A late answer from behind the target is nothing new; one from before it is. */
static void late_answers_around_the_target(void **state) {
    (void)state;
    struct trace t = options();
    t.window = 3;
    expect(&t, "send 0t 1t 2t 2R 1R send 0E 1R",
        "0:1 1:2 2:3 sent\ntaken\ntaken\n3:1 sent\ntaken\nnot taken\n");
    expect(&t, "send 0t 1r 2t 2R 0E",
        "0:1 1:2 2:3 sent\ntaken\ntaken\n"
        "hop 1: 1 ttl-expired late prober-lag\nhop 2: 1 reply\n"
        "reached, 2 probes\n");
}

static void a_late_answer_of_a_tcp_like_trace(void **state) {
    (void)state;
    struct trace t = two_hops();
    t.protocol = TRACE_TCP;
    expect(&t, "send 0t 0R send", "0:1 sent\nnot taken\n1:1 sent\n");
}

/* ---- flags ------------------------------------------------------------------------------ */

static void flags(void **state) {
    (void)state;
    struct trace t = two_hops();
    t.timeout_ms = 1500;
    expect_rtt(&t, 1500 * MS, "send 0e", "0:1 sent\nhop 1: 1 ttl-expired\n");
    expect_rtt(&t, 1500 * MS + 1, "send 0e", "0:1 sent\nhop 1: 1 ttl-expired late\n");
    expect_rtt(&t, 5 * MS, "send 0g", "0:1 sent\nhop 1: 1 ttl-expired prober-lag\n");
    t.protocol = TRACE_TCP;
    expect_rtt(&t, SECOND - 1, "send 0e", "0:1 sent\nhop 1: 1 ttl-expired\n");
    expect_rtt(&t, SECOND, "send 0e", "0:1 sent\nhop 1: 1 ttl-expired syn-retransmit\n");
    expect_rtt(&t, SECOND, "send 0r send 1r",
        "0:1 sent\n1:1 sent\nhop 1: 1 reply syn-retransmit\nreached, 1 probes\n");
    t.protocol = TRACE_SCTP;
    expect_rtt(&t, 2 * SECOND, "send 0g",
        "0:1 sent\nhop 1: 1 ttl-expired late syn-retransmit prober-lag\n");
    t.protocol = TRACE_UDP;
    expect_rtt(&t, SECOND, "send 0e", "0:1 sent\nhop 1: 1 ttl-expired\n");
}

/* ---- times that cannot be trusted ------------------------------------------------------- */

/* Asked again without counting an attempt, TRACER_MAX_REPEATS times; then the address is true. */
static void untimed_answers(void **state) {
    (void)state;
    struct trace t = two_hops();
    t.max_ttl = t.attempts = 1;
    expect(&t, "send 0y send 1e", "0:1 sent\n1:1 sent\nhop 1: 1 ttl-expired\nmax-ttl, 1 probes\n");
    struct transcript script = {0};
    for (int i = 0; i < TRACER_MAX_REPEATS; i++)
        transcript_add(&script, "send %dy ", i);
    struct transcript sent = {0};
    for (int i = 0; i <= TRACER_MAX_REPEATS; i++)
        transcript_add(&sent, "%d:1 sent\n", i);
    static const struct {
        const char *last, *expected;
    } cases[] = {
        {"y", "hop 1: 1 ttl-expired clock-step (no time)\nmax-ttl, 1 probes\n"},
        {"Y", "hop 1: 1 reply clock-step (no time)\nreached, 1 probes\n"},
        {"o", "hop 1: 1 no-reply\nmax-ttl, 1 probes\n"},
        {"e", "hop 1: 1 ttl-expired\nmax-ttl, 1 probes\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct transcript with = {0}, expected = {0};
        transcript_add(&with, "%s send %d%s", script.at, TRACER_MAX_REPEATS, cases[i].last);
        transcript_add(&expected, "%s%s", sent.at, cases[i].expected);
        expect(&t, with.at, expected.at);
        transcript_free(&with);
        transcript_free(&expected);
    }
    /* each hop has its own */
    t.max_ttl = 2;
    struct transcript with = {0};
    const int last = TRACER_MAX_REPEATS;
    transcript_add(&with, "%s send %de send %dy send", script.at, last, last + 1);
    struct transcript expected = {0};
    transcript_add(
        &expected, "%shop 1: 1 ttl-expired\n%d:2 sent\n%d:2 sent\n", sent.at, last + 1, last + 2);
    expect(&t, with.at, expected.at);
    transcript_free(&with);
    transcript_free(&expected);
    transcript_free(&script);
    transcript_free(&sent);
}

/* Silence that came too early is not believed either. */
static void untimed_silence(void **state) {
    (void)state;
    struct trace t = two_hops();
    expect(&t, "send 0o send 1o send 2e", "0:1 sent\n1:1 sent\n2:1 sent\nhop 1: 1 ttl-expired\n");
}

/* ---- loops ------------------------------------------------------------------------------ */

/* One ttl a letter: a router of that name, * silence, ! the target, ? unreachable. Returns where
 * the trace ended and why. */
static const char *ends(const struct trace *with, const char *path) {
    static char text[40];
    const struct addr dst = addr("192.0.2.1");
    struct tracer *tracer = tracer_new(with, &dst, 0);
    const struct tracer_may may = {0};
    unsigned index;
    uint8_t ttl;
    while (tracer_next(tracer, &may, &index, &ttl)) {
        char who = path[ttl - with->first_ttl];
        struct mtr_reply reply = reply_at(who == '!'   ? MTR_REPLY
                                          : who == '?' ? MTR_UNREACHABLE
                                                       : MTR_EXPIRED,
            who, 5 * MS);
        assert_true(who != '\0');
        if (who == '*')
            tracer_timeout(tracer, index);
        else
            tracer_answer(tracer, index, &reply, 0);
    }
    struct result_body body = {.flow = -1};
    size_t count;
    assert_true(tracer_ended(tracer));
    const struct hop_probe *probes = tracer_result(tracer, &body, &count);
    (void)snprintf(
        text, sizeof text, "%s at %d", result_stop_names[body.stop], probes[count - 1].ttl);
    tracer_destroy(&tracer);
    return text;
}

static void loops(void **state) {
    (void)state;
    static const struct {
        int limit;
        const char *path, *end;
    } cases[] = {
        /* one after the other is no loop, silence between them neither */
        {1, "AAA!", "reached at 4"},
        {1, "A*A!", "reached at 4"},
        {1, "A**AB!", "reached at 6"},
        {1, "***A!", "reached at 5"},
        /* behind another one it is */
        {1, "ABA", "loop at 3"},
        {1, "AB*A", "loop at 4"},
        {1, "A*BA", "loop at 4"},
        {1, "ABCDA", "loop at 5"},
        {2, "ABAB", "loop at 4"},
        {3, "ABABA", "loop at 5"},
        {3, "ABAB!", "reached at 5"},
        {3, "ABCABC", "loop at 6"},
        {3, "ABCAB!", "reached at 6"},
        /* not in a row: it is counted over the whole trace */
        {2, "ABACDC", "loop at 6"},
        /* a router that answers for two ttls in a loop counts once */
        {2, "AABAAB", "loop at 6"},
        {255, "ABABABABABAB!", "reached at 13"},
        {0, "ABABABABABAB!", "reached at 13"},
        /* the target and unreachable end it first */
        {1, "AB!", "reached at 3"},
        {1, "AB?", "unreachable at 3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int first_ttl = 1; first_ttl < 20; first_ttl += 17) {
            struct trace t = options();
            int shift = first_ttl - 1;
            char expected[40], why[20];
            int at = 0;
            t.loop_limit = cases[i].limit;
            t.attempts = 1;
            t.window = 1 + (int)i % 3;
            t.gap_limit = 0;
            t.first_ttl = first_ttl;
            t.max_ttl = first_ttl + (int)strlen(cases[i].path) - 1;
            assert_int_equal(sscanf(cases[i].end, "%19s at %d", why, &at), 2);
            (void)snprintf(expected, sizeof expected, "%s at %d", why, at + shift);
            const char *got = ends(&t, cases[i].path);
            if (strcmp(got, expected) != 0)
                fail_msg(
                    "%s with limit %d: %s, not %s", cases[i].path, cases[i].limit, got, expected);
        }
}

/* The end of a loop at the very max_ttl is a loop; a gap is a gap. */
static void which_end_is_told(void **state) {
    (void)state;
    struct trace t = options();
    t.attempts = 1;
    t.loop_limit = 1;
    t.max_ttl = 3;
    assert_string_equal(ends(&t, "ABA"), "loop at 3");
    t.max_ttl = 8;
    t.gap_limit = 2;
    assert_string_equal(ends(&t, "AB**A!!!"), "gap-limit at 4");
    assert_string_equal(ends(&t, "AB*A**!!"), "loop at 4");
}

/* The first answer of a hop decides whether it loops, not those of other routers at its ttl. */
static void a_hop_of_several_routers(void **state) {
    (void)state;
    struct trace t = options();
    const struct addr dst = addr("192.0.2.1");
    const struct tracer_may may = {0};
    t.probes = t.attempts = 3;
    t.loop_limit = 1;
    t.max_ttl = 3;
    static const char who[] = "ABCBCACAB";
    struct tracer *tracer = tracer_new(&t, &dst, 0);
    unsigned index;
    uint8_t ttl;
    while (tracer_next(tracer, &may, &index, &ttl)) {
        struct mtr_reply reply = reply_at(MTR_EXPIRED, who[index], 5 * MS);
        tracer_answer(tracer, index, &reply, 0);
    }
    struct result_body body = {.flow = -1};
    size_t count;
    (void)tracer_result(tracer, &body, &count);
    assert_int_equal(body.stop, STOP_MAX_TTL);
    tracer_destroy(&tracer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_late_answer_of_a_hop_that_waits),
        cmocka_unit_test(a_late_answer_and_a_probe_in_vain),
        cmocka_unit_test(a_late_answer_of_the_target),
        cmocka_unit_test(a_late_answer_is_taken_once),
        cmocka_unit_test(late_lines_that_are_not_taken),
        cmocka_unit_test(late_answers_around_the_target),
        cmocka_unit_test(a_late_answer_of_a_tcp_like_trace),
        cmocka_unit_test(flags),
        cmocka_unit_test(untimed_answers),
        cmocka_unit_test(untimed_silence),
        cmocka_unit_test(loops),
        cmocka_unit_test(which_end_is_told),
        cmocka_unit_test(a_hop_of_several_routers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
