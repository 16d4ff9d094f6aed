/* sequence: whose numbers are used, and when again. */
#include "tests/unit/check.h"

#include "tests/unit/rng.h"
#include "worker/probing/sequence.h"

#include <stdlib.h>
#include <string.h>

#define COUNT 32536

static const struct addr nobody;

/* A responder that has not answered before. */
static const struct addr *somebody(void) {
    static uint32_t count;
    static struct addr addr = {.af = 4};
    count++;
    memcpy(addr.bytes, &count, sizeof count);
    return &addr;
}

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

/* What 0.95 has before 33434 is the first slice's. */
#define BEFORE (COUNT - SEQUENCE_COMMON)

static unsigned slice_of(uint32_t number) {
    return number < BEFORE ? 0 : (number - BEFORE) * 8 / SEQUENCE_COMMON;
}

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
        assert_int_equal(sequence_use(s, 2000000, false), i);
    }
    assert_false(sequence_plan(s, 1999999 + SEQUENCE_SILENT_US, &skip, &wait_us));
    assert_int_equal(wait_us, 2000000 + SEQUENCE_SILENT_US);
    /* An answer frees its number earlier; it is far off, and others are not skipped for it. */
    sequence_answered(s, 100, somebody(), 500000);
    int64_t free_us = 500000 + SEQUENCE_ANSWERED_US;
    assert_false(sequence_plan(s, free_us, &skip, &wait_us));
    sequence_answered(s, 3, somebody(), 500000);
    assert_false(sequence_plan(s, free_us - 1, &skip, &wait_us));
    assert_int_equal(wait_us, free_us);
    assert_true(sequence_plan(s, free_us, &skip, &wait_us));
    assert_int_equal(skip, 3);
    assert_true(sequence_plan(s, 2000000 + SEQUENCE_SILENT_US, &skip, &wait_us));
    assert_int_equal(skip, 0);
    free(s);
}

/* At full rate, with answers that come in batches and not in order, numbers are waited for and none
 * is skipped; a lone worker gets 90,000 a second. */
static void what_rests_for_short_is_waited_for(void **state) {
    (void)state;
    struct sequence *s = made(SEQUENCE_ALL);
    uint64_t rng = rng_seed("rest");
    int64_t now_us = 1000000;
    int64_t *answered_us = calloc(COUNT, sizeof *answered_us);
    assert_non_null(answered_us);
    for (uint32_t i = 0; i < 4 * COUNT;) {
        uint32_t skip;
        int64_t wait_us;
        if (!sequence_plan(s, now_us, &skip, &wait_us)) {
            assert_true(wait_us > now_us);
            now_us = wait_us;
            continue;
        }
        assert_int_equal(skip, 0);
        assert_true(i < COUNT || answered_us[i % COUNT] + SEQUENCE_ANSWERED_US <= now_us);
        assert_int_equal(sequence_use(s, now_us + 1000000, false), i);
        answered_us[i % COUNT] = now_us + 3000 + 1000 * rng_below(&rng, 20);
        sequence_answered(s, i, somebody(), answered_us[i % COUNT]);
        now_us += i++ % 2; /* it could send two a microsecond */
    }
    assert_true(now_us - 1000000 < INT64_C(3) * COUNT * 1000000 / 90000);
    free(answered_us);
    free(s);
}

/* ---- repeated answers ------------------------------------------------------------------- */

static struct addr router(const char *text) {
    struct addr addr;
    assert_true(addr_parse(&addr, text));
    return addr;
}

/* The number of the first position has this answer, once round and at this time. */
static bool answer_at(struct sequence *s, unsigned round, const struct addr *from, int64_t now_us) {
    uint64_t position = (uint64_t)round * COUNT;
    s->position = position;
    assert_int_equal(sequence_use(s, now_us + 1000000, false), position);
    return sequence_answered(s, position, from, now_us);
}

/* Who answered to one of the last two probes of a number may be doing so again within a second. */
static void repeated_answers_are_known(void **state) {
    (void)state;
    const struct addr a = router("192.0.2.1"), b = router("192.0.2.2"), c = router("2001:db8::1");
    const int64_t at_us = INT64_C(5000000000000);
    struct sequence *s = made(SEQUENCE_ALL);
    assert_true(answer_at(s, 0, &a, at_us));
    assert_int_equal(s->numbers[0].free_us, at_us + SEQUENCE_ANSWERED_US);
    assert_true(answer_at(s, 1, &b, at_us + SEQUENCE_ANSWERED_US));
    /* not sent: no answer */
    assert_true(answer_at(s, 2, &nobody, at_us + 2 * SEQUENCE_ANSWERED_US));
    int64_t now_us = at_us + SEQUENCE_REPEAT_US - 1000;
    assert_false(answer_at(s, 2, &a, now_us));
    assert_int_equal(s->numbers[0].free_us, now_us + SEQUENCE_DOUBT_US);
    /* One that always answers is taken again after that. */
    now_us += SEQUENCE_DOUBT_US;
    assert_true(answer_at(s, 3, &a, now_us));
    assert_true(answer_at(s, 4, &c, now_us + SEQUENCE_ANSWERED_US));
    assert_false(answer_at(s, 5, &c, now_us + 2 * SEQUENCE_ANSWERED_US));
    /* Other numbers have nothing to do with it. */
    assert_true(sequence_answered(s, 1, &c, at_us));
    free(s);
}

/* As the probe that has the number next is answered after its rest at the earliest, those that are
 * forgotten are older than that. */
static void no_repeated_answer_is_forgotten(void **state) {
    (void)state;
    const struct addr first = router("192.0.2.1"),
                      other[] = {router("192.0.2.2"), router("192.0.2.3"), router("192.0.2.4")};
    uint64_t rng = rng_seed("repeat");
    for (int64_t late_us = 0; late_us < SEQUENCE_REPEAT_US; late_us += 1000) {
        struct sequence *s = made(SEQUENCE_ALL);
        const int64_t first_us = 1000000, repeated_us = first_us + late_us;
        assert_true(answer_at(s, 0, &first, first_us));
        unsigned round = 1;
        while (s->numbers[0].free_us < repeated_us && rng_below(&rng, 3) > 0) {
            assert_true(answer_at(s, round, &other[round % 3], s->numbers[0].free_us));
            round++;
        }
        if (s->numbers[0].free_us <= repeated_us) /* it finds somebody */
            assert_false(answer_at(s, round, &first, repeated_us));
        free(s);
    }
}

/* Where one responder answers to all, few of its answers are doubted, and numbers rest instead. */
static void one_responder_is_doubted_seldom(void **state) {
    (void)state;
    struct sequence *s = made(SEQUENCE_ALL);
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

/* A number that may be another one's in truth rests for as long as an answer may be repeated. */
static void what_is_not_known_exactly_is_unusable_longer(void **state) {
    (void)state;
    struct sequence *s = made(SEQUENCE_ALL);
    const struct addr a = router("192.0.2.1");
    uint64_t tcp_like = sequence_use(s, 1000000, true);
    assert_true(sequence_answered(s, tcp_like, &a, 500));
    assert_int_equal(s->numbers[tcp_like].free_us, 500 + SEQUENCE_DOUBT_US);
    sequence_check(s, 1000000);
    assert_int_equal(sequence_checked(s, 33000 + 1, 600), 0);
    uint64_t plain = sequence_use(s, 1000000, false);
    assert_true(sequence_answered(s, plain, &a, 700));
    assert_int_equal(s->numbers[plain].free_us, 700 + SEQUENCE_ANSWERED_US);
    free(s);
}

/* One that is not free for longer is skipped while others are free. */
static void what_is_long_busy_is_skipped(void **state) {
    (void)state;
    struct sequence *s = made(SEQUENCE_ALL);
    uint32_t skip;
    int64_t wait_us;
    s->numbers[0].free_us = s->numbers[1].free_us = 1000000;
    assert_true(sequence_plan(s, 1000000 - SEQUENCE_SOON_US - 1, &skip, &wait_us));
    assert_int_equal(skip, 2);
    assert_false(sequence_plan(s, 1000000 - SEQUENCE_SOON_US, &skip, &wait_us));
    assert_int_equal(wait_us, 1000000);
    free(s);
}

/* The first prober of a process begins anywhere, those after it where they begin. */
static void begins_where_it_is_told(void **state) {
    (void)state;
    struct sequence *s = made(SEQUENCE_ALL);
    uint32_t skip;
    int64_t wait_us;
    sequence_begin(s, COUNT + 100);
    assert_true(sequence_plan(s, 0, &skip, &wait_us));
    assert_int_equal(skip, 100);
    sequence_skipped(s, skip);
    assert_true(sequence_plan(s, 0, &skip, &wait_us));
    assert_int_equal(skip, 0);
    s->position = COUNT; /* once round, it does not skip again */
    assert_true(sequence_plan(s, 0, &skip, &wait_us));
    assert_int_equal(skip, 0);
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
    s->position = BEFORE + (SEQUENCE_COMMON + 7) / 8;
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

/* ---- sequence checks -------------------------------------------------------------------- */

#define FIRST 33000

static uint16_t port_of(uint64_t position) { return (uint16_t)(FIRST + position % COUNT); }

static void checks_are_due(void **state) {
    (void)state;
    struct sequence *s = made(SEQUENCE_ALL);
    for (int i = 0; i < 5000; i++)
        (void)sequence_use(s, 0, false);
    assert_false(sequence_check_due(s)); /* what is not TCP-like cannot drift */
    (void)sequence_use(s, 0, true);
    assert_true(sequence_check_due(s)); /* a new prober's first TCP-like probe */
    sequence_check(s, 0);
    assert_int_equal(sequence_checked(s, port_of(s->check_position), 0), 0);
    assert_false(sequence_check_due(s));
    for (int i = 0; i < SEQUENCE_CHECK_TCP_LIKE; i++) {
        assert_false(sequence_check_due(s));
        (void)sequence_use(s, 0, true);
    }
    assert_true(sequence_check_due(s));
    sequence_check(s, 0);
    (void)sequence_use(s, 0, true); /* sent before the sequence check came */
    assert_int_equal(sequence_checked(s, port_of(s->check_position), 0), 0);
    sequence_skipped(s, SEQUENCE_CHECK_NUMBERS - 3);
    assert_false(sequence_check_due(s));
    sequence_skipped(s, 1);
    assert_true(sequence_check_due(s));
    sequence_check(s, 0);
    assert_int_equal(sequence_checked(s, port_of(s->check_position), 0), 0);
    (void)sequence_use(s, 0, true);
    sequence_went_round(s);
    assert_true(sequence_check_due(s));
    free(s);
}

static void a_check_corrects_the_position(void **state) {
    (void)state;
    static const int64_t drifts[] = {0, 1, 63, 64, 5000, COUNT / 2, -1, -9};
    for (size_t i = 0; i < sizeof drifts / sizeof drifts[0]; i++) {
        struct sequence *s = made(SEQUENCE_ALL);
        sequence_skipped(s, COUNT - 3); /* the correction goes over the end */
        sequence_check(s, 0);
        uint16_t port = port_of(s->check_position + COUNT + (uint64_t)drifts[i]);
        sequence_skipped(s, 7);
        assert_int_equal(sequence_checked(s, 32999, 0), INT64_MIN);
        assert_int_equal(sequence_checked(s, port, 0), drifts[i]);
        assert_int_equal(
            s->position % COUNT, (uint64_t)(COUNT - 3 + 1 + 7 + COUNT + drifts[i]) % COUNT);
        free(s);
    }
}

/* The guard follows what is found, within its bounds. */
static void the_guard_follows_the_drift(void **state) {
    (void)state;
    struct sequence *s = made(SEQUENCE_ALL);
    static const uint32_t drift[] = {10, 100, 0, 4000, 0, 0};
    static const uint32_t guard[] = {64, 216, 189, 1024, 896, 784};
    for (size_t i = 0; i < sizeof drift / sizeof drift[0]; i++) {
        sequence_check(s, 0);
        (void)sequence_checked(s, port_of(s->check_position + drift[i]), 0);
        assert_int_equal(s->guard, guard[i]);
    }
    for (int i = 0; i < 40; i++) {
        sequence_check(s, 0);
        (void)sequence_checked(s, port_of(s->check_position), 0);
    }
    assert_int_equal(s->guard, SEQUENCE_GUARD);
    free(s);
}

/* A probe that was sent while the drift was unknown keeps all numbers that it may have had. */
static void what_was_unknown_is_kept(void **state) {
    (void)state;
    struct sequence *s = made(SEQUENCE_ALL);
    sequence_check(s, 0);
    (void)sequence_checked(s, FIRST, 0);
    uint64_t silent = sequence_use(s, 5000000, true), quick = sequence_use(s, 1000000, true);
    sequence_answered(s, quick, somebody(), 100);
    sequence_check(s, 200);
    assert_int_equal(sequence_checked(s, (uint16_t)(FIRST + 3 + 2), 300), 2);
    static const int64_t kept[] = {0, 15000000, 15000000, 15000000, 10000200, 10000200, 0};
    for (size_t i = 1; i < sizeof kept / sizeof kept[0]; i++)
        assert_int_equal(s->numbers[i].free_us, kept[i]);
    sequence_answered(s, silent, somebody(), 400); /* which of three was it? */
    assert_int_equal(s->numbers[1].free_us, 15000000);
    uint64_t next = sequence_use(s, 5000000, true);
    assert_int_equal(next, 6);
    sequence_answered(s, next, somebody(), 500);
    assert_int_equal(s->numbers[6].free_us, 500 + SEQUENCE_DOUBT_US);
    free(s);
}

/* ---- against a model of mtr-packet ---------------------------------------------------------- */

#define FLIGHT 900
#define MODEL_STEPS 60000

struct model {
    struct sequence *s;
    uint64_t rng;
    unsigned silent_one_in;
    uint32_t step_us;
    int64_t now_us;
    uint32_t next;          /* the prober's next number */
    bool taken[COUNT];      /* ports that other programs hold */
    int64_t free_us[COUNT]; /* when each number may truly be used again */
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
    for (uint32_t n = 0; n < COUNT; n++)
        m->taken[n] = rng_below(&m->rng, 1000) < permille;
}

/* As send_probe() in probe_unix.c. */
static uint32_t model_number(struct model *m, bool tcp_like) {
    uint32_t number = m->next;
    while (tcp_like && m->taken[number])
        number = (number + 1) % COUNT;
    m->next = (number + 1) % COUNT;
    return number;
}

static void model_check(struct model *m, uint32_t number, int64_t forget_us) {
    m->twice += m->free_us[number] > m->now_us;
    m->outside += (m->s->owned >> slice_of(number) & 1) == 0;
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

/* A worker with these slices on a host where so many of a thousand ports are taken, now these, now
 * those; a sequence check arrives up to 99 commands later. Checks start after `warm` sequence
 * checks. */
static struct model *model_run(unsigned owned, unsigned permille, unsigned warm, uint64_t seed) {
    struct model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->s = made(owned);
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
        m->next = (m->next + skip) % COUNT;
        if (out == 0 && sequence_check_due(m->s)) {
            int64_t forget_us = m->now_us + 1000000;
            sequence_check(m->s, forget_us);
            uint32_t number = model_number(m, true);
            model_check(m, number, forget_us);
            port = port_of(number);
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
        cmocka_unit_test(all_owned_skips_nothing),
        cmocka_unit_test(what_rests_for_short_is_waited_for),
        cmocka_unit_test(repeated_answers_are_known),
        cmocka_unit_test(no_repeated_answer_is_forgotten),
        cmocka_unit_test(one_responder_is_doubted_seldom),
        cmocka_unit_test(what_is_not_known_exactly_is_unusable_longer),
        cmocka_unit_test(what_is_long_busy_is_skipped),
        cmocka_unit_test(begins_where_it_is_told),
        cmocka_unit_test(nothing_owned_never_sends),
        cmocka_unit_test(a_slice_becomes_free),
        cmocka_unit_test(checks_are_due),
        cmocka_unit_test(a_check_corrects_the_position),
        cmocka_unit_test(the_guard_follows_the_drift),
        cmocka_unit_test(what_was_unknown_is_kept),
        cmocka_unit_test(no_number_is_out_twice_or_another_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
