/* Each counter of the broker's core: it moves by one where it should, and nowhere else. */
#include "tests/unit/core_rig.h"

#include "broker/core/counters.h"
#include "broker/metrics.h"

/* The counters at the last look. */
static struct counters before;

static int set_up(void **state) {
    before = (struct counters){.requests = 0};
    return rig_setup(state);
}

/* Since the last look, these counters have moved so, and no others: "accepted 1, results 2". */
static void moved(const char *expected) {
    char got[400] = "";
#define X(name, help)                                                                              \
    {                                                                                              \
        int64_t now = rig_counter(#name), by = now - before.name;                                  \
        bool asked = strcmp(#name, "requests") == 0; /* by looking, each time by one */            \
        size_t used = strlen(got);                                                                 \
        if (!asked && by != 0)                                                                     \
            (void)snprintf(                                                                        \
                got + used, sizeof got - used, "%s%s %d", used > 0 ? ", " : "", #name, (int)by);   \
        before.name = now;                                                                         \
    }
    CORE_COUNTERS(X)
#undef X
    assert_string_equal(got, expected);
    rig_skip();
}

#define TRACE(id, more) "{'target': '192.0.2.1', 'id': '" id "'" more "}"
#define PROBES "[{'attempt': 1, 'addr': null, 'rtt_us': null, 'sent_us': 0, 'verdict': 'no-reply'}]"
#define LISTING(name, leases)                                                                      \
    "{'v': 1, 'op': 'hello', 'name': '" name "', 'versions': [1, 1], 'prober': 'p', "              \
    "'capacity': 4, 'labels': {}, 'af': [4], 'protocols': ['icmp'], 'leases': [" leases "]}"

static void requests(void **state) {
    (void)state;
    int64_t at = rig_counter("requests");
    rig_say("c1", "{'v': 1, 'op': 'ping'}");
    rig_say("c1", "{'v': 1, 'op': 'status', 'ids': ['x']}"); /* deferred, and handled again */
    rig_say("c1", "7");
    core_client_frames(rig.core, &(struct core_peer){"c1", 2, 0, false}, 3, &rig.now);
    assert_int_equal(rig_counter("requests"), at + 5); /* with this look */
    moved("bad_requests 2, deferred 1");
}

static void traces(void **state) {
    (void)state;
    rig_say("c1", SUBMIT("", TRACE("a", "") ", " TRACE("b", ", 'max_ttl': 0") ", 7"));
    moved("bad_requests 2, accepted 1, deferred 1");
    rig_say("c1", SUBMIT("", TRACE("a", "")));
    moved("repeated 1");
    rig_say("c1", SUBMIT("", TRACE("a", ", 'max_ttl': 3")));
    moved("conflicts 1");
    rig_say("c1", SUBMIT("", TRACE("2328-9", ""))); /* as the broker makes them */
    moved("bad_requests 1, deferred 1");
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1'}"));
    moved("accepted 1");
    core_refuse(rig.core, "x", "because");
    rig_say("c1", SUBMIT("", TRACE("c", "")));
    moved("busy 1, deferred 1");
    core_refuse(rig.core, "store", "because");
    rig_say("c1", SUBMIT("", TRACE("c", "")));
    moved("busy 1");
    core_refuse(rig.core, NULL, NULL);
    rig_say("c1", SUBMIT("", TRACE("c", "")));
    moved("accepted 1, deferred 1");
    rig_say("c1", "{'v': 1, 'op': 'cancel', 'ids': ['c']}");
    moved("results 1");
    rig_say("c1", "{'v': 1, 'op': 'replay', 'after': 0}");
    moved("deferred 1, replays 1");
}

static void runs(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "2", ""));
    moved("workers_joined 1, worker_messages 1");
    rig_say("c1", SUBMIT("", TRACE("a", ", 'progress': true")));
    moved("accepted 1, dispatched 1, deferred 1");
    rig_say("w1", "{'v': 1, 'op': 'hop', 'lease': 100, 'ttl': 1, 'probes': " PROBES "}");
    moved("hops 1, worker_messages 1");
    core_refuse(rig.core, "store", "because");
    rig_say("w1", "{'v': 1, 'op': 'hop', 'lease': 100, 'ttl': 1, 'probes': " PROBES "}");
    moved("hops_dropped 1, worker_messages 1");
    core_refuse(rig.core, NULL, NULL);
    rig_say("w1", "{'v': 1, 'op': 'hop', 'lease': 99, 'ttl': 1, 'probes': " PROBES "}");
    moved("worker_messages 1");
    rig_say("w1", "{'v': 1, 'op': 'return', 'lease': 100, 'reason': 'x'}");
    moved("requeued 1, returned 1, worker_messages 1");
    rig_say("w1", "{'v': 1, 'op': 'return', 'lease': 100, 'reason': 'x'}");
    moved("worker_messages 1");
    rig_say("w1", BEAT(""));
    moved("dispatched 1, worker_messages 1");
    rig_say("w1", RESULT("101", "192.0.2.1", "reached"));
    moved("results 1, worker_messages 1");
    rig_say("w1", RESULT("101", "192.0.2.1", "reached"));
    moved("late_results 1, worker_messages 1");
    rig_say("c1", SUBMIT("", TRACE("c", ", 'coalesce': true, 'max_age_ms': 5")));
    moved("accepted 1, results 1, shared 1, deferred 1");
    rig_say("c1", SUBMIT("", TRACE("b", "")));
    moved("accepted 1, dispatched 1, deferred 1");
    rig_say("w1", "{'v': 1, 'op': 'result', 'lease': 102, 'body': <{}>}");
    moved("dispatched 1, requeued 1, worker_messages 1, bad_worker_messages 1");
}

static void workers(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "1", ""));
    rig_say("c1", SUBMIT("", TRACE("a", "")));
    moved("accepted 1, dispatched 1, deferred 1, workers_joined 1, worker_messages 1");
    rig_say("w1", HELLO("one", "1", "")); /* does not list what it was just given */
    moved("worker_messages 1");
    rig_say("w1", "{'v': 1, 'op': 'bye'}");
    moved("requeued 1, leases_lost 1, worker_messages 1");
    rig_say("w2", HELLO("two", "1", ""));
    moved("dispatched 1, workers_joined 1, worker_messages 1");
    rig_after_ms(4000);
    rig_say("w2", BEAT(""));
    moved("worker_messages 1");
    rig_after_ms(1000);
    rig_say("w2", BEAT("")); /* given 5 s ago, and still not listed */
    moved("dispatched 1, requeued 1, leases_lost 1, worker_messages 1");
    rig_after_ms(5000);
    moved("requeued 1, results 1, workers_lost 1, leases_lost 1");
}

static void workers_that_are_wrong(void **state) {
    (void)state;
    rig_say("w1", "7");
    moved("worker_messages 1, bad_worker_messages 1");
    core_worker_frames(rig.core, &(struct core_peer){"w1", 2, 0, false}, 2);
    moved("worker_messages 1, bad_worker_messages 1");
    rig_say("w1", BEAT("")); /* of a stranger */
    moved("worker_messages 1");
    rig_say("w1",
        "{'v': 1, 'op': 'hello', 'name': 'x', 'versions': [7, 8], 'prober': 'p', 'capacity': 1, "
        "'labels': {}, 'af': [4], 'protocols': ['icmp'], 'leases': []}");
    moved("worker_messages 1, rejected_workers 1");
    rig_say("w1", HELLO("one", "1", ""));
    moved("workers_joined 1, worker_messages 1");
    rig_say("w1", "{'v': 1, 'op': 'heartbeat', 'stats': {}}");
    moved("worker_messages 1, bad_worker_messages 1");
    rig_say("w1", "{'v': 1, 'op': 'who'}");
    moved("worker_messages 1, bad_worker_messages 1");
    rig_say("w2", HELLO("one", "1", "")); /* takes the name over */
    moved("workers_joined 1, workers_lost 1, worker_messages 1");
    rig_say("w3", HELLO("one", "1", ""));
    moved("worker_messages 1, rejected_workers 1");
}

static void a_restart(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "2", ""));
    rig_say("c1", SUBMIT("", TRACE("a", "") ", " TRACE("b", "") ", " TRACE("c", "")));
    rig_restart(0);
    before = (struct counters){.requests = 0};
    moved("restored 3");
    rig_say("w2", LISTING("one", "100"));
    moved(
        "dispatched 2, requeued 1, adopted 1, workers_joined 1, leases_lost 1, worker_messages 1");
    rig_say("w3", LISTING("one", "100, 200, 201")); /* reconnects: not adopted again */
    moved("workers_joined 1, workers_lost 1, worker_messages 1");
}

/* The worker whose name nobody takes up is not one that was lost: it never was here. */
static void an_absent_worker(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "2", ""));
    rig_say("c1", SUBMIT("", TRACE("a", "")));
    rig_restart(0);
    before = (struct counters){.requests = 0};
    moved("restored 1");
    rig_after_ms(10000);
    moved("requeued 1, leases_lost 1");
}

static void what_is_not_delivered(void **state) {
    (void)state;
    rig.gone = "c1";
    rig_say("c1", "{'v': 1, 'op': 'ping'}");
    moved("dropped_to_clients 1");
    rig.gone = "w1";
    rig_say("w1", HELLO("one", "1", "")); /* its welcome */
    moved("workers_joined 1, worker_messages 1, dropped_to_workers 1");
    core_dropped(rig.core, CORE_CLIENT, 3);
    core_dropped(rig.core, CORE_WORKER, 4);
    moved("dropped_to_clients 3, dropped_to_workers 4");
    core_connection(rig.core, true);
    core_connection(rig.core, true);
    core_connection(rig.core, false);
    moved("connections_opened 2, connections_closed 1");
}

/* What the shell counts, and the rates of the last ten seconds. */
static void what_else_stats_tell(void **state) {
    (void)state;
    core_shell(rig.core)->publish_dropped = 7;
    core_shell(rig.core)->results_kept = 8;
    assert_int_equal(rig_counter("publish_dropped"), 7);
    assert_int_equal(rig_stat("queue", "kept"), 8);
    assert_int_equal(rig_stat("queue", "max_queued"), 10);
    assert_int_equal(rig_stat("queue", "keep_results"), 10000);
    for (int i = 0; i < 30; i++) {
        char submit[100];
        (void)snprintf(submit, sizeof submit, SUBMIT("", TRACE("t%d", "")), i);
        rig_say("c1", submit);
        if (i >= 10) {
            (void)snprintf(submit, sizeof submit, "{'v': 1, 'op': 'cancel', 'ids': ['t%d']}", i);
            rig_say("c1", submit);
        } else if (i == 9) {
            rig_say("c1", "{'v': 1, 'op': 'cancel', 'ids': ['t9']}");
        }
    }
    assert_int_equal(rig_stat("rates", "accepted_per_s"), 3);
    assert_int_equal(rig_stat("rates", "results_per_s"), 2);
    for (int i = 0; i < 9; i++)
        rig_after_ms(1000);
    assert_int_equal(rig_stat("rates", "accepted_per_s"), 3);
    rig_after_ms(1000);
    assert_int_equal(rig_stat("rates", "accepted_per_s"), 0);
    assert_int_equal(rig_stat("rates", "results_per_s"), 0);
}

/* The metrics tell results apart by why their trace ended. */
static void results_by_stop(void **state) {
    (void)state;
    struct exposition e = {.size = 0};
    rig_say("w1", HELLO("one", "1", ""));
    rig_say("c1", SUBMIT("", TRACE("a", "") ", " TRACE("b", "") ", " TRACE("c", "")));
    rig_say("c1", "{'v': 1, 'op': 'cancel', 'ids': ['b', 'c']}");
    rig_say("w1", RESULT("100", "192.0.2.1", "gap-limit"));
    metrics_put_core(rig.core, &e);
    exposition_append(&e, &(struct exposition){.text = (char[]){'\0'}, .size = 1});
    assert_non_null(strstr(e.text, "\nhopmq_results_total{stop=\"cancelled\"} 2\n"));
    assert_non_null(strstr(e.text, "\nhopmq_results_total{stop=\"gap-limit\"} 1\n"));
    assert_non_null(strstr(e.text, "\nhopmq_results_total{stop=\"reached\"} 0\n"));
    exposition_free(&e);
}

#define COUNTS(name) cmocka_unit_test_setup_teardown(name, set_up, rig_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        COUNTS(requests),
        COUNTS(traces),
        COUNTS(runs),
        COUNTS(workers),
        COUNTS(workers_that_are_wrong),
        COUNTS(a_restart),
        COUNTS(an_absent_worker),
        COUNTS(what_is_not_delivered),
        COUNTS(what_else_stats_tell),
        COUNTS(results_by_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
