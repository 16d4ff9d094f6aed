/* pulse: when the prober is asked, how far it lags, and when it is dead. */
#include "tests/unit/check.h"

#include "worker/probing/pulse.h"

static void asked_now_and_then(void **state) {
    (void)state;
    struct pulse p;
    pulse_start(&p, 1000);
    assert_true(pulse_next_us(&p, false) == INT64_MAX); /* an idle prober is left alone */
    assert_int_equal(pulse_next_us(&p, true), 1000 + PULSE_EVERY_US);
    pulse_asked(&p, 200000);
    assert_int_equal(pulse_next_us(&p, true), 200000 + PULSE_DEAD_US);
    assert_int_equal(pulse_next_us(&p, false), 200000 + PULSE_DEAD_US);
    pulse_answered(&p, 200300);
    assert_int_equal(pulse_next_us(&p, true), 200000 + PULSE_EVERY_US);
    assert_true(pulse_next_us(&p, false) == INT64_MAX);
}

static void lag(void **state) {
    (void)state;
    struct pulse p;
    pulse_start(&p, 0);
    assert_int_equal(pulse_lag_us(&p, 5000000), 0);
    pulse_asked(&p, 1000);
    assert_int_equal(pulse_lag_us(&p, 1000), 0);
    assert_int_equal(pulse_lag_us(&p, 4500), 3500); /* it has not answered yet */
    pulse_answered(&p, 5000);
    assert_int_equal(pulse_lag_us(&p, 90000), 4000);
    pulse_asked(&p, 100000);
    assert_int_equal(pulse_lag_us(&p, 100001), 4000); /* what was known, until it is known better */
    assert_int_equal(pulse_lag_us(&p, 104001), 4001);
    pulse_answered(&p, 104001);
    pulse_asked(&p, 200000);
    pulse_answered(&p, 200100);
    assert_int_equal(pulse_lag_us(&p, 250000), 100);
    /* a word that nobody asked for says nothing */
    pulse_answered(&p, 900000);
    assert_int_equal(pulse_lag_us(&p, 900000), 100);
    /* another prober starts anew */
    pulse_start(&p, 900000);
    assert_int_equal(pulse_lag_us(&p, 900000), 0);
}

static void dead(void **state) {
    (void)state;
    struct pulse p;
    pulse_start(&p, 0);
    assert_false(pulse_dead(&p, INT64_MAX));
    pulse_asked(&p, 1000);
    assert_false(pulse_dead(&p, 1000 + PULSE_DEAD_US - 1));
    assert_true(pulse_dead(&p, 1000 + PULSE_DEAD_US));
    pulse_answered(&p, 1000 + PULSE_DEAD_US);
    assert_false(pulse_dead(&p, INT64_MAX));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asked_now_and_then),
        cmocka_unit_test(lag),
        cmocka_unit_test(dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
