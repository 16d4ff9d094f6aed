/* mux: answers that come late or twice, a prober that lags, and clocks that are set. */
#include "tests/unit/mux_rig.h"

#include "worker/probing/answer.h"
#include "worker/probing/prober_health.h"

static char A[] = "A";

static struct trace one_hop(void) {
    struct trace t = options();
    t.max_ttl = 1;
    t.attempts = 2;
    return t;
}

static struct rig *sent_one(const struct trace *t) {
    struct rig *rig = rig_new(0);
    rig->quiet = true;
    add(rig, A, t);
    tick(rig);
    assert_int_equal(rig->sent, 1);
    return rig;
}

static void answer(struct rig *rig, unsigned number, const char *word, int64_t rtt_us) {
    char rest[100];
    (void)snprintf(rest, sizeof rest, "%s ip-4 %s round-trip-time %" PRId64, word,
        strcmp(word, "reply") == 0 ? "192.0.2.1" : "10.0.0.1", rtt_us);
    say(rig, number, rest);
    tick(rig);
}

/* ---- late answers ----------------------------------------------------------------------- */

static void a_late_answer_is_taken(void **state) {
    (void)state;
    struct trace t = one_hop();
    t.timeout_ms = 100;
    struct rig *rig = sent_one(&t);
    run_for(rig, 150 * MS);
    assert_int_equal(rig->sent, 2);
    answer(rig, 0, "reply", 150 * MS);
    run_for(rig, 50 * MS);
    expect(rig, "1200000 A hop 1: reply 150000 no-reply\n"
                "1200000 A ends: reached, 2 sent, 2 probes, 192.0.2.1 from 198.51.100.2\n");
    assert_int_equal(mux_counters(rig->mux)->late_taken, 1);
    assert_int_equal(mux_counters(rig->mux)->late_replies, 0);
    /* the line again, and that of the other one */
    say(rig, 0, REPLY);
    assert_int_equal(mux_counters(rig->mux)->bad_tokens, 1);
    answer(rig, 1, "reply", 100 * MS);
    assert_int_equal(mux_counters(rig->mux)->late_replies, 1);
    expect(rig, "");
    rig_end(rig);
}

/* A late line without an answer, and one with an impossible time, change nothing. */
static void late_lines_of_no_use(void **state) {
    (void)state;
    struct trace t = one_hop();
    t.timeout_ms = 100;
    static const char *const lines[] = {"no-reply", "no-route", "probes-exhausted",
        "unexpected-error errno 5", "reply ip-4 192.0.2.1 round-trip-time 900000"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct rig *rig = sent_one(&t);
        run_for(rig, 150 * MS);
        say(rig, 0, lines[i]);
        tick(rig);
        expect(rig, "");
        assert_int_equal(rig->sent, 2);
        assert_int_equal(mux_counters(rig->mux)->late_taken, 0);
        answer(rig, 1, "reply", 20 * MS);
        assert_int_equal(shown(rig, "A hop 1: no-reply reply 20000\n"), 1);
        rig_end(rig);
    }
}

/* ---- the prober lags -------------------------------------------------------------------- */

static void a_prober_that_lags(void **state) {
    (void)state;
    struct trace t = one_hop();
    static const struct {
        int64_t lag_us;
        unsigned flags;
    } cases[] = {{PROBER_HEALTH_LAG_US, 0}, {PROBER_HEALTH_LAG_US + 1, HOP_PROBER_LAG}};
    for (size_t i = 0; i < 2; i++)
        for (int answered = 0; answered < 2; answered++) {
            struct rig *rig = sent_one(&t);
            rig->now_us += PROBER_HEALTH_EVERY_US;
            rig->hangs = true;
            tick(rig);
            assert_int_equal(rig->asked, 1);
            rig->now_us += cases[i].lag_us;
            rig->hangs = answered == 0; /* known, or still to be seen */
            tick(rig);
            answer(rig, 0, "ttl-expired", 100);
            assert_int_equal(rig->flags, cases[i].flags);
            assert_int_equal(mux_counters(rig->mux)->prober_lag_us, answered ? cases[i].lag_us : 0);
            rig_end(rig);
        }
}

/* ---- clocks that are set ---------------------------------------------------------------- */

static void set_wall(struct rig *rig, int64_t step_us) { mux_wall_offset(rig->mux, step_us); }

/* The wall clock was set, forward or back: the time is wrong however plausible, and asked again. */
static void the_clock_was_set(void **state) {
    (void)state;
    struct trace t = one_hop();
    static const int64_t steps_us[] = {
        ANSWER_CLOCK_STEP_US, 3600 * SECOND, -ANSWER_CLOCK_STEP_US, -3600 * SECOND};
    for (size_t i = 0; i < 4; i++) {
        struct rig *rig = sent_one(&t);
        rig->now_us += 5 * MS;
        set_wall(rig, steps_us[i]);
        answer(rig, 0, "reply", 100);
        expect(rig, "");
        assert_int_equal(rig->sent, 2); /* sent after the step: this one is right */
        assert_int_equal(mux_counters(rig->mux)->clock_steps, 1);
        rig->now_us += 5 * MS;
        answer(rig, 1, "reply", 5 * MS);
        expect(rig, "1010000 A hop 1: reply 5000\n"
                    "1010000 A ends: reached, 2 sent, 1 probes, 192.0.2.1 from 198.51.100.2\n");
        rig_end(rig);
    }
    /* what clocks drift is no step */
    struct rig *rig = sent_one(&t);
    set_wall(rig, ANSWER_CLOCK_STEP_US - 1);
    rig->now_us += 5 * MS;
    answer(rig, 0, "reply", 5 * MS);
    assert_int_equal(shown(rig, "A ends: reached, 1 sent"), 1);
    assert_int_equal(mux_counters(rig->mux)->clock_steps, 0);
    rig_end(rig);
}

/* The clock is set again and again: the hop has its address and no time. */
static void a_clock_that_does_not_settle(void **state) {
    (void)state;
    struct trace t = one_hop();
    struct rig *rig = sent_one(&t);
    for (unsigned i = 0; i <= TRACER_MAX_REPEATS; i++) {
        assert_int_equal(rig->sent, i + 1);
        rig->now_us += 5 * MS;
        set_wall(rig, (int64_t)(i + 1) * SECOND);
        answer(rig, i, "reply", 5 * MS);
    }
    assert_int_equal(rig->flags, HOP_CLOCK_STEP);
    assert_int_equal(rig->sent, 1 + TRACER_MAX_REPEATS);
    assert_int_equal(shown(rig, "A ends: reached"), 1);
    assert_int_equal(mux_counters(rig->mux)->clock_steps, 1 + TRACER_MAX_REPEATS);
    rig_end(rig);
}

/* The clock jumped forward: the prober says no-reply at once. Nobody is taken as silent by it,
 * and what is asked again after the step is answered. */
static void silence_that_is_told_too_early(void **state) {
    (void)state;
    struct trace t = one_hop();
    struct rig *rig = sent_one(&t);
    rig->now_us += 5 * MS;
    set_wall(rig, 3600 * SECOND);
    say(rig, 0, "no-reply");
    tick(rig);
    expect(rig, "");
    assert_int_equal(rig->sent, 2);
    rig->now_us +=
        2 * SECOND - ANSWER_CLOCK_STEP_US; /* by a loop that is a little early, it is true */
    say(rig, 1, "no-reply");
    tick(rig);
    assert_int_equal(rig->sent, 3);
    rig->now_us += 5 * MS;
    answer(rig, 2, "reply", 5 * MS);
    assert_int_equal(shown(rig, "A hop 1: no-reply reply 5000\n"), 1);
    rig_end(rig);
}

/* An early no-reply of a trace that has given up already is no news. */
static void an_early_silence_after_the_own_timeout(void **state) {
    (void)state;
    struct trace t = one_hop();
    t.timeout_ms = 100;
    struct rig *rig = sent_one(&t);
    run_for(rig, 150 * MS);
    say(rig, 0, "no-reply"); /* 850 ms early */
    tick(rig);
    assert_int_equal(rig->sent, 2);
    run_for(rig, 100 * MS);
    assert_int_equal(shown(rig, "A hop 1: no-reply no-reply\n"), 1);
    rig_end(rig);
}

/* TCP: the clock counts there too, and an untimed confirmation is asked for again. */
static void a_step_while_a_confirmation_is_out(void **state) {
    (void)state;
    struct trace t = one_hop();
    t.protocol = TRACE_TCP;
    struct rig *rig = sent_one(&t);
    rig->now_us += 5 * MS;
    answer(rig, 0, "reply", 5 * MS);
    assert_int_equal(rig->sent, 2);
    set_wall(rig, SECOND);
    rig->now_us += 5 * MS;
    answer(rig, 1, "reply", 5 * MS);
    assert_int_equal(rig->sent, 3);
    expect(rig, "");
    rig->now_us += 5 * MS;
    answer(rig, 2, "reply", 4 * MS);
    expect(rig, "1015000 A hop 1: reply 5000\n"
                "1015000 A ends: reached, 3 sent, 1 probes, 192.0.2.1 from 198.51.100.2\n");
    rig_end(rig);
}

/* ---- words of the prober ---------------------------------------------------------------- */

/* An answer to a question that nobody asked settles nothing. */
static void a_word_that_nobody_asked_for(void **state) {
    (void)state;
    struct trace t = one_hop();
    struct rig *rig = sent_one(&t);
    for (int i = 0; i < 3; i++)
        mux_reply(rig->mux, &(struct mtr_reply){.token = MTR_TOKEN_HEALTH}, rig->now_us);
    mux_reply(rig->mux, &(struct mtr_reply){.token = MTR_TOKEN_SKIP}, rig->now_us);
    tick(rig);
    expect(rig, "");
    assert_true(mux_next(rig->mux, rig->now_us) > rig->now_us);
    rig->now_us += 5 * MS;
    answer(rig, 0, "reply", 5 * MS);
    assert_int_equal(shown(rig, "A ends: reached, 1 sent"), 1);
    rig_end(rig);
}

/* A question to a prober that died is not answered by the next one. */
static void a_question_dies_with_its_prober(void **state) {
    (void)state;
    struct trace t = one_hop();
    struct rig *rig = sent_one(&t);
    rig->hangs = true;
    run_for(rig, PROBER_HEALTH_EVERY_US);
    assert_int_equal(rig->asked, 1);
    mux_prober(rig->mux, NULL, rig->now_us);
    run_for(rig, 10 * SECOND);
    mux_prober(rig->mux, "0.95", rig->now_us);
    tick(rig);
    assert_int_equal(rig->stuck, 0);
    assert_true(mux_next(rig->mux, rig->now_us) > rig->now_us);
    assert_int_equal(rig->sent, 2);
    rig->now_us += 5 * MS;
    answer(rig, 1, "reply", 5 * MS);
    assert_int_equal(shown(rig, "A ends: reached, 2 sent"), 1);
    rig_end(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_late_answer_is_taken),
        cmocka_unit_test(late_lines_of_no_use),
        cmocka_unit_test(a_prober_that_lags),
        cmocka_unit_test(the_clock_was_set),
        cmocka_unit_test(a_clock_that_does_not_settle),
        cmocka_unit_test(silence_that_is_told_too_early),
        cmocka_unit_test(an_early_silence_after_the_own_timeout),
        cmocka_unit_test(a_step_while_a_confirmation_is_out),
        cmocka_unit_test(a_word_that_nobody_asked_for),
        cmocka_unit_test(a_question_dies_with_its_prober),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
