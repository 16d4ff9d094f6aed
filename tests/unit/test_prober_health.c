/* prober_health: when the prober is asked, how far it lags, and when it is dead. */
#include "tests/unit/check.h"

#include "worker/probing/prober_health.h"

static void asked_now_and_then(void **state) {
    (void)state;
    struct prober_health p;
    prober_health_start(&p, 1000);
    assert_true(prober_health_next_us(&p, false) == INT64_MAX); /* an idle prober is left alone */
    assert_int_equal(prober_health_next_us(&p, true), 1000 + PROBER_HEALTH_EVERY_US);
    prober_health_asked(&p, 200000);
    assert_int_equal(prober_health_next_us(&p, true), 200000 + PROBER_HEALTH_DEAD_US);
    assert_int_equal(prober_health_next_us(&p, false), 200000 + PROBER_HEALTH_DEAD_US);
    prober_health_answered(&p, 200300);
    assert_int_equal(prober_health_next_us(&p, true), 200000 + PROBER_HEALTH_EVERY_US);
    assert_true(prober_health_next_us(&p, false) == INT64_MAX);
}

static void lag(void **state) {
    (void)state;
    struct prober_health p;
    prober_health_start(&p, 0);
    assert_int_equal(prober_health_lag_us(&p, 5000000), 0);
    prober_health_asked(&p, 1000);
    assert_int_equal(prober_health_lag_us(&p, 1000), 0);
    assert_int_equal(prober_health_lag_us(&p, 4500), 3500); /* it has not answered yet */
    prober_health_answered(&p, 5000);
    assert_int_equal(prober_health_lag_us(&p, 90000), 4000);
    prober_health_asked(&p, 100000);
    assert_int_equal(
        prober_health_lag_us(&p, 100001), 4000); /* what was known, until it is known better */
    assert_int_equal(prober_health_lag_us(&p, 104001), 4001);
    prober_health_answered(&p, 104001);
    prober_health_asked(&p, 200000);
    prober_health_answered(&p, 200100);
    assert_int_equal(prober_health_lag_us(&p, 250000), 100);
    /* a word that nobody asked for says nothing */
    prober_health_answered(&p, 900000);
    assert_int_equal(prober_health_lag_us(&p, 900000), 100);
    /* a new prober has no lag yet */
    prober_health_start(&p, 900000);
    assert_int_equal(prober_health_lag_us(&p, 900000), 0);
}

static void dead(void **state) {
    (void)state;
    struct prober_health p;
    prober_health_start(&p, 0);
    assert_false(prober_health_dead(&p, INT64_MAX));
    prober_health_asked(&p, 1000);
    assert_false(prober_health_dead(&p, 1000 + PROBER_HEALTH_DEAD_US - 1));
    assert_true(prober_health_dead(&p, 1000 + PROBER_HEALTH_DEAD_US));
    prober_health_answered(&p, 1000 + PROBER_HEALTH_DEAD_US);
    assert_false(prober_health_dead(&p, INT64_MAX));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asked_now_and_then),
        cmocka_unit_test(lag),
        cmocka_unit_test(dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
