/* metrics of the broker: what is in the core's state is in the text. */
#include "tests/unit/check.h"

#include "broker/core/state.h"
#include "broker/metrics.h"
#include "tests/unit/core_rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct exposition e;

static const char *text(void) {
    exposition_append(&e, &(struct exposition){.text = (char[]){'\0'}, .size = 1});
    return e.text;
}

static void has(const char *line) {
    char whole[200];
    (void)snprintf(whole, sizeof whole, "\n%s\n", line);
    if (strstr(text(), whole) == NULL)
        fail_msg("%s is not in:\n%s", line, text());
}

static unsigned lines(const char *start) {
    unsigned count = 0;
    const char *at = text();
    for (; at != NULL; at = strchr(at, '\n'))
        count += strncmp(at += *at == '\n', start, strlen(start)) == 0;
    return count;
}

static void numbers(void **state) {
    (void)state;
    struct core *c = calloc(1, sizeof *c);
    c->queue.by_priority[0] = 3;
    c->queue.by_priority[9] = 4;
    c->leases.count = 5;
    c->config.max_queued = 100;
    c->counters.accepted = 12;
    c->counters.leases_lost = 6;
    c->counters.results = 11;
    c->results_by_stop[STOP_REACHED] = 7;
    c->results_by_stop[STOP_NO_WORKER] = 8;
    c->shell.publish_dropped = 9;
    metrics_put_core(c, &e);
    has("hopmq_queued_traces{priority=\"0\"} 3");
    has("hopmq_queued_traces{priority=\"1\"} 0");
    has("hopmq_queued_traces{priority=\"9\"} 4");
    has("hopmq_running_traces 5");
    has("hopmq_max_queued_traces 100");
    has("hopmq_accepted_total 12");
    has("hopmq_leases_lost_total 6");
    has("hopmq_results_total{stop=\"reached\"} 7");
    has("hopmq_results_total{stop=\"no-worker\"} 8");
    has("hopmq_publish_dropped_total 9");
    has("hopmq_workers 0");
    assert_int_equal(lines("hopmq_results_total "), 0);
    free(c);
}

static void has_value(const char *name, int64_t value) {
    char line[200];
    (void)snprintf(line, sizeof line, "%s %" PRId64, name, value);
    has(line);
}

/* The page has each counter of the core with its own value. Results are there by their stop. */
static void each_counter_of_the_core(void **state) {
    (void)state;
    int64_t value = 1000;
    struct core *c = calloc(1, sizeof *c);
#define X(name, help) c->counters.name = value++;
    CORE_COUNTERS(X)
#undef X
    metrics_put_core(c, &e);
    value = 1000;
#define X(name, help)                                                                              \
    if (strcmp(#name, "results") != 0)                                                             \
        has_value("hopmq_" #name "_total", value);                                                 \
    value++;
    CORE_COUNTERS(X)
#undef X
    free(c);
}

static void each_counter_of_the_store(void **state) {
    (void)state;
    int64_t value = 1000;
    struct store_counters c = {0};
#define X(name, help) c.name = value++;
    STORE_COUNTERS(X)
    STORE_GAUGES(X)
#undef X
    metrics_put_store(&c, &e);
    value = 1000;
#define X(name, help) has_value("hopmq_store_" #name "_total", value++);
    STORE_COUNTERS(X)
#undef X
#define X(name, help) has_value("hopmq_store_" #name, value++);
    STORE_GAUGES(X)
#undef X
}

static void workers_up_to_the_limit_are_listed(void **state) {
    (void)state;
    static struct worker workers[METRICS_MAX_WORKERS + 2];
    struct core *c = calloc(1, sizeof *c);
    for (unsigned i = 0; i < METRICS_MAX_WORKERS + 2; i++) {
        (void)snprintf(workers[i].name, sizeof workers[i].name, "w%04u", i);
        workers[i].running = i;
        workers[i].capacity = 5000;
        workers[i].draining = i == 1;
        (void)RB_INSERT(worker_name_tree, &c->workers.by_name, &workers[i]);
        c->workers.count++;
        if (i != 1 && i != METRICS_MAX_WORKERS - 1 && i != METRICS_MAX_WORKERS + 1)
            continue;
        exposition_clear(&e);
        metrics_put_core(c, &e);
        unsigned listed = i < METRICS_MAX_WORKERS ? i + 1 : METRICS_MAX_WORKERS;
        assert_int_equal(lines("hopmq_worker_running_traces{"), listed);
        assert_int_equal(lines("hopmq_worker_capacity_traces{"), listed);
        assert_int_equal(lines("hopmq_worker_serves{"), listed);
        has(i < METRICS_MAX_WORKERS ? "hopmq_workers_not_listed 0" : "hopmq_workers_not_listed 2");
        has("hopmq_worker_running_traces{worker=\"w0001\"} 1");
        has("hopmq_worker_capacity_traces{worker=\"w0001\"} 5000");
        has("hopmq_worker_serves{worker=\"w0000\"} 1");
        has("hopmq_worker_serves{worker=\"w0001\"} 0");
    }
    has("hopmq_workers 1002");
    free(c);
}

/* What waits is counted by its priority until it leaves the queue. */
static void queued_traces_by_priority(void **state) {
    assert_int_equal(rig_setup(state), 0);
    rig_say("c1", SUBMIT("", "{'id': 'a', 'target': '192.0.2.1', 'priority': 2}, "
                             "{'id': 'b', 'target': '192.0.2.1', 'priority': 2}"));
    metrics_put_core(rig.core, &e);
    has("hopmq_queued_traces{priority=\"2\"} 2");
    exposition_free(&e);
    rig_say("c1", "{'v': 1, 'op': 'cancel', 'ids': ['a']}");
    metrics_put_core(rig.core, &e);
    has("hopmq_queued_traces{priority=\"2\"} 1");
    assert_int_equal(rig_teardown(state), 0);
}

static void the_store(void **state) {
    (void)state;
    metrics_put_store(&(struct store_counters){.commits = 2,
                          .records = 30,
                          .commit_times = {.counts = {1, 0, 0, 0, 1}, .sum_us = 1500},
                          .batch_max_records = 20,
                          .commit_max_us = 1000,
                          .reads = 3,
                          .read_us = 9,
                          .wal_bytes = 4096},
        &e);
    has("hopmq_store_commit_seconds_bucket{le=\"0.0001\"} 1");
    has("hopmq_store_commit_seconds_bucket{le=\"0.0025\"} 2");
    has("hopmq_store_commit_seconds_sum 0.001500");
    has("hopmq_store_commit_seconds_count 2");
    has("hopmq_store_commit_max_seconds 0.001000");
    has("hopmq_store_batch_records_sum 30");
    has("hopmq_store_batch_max_records 20");
    has("hopmq_store_read_seconds_sum 0.000009");
    has("hopmq_store_read_seconds_count 3");
    has("hopmq_store_wal_bytes 4096");
}

static int tear_down(void **state) {
    (void)state;
    exposition_free(&e);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(numbers, tear_down),
        cmocka_unit_test_teardown(each_counter_of_the_core, tear_down),
        cmocka_unit_test_teardown(each_counter_of_the_store, tear_down),
        cmocka_unit_test_teardown(workers_up_to_the_limit_are_listed, tear_down),
        cmocka_unit_test_teardown(queued_traces_by_priority, tear_down),
        cmocka_unit_test_teardown(the_store, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
