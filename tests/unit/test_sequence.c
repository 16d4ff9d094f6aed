/* sequence: whose numbers are used, and when again. */
#include "tests/unit/check.h"

#include "worker/sequence.h"

#include <stdlib.h>
#include <string.h>

#define COUNT 32536

static struct sequence *made(unsigned owned) {
    struct sequence *s = calloc(1, sizeof *s);
    assert_non_null(s);
    sequence_start(s, "0.95");
    s->owned = owned;
    return s;
}

static void ranges_of_versions(void **state) {
    (void)state;
    static const struct {
        const char *version;
        uint32_t count;
    } cases[] = {{"0.88", 32536}, {"0.95", 32536}, {"0.95-12-gabc", 32536}, {"0.96", 32102},
        {"0.100", 32102}, {"1.0", 32102}, {"", 32536}};
    struct sequence *s = made(SEQUENCE_ALL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sequence_start(s, cases[i].version);
        assert_int_equal(s->count, cases[i].count);
    }
    free(s);
}

/* The number that the prober would give to a probe after so many skips. */
static uint32_t next_number(const struct sequence *s, uint32_t skip) {
    return (uint32_t)((s->position + skip) % s->count);
}

static unsigned slice_of(uint32_t number) { return number * 8 / COUNT; }

/* From every position, whatever is owned: the number is ours, not in a guard, and the nearest. */
static void plans_from_everywhere(void **state) {
    (void)state;
    static const unsigned masks[] = {0x01, 0x80, 0xf0, 0x0f, 0x55, 0x7f, 0x81};
    for (size_t m = 0; m < sizeof masks / sizeof masks[0]; m++) {
        struct sequence *s = made(masks[m]);
        for (uint32_t at = 0; at < COUNT; at += 7) {
            uint32_t skip;
            int64_t wait_us;
            s->position = COUNT * UINT64_C(5) + at;
            assert_true(sequence_plan(s, 0, &skip, &wait_us));
            uint32_t number = next_number(s, skip);
            assert_true(masks[m] >> slice_of(number) & 1);
            /* the guard: another's numbers do not begin within it */
            for (uint32_t ahead = 1; ahead <= SEQUENCE_GUARD; ahead++)
                assert_true(masks[m] >> slice_of((number + ahead) % COUNT) & 1);
            if (skip > 0) {
                uint32_t before = next_number(s, skip - 1);
                bool guarded = false;
                for (uint32_t ahead = 0; ahead <= SEQUENCE_GUARD; ahead++)
                    guarded = guarded || !(masks[m] >> slice_of((before + ahead) % COUNT) & 1);
                assert_true(guarded);
            }
        }
        free(s);
    }
}

static void all_owned_skips_nothing(void **state) {
    (void)state;
    struct sequence *s = made(SEQUENCE_ALL);
    uint32_t skip;
    int64_t wait_us;
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_true(sequence_plan(s, 0, &skip, &wait_us));
        assert_int_equal(skip, 0);
        assert_int_equal(sequence_use(s, 2000000), i);
    }
    assert_false(sequence_plan(s, 2999999, &skip, &wait_us));
    assert_int_equal(wait_us, 3000000);
    assert_true(sequence_plan(s, 3000000, &skip, &wait_us));
    /* An answer frees its number earlier; it is far off, and others are not skipped for it. */
    sequence_answered(s, 100, 500000);
    assert_false(sequence_plan(s, 1500000, &skip, &wait_us));
    sequence_answered(s, 3, 500000);
    assert_true(sequence_plan(s, 1500000, &skip, &wait_us));
    assert_int_equal(skip, 3);
    free(s);
}

static void nothing_owned_never_sends(void **state) {
    (void)state;
    struct sequence *s = made(0);
    uint32_t skip;
    int64_t wait_us;
    assert_false(sequence_plan(s, 0, &skip, &wait_us));
    assert_int_equal(wait_us, INT64_MAX);
    free(s);
}

/* A slice can be given away when its last number is free, and no other counts. */
static void a_slice_becomes_free(void **state) {
    (void)state;
    struct sequence *s = made(SEQUENCE_ALL);
    s->position = COUNT / 8;
    (void)sequence_use(s, 1000000);
    assert_int_equal(sequence_slice_free_us(s, 0), 0);
    assert_int_equal(sequence_slice_free_us(s, 1), 2000000);
    assert_int_equal(sequence_slice_free_us(s, 2), 0);
    /* A new prober does not forget what may still be answered. */
    sequence_start(s, "0.95");
    assert_int_equal(sequence_slice_free_us(s, 1), 2000000);
    free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_of_versions),
        cmocka_unit_test(plans_from_everywhere),
        cmocka_unit_test(all_owned_skips_nothing),
        cmocka_unit_test(nothing_owned_never_sends),
        cmocka_unit_test(a_slice_becomes_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
