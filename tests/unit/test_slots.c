/* slots: how many a prober has, and that a token means one use of one slot. */
#include "tests/unit/check.h"

#include "worker/probing/mtr_line.h"
#include "worker/probing/mtr_tokens.h"
#include "worker/probing/slots.h"

#include <string.h>

static struct slots slots; /* too large for a stack */

static unsigned take_all(bool tcp_like) {
    unsigned taken = 0;
    for (; slots_free(&slots, tcp_like ? SLOT_TCP_LIKE : SLOT_PLAIN); taken++)
        (void)slots_take(&slots, tcp_like ? SLOT_TCP_LIKE : SLOT_PLAIN);
    return taken;
}

static void limits_by_version(void **state) {
    (void)state;
    static const struct {
        const char *version;
        unsigned limit;
    } cases[] = {{"0.88", 900}, {"0.95", 900}, {"0.95-12-gabcdef", 900}, {"0.96", 2000},
        {"0.96-3-g7b01773", 2000}, {"0.100", 2000}, {"1.0", 2000}, {"", 900}, {"unknown", 900}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        slots_init(&slots);
        slots_limit(&slots, mtr_minor(cases[i].version));
        assert_int_equal(take_all(true), 900); /* descriptors, whatever the version */
        assert_int_equal(take_all(false), cases[i].limit - 900);
        assert_int_equal(slots.in_flight, cases[i].limit);
        assert_int_equal(slots.of_kind[SLOT_TCP_LIKE], 900);
        assert_false(slots_free(&slots, SLOT_TCP_LIKE));
        /* one back is one free, of its kind */
        slots_release(&slots, TAILQ_FIRST(&slots.in_use));
        assert_true(slots_free(&slots, SLOT_TCP_LIKE));
        assert_true(slots_free(&slots, SLOT_PLAIN));
    }
}

static void plain_ones_leave_tcp_like_ones_what_is_left(void **state) {
    (void)state;
    slots_init(&slots);
    slots_limit(&slots, 96);
    for (int i = 0; i < 1500; i++)
        (void)slots_take(&slots, SLOT_PLAIN);
    assert_int_equal(take_all(true), 500);
    assert_int_equal(slots.of_kind[SLOT_TCP_LIKE], 500);
}

static void a_token_is_one_use(void **state) {
    (void)state;
    slots_init(&slots);
    slots_limit(&slots, 96);
    struct slot *slot = slots_take(&slots, SLOT_PLAIN);
    int32_t token = slots_token(&slots, slot);
    assert_true(token >= MTR_TOKEN_PROBES);
    assert_ptr_equal(slots_find(&slots, token), slot);
    assert_null(slots_find(&slots, token + 1));
    assert_null(slots_find(&slots, token + (1 << SLOTS_TOKEN_BITS)));
    assert_null(slots_find(&slots, 0));
    assert_null(slots_find(&slots, INT32_MAX));
    assert_null(slots_find(&slots, SLOTS_MAX)); /* beyond the slots */
    slots_release(&slots, slot);
    assert_null(slots_find(&slots, token));
    /* the other slots have their turn before it */
    for (int i = 1; i < SLOTS_MAX; i++)
        assert_ptr_not_equal(slots_take(&slots, SLOT_PLAIN), slot);
    assert_ptr_equal(slots_take(&slots, SLOT_PLAIN), slot);
    assert_int_not_equal(slots_token(&slots, slot), token);
    assert_null(slots_find(&slots, token));
}

/* At the end of its range a token begins again, and never is one of the shell's. */
static void tokens_wrap(void **state) {
    (void)state;
    slots_init(&slots);
    slots.at[0].use = (1U << (31 - SLOTS_TOKEN_BITS)) - 3;
    int32_t tokens[4];
    for (int i = 0; i < 4; i++) {
        struct slot *slot = slots_take(&slots, SLOT_PLAIN);
        assert_ptr_equal(slot, &slots.at[0]);
        tokens[i] = slots_token(&slots, slot);
        assert_true(tokens[i] >= MTR_TOKEN_PROBES);
        assert_ptr_equal(slots_find(&slots, tokens[i]), slot);
        slots_release(&slots, slot);
        TAILQ_REMOVE(&slots.free, slot, age);
        TAILQ_INSERT_HEAD(&slots.free, slot, age);
    }
    assert_true(tokens[1] > tokens[0] && tokens[2] < tokens[0] && tokens[3] > tokens[2]);
    assert_int_equal(tokens[2], 1 << SLOTS_TOKEN_BITS);
}

/* A slot that is taken again remembers nothing. */
static void nothing_is_left_of_the_last_use(void **state) {
    (void)state;
    slots_init(&slots);
    struct slot *slot = slots_take(&slots, SLOT_TCP_LIKE);
    slot->settled = true;
    slot->wait = WAITS_FOR_WORD;
    slot->ttl = 7;
    slots_release(&slots, slot);
    assert_int_equal(slots.of_kind[SLOT_TCP_LIKE], 0);
    for (int i = 0; i < SLOTS_BEFORE_0_96; i++) {
        slot = slots_take(&slots, SLOT_PLAIN);
        assert_true(slot->used && !slot->settled && slot->kind == SLOT_PLAIN && slot->ttl == 0);
        assert_true(slot->wait == WAITS_FOR_LINE && slot->job == NULL && !slot->timer.set);
        slots_release(&slots, slot);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_by_version),
        cmocka_unit_test(plain_ones_leave_tcp_like_ones_what_is_left),
        cmocka_unit_test(a_token_is_one_use),
        cmocka_unit_test(tokens_wrap),
        cmocka_unit_test(nothing_is_left_of_the_last_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
