/* first_hops: routers next to the worker, some with a limit, some with loss. */
#include "tests/unit/check.h"

#include "tests/unit/rng.h"
#include "worker/probing/first_hops.h"

#include <stdlib.h>

#define MS INT64_C(1000)
#define SECOND INT64_C(1000000)

static const struct addr ROUTER = {4, {10, 0, 0, 1}};

/* A router that answers `limit` probes a second (0: all), of which some are lost. */
struct road {
    struct first_hops first_hops;
    int64_t now_us;
    int64_t limit_pps, tokens_us; /* what its bucket holds, in time */
    unsigned loss_pct;
    uint64_t rng;
    int64_t sent, answered;
};

static void start(struct road *r, int64_t pps) {
    *r = (struct road){.now_us = 1000 * SECOND, .rng = 7};
    first_hops_init(&r->first_hops, pps);
}

static void send_one(struct road *r, int ttl) {
    int64_t cost_us = r->limit_pps > 0 ? SECOND / r->limit_pps : 0;
    bool answer = r->tokens_us >= cost_us && rng_below(&r->rng, 100) >= r->loss_pct;
    if (r->tokens_us >= cost_us)
        r->tokens_us -= cost_us;
    first_hops_take(&r->first_hops, 4, ttl, r->now_us);
    first_hops_sent(&r->first_hops, 4, ttl, r->now_us);
    if (answer)
        first_hops_answered(&r->first_hops, 4, ttl, &ROUTER, r->now_us);
    r->sent++;
    r->answered += answer;
}

/* Sends whenever that is allowed, but no more than want_pps a second. */
static void drive(struct road *r, int64_t want_pps, int64_t for_us) {
    int64_t until_us = r->now_us + for_us, step_us = SECOND / want_pps;
    r->sent = r->answered = 0;
    while (r->now_us < until_us) {
        r->now_us += step_us;
        r->tokens_us += step_us;
        int64_t bucket_us = r->limit_pps > 0 ? 6 * SECOND / r->limit_pps : SECOND;
        if (r->tokens_us > bucket_us)
            r->tokens_us = bucket_us; /* as Linux has it */
        if (first_hops_next_us(&r->first_hops, 4, 1, r->now_us) <= r->now_us)
            send_one(r, 1);
    }
}

static int64_t next(struct road *r, int af, int ttl) {
    return first_hops_next_us(&r->first_hops, af, ttl, r->now_us);
}

/* ---- who is held ------------------------------------------------------------------------ */

static void only_where_one_responder_dominates(void **state) {
    (void)state;
    struct road r;
    start(&r, 1000);
    for (int i = 0; i < 3; i++) {
        assert_true(next(&r, 4, 1) == INT64_MIN);
        send_one(&r, 1);
    }
    assert_true(next(&r, 4, 1) > INT64_MIN);
    assert_true(next(&r, 6, 1) == INT64_MIN); /* the families are apart */
    assert_true(next(&r, 4, 2) == INT64_MIN); /* and the ttls */
    /* beyond FIRST_HOPS_TTLS nobody is held */
    for (int i = 0; i < 100; i++)
        send_one(&r, FIRST_HOPS_TTLS + 1);
    assert_true(next(&r, 4, FIRST_HOPS_TTLS + 1) == INT64_MIN);
    assert_true(next(&r, 4, 255) == INT64_MIN);
    for (int i = 0; i < 4; i++)
        send_one(&r, FIRST_HOPS_TTLS);
    assert_true(next(&r, 4, FIRST_HOPS_TTLS) > INT64_MIN);
}

static void targets_of_their_own_are_not_held(void **state) {
    (void)state;
    struct road r;
    start(&r, 1000);
    for (int i = 0; i < 1000; i++) {
        struct addr target = {4, {192, 0, (uint8_t)(i >> 8), (uint8_t)i}};
        assert_true(next(&r, 4, 1) == INT64_MIN);
        first_hops_sent(&r.first_hops, 4, 1, r.now_us);
        first_hops_answered(&r.first_hops, 4, 1, &target, r.now_us);
    }
}

/* Another router takes over: what was learnt about the first one is forgotten. */
static void another_router(void **state) {
    (void)state;
    struct road r;
    const struct addr other = {4, {10, 0, 0, 2}};
    start(&r, 1000);
    r.limit_pps = 50;
    drive(&r, 1000, 5 * SECOND);
    assert_int_equal(first_hops_limited(&r.first_hops), 1);
    for (int i = 0; i < 70; i++)
        first_hops_answered(&r.first_hops, 4, 1, &other, r.now_us);
    assert_int_equal(first_hops_limited(&r.first_hops), 0);
    r.limit_pps = 0;
    drive(&r, 1000, 2 * SECOND); /* at the spread rate, not at the first one's */
    assert_in_range(r.sent, 2 * 500 - 1, 2 * 500 + pace_burst(500));
}

/* ---- how fast --------------------------------------------------------------------------- */

static void probes_are_spread(void **state) {
    (void)state;
    static const struct {
        int64_t pps, most;
    } cases[] = {{1000, 500}, {5000, 2500}, {100, 50}, {2, 1}, {1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct road r;
        start(&r, cases[i].pps);
        for (int n = 0; n < 4; n++)
            send_one(&r, 1);
        drive(&r, 10000, 10 * SECOND);
        assert_true(r.sent <= 10 * cases[i].most + 10);
        assert_true(r.sent >= 10 * cases[i].most - 5); /* and no slower than that */
        assert_int_equal(first_hops_limited(&r.first_hops), 0);
    }
}

static void no_rate_no_spread(void **state) {
    (void)state;
    struct road r;
    start(&r, 0);
    drive(&r, 10000, SECOND);
    assert_int_equal(r.sent, 10000);
}

/* ---- limits ----------------------------------------------------------------------------- */

/* What the router answers is learnt within a few seconds, and then little is lost. */
static void a_limit_is_learnt(void **state) {
    (void)state;
    static const int64_t limits[] = {120, 200, 333};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        for (int unlimited = 0; unlimited < 2; unlimited++) {
            struct road r;
            start(&r, unlimited ? 0 : 1000);
            r.limit_pps = limits[i];
            drive(&r, 1000, 5 * SECOND);
            assert_int_equal(first_hops_limited(&r.first_hops), 1);
            drive(&r, 1000, 30 * SECOND);
            printf("limit %d: sent %d, answered %d a second\n", (int)limits[i], (int)r.sent / 30,
                (int)r.answered / 30);
            assert_true((r.sent - r.answered) * 100 <= r.sent * 25);
            assert_true(r.answered * 100 >= 30 * limits[i] * 60);
            assert_int_equal(first_hops_limited(&r.first_hops), 1);
        }
}

/* A router that answers next to nothing of what is sent is not waited for. */
static void a_hopeless_limit_is_left_alone(void **state) {
    (void)state;
    struct road r;
    start(&r, 1000);
    r.limit_pps = 1;
    drive(&r, 1000, 50 * SECOND);
    assert_int_equal(first_hops_limited(&r.first_hops), 0);
    assert_true(r.sent >= 50 * 490);
}

static void a_limit_that_goes_away_is_forgotten(void **state) {
    (void)state;
    struct road r;
    start(&r, 1000);
    r.limit_pps = 100;
    drive(&r, 1000, 20 * SECOND);
    assert_int_equal(first_hops_limited(&r.first_hops), 1);
    r.limit_pps = 0;
    drive(&r, 1000, 60 * SECOND);
    assert_int_equal(first_hops_limited(&r.first_hops), 0);
    drive(&r, 1000, SECOND);
    assert_int_equal(r.answered, r.sent);
    assert_true(r.sent >= 495);
}

/* Loss at any rate is no limit: the ttl is left alone. */
static void a_lossy_path_is_no_limit(void **state) {
    (void)state;
    for (unsigned loss_pct = 4; loss_pct <= 100; loss_pct += 8) {
        struct road r;
        start(&r, 1000);
        for (int i = 0; i < 4; i++)
            send_one(&r, 1);
        r.loss_pct = loss_pct;
        drive(&r, 1000, 10 * SECOND); /* it may try for a while */
        drive(&r, 1000, 45 * SECOND);
        printf("loss %u: sent %d a second, limited %d\n", loss_pct, (int)(r.sent / 45),
            first_hops_limited(&r.first_hops));
        assert_int_equal(first_hops_limited(&r.first_hops), 0);
        assert_true(r.sent / 45 >= 490);
    }
}

/* More goes to a limited router than it is asked to take: that it still loses does not make its
 * limit loss. */
static void an_overrun_limit_is_no_loss(void **state) {
    (void)state;
    struct road r;
    start(&r, 2000);
    r.limit_pps = 100;
    drive(&r, 2000, 3 * SECOND);
    for (int i = 0; i < 20 * 1000; i++) { /* forced turns, ten times what it takes */
        r.now_us += MS;
        r.tokens_us = r.tokens_us < 60 * MS ? r.tokens_us + MS : 60 * MS;
        (void)next(&r, 4, 1);
        send_one(&r, 1);
    }
    assert_int_equal(first_hops_limited(&r.first_hops), 1);
    drive(&r, 2000, 3 * SECOND);
    drive(&r, 2000, 10 * SECOND);
    assert_true(r.answered >= 950 && r.sent <= 1200);
}

/* A few probes say nothing about loss. */
static void few_probes_teach_nothing(void **state) {
    (void)state;
    struct road r;
    start(&r, 1000);
    drive(&r, 10, SECOND);
    r.loss_pct = 60;
    drive(&r, FIRST_HOPS_MIN_PROBES - 2, 20 * SECOND);
    assert_int_equal(first_hops_limited(&r.first_hops), 0);
}

/* `sent` probes at once, now, of which `answered` are answered. */
static void send_some(struct road *r, int sent, int answered) {
    for (int i = 0; i < sent; i++)
        first_hops_sent(&r->first_hops, 4, 1, r->now_us);
    for (int i = 0; i < answered; i++)
        first_hops_answered(&r->first_hops, 4, 1, &ROUTER, r->now_us);
}

/* Goes on to where the windows before now have been judged. */
static void judged(struct road *r) {
    r->now_us += 2 * FIRST_HOPS_WINDOW_US;
    (void)next(r, 4, 1);
}

/* Once the burst is used up, probes may be sent at this rate. */
static void expect_rate(struct road *r, int64_t pps) {
    while (next(r, 4, 1) <= r->now_us)
        first_hops_take(&r->first_hops, 4, 1, r->now_us);
    int64_t first_us = next(r, 4, 1);
    first_hops_take(&r->first_hops, 4, 1, first_us);
    assert_in_range(next(r, 4, 1) - first_us, SECOND / pps, SECOND / pps + 1);
}

/* The bounds from which a window makes a limit, each at its edge. */
static void bounds_of_a_first_limit(void **state) {
    (void)state;
    static const struct {
        int sent, answered, limited;
    } cases[] = {{FIRST_HOPS_MIN_PROBES, FIRST_HOPS_MIN_PROBES / 2, 1},
        {FIRST_HOPS_MIN_PROBES - 1, FIRST_HOPS_MIN_PROBES / 2, 0},
        {100, 100 - FIRST_HOPS_LOST_PCT - 1, 1}, {100, 100 - FIRST_HOPS_LOST_PCT, 0},
        {100, FIRST_HOPS_WORTH_PCT, 1}, {100, FIRST_HOPS_WORTH_PCT - 1, 0}, {100, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct road r;
        start(&r, 0);
        send_some(&r, cases[i].sent, cases[i].answered);
        judged(&r);
        assert_int_equal(first_hops_limited(&r.first_hops), cases[i].limited);
    }
}

/* Answers to a burst are a rate over FIRST_HOPS_BURST_US. From there on a limit follows what is
 * lost: up to FIRST_HOPS_FINE_PCT it grows by a sixteenth and one. */
static void a_limit_follows_the_loss(void **state) {
    (void)state;
    struct road r;
    start(&r, 0);
    send_some(&r, 40, 20);
    judged(&r);
    const int64_t limit = 20 * SECOND / FIRST_HOPS_BURST_US;
    expect_rate(&r, limit);
    send_some(&r, 100, 100 - FIRST_HOPS_FINE_PCT);
    judged(&r);
    expect_rate(&r, limit + limit / 16 + 1);
    send_some(&r, 100, 100 - FIRST_HOPS_FINE_PCT - 1);
    judged(&r);
    expect_rate(&r, (99 - FIRST_HOPS_FINE_PCT) * SECOND / FIRST_HOPS_BURST_US);
}

/* What was sent before a limit was learnt says nothing about that limit. */
static void a_limit_is_judged_by_later_windows(void **state) {
    (void)state;
    struct road r;
    start(&r, 0);
    send_some(&r, 40, 20);
    r.now_us += FIRST_HOPS_WINDOW_US;
    send_some(&r, 40, 20);
    r.now_us += FIRST_HOPS_WINDOW_US;
    (void)next(&r, 4, 1);
    assert_int_equal(first_hops_limited(&r.first_hops), 1);
    r.now_us += FIRST_HOPS_WINDOW_US;
    (void)next(&r, 4, 1);
    assert_int_equal(first_hops_limited(&r.first_hops), 1);
    /* The same loss at the limit is loss. */
    send_some(&r, 40, 20);
    judged(&r);
    assert_int_equal(first_hops_limited(&r.first_hops), 0);
    /* For FIRST_HOPS_LOSSY_US it is left alone. */
    int64_t until_us = r.now_us + FIRST_HOPS_LOSSY_US;
    send_some(&r, 40, 20);
    judged(&r);
    assert_int_equal(first_hops_limited(&r.first_hops), 0);
    r.now_us = until_us;
    send_some(&r, 40, 20);
    judged(&r);
    assert_int_equal(first_hops_limited(&r.first_hops), 1);
}

/* Windows are judged when something is sent, too: there are three of them, which come round. */
static void sending_judges(void **state) {
    (void)state;
    struct road r;
    start(&r, 0);
    send_some(&r, 40, 20);
    r.now_us += 3 * FIRST_HOPS_WINDOW_US;
    send_some(&r, 1, 1);
    assert_int_equal(first_hops_limited(&r.first_hops), 1);
}

/* A window is judged when a second has passed since its end: answers may take that long. */
static void answers_have_a_second_to_come(void **state) {
    (void)state;
    for (int64_t late_us = 0; late_us <= 1; late_us++) {
        struct road r;
        start(&r, 1000);
        r.now_us += FIRST_HOPS_WINDOW_US - 1; /* the last moment of the window */
        const int64_t sent_us = r.now_us, count = 2 * FIRST_HOPS_MIN_PROBES;
        for (int64_t i = 0; i < count; i++)
            first_hops_sent(&r.first_hops, 4, 1, sent_us);
        for (int64_t i = 0; i < count / 2; i++)
            first_hops_answered(&r.first_hops, 4, 1, &ROUTER, sent_us);
        r.now_us += FIRST_HOPS_WINDOW_US + late_us;
        (void)next(&r, 4, 1);
        for (int64_t i = 0; i < count / 2; i++)
            first_hops_answered(&r.first_hops, 4, 1, &ROUTER, sent_us);
        r.now_us += FIRST_HOPS_WINDOW_US;
        (void)next(&r, 4, 1);
        assert_int_equal(first_hops_limited(&r.first_hops), late_us);
    }
}

/* A router that never answers, or no longer, has no limit that could be kept. */
static void a_silent_router_is_not_limited(void **state) {
    (void)state;
    for (int once = 0; once < 2; once++) {
        struct road r;
        start(&r, 1000);
        drive(&r, 1000, once * 5 * SECOND);
        r.now_us = (r.now_us / SECOND + 1) * SECOND - MS; /* all of a window */
        r.loss_pct = 100;
        for (int i = 0; i < 30; i++) {
            drive(&r, 1000, SECOND);
            assert_int_equal(first_hops_limited(&r.first_hops), 0);
        }
        assert_true(r.sent >= (once ? 499 : 999));
        /* when it is back, nothing has to be made good */
        r.loss_pct = 0;
        drive(&r, 1000, 5 * SECOND);
        assert_true(r.sent >= 5 * 499 && r.answered == r.sent);
    }
}

/* Traces come in batches with pauses: what a router answers within a burst is its rate then, not
 * that of the whole second. */
static void a_limit_is_learnt_from_bursts(void **state) {
    (void)state;
    struct road r;
    start(&r, 4000);
    r.limit_pps = 300;
    int64_t answered = 0;
    for (int batch = 0; batch < 20; batch++) {
        int64_t start_us = r.now_us, left = 200;
        r.sent = r.answered = 0;
        for (; left > 0; r.now_us += 250, r.tokens_us += 250)
            if (next(&r, 4, 1) <= r.now_us) {
                if (r.tokens_us > 30 * SECOND / 300)
                    r.tokens_us = 30 * SECOND / 300;
                send_one(&r, 1);
                left--;
            }
        printf("batch %d: %d of 200 answered, within %d ms\n", batch, (int)r.answered,
            (int)((r.now_us - start_us) / MS));
        answered += batch < 3 ? 0 : r.answered;
        assert_true(batch < 3 || r.now_us - start_us < 2 * SECOND);
        r.now_us += 3 * SECOND;
        r.tokens_us += 3 * SECOND;
    }
    assert_true(answered >= 17 * 200 * 90 / 100);
}

/* ---- turns that are not waited for ------------------------------------------------------ */

/* Probes that have waited too long are sent anyway. Those behind them do not wait longer for it. */
static void forced_turns_are_no_debt(void **state) {
    (void)state;
    struct road r;
    start(&r, 1000);
    r.limit_pps = 10;
    drive(&r, 1000, 5 * SECOND);
    for (int i = 0; i < 20000; i++) { /* ten seconds of 2,000 forced turns each */
        r.now_us += 500;
        send_one(&r, 1);
    }
    assert_true(next(&r, 4, 1) - r.now_us <= SECOND);
}

/* After a pause a burst may be sent at once, and no more. */
static void a_pause(void **state) {
    (void)state;
    struct road r;
    start(&r, 1000);
    drive(&r, 1000, 5 * SECOND);
    r.now_us += 3600 * SECOND;
    int64_t burst = 0;
    for (; next(&r, 4, 1) <= r.now_us; burst++)
        send_one(&r, 1);
    assert_int_equal(burst, pace_burst(500));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_where_one_responder_dominates),
        cmocka_unit_test(targets_of_their_own_are_not_held),
        cmocka_unit_test(another_router),
        cmocka_unit_test(probes_are_spread),
        cmocka_unit_test(no_rate_no_spread),
        cmocka_unit_test(a_limit_is_learnt),
        cmocka_unit_test(a_hopeless_limit_is_left_alone),
        cmocka_unit_test(a_limit_that_goes_away_is_forgotten),
        cmocka_unit_test(a_lossy_path_is_no_limit),
        cmocka_unit_test(an_overrun_limit_is_no_loss),
        cmocka_unit_test(a_limit_is_learnt_from_bursts),
        cmocka_unit_test(few_probes_teach_nothing),
        cmocka_unit_test(bounds_of_a_first_limit),
        cmocka_unit_test(a_limit_follows_the_loss),
        cmocka_unit_test(a_limit_is_judged_by_later_windows),
        cmocka_unit_test(sending_judges),
        cmocka_unit_test(answers_have_a_second_to_come),
        cmocka_unit_test(a_silent_router_is_not_limited),
        cmocka_unit_test(forced_turns_are_no_debt),
        cmocka_unit_test(a_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
