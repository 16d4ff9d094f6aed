/* responders: each address stands once, and there are not more of them than a result can have. */
#include "tests/unit/check.h"

#include "worker/session/responders.h"

static struct addr number(unsigned i) {
    return (struct addr){.af = 4, .bytes = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}};
}

static void each_once(void **state) {
    (void)state;
    struct responders r = {0};
    struct addr one = number(1), two = number(2);
    assert_true(responders_add(&r, &one));
    assert_false(responders_add(&r, &one));
    assert_true(responders_add(&r, &two));
    assert_int_equal(r.awaited, 2);
    assert_true(responders_name(&r, &one, "a"));
    assert_false(responders_name(&r, &one, "b"));
    assert_false(responders_add(&r, &one)); /* it is there already */
    assert_true(responders_name(&r, &two, ""));
    assert_int_equal(r.awaited, 0);
    assert_string_equal(r.list[0].name, "a");
    assert_string_equal(r.list[1].name, "");
    responders_free(&r);
    assert_false(responders_name(&r, &one, "c"));
    responders_free(&r);
}

static void not_too_many(void **state) {
    (void)state;
    struct responders r = {0};
    struct addr more = number(RESULT_MAX_NAMES);
    for (unsigned i = 0; i < RESULT_MAX_NAMES; i++) {
        struct addr addr = number(i);
        assert_true(responders_add(&r, &addr));
    }
    assert_false(responders_add(&r, &more));
    assert_false(responders_name(&r, &more, "x"));
    assert_int_equal(r.count, RESULT_MAX_NAMES);
    assert_int_equal(r.awaited, RESULT_MAX_NAMES);
    responders_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_once),
        cmocka_unit_test(not_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
