/* tracer: whole traces over simulated paths, and random schedules that look for a trace that cannot
 * go on. */
#include "tests/unit/rng.h"
#include "tests/unit/tracer_rig.h"

#include <stdlib.h>
#include <string.h>

/* ---- paths ------------------------------------------------------------------------------ */

struct path {
    int distance;
    int64_t hop_us; /* what a hop adds to the round-trip time */
    uint32_t silent_routers;
    bool silent_target;
    unsigned loss_permille;
    uint64_t seed;
};

struct event {
    int64_t at_us;
    unsigned index;
    bool answer;
};

struct voyage {
    struct tracer *tracer;
    const struct path *path;
    struct event events[MAX_PROBES];
    unsigned event_count, sent, sent_to[256];
    uint8_t ttl_of[MAX_PROBES];
    int64_t sent_us[MAX_PROBES];
    int64_t timeout_us, now_us;
    bool ahead;
    int64_t interval_us; /* 0: the prober takes all at once */
    int64_t burst, next_us;
};

static bool answers(const struct voyage *v, int ttl, unsigned nth) {
    const struct path *p = v->path;
    uint64_t rng = p->seed ^ ((uint64_t)ttl << 32 | nth);
    if (ttl < p->distance ? ttl < 32 && (p->silent_routers >> ttl & 1) != 0 : p->silent_target)
        return false;
    return rng_below(&rng, 1000) >= p->loss_permille;
}

static void voyage_send(struct voyage *v) {
    const struct tracer_may may = {.at_us = v->now_us, .ahead = v->ahead};
    unsigned index;
    uint8_t ttl;
    while (v->interval_us == 0 || v->next_us <= v->now_us) {
        if (!tracer_next(v->tracer, &may, &index, &ttl))
            return;
        assert_true(v->sent < MAX_PROBES);
        int reached = ttl < v->path->distance ? ttl : v->path->distance;
        bool answer = answers(v, ttl, v->sent_to[ttl]++);
        int64_t rtt_us = v->path->hop_us * reached;
        answer = answer && rtt_us <= v->timeout_us;
        v->ttl_of[index] = ttl;
        v->sent_us[index] = v->now_us;
        v->events[v->event_count++] =
            (struct event){v->now_us + (answer ? rtt_us : v->timeout_us), index, answer};
        v->sent++;
        int64_t saved_us = v->now_us - (v->burst - 1) * v->interval_us;
        v->next_us = (v->next_us > saved_us ? v->next_us : saved_us) + v->interval_us;
    }
}

static void voyage_event(struct voyage *v, const struct event *event) {
    int ttl = v->ttl_of[event->index];
    bool there = ttl >= v->path->distance;
    struct mtr_reply reply =
        reply_at(there ? MTR_REPLY : MTR_EXPIRED, ttl, v->now_us - v->sent_us[event->index]);
    if (event->answer)
        tracer_answer(v->tracer, event->index, &reply, 0);
    else
        tracer_timeout(v->tracer, event->index);
}

/* Runs to the end, and returns when that is. There must always be something to wait for. */
static int64_t voyage_run(struct voyage *v) {
    while (!tracer_ended(v->tracer)) {
        voyage_send(v);
        int64_t next_us = tracer_more_us(v->tracer, v->now_us);
        assert_true(next_us > v->now_us);
        unsigned first = 0;
        for (unsigned i = 1; i < v->event_count; i++)
            if (v->events[i].at_us < v->events[first].at_us)
                first = i;
        if (v->interval_us > 0 && v->next_us > v->now_us && v->next_us < next_us)
            next_us = v->next_us;
        if (v->event_count > 0 && v->events[first].at_us <= next_us) {
            struct event event = v->events[first];
            v->events[first] = v->events[--v->event_count];
            v->now_us = event.at_us;
            voyage_event(v, &event);
            continue;
        }
        if (next_us == INT64_MAX)
            fail_msg("nothing is out, nothing is sent, and the trace has not ended");
        v->now_us = next_us;
    }
    return v->now_us;
}

static struct voyage *voyage_new(
    const struct trace *options, const struct path *path, bool ahead, int distance) {
    static struct voyage v;
    const struct addr dst = addr("192.0.2.1");
    memset(&v, 0, sizeof v);
    v.tracer = tracer_new(options, &dst, distance);
    v.path = path;
    v.ahead = ahead;
    v.timeout_us = options->timeout_ms * 1000;
    return &v;
}

static unsigned voyage_probes(
    const struct trace *options, const struct path *path, bool ahead, int64_t *took_us) {
    struct voyage *v = voyage_new(options, path, ahead, 0);
    *took_us = voyage_run(v);
    tracer_destroy(&v->tracer);
    return v->sent;
}

/* Under load next to nothing is wasted: against traces that send one probe after the other. */
static void under_load_almost_nothing_is_wasted(void **state) {
    (void)state;
    uint64_t rng = rng_seed("under_load");
    unsigned sent = 0, perfect = 0, idle = 0;
    int64_t took_us = 0, perfect_us = 0, idle_us = 0, one_us;
    for (int i = 0; i < 3000; i++) {
        struct trace t = options(), one_by_one = options();
        struct path path = {.distance = 8 + (int)rng_below(&rng, 9),
            .hop_us = 3 * MS,
            .loss_permille = 50,
            .seed = rng_next(&rng)};
        for (int ttl = 1; ttl < path.distance; ttl++)
            path.silent_routers |= (rng_below(&rng, 10) == 0 ? 1U : 0U) << ttl;
        one_by_one.window = 1;
        sent += voyage_probes(&t, &path, false, &one_us);
        took_us += one_us;
        perfect += voyage_probes(&one_by_one, &path, false, &one_us);
        perfect_us += one_us;
        idle += voyage_probes(&t, &path, true, &one_us);
        idle_us += one_us;
    }
    printf("probes per perfect one: %.3f loaded, %.3f idle and nothing known; ms a trace: %.0f one "
           "by one, %.0f loaded, %.0f idle\n",
        (double)sent / perfect, (double)idle / perfect, (double)perfect_us / 3e6,
        (double)took_us / 3e6, (double)idle_us / 3e6);
    assert_true(sent * 100 <= perfect * 110);
    assert_true(idle * 100 <= perfect * 200);
}

/* An idle worker with the default rate: about the longest round trip, not the sum of all. A TCP
 * target's answer is asked for again: at once where the target was expected, else behind it. */
static void an_idle_trace_takes_a_round_trip(void **state) {
    (void)state;
    struct trace t = options();
    for (int tcp = 0; tcp < 2; tcp++)
        for (int distance = 1; distance <= 20; distance++)
            for (int known = 0; known < 2; known++) {
                struct path path = {.distance = distance, .hop_us = 3 * MS};
                t.protocol = tcp ? TRACE_TCP : TRACE_ICMP;
                struct voyage *v = voyage_new(&t, &path, true, known ? distance : 0);
                v->interval_us = MS;
                v->burst = 8;
                v->next_us = -SECOND;
                int64_t took_us = voyage_run(v);
                int64_t longest_us = 3 * MS * distance * (tcp && !known ? 2 : 1);
                tracer_destroy(&v->tracer);
                assert_true(took_us * 10 <= longest_us * 12 + 50 * MS);
                assert_true(!known || (int)v->sent == distance + tcp);
            }
}

static void a_silent_target_costs_its_timeouts(void **state) {
    (void)state;
    static const int64_t hops_us[] = {100, 3 * MS, 20 * MS, 40 * MS};
    struct trace t = options();
    for (int ahead = 0; ahead < 2; ahead++)
        for (size_t i = 0; i < sizeof hops_us / sizeof hops_us[0]; i++)
            for (int distance = 1; distance <= 20; distance++) {
                struct path path = {
                    .distance = distance, .hop_us = hops_us[i], .silent_target = true};
                int64_t took_us, sum_us = 0;
                unsigned sent = voyage_probes(&t, &path, ahead == 1, &took_us);
                int64_t bound_us = 2 * t.timeout_ms * 1000 + SECOND;
                for (int ttl = 1; ttl < distance; ttl++)
                    sum_us += hops_us[i] * ttl; /* one after the other, on a busy worker */
                assert_true(took_us <= bound_us + (ahead == 0 ? sum_us : 0));
                assert_true(ahead == 1 || sent == (unsigned)distance - 1 + 2 * 5);
            }
}

/* ---- random schedules ------------------------------------------------------------------- */

struct chance {
    struct tracer *tracer;
    struct trace options;
    uint64_t rng;
    int64_t now_us;
    unsigned out[MAX_PROBES], out_count, sent;
    unsigned over[MAX_PROBES], over_count; /* timed out; a late line may come */
    uint8_t ttl_of[MAX_PROBES];
    int distance;
    unsigned lost, untimed;
};

static void chance_options(struct chance *c) {
    static const int64_t gaps[] = {0, 1, 2, 5, 255}, timeouts[] = {100, 1000, 30000};
    struct trace *t = &c->options;
    trace_defaults(t);
    t->first_ttl = 1 + rng_below(&c->rng, 4);
    t->max_ttl = t->first_ttl + rng_below(&c->rng, 24);
    if (rng_below(&c->rng, 10) == 0) {
        t->first_ttl = 230 + rng_below(&c->rng, 26);
        t->max_ttl = 255;
    }
    t->probes = 1 + rng_below(&c->rng, 3);
    t->attempts = t->probes + rng_below(&c->rng, 3);
    t->gap_limit = gaps[rng_below(&c->rng, 5)];
    t->loop_limit = rng_below(&c->rng, 4);
    t->timeout_ms = timeouts[rng_below(&c->rng, 3)];
    t->window = rng_below(&c->rng, 4) == 0 ? 1 + rng_below(&c->rng, 8) : 0;
    t->protocol = rng_below(&c->rng, 2) ? TRACE_TCP : TRACE_ICMP;
    c->distance = (int)t->first_ttl + (int)rng_below(&c->rng, 30);
}

/* As a mux calls it: needed first, then ahead, some of it held. True if something was sent. */
static bool chance_send(struct chance *c, bool ahead, uint32_t held, unsigned most) {
    const struct tracer_may may = {c->now_us, held, ahead};
    unsigned index;
    uint8_t ttl;
    bool any = false;
    for (unsigned i = 0; i < most && tracer_next(c->tracer, &may, &index, &ttl); i++) {
        any = true;
        assert_int_equal(index, c->sent);
        assert_true(c->sent < MAX_PROBES);
        assert_true(ttl >= c->options.first_ttl && ttl <= c->options.max_ttl);
        assert_true(ttl >= 32 || (held >> ttl & 1) == 0);
        c->ttl_of[index] = ttl;
        c->out[c->out_count++] = index;
        c->sent++;
    }
    return any;
}

static void chance_answer(struct chance *c, unsigned index, bool untimed) {
    int ttl = c->ttl_of[index];
    unsigned luck = rng_below(&c->rng, 100);
    enum mtr_class class = ttl >= c->distance ? MTR_REPLY : MTR_EXPIRED;
    if (luck < 3)
        class = luck == 0 ? MTR_UNREACHABLE : MTR_REPLY;
    struct mtr_reply reply = reply_at(class, ttl, 1 + rng_below(&c->rng, 60000));
    if (luck < 20) /* the same few routers again and again */
        reply.addr = (struct addr){4, {10, 0, 1, (uint8_t)rng_below(&c->rng, 3)}};
    if (untimed)
        tracer_untimed(c->tracer, index, &reply);
    else
        tracer_answer(c->tracer, index, &reply, 0);
}

static void chance_event(struct chance *c) {
    unsigned at = rng_below(&c->rng, c->out_count), index = c->out[at];
    unsigned luck = rng_below(&c->rng, 100);
    struct mtr_reply reply;
    c->out[at] = c->out[--c->out_count];
    if (luck < 45) {
        chance_answer(c, index, false);
    } else if (luck < 80) {
        tracer_timeout(c->tracer, index);
        c->over[c->over_count++] = index;
    } else if (luck < 85 && c->lost < 200) {
        c->lost++;
        tracer_lost(c->tracer, index);
    } else if (luck < 88) {
        chance_answer(c, index, true);
    } else {
        static const enum mtr_class classes[] = {
            MTR_SILENT, MTR_EXHAUSTED, MTR_TROUBLE, MTR_FEATURE};
        reply = silence(classes[rng_below(&c->rng, 4)]);
        tracer_answer(c->tracer, index, &reply, 0);
    }
}

static void chance_late(struct chance *c) {
    unsigned at = rng_below(&c->rng, c->over_count), index = c->over[at];
    struct mtr_reply reply = reply_at(
        c->ttl_of[index] >= c->distance ? MTR_REPLY : MTR_EXPIRED, c->ttl_of[index], 90000);
    c->over[at] = c->over[--c->over_count];
    if (tracer_late(c->tracer, index, &reply, 0))
        assert_false(tracer_late(c->tracer, index, &reply, 0)); /* an answer is used once */
}

/* Nothing is out and nothing is held: now it sends, or it will when it said, or it has ended. */
static void chance_goes_on(struct chance *c) {
    if (chance_send(c, false, 0, 1))
        return;
    int64_t more_us = tracer_more_us(c->tracer, c->now_us);
    if (more_us == INT64_MAX)
        fail_msg("the trace is stuck");
    assert_true(more_us > c->now_us);
    c->now_us = more_us;
    assert_true(chance_send(c, false, 0, 1));
}

/* When the time that it gave has come, it sends, or gives a later one. */
static void chance_wake(struct chance *c) {
    while (chance_send(c, false, 0, MAX_PROBES))
        ;
    int64_t more_us = tracer_more_us(c->tracer, c->now_us);
    assert_true(more_us > c->now_us);
    if (more_us == INT64_MAX)
        return;
    c->now_us = more_us;
    if (!chance_send(c, false, 0, 1))
        assert_true(tracer_more_us(c->tracer, c->now_us) > c->now_us);
}

static void chance_check_end(struct chance *c) {
    struct result_body body = {.flow = -1};
    size_t count;
    const struct hop_probe *probes = tracer_result(c->tracer, &body, &count);
    int ttl = (int)c->options.first_ttl - 1;
    int64_t attempts = 0;
    bool terminal = false;
    assert_int_equal(body.probes_sent, c->sent);
    for (size_t i = 0; i < count; i++) {
        if (probes[i].ttl != ttl) {
            assert_int_equal(probes[i].ttl, ttl + 1);
            assert_false(terminal);
            ttl++;
            attempts = 0;
        }
        assert_int_equal(probes[i].attempt, ++attempts);
        assert_true(attempts <= c->options.attempts);
        terminal |= probes[i].verdict == HOP_REPLY || probes[i].verdict == HOP_UNREACHABLE;
    }
    assert_int_equal(terminal, body.stop == STOP_REACHED || body.stop == STOP_UNREACHABLE);
    assert_true(body.stop != STOP_LOOP || c->options.loop_limit > 0);
    assert_true(body.stop != STOP_MAX_TTL || ttl == c->options.max_ttl);
}

static void no_schedule_makes_a_trace_stuck(void **state) {
    (void)state;
    uint64_t seeds = rng_seed("no_schedule");
    static struct chance c;
    const struct addr dst = addr("192.0.2.1");
    int stops[STOP_NO_WORKER + 1] = {0};
    for (int run = 0; run < 30000; run++) {
        memset(&c, 0, sizeof c);
        c.rng = rng_next(&seeds);
        chance_options(&c);
        c.tracer = tracer_new(&c.options, &dst, (int)rng_below(&c.rng, 2) * c.distance);
        for (int step = 0; !tracer_ended(c.tracer); step++) {
            unsigned what = rng_below(&c.rng, 100);
            assert_true(step < 100000);
            c.now_us += rng_below(&c.rng, 3) == 0 ? rng_below(&c.rng, 200000) : 0;
            if (what < 20)
                chance_send(&c, false, rng_below(&c.rng, 32) & 0x1e, 1 + rng_below(&c.rng, 4));
            else if (what < 35)
                chance_send(&c, true, rng_below(&c.rng, 32) & 0x1e, 1 + rng_below(&c.rng, 40));
            else if (what < 40)
                chance_wake(&c);
            else if (what < 45 && c.over_count > 0)
                chance_late(&c);
            else if (c.out_count > 0)
                chance_event(&c);
            else
                chance_goes_on(&c);
        }
        chance_check_end(&c);
        struct result_body body = {.flow = -1};
        size_t count;
        (void)tracer_result(c.tracer, &body, &count);
        stops[body.stop]++;
        tracer_destroy(&c.tracer);
    }
    printf("%d reached, %d unreachable, %d gap-limit, %d max-ttl, %d loop\n", stops[STOP_REACHED],
        stops[STOP_UNREACHABLE], stops[STOP_GAP_LIMIT], stops[STOP_MAX_TTL], stops[STOP_LOOP]);
    assert_true(stops[STOP_REACHED] > 100 && stops[STOP_LOOP] > 100 && stops[STOP_MAX_TTL] > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(under_load_almost_nothing_is_wasted),
        cmocka_unit_test(an_idle_trace_takes_a_round_trip),
        cmocka_unit_test(a_silent_target_costs_its_timeouts),
        cmocka_unit_test(no_schedule_makes_a_trace_stuck),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
