/* queue: who is next, and where. */
#include "tests/unit/queue_rig.h"

#include "common/mem.h"

static struct rig rig;

static int set_up(void **state) {
    (void)state;
    rig_open(&rig, 1000000);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    rig_close(&rig);
    return 0;
}

/* ---- turns ------------------------------------------------------------------------------ */

static void a_single_trace_waits_for_one_dispatch(void **state) {
    (void)state;
    rig_submit(&rig, 'a', 1, 100000, NULL);
    rig_join(&rig, 'w', 1, NULL);
    RIG_GAVE(&rig, 'w', 1);
    for (int i = 2; i < 50; i++) {
        rig_result(&rig, 'w', i - 1);
        RIG_GAVE(&rig, 'w', i);
    }
    rig_submit(&rig, 'b', 200000, 1, NULL);
    assert_int_equal(rig_position(&rig, 200000), 1);
    rig_result(&rig, 'w', 49);
    RIG_GAVE(&rig, 'w', 200000);
    rig_result(&rig, 'w', 50);
    RIG_GAVE(&rig, 'w', 50);
}

static void clients_take_turns(void **state) {
    static const int order[] = {1, 11, 21, 2, 12, 22, 3, 13, 23};
    (void)state;
    for (int i = 0; i < 3; i++)
        rig_submit(&rig, (char)('a' + i), 1 + 10 * i, 3, NULL);
    rig_join(&rig, 'w', 1, NULL);
    for (int i = 0; i < 9; i++) {
        RIG_GAVE(&rig, 'w', order[i]);
        rig_result(&rig, 'w', 1 + i);
    }
}

/* What each has running becomes the same, though one had all to begin with. */
static void what_runs_becomes_the_same(void **state) {
    (void)state;
    rig_submit(&rig, 'a', 1, 1000, NULL);
    rig_join(&rig, 'w', 10, NULL);
    assert_int_equal(rig.given_count, 10);
    rig_submit(&rig, 'b', 2001, 1000, NULL);
    rig_submit(&rig, 'c', 4001, 1000, NULL);
    for (int64_t next = 1; next < 300; next++) {
        rig_result(&rig, 'w', next);
        assert_int_equal(rig.given_count, 1);
        for (int i = 0; i < 3; i++) {
            int64_t running = rig_running_of_submitter(&rig, 1000 + 2000 * i);
            assert_in_range(running, next < 10 ? 0 : next < 14 ? 1 : 3, next < 14 ? 10 : 4);
        }
    }
}

/* Of two clients, the traces of one never end: the more of them run, the fewer turns it gets. */
static void who_has_much_running_gets_fewer_turns(void **state) {
    (void)state;
    int turns = 0;
    rig_submit(&rig, 'a', 1, 1000, NULL);
    rig_submit(&rig, 'b', 2001, 1000, NULL);
    rig_join(&rig, 'w', 20, NULL);
    while (rig_running_of_submitter(&rig, 1000) < 15) {
        rig_result(&rig, 'w', rig_lease(&rig, 2001 + turns));
        turns++;
    }
    assert_in_range(turns, 12, 40); /* 9 if they came in turn */
}

static void priority_comes_before_turns(void **state) {
    (void)state;
    rig_submit(&rig, 'a', 1, 5, &(struct rig_ask){.priority = 1});
    rig_submit(&rig, 'b', 11, 1, &(struct rig_ask){.priority = 2});
    rig_submit(&rig, 'a', 21, 1, &(struct rig_ask){.priority = 0});
    assert_int_equal(rig_position(&rig, 5), 6);
    assert_int_equal(rig_position(&rig, 11), 1);
    rig_join(&rig, 'w', 1, NULL);
    RIG_GAVE(&rig, 'w', 21);
    for (int i = 1; i <= 5; i++) {
        rig_result(&rig, 'w', i);
        RIG_GAVE(&rig, 'w', i);
    }
    rig_result(&rig, 'w', 6);
    RIG_GAVE(&rig, 'w', 11);
}

/* Of one client, whatever they ask for. */
static void the_oldest_comes_first(void **state) {
    (void)state;
    for (int i = 1; i <= 6; i++)
        rig_submit(&rig, 'a', i, 1, &(struct rig_ask){.site = i % 2 == 0 ? "x" : NULL});
    rig_join(&rig, 'w', 1, "x");
    for (int i = 1; i <= 6; i++) {
        RIG_GAVE(&rig, 'w', i);
        rig_result(&rig, 'w', i);
    }
}

/* Who was away, or waited for a worker in vain, has saved up nothing. */
static void nobody_saves_up_turns(void **state) {
    (void)state;
    rig_submit(&rig, 'a', 1, 1000, NULL);
    rig_submit(&rig, 'b', 2001, 1, NULL);
    rig_submit(&rig, 'c', 3001, 50, &(struct rig_ask){.site = "x"});
    rig_submit(&rig, 'd', 4001, 50, &(struct rig_ask){.priority = 9});
    rig_join(&rig, 'w', 1, NULL);
    for (int i = 1; i <= 500; i++)
        rig_result(&rig, 'w', i);
    rig_submit(&rig, 'b', 2002, 50, NULL);
    rig_join(&rig, 'x', 1, "x");
    RIG_GAVE(&rig, 'x', 3001);
    char last = '\0', now = '\0';
    for (int i = 0; i < 60; i++, last = now) {
        struct given at = rig.given[0];
        rig_result(&rig, at.worker, at.lease);
        assert_int_equal(rig.given_count, 1);
        now = (char)('a' + rig.given[0].trace / 1000);
        assert_int_not_equal(now, last);
    }
}

static void what_comes_back_goes_to_its_old_place(void **state) {
    (void)state;
    rig_submit(&rig, 'a', 1, 6, NULL);
    rig_join(&rig, 'w', 3, NULL);
    rig_return(&rig, 'w', 2);
    assert_int_equal(rig.given_count, 0); /* it rests */
    rig_beat(&rig, 'w');
    RIG_GAVE(&rig, 'w', 2);
    rig_join(&rig, 'v', 1, NULL);
    RIG_GAVE(&rig, 'v', 4);
    rig_bye(&rig, 'w');
    assert_int_equal(rig_position(&rig, 1), 1);
    assert_int_equal(rig_position(&rig, 6), 5);
    for (int i = 0, next[] = {1, 2, 3, 5, 6}; i < 5; i++) {
        rig_result(&rig, 'v', 5 + i);
        RIG_GAVE(&rig, 'v', next[i]);
    }
}

/* The parts of a fanout are as old as it is: the next one is spread when they have gone. */
static void one_fanout_after_the_other(void **state) {
    (void)state;
    const struct rig_ask all = {.fanout = true};
    rig_join(&rig, 'v', 1, NULL);
    rig_join(&rig, 'w', 1, NULL);
    rig_submit(&rig, 'a', 1, 3, &all);
    assert_int_equal(rig.given_count, 2);
    assert_string_equal(rig_status(&rig, 1), "running");
    assert_string_equal(rig_status(&rig, 2), "queued 1");
    rig_result(&rig, 'v', 1);
    RIG_GAVE(&rig, 'v', 2);
    rig_result(&rig, 'v', 3);
    RIG_GAVE(&rig, 'v', 3);
    rig_submit(&rig, 'a', 4, 1, NULL);
    rig_result(&rig, 'v', 4);
    RIG_GAVE(&rig, 'v', 4);
    rig_submit(&rig, 'a', 5, 1, NULL);
    for (int i = 2; i <= 3; i++) {
        rig_result(&rig, 'w', i == 2 ? 2 : 6);
        RIG_GAVE(&rig, 'w', i);
    }
    rig_result(&rig, 'w', 7);
    RIG_ENDED(&rig, "3 summary");
    RIG_GAVE(&rig, 'w', 5);
}

/* ---- workers that fit ------------------------------------------------------------------- */

static void a_trace_goes_where_it_can_be_run(void **state) {
    (void)state;
    struct session_msg w = rig_hello('w', 100, "x"), v = rig_hello('v', 100, "y");
    v.families = RIG_V4 | RIG_V6;
    v.protocols = RIG_ICMP | RIG_UDP;
    rig_tell(&rig, 'w', &w);
    rig_tell(&rig, 'v', &v);
    rig_submit(&rig, 'a', 1, 1, &(struct rig_ask){.target = "2001:db8::1"});
    RIG_GAVE(&rig, 'v', 1);
    rig_submit(&rig, 'a', 2, 1, &(struct rig_ask){.protocol = TRACE_UDP, .flow = true});
    RIG_GAVE(&rig, 'v', 2);
    rig_submit(&rig, 'a', 3, 1, &(struct rig_ask){.target = "host.example", .site = "x"});
    RIG_GAVE(&rig, 'w', 3);
    rig_submit(
        &rig, 'a', 4, 1, &(struct rig_ask){.target = "host.example", .source = "2001:db8::2"});
    RIG_GAVE(&rig, 'v', 4);
    rig_submit(&rig, 'a', 5, 1, &(struct rig_ask){.target = "2001:db8::1", .site = "x"});
    rig_submit(&rig, 'a', 6, 1, &(struct rig_ask){.protocol = TRACE_TCP});
    assert_int_equal(rig.given_count, 0);
    rig_result(&rig, 'w', 3);
    /* Another hello of the same worker says that it can. */
    w.families = RIG_V6;
    rig_tell(&rig, 'w', &w);
    RIG_GAVE(&rig, 'w', 5);
    rig_result(&rig, 'w', 5);
    w.protocols = 1U << TRACE_TCP;
    rig_tell(&rig, 'w', &w);
    assert_int_equal(rig.given_count, 0); /* the trace is IPv4 */
    w.families = RIG_V4;
    rig_tell(&rig, 'w', &w);
    RIG_GAVE(&rig, 'w', 6);
}

static void flows_and_sources_are_asked_for(void **state) {
    (void)state;
    struct addr source_7, source_8;
    const struct rig_ask flow = {.protocol = TRACE_UDP, .flow = true};
    const struct rig_ask source = {.source = "192.0.2.7"};
    struct session_msg w = rig_hello('w', 100, NULL);
    int64_t leases[1];
    assert_true(addr_parse(&source_7, "192.0.2.7") && addr_parse(&source_8, "192.0.2.8"));
    w.protocols = RIG_ICMP | RIG_UDP;
    w.families = RIG_V4 | RIG_V6;
    w.version_max = SESSION_VERSION_MAX;
    w.flows = RIG_V6;
    w.sources = &source_8;
    w.source_count = 1;
    rig_tell(&rig, 'w', &w);
    rig_submit(&rig, 'a', 1, 1, &flow);
    rig_submit(&rig, 'a', 2, 1, &source);
    assert_int_equal(rig.given_count, 0);
    rig_submit(&rig, 'a', 3, 1,
        &(struct rig_ask){.protocol = TRACE_UDP, .flow = true, .target = "host.example"});
    RIG_GAVE(&rig, 'w', 3);
    leases[0] = rig.given[0].lease;
    w.flows = RIG_V4;
    w.sources = &source_7;
    w.leases = leases;
    w.lease_count = 1;
    rig_tell(&rig, 'w', &w);
    assert_int_equal(rig.given_count, 2);
    assert_int_equal(rig.given[0].trace, 1);
    assert_int_equal(rig.given[1].trace, 2);
}

static void the_least_loaded_is_given_it(void **state) {
    (void)state;
    static const char names[] = "uvw";
    static const int capacity[] = {3, 6, 2};
    int running[] = {0, 0, 0};
    rig_join(&rig, 'u', capacity[0], NULL);
    rig_join(&rig, 'w', capacity[2], "x");
    rig_join(&rig, 'v', capacity[1], NULL);
    for (int i = 0; i < 11; i++) {
        rig_submit(&rig, 'a', i, 1, NULL);
        RIG_GAVE(&rig, rig.given[0].worker, i);
        char to = rig.given[0].worker;
        int at = (int)(strchr(names, to) - names);
        running[at]++;
        for (int w = 0; w < 3; w++)
            assert_true((running[at] - 1) * capacity[w] <= running[w] * capacity[at]);
    }
    rig_submit(&rig, 'a', 20, 2, &(struct rig_ask){.site = "x"});
    assert_int_equal(rig.given_count, 0);
    rig_result(&rig, 'u', 1);
    assert_int_equal(rig.given_count, 0);
}

static void no_worker_is_said_if_none_ever_fitted(void **state) {
    (void)state;
    const struct rig_ask x = {.site = "x", .deadline_ms = 1000};
    struct session_msg troubled = {.op = SESSION_HEARTBEAT};
    (void)snprintf(troubled.trouble, sizeof troubled.trouble, "it died");
    rig_join(&rig, 'w', 1, "x");
    rig_submit(&rig, 'a', 1, 2, &x); /* 2 waits behind 1 */
    rig_bye(&rig, 'w');
    rig_submit(&rig, 'a', 3, 1, &x); /* none is there any more */
    rig_after_ms(&rig, 1000);
    assert_int_equal(rig.ended_count, 3);
    assert_string_equal(rig.ended[0], "2 deadline");
    assert_string_equal(rig.ended[1], "1 deadline");
    assert_string_equal(rig.ended[2], "3 no-worker");
    /* One that comes and goes while the trace waits; one that is in trouble. */
    rig_join(&rig, 'v', 1, "x");
    rig_tell(&rig, 'v', &troubled);
    rig_submit(&rig, 'a', 4, 2, &x);
    rig_after_ms(&rig, 500);
    rig_submit(&rig, 'a', 6, 1, &x);
    rig_after_ms(&rig, 500);
    RIG_ENDED(&rig, "5 no-worker");
    rig_join(&rig, 'u', 1, "x");
    RIG_GAVE(&rig, 'u', 6);
    rig_submit(&rig, 'a', 7, 1, &x);
    rig_tell(&rig, 'u', &(struct session_msg){.op = SESSION_DRAIN});
    rig_after_ms(&rig, 1000);
    RIG_ENDED(&rig, "7 deadline");
    /* One that comes and goes, and has no room. */
    rig_submit(&rig, 'a', 8, 2, &x);
    rig_join(&rig, 't', 1, "x");
    RIG_GAVE(&rig, 't', 8);
    rig_bye(&rig, 't');
    rig_after_ms(&rig, 1000);
    assert_string_equal(rig.ended[(rig.ended_count - 2) % 4], "9 deadline");
}

/* ---- bounds ----------------------------------------------------------------------------- */

static void so_many_different_needs(void **state) {
    (void)state;
    char site[16];
    struct rig_ask ask = {.site = site};
    for (int i = 0; i < CORE_MAX_REQUIREMENTS; i++) {
        (void)snprintf(site, sizeof site, "s%d", i);
        rig_submit(&rig, 'a', i, 1, &ask);
        assert_int_equal(rig.errors, 0);
    }
    rig_submit(&rig, 'a', 5000, 1, &(struct rig_ask){.site = "another"});
    assert_int_equal(rig.errors, 1);
    rig_submit(&rig, 'a', 5001, 1, &ask); /* one that is known */
    assert_int_equal(rig.errors, 0);
    rig_submit(&rig, 'a', 5000, 1, NULL); /* without labels, always */
    assert_int_equal(rig.errors, 0);
    rig_cancel(&rig, 0);
    rig_cancel(&rig, 1);
    rig_submit(&rig, 'a', 5002, 1, &(struct rig_ask){.site = "another"});
    assert_int_equal(rig.errors, 0);
    rig_join(&rig, 'w', 2, "s7");
    assert_int_equal(rig.given_count, 2);
    assert_int_equal(rig.given[0].trace, 7);
    assert_int_equal(rig.given[1].trace, 5000);
    for (int i = 2; i < CORE_MAX_REQUIREMENTS; i++)
        rig_cancel(&rig, i);
    rig_cancel(&rig, 5002);
    assert_int_equal(rig_idle_requirements(&rig), CORE_IDLE_REQUIREMENTS);
}

/* A submitter counts while it has a trace without result. */
static void submitters_are_bounded(void **state) {
    (void)state;
    const struct rig_ask any = {.site = NULL};
    char name[16];
    for (int i = 0; i < CORE_MAX_SUBMITTERS; i++) {
        (void)snprintf(name, sizeof name, "s%d", i);
        rig_submit_as(&rig, name, i, &any);
        assert_int_equal(rig.errors, 0);
    }
    rig_submit_as(&rig, "another", 200000, &any);
    assert_int_equal(rig.errors, 1);
    rig_submit_as(&rig, "s7", 200001, &any); /* one that is known */
    assert_int_equal(rig.errors, 0);
    rig_cancel(&rig, 7);
    rig_submit_as(&rig, "another", 200000, &any);
    assert_int_equal(rig.errors, 1);
    rig_cancel(&rig, 200001);
    rig_submit_as(&rig, "another", 200000, &any);
    assert_int_equal(rig.errors, 0);
    rig_submit_as(&rig, "s7", 200002, &any);
    assert_int_equal(rig.errors, 1);
    /* One whose traces all run counts too, until they end. */
    rig_join(&rig, 'w', 1, NULL);
    RIG_GAVE(&rig, 'w', 0);
    rig_submit_as(&rig, "s7", 200002, &any);
    assert_int_equal(rig.errors, 1);
    rig_result(&rig, 'w', rig_lease(&rig, 0));
    rig_submit_as(&rig, "s7", 200002, &any);
    assert_int_equal(rig.errors, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(a_single_trace_waits_for_one_dispatch),
        CASE(clients_take_turns),
        CASE(what_runs_becomes_the_same),
        CASE(who_has_much_running_gets_fewer_turns),
        CASE(priority_comes_before_turns),
        CASE(the_oldest_comes_first),
        CASE(nobody_saves_up_turns),
        CASE(what_comes_back_goes_to_its_old_place),
        CASE(one_fanout_after_the_other),
        CASE(a_trace_goes_where_it_can_be_run),
        CASE(flows_and_sources_are_asked_for),
        CASE(the_least_loaded_is_given_it),
        CASE(no_worker_is_said_if_none_ever_fitted),
        CASE(so_many_different_needs),
        CASE(submitters_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
