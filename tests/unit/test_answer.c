/* answer: which lines of the prober are trusted, each bound at its edge. */
#include "tests/unit/check.h"

#include "worker/probing/answer.h"

#include <stdio.h>

#define SECOND INT64_C(1000000)

/* How a line is trusted that comes out_us after its probe was sent, with a timeout of 2 s. */
static enum answer_trust trust(const char *line, int64_t out_us, int64_t clock_step_us) {
    struct mtr_reply reply;
    char whole[200];
    int size = snprintf(whole, sizeof whole, "2048 %s", line);
    assert_true(mtr_line_parse(&reply, whole, (size_t)size));
    return answer_trust(&(struct answer_facts){.reply = &reply,
        .out_us = out_us,
        .timeout_us = 2 * SECOND,
        .clock_step_us = clock_step_us});
}

#define ANSWER(rtt) "ttl-expired ip-4 10.0.0.1 round-trip-time " rtt

static void times(void **state) {
    (void)state;
    assert_int_equal(trust(ANSWER("50000"), 50000, 0), ANSWER_SOUND);
    assert_int_equal(trust(ANSWER("51000"), 50000, 0), ANSWER_SOUND);
    assert_int_equal(trust(ANSWER("51001"), 50000, 0), ANSWER_IMPOSSIBLE_TIME);
    assert_int_equal(trust(ANSWER("-1"), 50000, 0), ANSWER_IMPOSSIBLE_TIME);
}

static void clock_steps(void **state) {
    (void)state;
    static const int64_t sound[] = {0, 999, -999};
    static const int64_t steps[] = {1000, -1000, 3600 * SECOND, -3600 * SECOND};
    for (size_t i = 0; i < sizeof sound / sizeof sound[0]; i++)
        assert_int_equal(trust(ANSWER("40000"), 50000, sound[i]), ANSWER_SOUND);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        assert_int_equal(trust(ANSWER("40000"), 50000, steps[i]), ANSWER_CLOCK_STEP);
    /* A time that cannot be says nothing new once the clock was set. */
    assert_int_equal(trust(ANSWER("90000"), 50000, 1000), ANSWER_CLOCK_STEP);
}

static void silence(void **state) {
    (void)state;
    assert_int_equal(trust("no-reply", 2 * SECOND, 0), ANSWER_SOUND);
    assert_int_equal(trust("no-reply", 2 * SECOND - 1000, 0), ANSWER_SOUND);
    assert_int_equal(trust("no-reply", 2 * SECOND - 1001, 0), ANSWER_EARLY_SILENCE);
    /* How far the clock moved does not matter to silence that came when it was due. */
    assert_int_equal(trust("no-reply", 2 * SECOND, 3600 * SECOND), ANSWER_SOUND);
    /* Other words without an address are about the command, and come at once. */
    assert_int_equal(trust("probes-exhausted", 10, 3600 * SECOND), ANSWER_SOUND);
    assert_int_equal(trust("no-route", 10, 0), ANSWER_SOUND);
}

/* Whose answer it is comes before what its time is. */
static void duplicates(void **state) {
    (void)state;
    const struct mtr_reply reply = {.addr = {.af = 4}, .rtt_us = 2 * SECOND};
    const struct answer_facts facts = {.reply = &reply, .repeats = true, .clock_step_us = SECOND};
    assert_int_equal(answer_trust(&facts), ANSWER_DUPLICATE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times),
        cmocka_unit_test(clock_steps),
        cmocka_unit_test(silence),
        cmocka_unit_test(duplicates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
