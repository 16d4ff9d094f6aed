/* distance: what is learnt about one prefix is known of it, and of no other. */
#include "tests/unit/check.h"

#include "tests/unit/rng.h"
#include "worker/probing/distance.h"

#include <string.h>

static struct addr addr(const char *text) {
    struct addr a;
    assert_true(addr_parse(&a, text));
    return a;
}

static struct distances known; /* too large for a stack */

static int find(const char *text) {
    struct addr a = addr(text);
    return distance_find(&known, &a);
}

static void learn(const char *text, uint8_t ttl) {
    struct addr a = addr(text);
    distance_learn(&known, &a, ttl);
}

static void by_prefix(void **state) {
    (void)state;
    memset(&known, 0, sizeof known);
    assert_int_equal(find("0.0.0.1"), 0);
    assert_int_equal(find("::1"), 0);
    learn("192.0.2.1", 12);
    assert_int_equal(find("192.0.2.1"), 12);
    assert_int_equal(find("192.0.2.255"), 12);
    assert_int_equal(find("192.0.3.1"), 0);
    assert_int_equal(find("192.1.2.1"), 0);
    learn("192.0.2.7", 255); /* the last that came stays */
    assert_int_equal(find("192.0.2.1"), 255);
    learn("2001:db8:1::1", 7);
    assert_int_equal(find("2001:db8:1:ffff::9"), 7);
    assert_int_equal(find("2001:db8:2::1"), 0);
}

/* The same bytes in the other family are another prefix. */
static void families_are_apart(void **state) {
    (void)state;
    memset(&known, 0, sizeof known);
    learn("32.1.13.1", 9);
    assert_int_equal(find("2001:d00::1"), 0);
    learn("2001:d00::1", 4);
    assert_int_equal(find("32.1.13.1"), 9);
}

/* Whatever collides is forgotten, never mistaken; and most of a thousand prefixes do not. */
static void many_prefixes(void **state) {
    (void)state;
    memset(&known, 0, sizeof known);
    uint64_t rng = rng_seed("many_prefixes");
    static struct addr targets[1000];
    int kept = 0;
    for (int i = 0; i < 1000; i++) {
        targets[i] = (struct addr){4, {(uint8_t)rng_below(&rng, 256), (uint8_t)(i >> 8), (uint8_t)i,
                                          (uint8_t)rng_below(&rng, 256)}};
        distance_learn(&known, &targets[i], (uint8_t)(1 + i % 250));
    }
    for (int i = 0; i < 1000; i++) {
        int found = distance_find(&known, &targets[i]);
        assert_true(found == 0 || found == 1 + i % 250);
        kept += found != 0;
    }
    assert_true(kept > 850); /* 940 are to be expected of a good hash */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_prefix),
        cmocka_unit_test(families_are_apart),
        cmocka_unit_test(many_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
