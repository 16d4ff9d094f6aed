/* sequence: whose numbers are used, and when again.
 *
 * Most tests have a range of FEW numbers, which comes round at once. */
#include "tests/unit/check.h"

#include "tests/unit/rng.h"
#include "worker/probing/sequence.h"

#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000)
#define FEW 32
#define ALL_NUMBERS SEQUENCE_MAX

/* A responder that has not answered before. */
static const struct addr *somebody(void) {
    static uint32_t count;
    static struct addr addr = {.af = 4};
    count++;
    memcpy(addr.bytes, &count, sizeof count);
    return &addr;
}

static struct sequence *made(uint32_t common, uint32_t older, unsigned owned) {
    struct sequence *s = calloc(1, sizeof *s);
    assert_non_null(s);
    sequence_init(s, common, older);
    sequence_own(s, owned);
    sequence_start(s, "0.95");
    return s;
}

static struct sequence *few(void) { return made(FEW, 0, SEQUENCE_ALL); }

static struct sequence *all(unsigned owned) { return made(SEQUENCE_COMMON, SEQUENCE_OLDER, owned); }

static uint32_t skips(struct sequence *s, int64_t now_us) {
    uint32_t skip;
    int64_t wait_us;
    assert_true(sequence_plan(s, now_us, &skip, &wait_us));
    return skip;
}

/* How long a probe must wait, or 0. */
static int64_t waits_until(struct sequence *s, int64_t now_us) {
    uint32_t skip;
    int64_t wait_us;
    return sequence_plan(s, now_us, &skip, &wait_us) ? 0 : wait_us;
}

/* Goes on to the next probe with this number; `count` is that of the range. */
static void go_to(struct sequence *s, uint64_t number, uint32_t count) {
    struct sequence *copy = malloc(sizeof *copy);
    assert_non_null(copy);
    *copy = *s;
    uint64_t position = sequence_use(copy, 0, false);
    free(copy);
    sequence_skipped(s, (uint32_t)((number + count - position % count) % count));
}

/* When a probe could be sent with this number, to the microsecond; 0: at any time. */
static int64_t usable_us(const struct sequence *s, uint64_t number, uint32_t count) {
    struct sequence *copy = malloc(2 * sizeof *copy);
    assert_non_null(copy);
    copy[0] = *s;
    go_to(copy, number, count);
    int64_t from_us = -1, to_us = INT64_C(1) << 50;
    while (to_us - from_us > 1) {
        int64_t at_us = from_us + (to_us - from_us) / 2, wait_us;
        uint32_t skip;
        copy[1] = copy[0]; /* as it has not looked yet */
        if (sequence_plan(&copy[1], at_us, &skip, &wait_us) && skip == 0)
            to_us = at_us;
        else
            from_us = at_us;
    }
    free(copy);
    return to_us;
}

/* The first port of the range and the one before it tell how many numbers there are. */
static void ranges_of_versions(void **state) {
    (void)state;
    static const struct {
        const char *version;
        uint32_t count;
    } cases[] = {{"0.88", 32536}, {"0.95", 32536}, {"0.95-12-gabc", 32536}, {"0.96", 32102},
        {"0.100", 32102}, {"1.0", 32102}, {"", 32536}};
    struct sequence *s = all(SEQUENCE_ALL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sequence_start(s, cases[i].version);
        sequence_check(s, 0);
        assert_int_equal(sequence_checked(s, (uint16_t)(65535 - cases[i].count), 0), INT64_MIN);
        assert_int_equal(sequence_checked(s, (uint16_t)(65536 - cases[i].count), 0), 0);
    }
    free(s);
}

static unsigned slice_of(uint32_t number) {
    return number < SEQUENCE_OLDER ? 0 : (number - SEQUENCE_OLDER) * 8 / SEQUENCE_COMMON;
}

/* From every position, whatever is owned: the number is ours, not in a guard, and the nearest. */
static void plans_from_everywhere(void **state) {
    (void)state;
    static const unsigned masks[] = {0x01, 0x80, 0xf0, 0x0f, 0x55, 0x7f, 0x81};
    for (size_t m = 0; m < sizeof masks / sizeof masks[0]; m++) {
        struct sequence *s = all(masks[m]);
        for (uint32_t at = 0; at < ALL_NUMBERS; at += 7) {
            uint32_t skip = skips(s, 0), number = (at + skip) % ALL_NUMBERS;
            assert_true(masks[m] >> slice_of(number) & 1);
            /* the guard: another's numbers do not begin within it */
            for (uint32_t ahead = 1; ahead <= SEQUENCE_GUARD; ahead++)
                assert_true(masks[m] >> slice_of((number + ahead) % ALL_NUMBERS) & 1);
            if (skip > 0) {
                uint32_t before = (at + skip - 1) % ALL_NUMBERS;
                bool guarded = false;
                for (uint32_t ahead = 0; ahead <= SEQUENCE_GUARD; ahead++)
                    guarded =
                        guarded || !(masks[m] >> slice_of((before + ahead) % ALL_NUMBERS) & 1);
                assert_true(guarded);
            }
            sequence_skipped(s, 7);
        }
        free(s);
    }
}

/* ---- when a number is used again -------------------------------------------------------- */

static void numbers_come_round(void **state) {
    (void)state;
    struct sequence *s = few();
    for (uint32_t i = 0; i < FEW; i++) {
        assert_int_equal(skips(s, 0), 0);
        assert_int_equal(sequence_use(s, 2 * SECOND, false), i);
    }
    const int64_t silent_us = 2 * SECOND + SEQUENCE_SILENT_US;
    assert_int_equal(waits_until(s, 0), silent_us);
    /* An answer frees its number earlier, and those before it are passed over. */
    assert_true(sequence_answered(s, 3, somebody(), SECOND));
    assert_int_equal(waits_until(s, SECOND), SECOND + SEQUENCE_ANSWERED_US);
    assert_int_equal(skips(s, SECOND + SEQUENCE_ANSWERED_US), 3);
    assert_int_equal(waits_until(s, silent_us - 1), silent_us);
    assert_int_equal(skips(s, silent_us), 0);
    free(s);
}

/* So many numbers that cannot be used are looked at, and no more. */
static void a_number_that_is_far_off_is_not_looked_for(void **state) {
    (void)state;
    struct sequence *s = made(4 * SEQUENCE_LOOK, 0, SEQUENCE_ALL);
    for (uint32_t i = 0; i < 4 * SEQUENCE_LOOK; i++)
        (void)sequence_use(s, 2 * SECOND, false);
    assert_true(sequence_answered(s, SEQUENCE_LOOK + 1, somebody(), SECOND));
    const int64_t free_us = SECOND + SEQUENCE_ANSWERED_US;
    assert_int_equal(waits_until(s, free_us), 2 * SECOND + SEQUENCE_SILENT_US);
    assert_true(sequence_answered(s, SEQUENCE_LOOK, somebody(), SECOND));
    assert_int_equal(skips(s, free_us), SEQUENCE_LOOK);
    free(s);
}

/* Whatever is answered last, a number has been unusable for SEQUENCE_ANSWERED_US. What was found
 * free and has its answer only then, after SEQUENCE_SILENT_US, is not free any more. */
static void a_number_that_was_found_free_is_answered(void **state) {
    (void)state;
    struct sequence *s = few();
    uint64_t late = sequence_use(s, SECOND, false);
    sequence_skipped(s, FEW - 1);
    const int64_t now_us = SECOND + SEQUENCE_SILENT_US;
    assert_int_equal(skips(s, now_us), 0);
    assert_true(sequence_answered(s, late, somebody(), now_us));
    assert_int_equal(skips(s, now_us), 1);
    assert_int_equal(usable_us(s, 0, FEW), now_us + SEQUENCE_ANSWERED_US);
    free(s);
}

/* At full rate, with answers that come in batches and not in order, numbers are waited for and none
 * is skipped; a lone worker gets 90,000 a second. */
static void what_is_soon_usable_is_waited_for(void **state) {
    (void)state;
    struct sequence *s = all(SEQUENCE_ALL);
    uint64_t rng = rng_seed("soon");
    int64_t now_us = 1000000;
    int64_t *answered_us = calloc(ALL_NUMBERS, sizeof *answered_us);
    assert_non_null(answered_us);
    for (uint32_t i = 0; i < 4 * ALL_NUMBERS;) {
        uint32_t skip;
        int64_t wait_us;
        if (!sequence_plan(s, now_us, &skip, &wait_us)) {
            assert_true(wait_us > now_us);
            now_us = wait_us;
            continue;
        }
        assert_int_equal(skip, 0);
        assert_true(
            i < ALL_NUMBERS || answered_us[i % ALL_NUMBERS] + SEQUENCE_ANSWERED_US <= now_us);
        assert_int_equal(sequence_use(s, now_us + 1000000, false), i);
        answered_us[i % ALL_NUMBERS] = now_us + 3000 + 1000 * rng_below(&rng, 20);
        sequence_answered(s, i, somebody(), answered_us[i % ALL_NUMBERS]);
        now_us += i++ % 2; /* it could send two a microsecond */
    }
    assert_true(now_us - 1000000 < INT64_C(3) * ALL_NUMBERS * 1000000 / 90000);
    free(answered_us);
    free(s);
}

/* One that is not free for longer is skipped while others are free. */
static void what_is_unusable_for_long_is_skipped(void **state) {
    (void)state;
    struct sequence *s = few();
    (void)sequence_use(s, SECOND, false);
    (void)sequence_use(s, SECOND, false);
    sequence_skipped(s, FEW - 2);
    const int64_t free_us = SECOND + SEQUENCE_SILENT_US;
    assert_int_equal(skips(s, free_us - SEQUENCE_SOON_US - 1), 2);
    assert_int_equal(waits_until(s, free_us - SEQUENCE_SOON_US), free_us);
    free(s);
}

/* The first prober of a process begins anywhere, those after it where they begin. */
static void begins_where_it_is_told(void **state) {
    (void)state;
    struct sequence *s = few();
    sequence_begin(s, FEW + 10);
    assert_int_equal(skips(s, 0), 10);
    sequence_skipped(s, 9);
    assert_int_equal(skips(s, 0), 1);
    sequence_skipped(s, 1);
    assert_int_equal(skips(s, 0), 0);
    sequence_skipped(s, FEW - 10); /* once round, it does not skip again */
    assert_int_equal(skips(s, 0), 0);
    free(s);
}

static void nothing_owned_never_sends(void **state) {
    (void)state;
    struct sequence *s = made(FEW, 0, 0);
    assert_int_equal(waits_until(s, 0), INT64_MAX);
    sequence_own(s, SEQUENCE_ALL);
    assert_int_equal(skips(s, 0), 0);
    free(s);
}

/* A slice can be given away when its last number is free, and no other counts. */
static void a_slice_becomes_free(void **state) {
    (void)state;
    struct sequence *s = all(SEQUENCE_ALL);
    sequence_skipped(s, SEQUENCE_OLDER + (SEQUENCE_COMMON + 7) / 8);
    (void)sequence_use(s, 1000000, false);
    const int64_t free_us = 1000000 + SEQUENCE_SILENT_US + SEQUENCE_DOUBT_US - SEQUENCE_ANSWERED_US;
    assert_int_equal(sequence_slice_free_us(s, 0), 0);
    assert_int_equal(sequence_slice_free_us(s, 1), free_us);
    assert_int_equal(sequence_slice_free_us(s, 2), 0);
    /* A new prober does not forget what may still be answered. */
    sequence_start(s, "0.95");
    assert_int_equal(sequence_slice_free_us(s, 1), free_us);
    /* Nor does one of another version, which begins elsewhere. */
    sequence_start(s, "0.96");
    assert_int_equal(sequence_slice_free_us(s, 0), 0);
    assert_int_equal(sequence_slice_free_us(s, 1), free_us);
    sequence_start(s, "0.95");
    assert_int_equal(sequence_slice_free_us(s, 1), free_us);
    free(s);
}

/* The guard before a slice is given away with it: a probe may have drifted into it from there. */
static void the_guard_before_a_slice_goes_with_it(void **state) {
    (void)state;
    for (uint32_t before = 0; before <= SEQUENCE_GUARD + 1; before++) {
        struct sequence *s = made(8 * 1000, 0, SEQUENCE_ALL);
        sequence_skipped(s, 2000 - before);
        (void)sequence_use(s, SECOND, false);
        bool within = before <= SEQUENCE_GUARD;
        assert_int_equal(sequence_slice_free_us(s, 2) > 0, within);
        assert_int_equal(sequence_slice_free_us(s, 1) > 0, before > 0);
        free(s);
    }
}

/* ---- repeated answers ------------------------------------------------------------------- */

static struct addr router(const char *text) {
    struct addr addr;
    assert_true(addr_parse(&addr, text));
    return addr;
}

/* The first number has this answer, to a probe that is sent when the numbers come round. */
static bool answer_at(struct sequence *s, const struct addr *from, int64_t now_us) {
    go_to(s, 0, FEW);
    return sequence_answered(s, sequence_use(s, now_us + SECOND, false), from, now_us);
}

/* Who answered to one of the last two probes of a number may be doing so again within a second. */
static void repeated_answers_are_known(void **state) {
    (void)state;
    const struct addr nobody = {0}, a = router("192.0.2.1"), b = router("192.0.2.2"),
                      c = router("2001:db8::1");
    const int64_t at_us = INT64_C(5000000000000);
    struct sequence *s = few();
    assert_true(answer_at(s, &a, at_us));
    assert_int_equal(usable_us(s, 0, FEW), at_us + SEQUENCE_ANSWERED_US);
    assert_true(answer_at(s, &b, at_us + SEQUENCE_ANSWERED_US));
    /* One that was not sent has no answer, and its number waits for those before it. */
    int64_t now_us = at_us + 2 * SEQUENCE_ANSWERED_US;
    assert_true(answer_at(s, &nobody, now_us));
    assert_int_equal(usable_us(s, 0, FEW), now_us + SEQUENCE_DOUBT_US);
    now_us = at_us + SEQUENCE_REPEAT_US - 1000;
    assert_false(answer_at(s, &a, now_us));
    assert_int_equal(usable_us(s, 0, FEW), now_us + SEQUENCE_DOUBT_US);
    /* One that always answers is taken again after that. */
    now_us += SEQUENCE_DOUBT_US;
    assert_true(answer_at(s, &a, now_us));
    assert_true(answer_at(s, &c, now_us + SEQUENCE_ANSWERED_US));
    assert_false(answer_at(s, &c, now_us + 2 * SEQUENCE_ANSWERED_US));
    /* Other numbers have nothing to do with it. */
    assert_true(sequence_answered(s, sequence_use(s, now_us, false), &c, now_us));
    free(s);
}

/* An answer is doubted for SEQUENCE_DOUBT_US. */
static void a_doubt_ends(void **state) {
    (void)state;
    const struct addr a = router("192.0.2.1"), six = router("2001:db8::1"),
                      other = router("2001:db8:0:0:1::1");
    for (int64_t after_us = SEQUENCE_DOUBT_US - 1000; after_us <= SEQUENCE_DOUBT_US;
         after_us += 1000) {
        struct sequence *s = few();
        assert_true(answer_at(s, &a, SECOND));
        assert_int_equal(answer_at(s, &a, SECOND + after_us), after_us == SEQUENCE_DOUBT_US);
        free(s);
    }
    struct sequence *s = few();
    assert_true(answer_at(s, &six, SECOND));
    assert_true(answer_at(s, &other, SECOND)); /* all bytes of an address count */
    assert_false(answer_at(s, &six, SECOND));
    free(s);
}

/* As the probe that has the number next is answered after SEQUENCE_ANSWERED_US at the earliest,
 * those answers that are forgotten are older than SEQUENCE_REPEAT_US. */
static void no_repeated_answer_is_forgotten(void **state) {
    (void)state;
    const struct addr first = router("192.0.2.1"),
                      other[] = {router("192.0.2.2"), router("192.0.2.3"), router("192.0.2.4")};
    uint64_t rng = rng_seed("repeat");
    for (int64_t late_us = 0; late_us < SEQUENCE_REPEAT_US; late_us += 5000) {
        struct sequence *s = few();
        const int64_t first_us = 1000000, repeated_us = first_us + late_us;
        assert_true(answer_at(s, &first, first_us));
        int64_t free_us = usable_us(s, 0, FEW);
        for (unsigned round = 0; free_us < repeated_us && rng_below(&rng, 3) > 0; round++) {
            assert_true(answer_at(s, &other[round % 3], free_us));
            free_us = usable_us(s, 0, FEW);
        }
        if (free_us <= repeated_us) /* it finds somebody */
            assert_false(answer_at(s, &first, repeated_us));
        free(s);
    }
}

/* Where one responder answers to all, few of its answers are doubted, since numbers are unusable
 * for longer instead. */
static void one_responder_is_doubted_seldom(void **state) {
    (void)state;
    struct sequence *s = all(SEQUENCE_ALL);
    const struct addr gateway = router("192.0.2.1");
    unsigned probes = 0, doubted = 0;
    for (int64_t now_us = 1000000; now_us < 31000000;) {
        uint32_t skip;
        int64_t wait_us;
        if (!sequence_plan(s, now_us, &skip, &wait_us)) {
            now_us = wait_us;
            continue;
        }
        sequence_skipped(s, skip);
        uint64_t position = sequence_use(s, now_us + 1000000, false);
        doubted += !sequence_answered(s, position, &gateway, now_us);
        probes++;
        now_us += 12; /* it could send 80,000 a second */
    }
    printf("%u probes in 30 s, %u doubted\n", probes, doubted);
    assert_true(probes > 30 * 26000);
    assert_true(doubted < probes / 4);
    free(s);
}

/* A number that may be another one's in truth is unusable for as long as an answer may be repeated.
 */
static void what_is_not_known_exactly_is_unusable_longer(void **state) {
    (void)state;
    struct sequence *s = few();
    const struct addr a = router("192.0.2.1");
    assert_true(sequence_answered(s, sequence_use(s, SECOND, true), &a, 500));
    assert_int_equal(usable_us(s, 0, FEW), 500 + SEQUENCE_DOUBT_US);
    sequence_check(s, SECOND);
    assert_int_equal(sequence_checked(s, 65536 - FEW + 1, 600), 0);
    assert_true(sequence_answered(s, sequence_use(s, SECOND, false), &a, 700));
    assert_int_equal(usable_us(s, 2, FEW), 700 + SEQUENCE_ANSWERED_US);
    free(s);
}

/* ---- sequence checks -------------------------------------------------------------------- */

static uint16_t port_of(uint64_t position, uint32_t count) {
    return (uint16_t)(65536 - count + position % count);
}

/* A sequence check that is answered at once. The prober is `drift` numbers ahead. */
static int64_t check(struct sequence *s, uint32_t count, uint32_t drift) {
    struct sequence *copy = malloc(sizeof *copy);
    assert_non_null(copy);
    *copy = *s;
    uint64_t position = sequence_use(copy, 0, false);
    free(copy);
    sequence_check(s, 0);
    return sequence_checked(s, port_of(position + drift, count), 0);
}

static void checks_are_due(void **state) {
    (void)state;
    struct sequence *s = all(SEQUENCE_ALL);
    for (int i = 0; i < 5000; i++)
        (void)sequence_use(s, 0, false);
    assert_false(sequence_check_due(s)); /* what is not TCP-like cannot drift */
    (void)sequence_use(s, 0, true);
    assert_true(sequence_check_due(s)); /* a new prober's first TCP-like probe */
    assert_int_equal(check(s, ALL_NUMBERS, 0), 0);
    assert_false(sequence_check_due(s));
    for (int i = 0; i < SEQUENCE_CHECK_TCP_LIKE; i++) {
        assert_false(sequence_check_due(s));
        (void)sequence_use(s, 0, true);
    }
    assert_true(sequence_check_due(s));
    uint64_t at = 5000 + 1 + 1 + SEQUENCE_CHECK_TCP_LIKE;
    sequence_check(s, 0);
    (void)sequence_use(s, 0, true); /* sent before the sequence check came */
    assert_int_equal(sequence_checked(s, port_of(at, ALL_NUMBERS), 0), 0);
    sequence_skipped(s, SEQUENCE_CHECK_NUMBERS - 3);
    assert_false(sequence_check_due(s));
    sequence_skipped(s, 1);
    assert_true(sequence_check_due(s));
    /* A new prober has shown nothing yet. */
    sequence_start(s, "0.95");
    assert_false(sequence_check_due(s));
    (void)sequence_use(s, 0, true);
    assert_true(sequence_check_due(s));
    free(s);
}

/* A probe for which the prober tried all numbers is checked at once, and once. */
static void checks_are_due_after_a_round(void **state) {
    (void)state;
    struct sequence *s = all(SEQUENCE_ALL);
    assert_int_equal(check(s, ALL_NUMBERS, 0), 0);
    (void)sequence_use(s, 0, true);
    assert_false(sequence_check_due(s));
    sequence_went_round(s);
    assert_true(sequence_check_due(s));
    assert_int_equal(check(s, ALL_NUMBERS, 0), 0);
    (void)sequence_use(s, 0, true);
    assert_false(sequence_check_due(s));
    free(s);
}

static void a_check_corrects_the_position(void **state) {
    (void)state;
    static const int64_t drifts[] = {0, 1, 63, 64, 5000, ALL_NUMBERS / 2, -1, -9};
    for (size_t i = 0; i < sizeof drifts / sizeof drifts[0]; i++) {
        struct sequence *s = all(SEQUENCE_ALL);
        sequence_skipped(s, ALL_NUMBERS - 3); /* the correction goes over the end */
        sequence_check(s, 0);
        uint16_t port = port_of((uint64_t)(2 * ALL_NUMBERS - 3 + drifts[i]), ALL_NUMBERS);
        sequence_skipped(s, 7);
        assert_int_equal(sequence_checked(s, 32999, 0), INT64_MIN);
        assert_int_equal(sequence_checked(s, port, 0), drifts[i]);
        assert_int_equal(sequence_use(s, 0, false) % ALL_NUMBERS,
            (uint64_t)(2 * ALL_NUMBERS - 3 + 1 + 7 + drifts[i]) % ALL_NUMBERS);
        free(s);
    }
}

/* How many numbers are left out before the second slice, which is another's. */
static uint32_t guard_of(const struct sequence *s) {
    struct sequence *copy = malloc(sizeof *copy);
    assert_non_null(copy);
    *copy = *s;
    uint32_t at = 0;
    for (go_to(copy, 0, ALL_NUMBERS); skips(copy, 60 * SECOND) == 0; at++)
        sequence_skipped(copy, 1);
    free(copy);
    return SEQUENCE_OLDER + (SEQUENCE_COMMON + 7) / 8 - at;
}

/* The guard follows what is found, within its bounds. */
static void the_guard_follows_the_drift(void **state) {
    (void)state;
    struct sequence *s = all(1);
    static const uint32_t drift[] = {10, 100, 0, 4000, 0, 0};
    static const uint32_t guard[] = {64, 216, 189, 1024, 896, 784};
    for (size_t i = 0; i < sizeof drift / sizeof drift[0]; i++) {
        assert_int_equal(check(s, ALL_NUMBERS, drift[i]), drift[i]);
        assert_int_equal(guard_of(s), guard[i]);
    }
    for (int i = 0; i < 40; i++)
        (void)check(s, ALL_NUMBERS, 0);
    assert_int_equal(guard_of(s), SEQUENCE_GUARD);
    (void)check(s, ALL_NUMBERS, 100);
    sequence_start(s, "0.95"); /* a new prober begins without drift */
    assert_int_equal(guard_of(s), SEQUENCE_GUARD);
    free(s);
}

/* A probe that was sent while the drift was unknown keeps all numbers that it may have had: as the
 * prober was found two ahead, those are its own and the two behind it. */
static void what_was_unknown_is_kept(void **state) {
    (void)state;
    struct sequence *s = all(SEQUENCE_ALL);
    assert_int_equal(check(s, ALL_NUMBERS, 0), 0);
    uint64_t silent = sequence_use(s, 5000000, true), quick = sequence_use(s, 1000000, true);
    sequence_answered(s, quick, somebody(), 100);
    sequence_check(s, 200);
    assert_int_equal(sequence_checked(s, port_of(3 + 2, ALL_NUMBERS), 300), 2);
    /* From now on a number is used if those that the prober may drift to are free as well. */
    static const int64_t usable[] = {15000000, 15000000, 15000000, 15000000, 10000200, 10000200, 0};
    for (uint64_t i = 0; i < sizeof usable / sizeof usable[0]; i++)
        assert_int_equal(usable_us(s, i, ALL_NUMBERS), usable[i]);
    sequence_answered(s, silent, somebody(), 400); /* which of three was it? */
    assert_int_equal(usable_us(s, 3, ALL_NUMBERS), 15000000);
    uint64_t next = sequence_use(s, 5000000, true);
    assert_int_equal(next, 6);
    sequence_answered(s, next, somebody(), 500);
    assert_int_equal(usable_us(s, 6, ALL_NUMBERS), 500 + SEQUENCE_DOUBT_US);
    free(s);
}

/* The same where the prober was found behind: it has tried all numbers in vain for one of the
 * probes, which took no number. So that is what it may have had less, or more, than was counted. */
static void what_was_unknown_is_kept_behind(void **state) {
    (void)state;
    struct sequence *s = all(SEQUENCE_ALL);
    sequence_skipped(s, 100);
    assert_int_equal(check(s, ALL_NUMBERS, 0), 0);
    sequence_went_round(s);
    (void)sequence_use(s, 5 * SECOND, true); /* 101, or 100 */
    sequence_check(s, 0);
    assert_int_equal(sequence_checked(s, port_of(101, ALL_NUMBERS), 300), -1);
    const uint32_t reach = 2 * 1 + SEQUENCE_SLACK;
    assert_int_equal(usable_us(s, 99 - reach - 1, ALL_NUMBERS), 0);
    assert_int_equal(usable_us(s, 100 - reach, ALL_NUMBERS), 15 * SECOND);
    assert_int_equal(usable_us(s, 102, ALL_NUMBERS), 15 * SECOND);
    assert_int_equal(usable_us(s, 103, ALL_NUMBERS), 10 * SECOND); /* the sequence check's */
    assert_int_equal(usable_us(s, 104, ALL_NUMBERS), 0);
    free(s);
}

/* An answer to a probe whose number is known roughly may be to any of the numbers that it had: they
 * are unusable again, even if they have been found free. */
static void a_late_answer_to_a_rough_number(void **state) {
    (void)state;
    struct sequence *s = all(SEQUENCE_ALL);
    uint64_t silent = sequence_use(s, SECOND, true);
    assert_int_equal(check(s, ALL_NUMBERS, 1), 1);
    const int64_t now_us = 60 * SECOND;
    go_to(s, 0, ALL_NUMBERS);
    assert_int_equal(skips(s, now_us), 0);
    assert_true(sequence_answered(s, silent, somebody(), now_us));
    const uint32_t reach = 2 * 1 + SEQUENCE_SLACK;
    assert_int_equal(skips(s, now_us), reach + 1);
    free(s);
}

/* What a prober that ended may have taken is kept, even if it was never checked. */
static void numbers_of_a_prober_that_ended(void **state) {
    (void)state;
    struct sequence *s = all(SEQUENCE_ALL);
    (void)sequence_use(s, SECOND, true);
    sequence_start(s, "0.95");
    const int64_t free_us = SECOND + SEQUENCE_SILENT_US;
    assert_int_equal(usable_us(s, 0, ALL_NUMBERS), free_us);
    assert_int_equal(usable_us(s, SEQUENCE_GUARD, ALL_NUMBERS), free_us);
    assert_int_equal(usable_us(s, SEQUENCE_GUARD + 1, ALL_NUMBERS), 0);
    free(s);
}

/* ---- against a model of mtr-packet ---------------------------------------------------------- */

#define FLIGHT 900
#define MODEL_STEPS 60000

struct model {
    struct sequence *s;
    unsigned owned; /* slices */
    uint64_t rng;
    unsigned silent_one_in;
    uint32_t step_us;
    int64_t now_us;
    uint32_t next;                /* the prober's next number */
    bool taken[ALL_NUMBERS];      /* ports that other programs hold */
    int64_t free_us[ALL_NUMBERS]; /* when each number may truly be used again */
    struct {
        bool used, silent;
        uint64_t position;
        uint32_t number;
        int64_t answer_us;
    } flight[FLIGHT];
    unsigned twice, outside; /* what must not be */
    unsigned probes, seq_checks;
    int64_t drift, drift_max;
};

static void take_ports(struct model *m, unsigned permille) {
    memset(m->taken, 0, sizeof m->taken);
    for (uint32_t n = 0; n < ALL_NUMBERS; n++)
        m->taken[n] = rng_below(&m->rng, 1000) < permille;
}

/* As send_probe() in probe_unix.c. */
static uint32_t model_number(struct model *m, bool tcp_like) {
    uint32_t number = m->next;
    while (tcp_like && m->taken[number])
        number = (number + 1) % ALL_NUMBERS;
    m->next = (number + 1) % ALL_NUMBERS;
    return number;
}

static void model_check(struct model *m, uint32_t number, int64_t forget_us) {
    m->twice += m->free_us[number] > m->now_us;
    m->outside += (m->owned >> slice_of(number) & 1) == 0;
    m->free_us[number] = forget_us + SEQUENCE_SILENT_US;
    m->probes++;
}

static void model_probe(struct model *m, unsigned at) {
    bool tcp_like = rng_below(&m->rng, 4) > 0, silent = rng_below(&m->rng, m->silent_one_in) == 0;
    int64_t forget_us = m->now_us + (tcp_like ? 1000000 : 5000000);
    m->flight[at].used = true;
    m->flight[at].silent = silent;
    m->flight[at].position = sequence_use(m->s, forget_us, tcp_like);
    m->flight[at].number = model_number(m, tcp_like);
    m->flight[at].answer_us = silent ? forget_us : m->now_us + rng_below(&m->rng, 200000);
    model_check(m, m->flight[at].number, forget_us);
}

static void model_answers(struct model *m) {
    for (unsigned i = 0; i < FLIGHT; i++) {
        if (!m->flight[i].used || m->flight[i].answer_us > m->now_us)
            continue;
        m->flight[i].used = false;
        if (m->flight[i].silent)
            continue;
        sequence_answered(m->s, m->flight[i].position, somebody(), m->now_us);
        m->free_us[m->flight[i].number] = m->now_us + SEQUENCE_ANSWERED_US;
    }
}

/* A worker with these slices on a host where `permille` of the ports are taken, others every 5,000
 * steps. A sequence check arrives up to 99 commands later. What must not be is counted after the
 * first `warm` of them. */
static struct model *model_run(unsigned owned, unsigned permille, unsigned warm, uint64_t seed) {
    struct model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->s = all(owned);
    m->owned = owned;
    m->rng = seed;
    m->now_us = 1000000;
    /* Many numbers are held and all wait for them; or few, that are jumped over. */
    m->silent_one_in = seed % 2 == 0 ? 20 : 400;
    m->step_us = seed % 2 == 0 ? 300 : 800;
    take_ports(m, permille);
    unsigned at = 0, out = 0;
    uint16_t port = 0;
    for (unsigned step = 0; step < MODEL_STEPS; step++) {
        m->now_us += 1 + rng_below(&m->rng, m->step_us);
        if (step % 16 == 0)
            model_answers(m);
        if (step % 5000 == 0)
            take_ports(m, permille);
        if (out > 0 && --out == 0) {
            int64_t drift = sequence_checked(m->s, port, m->now_us);
            m->drift += drift;
            m->drift_max = m->drift_max > drift ? m->drift_max : drift;
            if (++m->seq_checks == warm)
                m->twice = m->outside = 0;
        }
        uint32_t skip;
        int64_t wait_us;
        if (!sequence_plan(m->s, m->now_us, &skip, &wait_us)) {
            assert_true(wait_us > m->now_us);
            m->now_us = wait_us;
            model_answers(m);
            continue;
        }
        sequence_skipped(m->s, skip);
        m->next = (m->next + skip) % ALL_NUMBERS;
        if (out == 0 && sequence_check_due(m->s)) {
            int64_t forget_us = m->now_us + 1000000;
            sequence_check(m->s, forget_us);
            uint32_t number = model_number(m, true);
            model_check(m, number, forget_us);
            port = port_of(number, ALL_NUMBERS);
            out = 1 + rng_below(&m->rng, 99);
            continue;
        }
        for (unsigned i = 0; i < FLIGHT && m->flight[at].used; i++)
            at = (at + 1) % FLIGHT;
        if (!m->flight[at].used)
            model_probe(m, at);
    }
    free(m->s);
    return m;
}

static void no_number_is_out_twice_or_another_s(void **state) {
    (void)state;
    uint64_t seed = rng_seed("model");
    static const struct {
        unsigned owned, permille, warm;
    } hosts[] = {{SEQUENCE_ALL, 0, 0}, {SEQUENCE_ALL, 50, 9}, {0x01, 0, 0}, {0x01, 10, 9},
        {0x80, 50, 9}, {0x80, 50, 9}, {0x80, 10, 9}, {0x55, 50, 9}, {0x0f, 100, 9},
        {0x10, 300, 20}};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        struct model *m = model_run(hosts[i].owned, hosts[i].permille, hosts[i].warm, seed + i);
        print_message("slices %02x, ports taken %u/1000: %u probes, %u sequence checks, drift %d, "
                      "at once %d; "
                      "twice %u, outside %u\n",
            hosts[i].owned, hosts[i].permille, m->probes, m->seq_checks, (int)m->drift,
            (int)m->drift_max, m->twice, m->outside);
        assert_true(m->probes > MODEL_STEPS / 4 && m->seq_checks > 20);
        assert_true(hosts[i].permille == 0 ? m->drift == 0 : m->drift > 0);
        assert_int_equal(m->twice, 0);
        assert_int_equal(m->outside, 0);
        free(m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_of_versions),
        cmocka_unit_test(plans_from_everywhere),
        cmocka_unit_test(numbers_come_round),
        cmocka_unit_test(a_number_that_is_far_off_is_not_looked_for),
        cmocka_unit_test(a_number_that_was_found_free_is_answered),
        cmocka_unit_test(what_is_soon_usable_is_waited_for),
        cmocka_unit_test(what_is_unusable_for_long_is_skipped),
        cmocka_unit_test(begins_where_it_is_told),
        cmocka_unit_test(nothing_owned_never_sends),
        cmocka_unit_test(a_slice_becomes_free),
        cmocka_unit_test(the_guard_before_a_slice_goes_with_it),
        cmocka_unit_test(repeated_answers_are_known),
        cmocka_unit_test(a_doubt_ends),
        cmocka_unit_test(no_repeated_answer_is_forgotten),
        cmocka_unit_test(one_responder_is_doubted_seldom),
        cmocka_unit_test(what_is_not_known_exactly_is_unusable_longer),
        cmocka_unit_test(checks_are_due),
        cmocka_unit_test(checks_are_due_after_a_round),
        cmocka_unit_test(a_check_corrects_the_position),
        cmocka_unit_test(the_guard_follows_the_drift),
        cmocka_unit_test(what_was_unknown_is_kept),
        cmocka_unit_test(what_was_unknown_is_kept_behind),
        cmocka_unit_test(a_late_answer_to_a_rough_number),
        cmocka_unit_test(numbers_of_a_prober_that_ended),
        cmocka_unit_test(no_number_is_out_twice_or_another_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
