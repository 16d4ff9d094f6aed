/* mux_send: whose probes go first, which ports they have, and who waits at the first hops. */
#include "tests/unit/mux_rig.h"

#include "worker/probing/first_hops.h"

static char A[] = "A", B[] = "B", C[] = "C";

/* As a trace is by default. */
static struct trace adaptive(void) {
    struct trace t;
    trace_defaults(&t);
    t.attempts = 2;
    return t;
}

static struct trace with_flow(int64_t flow) {
    struct trace t = options();
    t.protocol = TRACE_UDP;
    t.flow = flow;
    t.max_ttl = 1;
    return t;
}

/* ---- whose turn it is ------------------------------------------------------------------- */

static void needed_before_ahead(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = adaptive();
    rig->quiet = true;
    for (int i = 0; i < 20; i++)
        add_to(rig, (uint8_t)(i + 1), A, &t);
    tick(rig);
    assert_int_equal(rig->sent, MUX_AHEAD);
    for (unsigned i = 0; i < rig->sent; i++)
        assert_int_equal(rig->ttl[i], 1 + i / 20); /* first of all, then ahead in turn */
    assert_true(mux_next(rig->mux, rig->now_us) > rig->now_us);
    /* what is needed goes beyond MUX_AHEAD, what is ahead does not */
    for (int i = 20; i < 30; i++)
        add_to(rig, (uint8_t)(i + 1), A, &t);
    tick(rig);
    assert_int_equal(rig->sent, MUX_AHEAD + 10);
    for (unsigned i = MUX_AHEAD; i < rig->sent; i++)
        assert_int_equal(rig->ttl[i], 1);
    /* room again: as much as there is */
    rig->now_us += 200;
    for (unsigned i = 0; i < 15; i++)
        say(rig, 20 + i, "ttl-expired ip-4 10.0.0.2 round-trip-time 100");
    tick(rig);
    assert_int_equal(mux_counters(rig->mux)->probes_in_flight, MUX_AHEAD);
    rig_end(rig);
}

static void plain_and_tcp_like_in_turn(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = adaptive();
    rig->quiet = true;
    for (int i = 0; i < 20; i++) {
        t.protocol = i < 10 ? TRACE_ICMP : TRACE_TCP;
        add_to(rig, (uint8_t)(i + 1), A, &t);
    }
    tick(rig);
    assert_int_equal(rig->sent, MUX_AHEAD);
    for (unsigned i = 1; i < rig->sent; i++)
        assert_int_not_equal(rig->tcp[i], rig->tcp[i - 1]);
    rig_end(rig);
}

static void slots_by_version(void **state) {
    (void)state;
    static const struct {
        const char *version;
        int protocol;
        unsigned slots;
    } cases[] = {{"0.95", TRACE_ICMP, 900}, {"0.96", TRACE_ICMP, 2000}, {"0.96", TRACE_TCP, 900},
        {"0.96", TRACE_SCTP, 900}, {"0.88", TRACE_UDP, 900}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig *rig = rig_of(0, cases[i].version);
        struct trace t = options();
        t.window = t.max_ttl = 64;
        t.gap_limit = 0;
        t.protocol = cases[i].protocol;
        rig->quiet = true;
        for (int n = 0; n < 40; n++)
            add(rig, A, &t);
        tick(rig);
        assert_int_equal(rig->sent, cases[i].slots);
        assert_int_equal(mux_counters(rig->mux)->probes_in_flight, cases[i].slots);
        assert_true(mux_next(rig->mux, rig->now_us) > rig->now_us);
        rig_end(rig);
    }
}

/* When nothing answers, a trace sends more at the time that tracer_more_us() gave. */
static void silence_wakes_a_trace(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = adaptive(), many = options();
    many.window = many.max_ttl = 64;
    many.gap_limit = 0;
    many.timeout_ms = 30000;
    rig->quiet = true;
    for (int i = 0; i < 3; i++)
        add(rig, B, &many); /* nothing is sent ahead now */
    tick(rig);
    unsigned before = rig->sent;
    add_to(rig, 9, A, &t);
    tick(rig);
    assert_int_equal(rig->sent, before + 1);
    for (int ttl = 2; ttl <= 5; ttl++) {
        run_for(rig, 180 * MS - 1);
        assert_int_equal(rig->sent, before + (unsigned)ttl - 1);
        run_for(rig, 1);
        assert_int_equal(rig->sent, before + (unsigned)ttl);
        assert_int_equal(rig->ttl[rig->sent - 1], ttl);
    }
    run_for(rig, SECOND);
    assert_int_equal(rig->sent, before + 5);
    rig_end(rig);
}

/* The default trace to a silent target, alone: attempts x timeout, and a second at most. */
static void a_silent_target_is_soon_over(void **state) {
    (void)state;
    struct rig *rig = rig_new(1000);
    struct trace t = adaptive();
    rig->quiet = true;
    add_to(rig, 1, A, &t);
    run_for(rig, 5 * SECOND);
    assert_int_equal(shown(rig, "A ends: gap-limit"), 1);
    rig_end(rig);
}

/* Probes with long timeouts leave half of the slots to others. */
static void slow_probes_leave_room(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace slow = options(), plain = options();
    slow.window = plain.window = 64;
    slow.gap_limit = plain.gap_limit = 0;
    slow.max_ttl = plain.max_ttl = 64;
    slow.timeout_ms = 1000 * SLOTS_SLOW_S + 1;
    plain.timeout_ms = 1000 * SLOTS_SLOW_S;
    rig->quiet = true;
    for (int i = 0; i < 20; i++)
        add_to(rig, 1, A, &slow);
    tick(rig);
    assert_int_equal(rig->sent, SLOTS_BEFORE_0_96 / 2);
    assert_true(mux_next(rig->mux, rig->now_us) > rig->now_us);
    for (int i = 0; i < 20; i++)
        add_to(rig, 2, B, &plain);
    tick(rig);
    assert_int_equal(rig->sent, SLOTS_BEFORE_0_96);
    rig_end(rig);
}

/* ---- probers that die ------------------------------------------------------------------- */

static void what_kills_probers_is_given_up(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    t.window = 4;
    rig->quiet = true;
    add_to(rig, 1, A, &t);
    for (int death = 1; death <= MUX_MAX_DEATHS; death++) {
        tick(rig);
        assert_int_equal(shown(rig, "A ends"), 0);
        if (death == 3) { /* one that was added later has had fewer, and one without probes none */
            add_to(rig, 2, B, &t);
            tick(rig);
        }
        mux_prober(rig->mux, NULL, rig->now_us);
        mux_prober(rig->mux, NULL, rig->now_us); /* told twice */
        if (death < MUX_MAX_DEATHS)
            mux_prober(rig->mux, "0.95", rig->now_us);
    }
    assert_int_equal(shown(rig, "A ends: prober-error, 20 sent, 0 probes, 192.0.2.1 from "
                                "198.51.100.2, mtr-packet died again and again"),
        1);
    assert_int_equal(shown(rig, "B ends"), 0);
    mux_prober(rig->mux, "0.95", rig->now_us);
    tick(rig);
    assert_int_equal(mux_counters(rig->mux)->probes_in_flight, 4);
    rig_end(rig);
}

/* After a death, those who had probes out go one at a time; the one with which the next one dies
 * ends, be its probe answered or not, and no other. */
static void the_one_that_kills_ends_alone(void **state) {
    (void)state;
    for (int answered = 0; answered < 2; answered++) {
        struct rig *rig = rig_new(0);
        struct trace t = options();
        rig->quiet = true;
        add_to(rig, 1, A, &t);
        add_to(rig, 2, B, &t);
        tick(rig);
        assert_int_equal(rig->sent, 2);
        rig->hangs = true;
        mux_prober(rig->mux, NULL, rig->now_us);
        mux_prober(rig->mux, "0.95", rig->now_us);
        tick(rig);
        assert_int_equal(rig->sent, 3); /* A's; it is asked, and B waits */
        if (answered)
            say(rig, 2, EXPIRED);
        tick(rig);
        assert_int_equal(rig->sent, 3);
        mux_prober(rig->mux, NULL, rig->now_us);
        assert_int_equal(shown(rig, "A ends: prober-error"), 1);
        assert_int_equal(shown(rig, "B ends"), 0);
        rig->asked = 0;
        rig->hangs = false;
        mux_prober(rig->mux, "0.95", rig->now_us);
        tick(rig);
        assert_int_equal(rig->sent, 4);
        say(rig, 3, EXPIRED);
        tick(rig);
        assert_int_equal(rig->sent, 5); /* B goes on as before */
        rig_end(rig);
    }
}

/* A death that came while a suspect was on trial is blamed on that one alone: whoever else had a
 * probe out, since its own trial had ended well, is not counted as having lost it. */
static void a_trial_blames_nobody_else(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    rig->quiet = true;
    add_to(rig, 1, A, &t);
    for (int killer = 0; killer < MUX_MAX_DEATHS - 1; killer++) {
        add_to(rig, 2, B, &t);
        rig->hangs = false;
        tick(rig);
        mux_prober(rig->mux, NULL, rig->now_us); /* A and B are suspects */
        mux_prober(rig->mux, "0.95", rig->now_us);
        mux_tick(rig->mux, rig->now_us); /* A is on trial, and the prober is asked */
        unsigned sent = rig->sent;
        rig->asked = 0;
        mux_reply(rig->mux, &(struct mtr_reply){.token = MTR_TOKEN_HEALTH}, rig->now_us);
        mux_tick(rig->mux, rig->now_us); /* so is B */
        assert_int_equal(rig->sent, sent + 1);
        rig->asked = 0;
        mux_prober(rig->mux, NULL, rig->now_us);
        assert_int_equal(shown(rig, "B ends: prober-error"), killer + 1);
        assert_int_equal(shown(rig, "A ends"), 0);
        mux_prober(rig->mux, "0.95", rig->now_us);
    }
    rig_end(rig);
}

/* ---- ports of flows --------------------------------------------------------------------- */

static struct rig *full_flow(struct mux_job *jobs[23]) {
    struct rig *rig = rig_new(0);
    struct trace t = with_flow(7);
    rig->quiet = true;
    for (int i = 0; i < 22; i++)
        jobs[i] = add_to(rig, 1, A, &t);
    jobs[22] = add_to(rig, 1, B, &t);
    tick(rig);
    assert_int_equal(rig->sent, 22);
    return rig;
}

static void a_port_each(void **state) {
    (void)state;
    struct mux_job *jobs[23];
    struct rig *rig = full_flow(jobs);
    struct trace t = with_flow(7);
    for (unsigned i = 0; i < 22; i++)
        assert_int_equal(rig->local_port[i], 10007 + 1024 * i);
    /* another target and another flow do not wait */
    add_to(rig, 2, C, &t);
    t = with_flow(8);
    add_to(rig, 1, C, &t);
    tick(rig);
    assert_int_equal(rig->sent, 24);
    assert_int_equal(rig->local_port[22], 10007);
    assert_int_equal(rig->local_port[23], 10008);
    assert_true(mux_next(rig->mux, rig->now_us) > rig->now_us);
    /* the 23rd has the port of the first that ends, and only it */
    mux_cancel(rig->mux, jobs[4], rig->now_us);
    tick(rig);
    assert_int_equal(rig->sent, 25);
    assert_int_equal(rig->local_port[24], 10007 + 4 * 1024);
    mux_cancel(rig->mux, jobs[5], rig->now_us);
    tick(rig);
    assert_int_equal(rig->sent, 25);
    rig_end(rig);
}

/* One that waits for a port ends like any other, and nobody waits for it. */
static void ends_of_one_that_waits_for_a_port(void **state) {
    (void)state;
    struct mux_job *jobs[23];
    struct trace t = with_flow(7);
    for (int end = 0; end < 4; end++) {
        struct rig *rig = full_flow(jobs);
        struct mux_job *next = add_to(rig, 1, C, &t);
        add_until(rig, C, &t, rig->now_us + SECOND);
        if (end == 0)
            mux_cancel(rig->mux, jobs[22], rig->now_us);
        if (end == 1)
            mux_forget(rig->mux, jobs[22]);
        if (end == 2)
            run_for(rig, SECOND); /* the last one's deadline, and all timeouts later */
        if (end == 3) {
            mux_prober(rig->mux, NULL, rig->now_us);
            mux_prober(rig->mux, "0.95", rig->now_us);
            tick(rig);
            assert_int_equal(rig->sent, 2 * 22);
        }
        assert_int_equal(shown(rig, "B ends: cancelled, 0 sent, 0 probes"), end == 0);
        assert_int_equal(shown(rig, "C ends: deadline, 0 sent, 0 probes"), end == 2);
        unsigned before = rig->sent;
        mux_forget(rig->mux, jobs[0]);
        tick(rig);
        assert_int_equal(rig->sent, before + 1);
        assert_int_equal(rig->local_port[before], 10007);
        if (end < 2)
            mux_forget(rig->mux, next); /* it was the next in line, and has the port */
        rig_end(rig);
    }
}

/* All of 200 traces end, and each has had a port. */
static void many_traces_of_one_flow(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = with_flow(1023);
    rig->quiet = true;
    for (int i = 0; i < 200; i++)
        add_to(rig, 1, A, &t);
    for (unsigned told = 0; told < 200; told++) {
        tick(rig);
        assert_true(rig->sent > told && rig->sent <= told + 22);
        rig->now_us += 200;
        say(rig, told, REPLY);
    }
    assert_int_equal(shown(rig, "A ends: reached, 1 sent"), 200);
    for (unsigned i = 0; i < 200; i++)
        assert_true(rig->local_port[i] >= 10000 && rig->local_port[i] < 33000);
    assert_true(mux_next(rig->mux, rig->now_us) == INT64_MAX);
    rig_end(rig);
}

/* ---- first hops -------------------------------------------------------------------- */

/* A network behind the prober: hop n answers after n ms; the first router answers `limit` probes
 * a second, 0: all. Four routers are everybody's. */
struct net {
    struct rig *rig;
    int64_t limit_pps, bucket_us, last_us;
    int distance;
    unsigned scheduled, sent_first;
    int64_t answer_us[MAX_SENT];
    unsigned answered; /* all before this one */
    bool done[MAX_SENT];
};

static void net_take(struct net *n) {
    for (; n->scheduled < n->rig->sent; n->scheduled++) {
        unsigned i = n->scheduled;
        int ttl = n->rig->ttl[i] < n->distance ? n->rig->ttl[i] : n->distance;
        int64_t cost_us = n->limit_pps > 0 ? SECOND / n->limit_pps : 0;
        n->answer_us[i] = n->rig->sent_us[i] + ttl * MS;
        if (ttl > 1)
            continue;
        n->sent_first++;
        n->bucket_us += n->rig->sent_us[i] - n->last_us;
        n->last_us = n->rig->sent_us[i];
        if (n->bucket_us > 6 * cost_us)
            n->bucket_us = 6 * cost_us;
        if (n->bucket_us >= cost_us)
            n->bucket_us -= cost_us;
        else
            n->answer_us[i] = INT64_MAX;
    }
}

/* The first answer that comes, or the count of all probes. */
static unsigned net_first(const struct net *n) {
    unsigned first = n->scheduled;
    for (unsigned i = n->answered; i < n->scheduled; i++)
        if (!n->done[i] && n->answer_us[i] < INT64_MAX &&
            (first == n->scheduled || n->answer_us[i] < n->answer_us[first]))
            first = i;
    return first;
}

static void net_answer(struct net *n, unsigned i) {
    char line[100];
    int ttl = n->rig->ttl[i];
    (void)snprintf(line, sizeof line, "%s ip-4 %s%d round-trip-time %d",
        ttl < n->distance ? "ttl-expired" : "reply", ttl < n->distance ? "10.0.0." : "192.0.2.",
        ttl < n->distance ? ttl : n->rig->target[i], (int)(n->rig->now_us - n->rig->sent_us[i]));
    n->done[i] = true;
    if (n->rig->now_us - n->rig->sent_us[i] <= 2 * SECOND)
        say(n->rig, i, line);
    while (n->answered < n->scheduled && n->done[n->answered])
        n->answered++;
}

/* The prober says no-reply after two seconds. */
static void net_silence(struct net *n) {
    for (unsigned i = n->answered; i < n->scheduled; i++)
        if (!n->done[i] && n->rig->now_us - n->rig->sent_us[i] >= 2 * SECOND) {
            n->done[i] = true;
            say(n->rig, i, "no-reply");
        }
}

static void net_run(struct net *n, int64_t for_us) {
    struct rig *rig = n->rig;
    int64_t until_us = rig->now_us + for_us;
    while (rig->now_us < until_us) {
        tick(rig);
        net_take(n);
        int64_t next_us = mux_next(rig->mux, rig->now_us);
        assert_true(next_us > rig->now_us); /* it does not spin */
        unsigned first = net_first(n);
        if (first < n->scheduled && n->answer_us[first] < next_us)
            next_us = n->answer_us[first];
        rig->now_us = next_us < until_us ? next_us : until_us;
        net_silence(n);
        for (; first < n->scheduled && n->answer_us[first] <= rig->now_us; first = net_first(n))
            net_answer(n, first);
    }
}

static struct net *net_new(int64_t pps, int distance) {
    struct net *n = calloc(1, sizeof *n);
    assert_non_null(n);
    n->rig = rig_new(pps);
    n->rig->quiet = true;
    n->distance = distance;
    return n;
}

static void net_end(struct net *n) {
    rig_end(n->rig);
    free(n);
}

static void add_many(struct net *n, int number) {
    struct trace t = adaptive();
    for (int i = 0; i < number; i++)
        add_to(n->rig, (uint8_t)(i % 250 + 1), A, &t);
}

/* A worker at its full rate sends no first hop more than half of it. */
static void first_hops_are_spread(void **state) {
    (void)state;
    struct net *n = net_new(1000, 2);
    for (int i = 0; i < 10; i++) {
        add_many(n, 400);
        net_run(n, SECOND);
    }
    assert_true(n->sent_first <= 10 * 500 + 20);
    assert_true(mux_counters(n->rig->mux)->first_hop_waits > 0);
    assert_int_equal(mux_counters(n->rig->mux)->first_hops_limited, 0);
    net_run(n, 10 * SECOND);
    assert_int_equal(shown(n->rig, "A ends: reached"), 4000);
    net_end(n);
}

/* Each of the first hops is spread to half of the rate: a turn is good for one probe. Those beyond
 * are not spread. */
static void each_first_hop_takes_one_turn_a_probe(void **state) {
    (void)state;
    for (int ttl = 1; ttl <= FIRST_HOPS_TTLS + 1; ttl++) {
        struct net *n = net_new(1000, 10);
        struct trace t = options();
        t.first_ttl = t.max_ttl = ttl;
        t.probes = t.attempts = 3;
        for (int i = 0; i < 2000; i++)
            add_to(n->rig, (uint8_t)(i % 250 + 1), A, &t);
        net_run(n, SECOND);
        unsigned before = n->rig->sent;
        net_run(n, SECOND);
        int second = (int)(n->rig->sent - before);
        if (ttl <= FIRST_HOPS_TTLS)
            assert_in_range(second, 499, 501);
        else
            assert_true(second > 900);
        net_end(n);
    }
}

/* What went down with the prober teaches nothing about the first hops. */
static void a_death_is_no_loss(void **state) {
    (void)state;
    for (int dies = 0; dies <= 1; dies++) {
        struct rig *rig = rig_new(0);
        struct trace t = options();
        t.max_ttl = 1;
        rig->quiet = true;
        for (unsigned i = 0; i < 4 * FIRST_HOPS_MIN_PROBES; i++)
            add_to(rig, 1, A, &t);
        tick(rig);
        for (unsigned i = 0; i < 2 * FIRST_HOPS_MIN_PROBES; i++)
            say(rig, i, EXPIRED);
        if (dies) {
            mux_prober(rig->mux, NULL, rig->now_us);
            rig->now_us += 3 * FIRST_HOPS_WINDOW_US;
            mux_prober(rig->mux, "0.95", rig->now_us);
        }
        rig->now_us += 3 * FIRST_HOPS_WINDOW_US;
        add_to(rig, 1, B, &t);
        tick(rig);
        assert_int_equal(mux_counters(rig->mux)->first_hops_limited, !dies);
        rig_end(rig);
    }
}

/* A router's limit is learnt; the traces come to their ends, few with a silent first hop. */
static void a_limited_router(void **state) {
    (void)state;
    struct net *n = net_new(2000, 6);
    n->limit_pps = 100;
    for (int i = 0; i < 5; i++) {
        add_many(n, 200);
        net_run(n, SECOND);
    }
    for (int i = 0; i < 20; i++) {
        add_many(n, 80);
        net_run(n, SECOND);
    }
    assert_int_equal(mux_counters(n->rig->mux)->first_hops_limited, 1);
    transcript_clear(&n->rig->out);
    net_run(n, 30 * SECOND);
    transcript_clear(&n->rig->out);
    for (int i = 0; i < 20; i++) { /* now that it has caught up */
        add_many(n, 60);
        net_run(n, SECOND);
    }
    net_run(n, 10 * SECOND);
    assert_int_equal(shown(n->rig, "A ends: reached"), 20 * 60);
    assert_true(shown(n->rig, "hop 1: no-reply") < 20 * 60 * FIRST_HOPS_FINE_PCT / 100);
    net_end(n);
}

/* Answers to probes that their traces no longer needed are answers all the same. */
static void overshoot_is_no_loss(void **state) {
    (void)state;
    struct net *n = net_new(0, 3);
    for (int i = 0; i < 100; i++) {
        add_many(n, 5);
        net_run(n, 100 * MS);
        assert_int_equal(mux_counters(n->rig->mux)->first_hops_limited, 0);
        n->distance = i % 2 == 0 ? 2 : 6; /* what is behind the third router answers, or does not */
    }
    net_end(n);
}

/* All of these end while they wait at a router, in any order. */
static void ends_of_those_who_wait_at_a_router(void **state) {
    (void)state;
    for (int end = 0; end < 4; end++) {
        struct net *n = net_new(100, 6);
        struct mux_job *jobs[40];
        struct trace t = options();
        t.first_ttl = 1;
        t.max_ttl = 1;
        for (int i = 0; i < 10; i++) {
            add_to(n->rig, 1, B, &t);
            net_run(n, 5 * MS);
        }
        for (int i = 0; i < 40; i++)
            jobs[i] = add_to(n->rig, (uint8_t)(i + 1), A, &t);
        tick(n->rig);
        net_take(n);
        assert_true(mux_counters(n->rig->mux)->first_hop_waits > 30);
        for (int i = 0; i < 40; i++) {
            int at = i * 7 % 40;
            if (end == 0)
                mux_cancel(n->rig->mux, jobs[at], n->rig->now_us);
            if (end == 1 && at % 2 == 0)
                mux_forget(n->rig->mux, jobs[at]);
        }
        if (end == 2) {
            for (int death = 0; death < 3; death++) {
                mux_prober(n->rig->mux, NULL, n->rig->now_us);
                n->answered = n->scheduled;
                pass(n->rig, SECOND);
                mux_prober(n->rig->mux, "0.95", n->rig->now_us);
                net_run(n, 300 * MS);
            }
        }
        net_run(n, 10 * SECOND);
        int ended = shown(n->rig, "A ends");
        assert_int_equal(ended, end == 1 ? 20 : 40);
        assert_true(mux_next(n->rig->mux, n->rig->now_us) == INT64_MAX);
        net_end(n);
    }
}

/* Nobody waits at a router for longer than MUX_FIRST_HOPS_PATIENCE timeouts. */
static void patience_at_a_router_ends(void **state) {
    (void)state;
    struct net *n = net_new(2000, 6);
    n->limit_pps = 20;
    add_many(n, 600);
    net_run(n, 20 * SECOND); /* at its rate it would be 30 s */
    assert_int_equal(shown(n->rig, "A ends"), 600);
    /* and that is all over when one more comes */
    struct trace t = adaptive();
    int64_t start_us = n->rig->now_us;
    add_to(n->rig, 7, C, &t);
    while (shown(n->rig, "C ends") == 0)
        net_run(n, 10 * MS);
    assert_true(n->rig->now_us - start_us <= 200 * MS);
    net_end(n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(needed_before_ahead),
        cmocka_unit_test(plain_and_tcp_like_in_turn),
        cmocka_unit_test(slots_by_version),
        cmocka_unit_test(silence_wakes_a_trace),
        cmocka_unit_test(a_silent_target_is_soon_over),
        cmocka_unit_test(slow_probes_leave_room),
        cmocka_unit_test(the_one_that_kills_ends_alone),
        cmocka_unit_test(what_kills_probers_is_given_up),
        cmocka_unit_test(a_trial_blames_nobody_else),
        cmocka_unit_test(a_port_each),
        cmocka_unit_test(ends_of_one_that_waits_for_a_port),
        cmocka_unit_test(many_traces_of_one_flow),
        cmocka_unit_test(first_hops_are_spread),
        cmocka_unit_test(each_first_hop_takes_one_turn_a_probe),
        cmocka_unit_test(a_death_is_no_loss),
        cmocka_unit_test(a_limited_router),
        cmocka_unit_test(overshoot_is_no_loss),
        cmocka_unit_test(ends_of_those_who_wait_at_a_router),
        cmocka_unit_test(patience_at_a_router_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
