/* tracer_plan: what a trace sends, and when, in conversations on a clock of their own.
 *
 * A script is a row of words:
 *   needed, ahead   asks for probes until there is none, without and with what may not be needed
 *   @MS             now it is MS after the start; the trace is not asked
 *   hold TTL,...    these ttls are held from now on; `hold -` ends that
 *   more?           shows when the trace wants to be asked again
 *   NUMBER WHAT     what came of a probe: e a router answered, r the target, u unreachable,
 *                   t timeout, l lost with the prober, z an answer whose time cannot be trusted
 */
#include "tests/unit/tracer_rig.h"
#include "tests/unit/transcript.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- conversations ---------------------------------------------------------------------- */

struct play {
    struct tracer *tracer;
    struct transcript out;
    struct tracer_may may;
    unsigned sent;
    uint8_t ttl[MAX_PROBES];
    int64_t sent_us[MAX_PROBES];
};

static void ask(struct play *p, bool ahead) {
    unsigned index;
    uint8_t ttl;
    bool any = false;
    p->may.ahead = ahead;
    while (tracer_next(p->tracer, &p->may, &index, &ttl)) {
        assert_int_equal(index, p->sent);
        assert_true(p->sent < MAX_PROBES);
        transcript_add(&p->out, "%s %u:%d", any ? "" : ahead ? "ahead" : "needed", index, ttl);
        p->ttl[p->sent] = ttl;
        p->sent_us[p->sent++] = p->may.at_us;
        any = true;
    }
    transcript_add(&p->out, any ? "\n" : "nothing\n");
}

static void tell(struct play *p, unsigned index, char what) {
    int64_t rtt_us = p->may.at_us - p->sent_us[index];
    enum mtr_class class = what == 'r' ? MTR_REPLY : what == 'u' ? MTR_UNREACHABLE : MTR_EXPIRED;
    struct mtr_reply reply = reply_at(class, p->ttl[index], rtt_us);
    assert_true(index < p->sent);
    if (what == 't')
        tracer_timeout(p->tracer, index);
    else if (what == 'l')
        tracer_lost(p->tracer, index);
    else if (what == 'z')
        tracer_untimed(p->tracer, index, &reply);
    else
        tracer_answer(p->tracer, index, &reply, 0);
}

static void show_end(struct play *p) {
    struct result_body body = {.flow = -1};
    size_t count;
    const struct hop_probe *probes = tracer_result(p->tracer, &body, &count);
    transcript_add(&p->out, "%s at %d, %u beyond\n", result_stop_names[body.stop],
        count > 0 ? probes[count - 1].ttl : 0, tracer_beyond(p->tracer));
}

static const char *word(struct play *p, const char *at) {
    char *end;
    if (strncmp(at, "needed", 6) == 0 || strncmp(at, "ahead", 5) == 0) {
        ask(p, *at == 'a');
        return at + (*at == 'a' ? 5 : 6);
    }
    if (strncmp(at, "more?", 5) == 0) {
        int64_t more_us = tracer_more_us(p->tracer, p->may.at_us);
        if (more_us == INT64_MAX)
            transcript_add(&p->out, "no more\n");
        else
            transcript_add(
                &p->out, "more at %" PRId64 ".%" PRId64 "\n", more_us / MS, more_us % MS);
        return at + 5;
    }
    if (strncmp(at, "hold ", 5) == 0) {
        p->may.held = 0;
        for (at += 5; *at != ' ' && *at != '\0'; at = *end == ',' ? end + 1 : end) {
            unsigned long ttl = strtoul(at, &end, 10);
            if (end == at)
                return at + 1;
            p->may.held |= 1U << ttl;
        }
        return at;
    }
    if (*at == '@') {
        p->may.at_us = strtol(at + 1, &end, 10) * MS;
        return end;
    }
    unsigned long index = strtoul(at, &end, 10);
    assert_true(end != at);
    tell(p, (unsigned)index, *end);
    if (tracer_ended(p->tracer))
        show_end(p);
    return end + 1;
}

static void expect_with(
    const struct trace *with, int distance, const char *script, const char *expected) {
    const struct addr dst = addr("192.0.2.1");
    static struct play p;
    p = (struct play){.tracer = tracer_new(with, &dst, distance)};
    for (const char *at = script; *(at += strspn(at, " ")) != '\0';)
        at = word(&p, at);
    bool same = transcript_is(&p.out, expected);
    tracer_destroy(&p.tracer);
    transcript_free(&p.out);
    assert_true(same);
}

static void expect(const struct trace *with, const char *script, const char *expected) {
    expect_with(with, 0, script, expected);
}

/* ---- what is needed --------------------------------------------------------------------- */

static void needed_is_the_ttl_behind_the_last_answer(void **state) {
    (void)state;
    struct trace t = options();
    expect(&t, "needed needed @5 0e needed @10 1e needed @15 2r needed",
        "needed 0:1\nnothing\nneeded 1:2\nneeded 2:3\nreached at 3, 0 beyond\nnothing\n");
}

static void patience_is_twice_the_longest_time(void **state) {
    (void)state;
    struct trace t = options();
    expect(&t, "needed more? @20 0e needed more? @59 needed @60 needed more?",
        /* before any answer: a share of TRACER_PATIENCE_ALL_US */
        "needed 0:1\nmore at 180.0\nneeded 1:2\nmore at 60.0\nnothing\nneeded 2:3\nmore at "
        "100.0\n");
}

static void patience_has_bounds(void **state) {
    (void)state;
    struct trace t = options();
    /* at least TRACER_PATIENCE_MIN_US */
    expect(&t, "needed @1 0e needed more?", "needed 0:1\nneeded 1:2\nmore at 11.0\n");
    /* at most a share of TRACER_PATIENCE_ALL_US */
    expect(&t, "needed @500 0e needed more?", "needed 0:1\nneeded 1:2\nmore at 680.0\n");
    t.gap_limit = 2;
    expect(&t, "needed more?", "needed 0:1\nmore at 450.0\n");
    t.gap_limit = 0;
    expect(&t, "needed more?", "needed 0:1\nmore at 180.0\n");
    /* at most half of timeout_ms */
    t.gap_limit = 5;
    t.timeout_ms = 100;
    expect(&t, "needed more?", "needed 0:1\nmore at 50.0\n");
}

/* Silent from the start: gap_limit ttls are sent, patience apart, and then nothing is until their
 * time is over. */
static void a_silent_target(void **state) {
    (void)state;
    struct trace t = options();
    t.gap_limit = 3;
    expect(&t,
        "needed @300 needed @600 needed more? @2000 needed 0t needed @2300 1t needed @2600 2t "
        "needed more? @4000 3t @4300 4t @4600 5t",
        "needed 0:1\nneeded 1:2\nneeded 2:3\nno more\nnothing\nneeded 3:1\nneeded 4:2\n"
        "needed 5:3\nno more\ngap-limit at 3, 0 beyond\n");
}

static void gap_limits_at_the_edges(void **state) {
    (void)state;
    struct trace t = options();
    t.gap_limit = 1;
    expect(&t, "needed more? @1999 needed 0t needed 1t",
        "needed 0:1\nno more\nnothing\nneeded 1:1\ngap-limit at 1, 0 beyond\n");
    t.gap_limit = 0;
    t.max_ttl = 3;
    expect(&t, "needed @180 needed @360 needed @540 needed more?",
        "needed 0:1\nneeded 1:2\nneeded 2:3\nnothing\nno more\n");
    /* the last ttls of all, and more of a gap than there are ttls */
    t.gap_limit = 255;
    t.first_ttl = 254;
    t.max_ttl = 255;
    expect(&t, "needed more? @10 needed more? 1e needed 0e",
        "needed 0:254\nmore at 10.0\nneeded 1:255\nno more\nnothing\nmax-ttl at 255, 0 beyond\n");
    expect(&t, "ahead more? 1e more? 0t needed more? 2t",
        "ahead 0:254 1:255\nmore at 10.0\nno more\nneeded 2:254\nno more\n"
        "max-ttl at 255, 0 beyond\n");
}

/* A router beyond silent ones: what is behind it is needed, and they are asked again. */
static void an_answer_from_behind_a_gap(void **state) {
    (void)state;
    struct trace t = options();
    expect(&t, "needed @180 needed @360 needed @370 2e needed @2000 0t needed @2180 1t needed",
        "needed 0:1\nneeded 1:2\nneeded 2:3\nneeded 3:4\nneeded 4:1 5:5\nneeded 6:2 7:6\n");
}

static void a_late_starter(void **state) {
    (void)state;
    struct trace t = options();
    t.first_ttl = 7;
    expect(&t, "needed @4 0e needed ahead",
        "needed 0:7\nneeded 1:8\n"
        "ahead 2:9 3:10 4:11 5:12 6:13 7:14 8:15 9:16 10:17 11:18 12:19 13:20 14:21 15:22 16:23 "
        "17:24 18:25 19:26\n");
}

static void several_probes_a_hop(void **state) {
    (void)state;
    struct trace t = options();
    t.probes = 3;
    t.attempts = 4;
    expect(&t, "needed @5 1e needed @6 0e 2t needed",
        "needed 0:1 1:1 2:1\nneeded 3:2 4:2 5:2\nneeded 6:1\n");
    /* ahead, one each: what a hop needs besides follows when it is needed */
    t.max_ttl = 3;
    expect(&t, "ahead @5 0e ahead", "ahead 0:1 1:1 2:1 3:2 4:3\nahead 5:2 6:2\n");
}

/* ---- ahead ------------------------------------------------------------------------------ */

static void ahead_of_nothing_known(void **state) {
    (void)state;
    struct trace t = options();
    expect(&t, "ahead @5 9e ahead @6 19e ahead",
        "ahead 0:1 1:2 2:3 3:4 4:5 5:6 6:7 7:8 8:9 9:10 10:11 11:12 12:13 13:14 14:15 15:16 16:17 "
        "17:18 18:19 19:20\n"
        "nothing\n"
        "ahead 20:21 21:22 22:23 23:24\n");
}

static void ahead_up_to_where_the_target_is(void **state) {
    (void)state;
    struct trace t = options();
    expect_with(&t, 4, "ahead @9 0e 1e 2e ahead 3r",
        "ahead 0:1 1:2 2:3 3:4\nnothing\n"
        "reached at 4, 0 beyond\n");
    /* it is farther away now */
    expect_with(&t, 2, "ahead @9 0e needed ahead @12 1e needed ahead",
        "ahead 0:1 1:2\nnothing\nnothing\nneeded 2:3\nahead 3:4 4:5 5:6\n");
    /* nearer: what was sent beyond it is counted */
    expect_with(&t, 6, "ahead @9 2r needed ahead 0e 1e",
        "ahead 0:1 1:2 2:3 3:4 4:5 5:6\nnothing\nnothing\nreached at 3, 3 beyond\n");
    /* before first_ttl, and beyond max_ttl */
    t.first_ttl = 5;
    t.max_ttl = 12;
    expect_with(&t, 2, "ahead", "ahead 0:5 1:6 2:7 3:8\n");
    expect_with(&t, 255, "ahead", "ahead 0:5 1:6 2:7 3:8 4:9 5:10 6:11 7:12\n");
}

static void nothing_is_sent_beyond_the_target(void **state) {
    (void)state;
    struct trace t = options();
    expect_with(&t, 5, "ahead @9 4r @2000 0t 1t 2t 3t ahead more?",
        "ahead 0:1 1:2 2:3 3:4 4:5\nahead 5:1 6:2 7:3 8:4\nno more\n");
}

/* ---- answers that are to be confirmed --------------------------------------------------- */

static void a_tcp_answer_is_confirmed(void **state) {
    (void)state;
    struct trace t = options();
    t.protocol = TRACE_TCP;
    /* at once, wherever it is */
    expect(&t, "ahead @9 5r needed @18 20r 0e 1e 2e 3e 4e",
        "ahead 0:1 1:2 2:3 3:4 4:5 5:6 6:7 7:8 8:9 9:10 10:11 11:12 12:13 13:14 14:15 15:16 16:17 "
        "17:18 18:19 19:20\nneeded 20:6\nreached at 6, 14 beyond\n");
    /* a router refutes it: on it goes */
    expect(&t, "needed @9 0r needed @18 1e needed @27 2r needed @36 3r",
        "needed 0:1\nneeded 1:1\nneeded 2:2\nneeded 3:2\nreached at 2, 0 beyond\n");
    /* two of them: the nearer one first, and the other one if that was none */
    t.max_ttl = 4;
    expect(&t, "ahead @9 3r 1r needed @18 4e needed @27 5r 0e 2e",
        "ahead 0:1 1:2 2:3 3:4\nneeded 4:2\nneeded 5:4\nreached at 4, 0 beyond\n");
    /* silence does not refute it */
    t.max_ttl = 2;
    expect(&t, "ahead @9 1r 0e needed @1009 2t needed @2009 3t",
        "ahead 0:1 1:2\nneeded 2:2\nneeded 3:2\nreached at 2, 0 beyond\n");
}

/* Where the target is thought to be, an idle worker asks twice at once. */
static void a_tcp_target_is_asked_twice(void **state) {
    (void)state;
    struct trace t = options();
    t.protocol = TRACE_TCP;
    static const char sent[] = "ahead 0:1 1:2 2:2\n";
    static const struct {
        const char *script, *expected;
    } cases[] = {
        {"0e 1r 2r", "reached at 2, 0 beyond\n"},
        {"0e 2r 1r", "reached at 2, 0 beyond\n"},
        {"0e 1r 2e ahead", "ahead 3:3 4:4 5:5 6:6\n"},
        {"0e 2r 1e ahead", "ahead 3:3 4:4 5:5 6:6\n"},
        {"0e 1e 2e needed", "needed 3:3\n"},
        {"0e 2e 1e needed", "needed 3:3\n"},
        {"0e 1t 2t ahead", "ahead 3:2\n"},
        {"0e 1t 2r ahead 3r", "ahead 3:2\nreached at 2, 0 beyond\n"},
        {"0e 1t 2r ahead 3t ahead 4t", "ahead 3:2\nahead 4:2\nreached at 2, 0 beyond\n"},
        {"0e 2t 1r ahead 3r", "ahead 3:2\nreached at 2, 0 beyond\n"},
        {"0e 1l 2r ahead 3r", "ahead 3:2\nreached at 2, 0 beyond\n"},
        {"0e 1l 2l ahead", "ahead 3:2\n"},
        {"0e 1r 2l ahead 3r", "ahead 3:2\nreached at 2, 0 beyond\n"},
        {"0e 1z 2r ahead", "ahead 3:2\n"},
        {"0e 1r 2z ahead 3r", "ahead 3:2\nreached at 2, 0 beyond\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char script[100], expected[200];
        (void)snprintf(script, sizeof script, "ahead @9 %s", cases[i].script);
        (void)snprintf(expected, sizeof expected, "%s%s", sent, cases[i].expected);
        expect_with(&t, 2, script, expected);
    }
    /* a loaded one does not, and nobody does beyond what is known to be the target */
    expect_with(&t, 2, "needed @9 0e needed", "needed 0:1\nneeded 1:2\n");
}

/* However the two answers come, no hop has more than `attempts` probes. */
static void a_twin_is_no_extra_attempt(void **state) {
    (void)state;
    struct trace t = options();
    const struct addr dst = addr("192.0.2.1");
    static struct play p;
    t.protocol = TRACE_TCP;
    t.probes = t.attempts = 2;
    p = (struct play){.tracer = tracer_new(&t, &dst, 2)};
    static const char script[] = "ahead @9 0e 1e 2t 3r ahead 4r";
    for (const char *at = script; *(at += strspn(at, " ")) != '\0';)
        at = word(&p, at);
    assert_true(
        transcript_is(&p.out, "ahead 0:1 1:1 2:2 3:2\nahead 4:2\nreached at 2, 0 beyond\n"));
    struct result_body body = {.flow = -1};
    size_t count;
    (void)tracer_result(p.tracer, &body, &count);
    assert_int_equal(count, 2 + 2);
    tracer_destroy(&p.tracer);
    transcript_free(&p.out);
}

/* ---- first hops that are held --------------------------------------------------------- */

static void what_is_held_does_not_hold_up_the_rest(void **state) {
    (void)state;
    struct trace t = options();
    expect(&t, "hold 1 needed @5 0e needed hold - needed", "needed 0:2\nneeded 1:3\nneeded 2:1\n");
    expect(&t, "hold 1,2,3,4 needed more?", "needed 0:5\nno more\n");
    expect(&t, "hold 2 ahead hold - ahead",
        "ahead 0:1 1:3 2:4 3:5 4:6 5:7 6:8 7:9 8:10 9:11 10:12 11:13 12:14 13:15 14:16 15:17 "
        "16:18 17:19 18:20\nahead 19:2\n");
    t.window = 2;
    expect(&t, "hold 1 needed hold - needed", "needed 0:2\nneeded 1:1\n");
    t.window = 1;
    expect(&t, "hold 1 needed hold - needed", "nothing\nneeded 0:1\n");
}

static void the_lowest_held_ttl(void **state) {
    (void)state;
    struct trace t = options();
    const struct addr dst = addr("192.0.2.1");
    unsigned index;
    uint8_t ttl;
    for (t.window = 0; t.window < 3; t.window++) {
        struct tracer *tracer = tracer_new(&t, &dst, 0);
        struct tracer_may may = {.held = 1U << 1 | 1U << 2};
        while (tracer_next(tracer, &may, &index, &ttl))
            ;
        assert_int_equal(tracer_held(tracer, &may), 1);
        may.held = 1U << 2;
        assert_true(tracer_next(tracer, &may, &index, &ttl) && ttl == 1);
        while (tracer_next(tracer, &may, &index, &ttl))
            ;
        assert_int_equal(tracer_held(tracer, &may), t.window == 2 ? 2 : 0);
        tracer_end(tracer, STOP_CANCELLED, NULL, "");
        assert_int_equal(tracer_held(tracer, &may), 0);
        tracer_destroy(&tracer);
    }
}

/* ---- a prober that dies ----------------------------------------------------------------- */

static void hops_of_a_dead_prober_are_asked_again(void **state) {
    (void)state;
    struct trace t = options();
    expect_with(&t, 4, "ahead @3 0e @500 1l 2l 3l more? needed ahead",
        "ahead 0:1 1:2 2:3 3:4\nno more\nneeded 4:2\nahead 5:3 6:4\n");
    expect_with(&t, 4, "ahead 0l 1l 2l 3l needed more?",
        "ahead 0:1 1:2 2:3 3:4\nneeded 4:1\n"
        "more at 180.0\n");
    /* its second attempt was lost: the first one counts, and it is the second that is sent again */
    expect(&t, "needed @2000 0t needed @2100 1l 2l needed @4100 3t needed",
        "needed 0:1\nneeded 1:1 2:2\nneeded 3:1 4:2\nneeded 5:3\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(needed_is_the_ttl_behind_the_last_answer),
        cmocka_unit_test(patience_is_twice_the_longest_time),
        cmocka_unit_test(patience_has_bounds),
        cmocka_unit_test(a_silent_target),
        cmocka_unit_test(gap_limits_at_the_edges),
        cmocka_unit_test(an_answer_from_behind_a_gap),
        cmocka_unit_test(a_late_starter),
        cmocka_unit_test(several_probes_a_hop),
        cmocka_unit_test(ahead_of_nothing_known),
        cmocka_unit_test(ahead_up_to_where_the_target_is),
        cmocka_unit_test(nothing_is_sent_beyond_the_target),
        cmocka_unit_test(a_tcp_answer_is_confirmed),
        cmocka_unit_test(a_tcp_target_is_asked_twice),
        cmocka_unit_test(a_twin_is_no_extra_attempt),
        cmocka_unit_test(what_is_held_does_not_hold_up_the_rest),
        cmocka_unit_test(the_lowest_held_ttl),
        cmocka_unit_test(hops_of_a_dead_prober_are_asked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
