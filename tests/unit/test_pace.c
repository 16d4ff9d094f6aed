/* pace: bursts, evenness, and no time lost or gained. */
#include "tests/unit/check.h"

#include "tests/unit/rng.h"
#include "worker/probing/pace.h"

#define SECOND INT64_C(1000000)

/* Takes all probes that may be sent now. */
static int64_t take_all(struct pace *pace, int64_t now_us, int64_t most) {
    int64_t taken = 0;
    for (; taken < most && pace_ready(pace, now_us); taken++)
        pace_take(pace, now_us);
    return taken;
}

static void bursts(void **state) {
    (void)state;
    static const struct {
        int64_t pps, burst;
    } cases[] = {{1, 1}, {124, 1}, {250, 2}, {500, 4}, {1000, 8}, {5000, 8}, {8000, 8}, {10000, 10},
        {64000, 64}, {100000, 64}, {1000000, 64}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pace pace;
        assert_int_equal(pace_burst(cases[i].pps), cases[i].burst);
        /* the first ones, and those after a pause of any length */
        pace_init(&pace, cases[i].pps);
        assert_true(pace_next_us(&pace) <= 0);
        assert_int_equal(take_all(&pace, 0, 1000), cases[i].burst);
        assert_int_equal(take_all(&pace, 3600 * SECOND, 1000), cases[i].burst);
    }
}

static void no_limit(void **state) {
    (void)state;
    struct pace pace;
    pace_init(&pace, 0);
    assert_int_equal(take_all(&pace, 5, 100000), 100000);
    assert_true(pace_next_us(&pace) == INT64_MIN);
}

/* A probe may be sent at pace_next_us(), and not a microsecond before. */
static void it_says_when(void **state) {
    (void)state;
    static const int64_t rates[] = {1, 3, 7, 999, 1000, 7919, 300000, 999999, 1000000};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct pace pace;
        int64_t now_us = 0;
        pace_init(&pace, rates[i]);
        for (int n = 0; n < 1000; n++) {
            (void)take_all(&pace, now_us, 1000);
            int64_t next_us = pace_next_us(&pace);
            assert_true(next_us > now_us);
            assert_false(pace_ready(&pace, next_us - 1));
            assert_true(pace_ready(&pace, next_us));
            now_us = next_us;
        }
    }
}

/* Woken at pace_next_us() each time, it keeps its rate exactly and never sends two at once. */
static void even(void **state) {
    (void)state;
    struct pace pace;
    pace_init(&pace, 1000);
    int64_t now_us = 0;
    (void)take_all(&pace, now_us, 100);
    for (int n = 0; n < 5000; n++) {
        assert_int_equal(pace_next_us(&pace), now_us + 1000);
        now_us += 1000;
        assert_int_equal(take_all(&pace, now_us, 100), 1);
    }
}

/* Woken late at random, it catches up within a burst: the rate holds over any time. */
static void late_wake_ups(void **state) {
    (void)state;
    uint64_t rng = rng_seed("late_wake_ups");
    static const int64_t rates[] = {100, 1000, 5000, 50000};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct pace pace;
        int64_t now_us = 0, sent = 0, interval_us = SECOND / rates[i];
        int64_t burst = pace_burst(rates[i]);
        int64_t most_late = burst > 2 ? (burst - 2) * interval_us : 0;
        pace_init(&pace, rates[i]);
        while (now_us < 10 * SECOND) {
            int64_t taken = take_all(&pace, now_us, 1000);
            assert_true(taken <= burst);
            sent += taken;
            assert_true(sent <= now_us / interval_us + burst);
            now_us = pace_next_us(&pace);
            now_us += most_late > 0 ? rng_below(&rng, (uint32_t)most_late) : 0;
        }
        assert_true(sent >= 10 * rates[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bursts),
        cmocka_unit_test(no_limit),
        cmocka_unit_test(it_says_when),
        cmocka_unit_test(even),
        cmocka_unit_test(late_wake_ups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
