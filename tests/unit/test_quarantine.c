/* quarantine: the last run of a trace is made alone. */
#include "tests/unit/queue_rig.h"

#include "tests/unit/rng.h"

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

/* Traces 1 to `count` lose their worker until their next run is the last one allowed. */
static void quarantine_traces(int count) {
    rig_submit(&rig, 's', 1, count, NULL);
    for (int i = 1; i < CORE_MAX_RUNS; i++) {
        rig_join(&rig, 'k', count, NULL);
        assert_int_equal(rig.given_count, count);
        rig_bye(&rig, 'k');
    }
}

static void an_ordinary_loss_is_repaired_at_full_speed(void **state) {
    (void)state;
    rig_join(&rig, 'u', 100, NULL);
    rig_submit(&rig, 'a', 1, 100, NULL);
    rig_join(&rig, 'v', 50, NULL);
    rig_join(&rig, 'w', 100, NULL);
    rig_bye(&rig, 'u');
    assert_int_equal(rig.given_count, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(rig.given[i].run, 2);
    assert_int_equal(rig_reserved(&rig), '-');
}

/* At one worker, quarantined and ordinary traces take turns, and a quarantined one has it alone. */
static void a_single_worker_serves_both(void **state) {
    (void)state;
    quarantine_traces(2);
    rig_submit(&rig, 'a', 11, 4, NULL);
    rig_join(&rig, 'w', 2, NULL);
    assert_int_equal(rig.given_count, 2); /* 11 and 12 */
    int64_t lease = rig.given[0].lease;
    for (int quarantined = 1; quarantined <= 2; quarantined++) {
        rig_result(&rig, 'w', lease++);
        assert_int_equal(rig.given_count, 0);
        rig_result(&rig, 'w', lease++);
        RIG_GAVE(&rig, 'w', quarantined);
        assert_int_equal(rig.given[0].run, CORE_MAX_RUNS);
        assert_int_equal(rig_queue(&rig, "queued"), quarantined == 1 ? 3 : 0);
        rig_result(&rig, 'w', lease++);
        assert_int_equal(rig.given_count, quarantined == 1 ? 2 : 0); /* 13 and 14 */
    }
    assert_int_equal(rig_reserved(&rig), '-');
    assert_int_equal(rig_queue(&rig, "queued"), 0);
}

/* The least loaded of those that fit is reserved; the others go on. */
static void the_others_go_on(void **state) {
    (void)state;
    quarantine_traces(1);
    rig_submit(&rig, 'a', 11, 11, NULL);
    rig_join(&rig, 'v', 2, NULL);
    assert_int_equal(rig_reserved(&rig), 'v');
    rig_join(&rig, 'w', 3, NULL);
    assert_int_equal(rig.given_count, 3);
    int64_t lease = rig.given[0].lease;
    for (int i = 0; i < 3; i++) {
        rig_result(&rig, 'w', lease + i);
        assert_int_equal(rig.given_count, 1);
    }
    rig_result(&rig, 'v', lease - 1);
    assert_int_equal(rig.given_count, 0);
    rig_result(&rig, 'v', lease - 2);
    RIG_GAVE(&rig, 'v', 1);
    rig_result(&rig, 'w', lease + 3);
    RIG_GAVE(&rig, 'w', 19);
    rig_result(&rig, 'v', lease + 6);
    assert_int_equal(rig.given_count, 2);
    assert_int_equal(rig.given[0].worker, 'v');
}

/* Whatever takes the quarantined trace or its worker away, both are free again. */
static void a_reservation_ends(void **state) {
    (void)state;
    const struct session_msg drain = {.op = SESSION_DRAIN};
    struct session_msg beat = {.op = SESSION_HEARTBEAT}, hello = rig_hello('x', 1, NULL);
    const int64_t none[1] = {0};
    quarantine_traces(1);
    rig_submit(&rig, 'a', 11, 20, NULL);
    rig_join(&rig, 'v', 2, NULL); /* 11, 12 */
    int64_t lease = rig.given[0].lease;
    rig_result(&rig, 'v', lease);
    assert_int_equal(rig.given_count, 0);
    assert_int_equal(rig_reserved(&rig), 'v');
    /* drain */
    rig_join(&rig, 'w', 2, NULL); /* 13, 14 */
    rig_tell(&rig, 'v', &drain);
    assert_int_equal(rig_reserved(&rig), 'w');
    /* loss */
    rig_join(&rig, 'x', 1, NULL); /* 15 */
    int64_t held = rig.given[0].lease;
    rig_bye(&rig, 'w');
    assert_int_equal(rig_reserved(&rig), 'x');
    /* trouble, and its end */
    (void)snprintf(beat.trouble, sizeof beat.trouble, "it died");
    rig_tell(&rig, 'x', &beat);
    assert_int_equal(rig_reserved(&rig), '-');
    beat.trouble[0] = '\0';
    beat.leases = none;
    rig_tell(&rig, 'x', &beat);
    assert_int_equal(rig_reserved(&rig), 'x');
    /* it cannot run the trace any more */
    hello.protocols = RIG_UDP;
    rig_tell(&rig, 'x', &hello);
    assert_int_equal(rig_reserved(&rig), '-');
    rig_result(&rig, 'x', held);
    hello.protocols = RIG_ICMP;
    rig_tell(&rig, 'x', &hello);
    assert_int_equal(rig.given_count, 1);
    lease = rig.given[0].lease;
    assert_int_equal(rig_reserved(&rig), 'x');
    /* the quarantined trace is cancelled */
    rig_join(&rig, 'y', 1, NULL);
    rig_cancel(&rig, 1);
    RIG_ENDED(&rig, "1 cancelled");
    assert_int_equal(rig_reserved(&rig), '-');
    rig_result(&rig, 'x', lease);
    assert_int_equal(rig.given_count, 1);
    assert_int_equal(rig.given[0].worker, 'x');
}

static void deadlines_go_on(void **state) {
    (void)state;
    const struct rig_ask soon = {.deadline_ms = 2000};
    rig_submit(&rig, 's', 1, 1, &soon);
    for (int i = 1; i < CORE_MAX_RUNS; i++) {
        rig_join(&rig, 'k', 1, NULL);
        rig_bye(&rig, 'k');
    }
    rig_submit(&rig, 'a', 11, 3, NULL);
    rig_join(&rig, 'w', 1, NULL);
    assert_int_equal(rig_reserved(&rig), 'w');
    rig_after_ms(&rig, 2000);
    RIG_ENDED(&rig, "1 deadline");
    assert_int_equal(rig_reserved(&rig), '-');
}

/* Handed back, it waits for a worker of its own again; lost, it ends. */
static void what_becomes_of_the_last_run(void **state) {
    (void)state;
    quarantine_traces(1);
    rig_join(&rig, 'v', 5, NULL);
    RIG_GAVE(&rig, 'v', 1);
    rig_submit(&rig, 'a', 11, 5, NULL);
    assert_int_equal(rig.given_count, 0);
    rig_return(&rig, 'v', rig_lease(&rig, 1));
    rig_beat(&rig, 'v');
    assert_int_equal(rig.given_count, 5);
    assert_int_equal(rig_reserved(&rig), 'v');
    for (int i = 0; i < 5; i++)
        rig_result(&rig, 'v', rig_lease(&rig, 11 + i));
    RIG_GAVE(&rig, 'v', 1);
    assert_int_equal(rig.given[0].run, CORE_MAX_RUNS);
    rig_submit(&rig, 'a', 21, 5, NULL);
    rig_join(&rig, 'w', 2, NULL);
    assert_int_equal(rig.given_count, 2);
    rig_bye(&rig, 'v');
    RIG_ENDED(&rig, "1 worker-lost");
    assert_int_equal(rig_reserved(&rig), '-');
}

/* A worker that comes back over a new connection with the quarantined trace has it alone still. */
static void a_reserved_worker_that_comes_back(void **state) {
    (void)state;
    quarantine_traces(1);
    rig_join(&rig, 'v', 5, NULL);
    int64_t lease = rig.given[0].lease;
    struct session_msg hello = rig_hello('v', 5, NULL);
    hello.leases = &lease;
    hello.lease_count = 1;
    rig_tell(&rig, 'x', &hello);
    assert_string_equal(rig_status(&rig, 1), "running v");
    assert_int_equal(rig_reserved(&rig), 'v'); /* by its name; the session is x's */
    rig_submit(&rig, 'a', 11, 5, NULL);
    assert_int_equal(rig.given_count, 0);
    rig_result(&rig, 'x', lease);
    assert_int_equal(rig.given_count, 5);
}

/* A last run from before a restart, and a trace whose last run is to come. */
static void a_quarantine_outlives_the_broker(void **state) {
    (void)state;
    const int64_t lease = 77;
    struct record_trace record = {.submitter = "c", .accepted_us = rig.now.wall_us};
    struct trace trace;
    struct wire_error err;
    msgpack_packer pk;
    trace_defaults(&trace);
    (void)snprintf(trace.target, sizeof trace.target, "192.0.2.1");
    for (int i = 1; i <= 2; i++) {
        (void)snprintf(trace.id, sizeof trace.id, "%d", i);
        assert_true(trace_check(&trace, "", &err));
        msgpack_sbuffer_clear(&rig.bytes);
        msgpack_packer_init(&pk, &rig.bytes, msgpack_sbuffer_write);
        trace_put_map(&pk, &trace);
        record.number = i;
        record.id = trace.id;
        record.trace = rig.bytes.data;
        record.trace_size = rig.bytes.size;
        record.run = (struct record_run){.number = i,
            .lease = i == 1 ? lease : 0,
            .worker = i == 1 ? "v" : "",
            .run = i == 1 ? CORE_MAX_RUNS : CORE_MAX_RUNS - 1};
        core_restore_trace(rig.core, &record);
    }
    core_restored(rig.core, &rig.now);
    assert_int_equal(rig_counter(&rig, "restored"), 2);
    struct session_msg hello = rig_hello('v', 5, NULL);
    hello.leases = &lease;
    hello.lease_count = 1;
    rig_tell(&rig, 'v', &hello);
    assert_int_equal(rig.given_count, 0);
    assert_int_equal(rig_reserved(&rig), 'v');
    rig_result(&rig, 'v', lease);
    RIG_GAVE(&rig, 'v', 2);
    rig_submit(&rig, 'a', 11, 5, NULL);
    assert_int_equal(rig.given_count, 0);
}

/* ---- poison ----------------------------------------------------------------------------- */

#define OTHERS 500

struct run {
    char worker;
    int trace;
    int64_t lease;
};

/* Workers run their traces in any order; the poison kills the one that comes to it. Returns how
 * many it killed. */
static int poisoned(uint64_t *rng, int workers, int capacity, int poison) {
    static struct run runs[4 * OTHERS];
    int count = 0, killed = 0, ended = 0;
    struct given new[RIG_GIVEN];
    rig_submit(&rig, 'a', 1, OTHERS + 1, NULL);
    for (int w = 0; w < workers; w++) {
        rig_join(&rig, (char)('k' + w), capacity, NULL);
        for (int i = 0; i < rig.given_count; i++)
            runs[count++] =
                (struct run){rig.given[i].worker, rig.given[i].trace, rig.given[i].lease};
    }
    while (count > 0) {
        struct run *at = &runs[rng_below(rng, (uint32_t)count)], run = *at;
        int new_count = 0;
        *at = runs[--count];
        if (run.trace != poison) {
            rig_result(&rig, run.worker, run.lease);
            ended++;
        } else {
            killed++;
            int kept = 0;
            for (int i = 0; i < count; i++)
                if (runs[i].worker != run.worker)
                    runs[kept++] = runs[i];
            count = kept;
            rig_bye(&rig, run.worker);
            for (int i = 0; i < rig.given_count; i++)
                new[new_count++] = rig.given[i];
            rig_join(&rig, run.worker, capacity, NULL);
        }
        for (int i = 0; i < rig.given_count; i++)
            new[new_count++] = rig.given[i];
        for (int i = 0; i < new_count; i++)
            runs[count++] = (struct run){new[i].worker, new[i].trace, new[i].lease};
    }
    assert_int_equal(ended, OTHERS);
    return killed;
}

static void poison_costs_its_runs_and_no_neighbour(void **state) {
    (void)state;
    uint64_t rng = rng_seed("poison_costs_its_runs_and_no_neighbour");
    for (int i = 0; i < 60; i++) {
        static const int capacities[] = {1, 7, 100, 500};
        int poison = 1 + (int)rng_below(&rng, OTHERS + 1), workers = 1 + i % 3;
        assert_int_equal(poisoned(&rng, workers, capacities[i / 3 % 4], poison), CORE_MAX_RUNS);
        assert_int_equal(core_seq(rig.core), OTHERS + 1);
        assert_int_equal(rig.ended_as[STOP_REACHED], OTHERS);
        assert_int_equal(rig.ended_as[STOP_WORKER_LOST], 1);
        assert_int_equal(rig_reserved(&rig), '-');
        rig_close(&rig);
        rig_open(&rig, 1000000);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(an_ordinary_loss_is_repaired_at_full_speed),
        CASE(a_single_worker_serves_both),
        CASE(the_others_go_on),
        CASE(a_reservation_ends),
        CASE(deadlines_go_on),
        CASE(what_becomes_of_the_last_run),
        CASE(a_reserved_worker_that_comes_back),
        CASE(a_quarantine_outlives_the_broker),
        CASE(poison_costs_its_runs_and_no_neighbour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
