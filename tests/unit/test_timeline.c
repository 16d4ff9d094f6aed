/* timeline: order, moving, and a comparison with a plain list. */
#include "tests/unit/check.h"

#include "common/timeline.h"
#include "tests/unit/rng.h"

#include <string.h>

#define ENTRIES 40

static void an_empty_timeline_never_comes(void **state) {
    (void)state;
    struct timeline t;
    timeline_init(&t);
    assert_int_equal(timeline_next(&t), TIMELINE_NEVER);
    assert_null(timeline_pop(&t, INT64_MAX));
}

static void entries_come_when_due(void **state) {
    (void)state;
    struct timeline t;
    struct timeline_entry a = {.due_us = 0}, b = a, c = a;
    timeline_init(&t);
    timeline_set(&t, &a, 30);
    timeline_set(&t, &b, 10);
    timeline_set(&t, &c, 20);
    assert_int_equal(timeline_next(&t), 10);
    assert_null(timeline_pop(&t, 9));
    assert_ptr_equal(timeline_pop(&t, 10), &b);
    assert_null(timeline_pop(&t, 19));
    assert_ptr_equal(timeline_pop(&t, 100), &c);
    assert_ptr_equal(timeline_pop(&t, 100), &a);
    assert_null(timeline_pop(&t, 100));
    assert_int_equal(timeline_next(&t), TIMELINE_NEVER);
}

static void equal_times_keep_the_order_of_setting(void **state) {
    (void)state;
    struct timeline t;
    struct timeline_entry e[5];
    memset(e, 0, sizeof e);
    timeline_init(&t);
    for (int i = 0; i < 5; i++)
        timeline_set(&t, &e[i], 7);
    timeline_set(&t, &e[1], 7); /* set again: behind the others */
    static const int order[] = {0, 2, 3, 4, 1};
    for (int i = 0; i < 5; i++)
        assert_ptr_equal(timeline_pop(&t, 7), &e[order[i]]);
}

static void unsetting_is_harmless(void **state) {
    (void)state;
    struct timeline t;
    struct timeline_entry e;
    memset(&e, 0, sizeof e);
    timeline_init(&t);
    timeline_unset(&t, &e);
    timeline_set(&t, &e, -5); /* before the epoch of the clock */
    assert_int_equal(timeline_next(&t), -5);
    timeline_unset(&t, &e);
    timeline_unset(&t, &e);
    assert_int_equal(timeline_next(&t), TIMELINE_NEVER);
    timeline_set(&t, &e, INT64_MAX - 1);
    assert_ptr_equal(timeline_pop(&t, INT64_MAX), &e);
}

/* The first by time, then by order of setting; searched without any structure. */
static int plain_first(const struct timeline_entry *e, const int64_t *order) {
    int first = -1;
    for (int i = 0; i < ENTRIES; i++)
        if (order[i] >= 0 && (first < 0 || e[i].due_us < e[first].due_us ||
                                 (e[i].due_us == e[first].due_us && order[i] < order[first])))
            first = i;
    return first;
}

static void it_agrees_with_a_plain_list(void **state) {
    (void)state;
    struct timeline t;
    struct timeline_entry e[ENTRIES];
    int64_t order[ENTRIES], count = 0;
    uint64_t rng = rng_seed("plain_list");
    memset(e, 0, sizeof e);
    for (int i = 0; i < ENTRIES; i++)
        order[i] = -1;
    timeline_init(&t);
    for (int step = 0; step < 200000; step++) {
        int i = (int)rng_below(&rng, ENTRIES), first = plain_first(e, order);
        assert_int_equal(timeline_next(&t), first < 0 ? TIMELINE_NEVER : e[first].due_us);
        switch (rng_below(&rng, 4)) {
        case 0:
        case 1:
            timeline_set(&t, &e[i], rng_below(&rng, 20));
            order[i] = count++;
            break;
        case 2:
            timeline_unset(&t, &e[i]);
            order[i] = -1;
            break;
        default: {
            int64_t now = rng_below(&rng, 20);
            struct timeline_entry *due = timeline_pop(&t, now);
            if (first < 0 || e[first].due_us > now) {
                assert_null(due);
            } else {
                assert_ptr_equal(due, &e[first]);
                order[first] = -1;
            }
        }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_timeline_never_comes),
        cmocka_unit_test(entries_come_when_due),
        cmocka_unit_test(equal_times_keep_the_order_of_setting),
        cmocka_unit_test(unsetting_is_harmless),
        cmocka_unit_test(it_agrees_with_a_plain_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
