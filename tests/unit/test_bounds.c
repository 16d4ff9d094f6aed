/* Bounds of the broker's core, each at its edge: the last one is taken, one more is not, and there
 * is room again when something has ended. The bounds of submitters and of labels are in
 * test_queue.c, that of waiters in test_core.c. */
#include "tests/unit/queue_rig.h"

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

static void reopen(int64_t max_queued, int64_t keep_results) {
    rig_close(&rig);
    rig_open_keeping(&rig, max_queued, keep_results);
}

/* ---- traces ----------------------------------------------------------------------------- */

static void times_that_a_trace_is_handed_back(void **state) {
    (void)state;
    rig_join(&rig, 'w', 1, NULL);
    rig_submit(&rig, 'a', 1, 1, NULL);
    for (int i = 1; i < CORE_MAX_RETURNS; i++) {
        rig_return(&rig, 'w', i);
        rig_beat(&rig, 'w');
        RIG_GAVE(&rig, 'w', 1);
        assert_int_equal(rig.given[0].run, 1);
    }
    assert_int_equal(rig.ended_count, 0);
    rig_return(&rig, 'w', CORE_MAX_RETURNS);
    RIG_ENDED(&rig, "1 worker-lost");
    assert_int_equal(rig_counter(&rig, "returned"), CORE_MAX_RETURNS);
}

/* Riders count as queued. */
static void the_queue_is_bounded(void **state) {
    (void)state;
    const struct rig_ask rider = {.coalesce = true};
    reopen(3, 100);
    rig_submit(&rig, 'a', 1, 1, NULL);
    rig_submit(&rig, 'a', 2, 2, &rider);
    assert_int_equal(rig.errors, 0);
    assert_int_equal(rig_queue(&rig, "queued"), 3);
    rig_submit(&rig, 'a', 4, 1, NULL);
    assert_string_equal(rig.reason, "queue");
    rig_cancel(&rig, 2);
    rig_submit(&rig, 'a', 4, 1, NULL);
    assert_int_equal(rig.errors, 0);
    rig_submit(&rig, 'a', 5, 1, NULL);
    assert_string_equal(rig.reason, "queue");
    /* What runs does not wait. */
    rig_join(&rig, 'w', 1, NULL);
    rig_submit(&rig, 'a', 5, 1, NULL);
    assert_int_equal(rig.errors, 0);
}

/* One rider too many is probed itself. */
static void riders_on_one_trace(void **state) {
    (void)state;
    const struct rig_ask rider = {.coalesce = true};
    rig_submit(&rig, 'a', 0, 1, NULL);
    rig_submit(&rig, 'a', 1, CORE_MAX_RIDERS, &rider);
    assert_string_equal(rig_status(&rig, CORE_MAX_RIDERS), "queued");
    rig_submit(&rig, 'a', CORE_MAX_RIDERS + 1, 1, &rider);
    assert_string_equal(rig_status(&rig, CORE_MAX_RIDERS + 1), "queued 2");
    /* Others ride on that one: it is the last that asks for the same. */
    rig_submit(&rig, 'a', CORE_MAX_RIDERS + 2, 1, &rider);
    assert_string_equal(rig_status(&rig, CORE_MAX_RIDERS + 2), "queued");
    rig_join(&rig, 'w', 2, NULL);
    assert_int_equal(rig.given_count, 2);
    rig_result(&rig, 'w', rig_lease(&rig, 0));
    assert_int_equal(rig_counter(&rig, "results"), CORE_MAX_RIDERS + 1);
    assert_int_equal(rig_counter(&rig, "shared"), CORE_MAX_RIDERS);
    rig_result(&rig, 'w', rig_lease(&rig, CORE_MAX_RIDERS + 1));
    assert_int_equal(rig_counter(&rig, "shared"), CORE_MAX_RIDERS + 1);
    assert_int_equal(rig_queue(&rig, "queued"), 0);
}

static void parts_of_a_fanout(void **state) {
    (void)state;
    const struct rig_ask all = {.fanout = true};
    char name[16];
    for (int i = 0; i <= CORE_MAX_PARTS; i++) {
        (void)snprintf(name, sizeof name, "w%d", i);
        rig_join_as(&rig, name, 1);
    }
    rig_submit(&rig, 'a', 1, 1, &all);
    assert_int_equal(rig.given_count, CORE_MAX_PARTS);
    assert_int_equal(rig_queue(&rig, "queued"), 0);
}

/* ---- what traces ask for ---------------------------------------------------------------- */

static void addresses_to_send_from(void **state) {
    (void)state;
    char source[32];
    struct rig_ask ask = {.source = source};
    for (int i = 0; i < CORE_MAX_REQUIREMENTS; i++) {
        (void)snprintf(source, sizeof source, "198.51.%d.%d", i / 250, i % 250 + 1);
        rig_submit(&rig, 'a', i, 1, &ask);
        assert_int_equal(rig.errors, 0);
    }
    rig_submit(&rig, 'a', 5000, 1, &(struct rig_ask){.source = "203.0.113.1"});
    assert_string_equal(rig.reason, "labels");
    rig_submit(&rig, 'a', 5001, 1, NULL); /* with neither there is always room */
    assert_int_equal(rig.errors, 0);
    rig_cancel(&rig, 0);
    rig_cancel(&rig, 5001);
    rig_submit(&rig, 'a', 5000, 1, &(struct rig_ask){.source = "203.0.113.1"});
    assert_int_equal(rig.errors, 0);
}

/* Each address fits each worker, as none of them says which ones it has. */
static void matches_of_requirements_and_workers(void **state) {
    (void)state;
    enum { WORKERS = 4000, REQUIREMENTS = CORE_MAX_MATCHES / WORKERS };
    char text[32];
    struct rig_ask ask = {.source = text};
    for (int i = 0; i < WORKERS; i++) {
        (void)snprintf(text, sizeof text, "w%d", i);
        rig_join_as(&rig, text, 1);
    }
    for (int i = 0; i <= REQUIREMENTS; i++) {
        (void)snprintf(text, sizeof text, "198.51.100.%d", i + 1);
        rig_submit(&rig, 'a', i, 1, &ask);
        assert_int_equal(rig.errors, i == REQUIREMENTS);
    }
    assert_string_equal(rig.reason, "labels");
    rig_tell_as(&rig, "w3999", &(struct session_msg){.op = SESSION_BYE});
    rig_submit(&rig, 'a', REQUIREMENTS, 1, &ask);
    assert_int_equal(rig.errors, 0);
}

/* ---- peers ------------------------------------------------------------------------------ */

static void workers_are_bounded(void **state) {
    (void)state;
    char name[16];
    for (int i = 0; i <= CORE_MAX_WORKERS; i++) {
        (void)snprintf(name, sizeof name, "w%d", i);
        rig_join_as(&rig, name, 1);
        assert_int_equal(rig.rejected, i == CORE_MAX_WORKERS);
    }
    rig_join_as(&rig, "w7", 1); /* one that is known */
    assert_int_equal(rig.rejected, 0);
    rig_tell_as(&rig, "w7", &(struct session_msg){.op = SESSION_BYE});
    rig_join_as(&rig, name, 1);
    assert_int_equal(rig.rejected, 0);
    rig_join_as(&rig, "w7", 1);
    assert_int_equal(rig.rejected, 1);
    assert_int_equal(rig_counter(&rig, "rejected_workers"), 2);
    assert_int_equal(rig_counter(&rig, "workers_joined"), CORE_MAX_WORKERS + 1);
}

/* ---- streams ---------------------------------------------------------------------------- */

static void streams_are_bounded(void **state) {
    (void)state;
    char name[16];
    for (int i = 1; i < CORE_MAX_STREAMS; i++) {
        (void)snprintf(name, sizeof name, "s%d", i);
        core_restore_stream(rig.core, name, i);
    }
    core_restored(rig.core, &rig.now);
    rig_submit(&rig, 'a', 1, 1, &(struct rig_ask){.stream = "one"});
    assert_int_equal(rig.errors, 0);
    rig_submit(&rig, 'a', 2, 1, &(struct rig_ask){.stream = "another"});
    assert_string_equal(rig.reason, "streams");
    rig_submit(&rig, 'a', 2, 1, &(struct rig_ask){.stream = "s7"});
    assert_int_equal(rig.errors, 0);
    rig_cancel(&rig, 2);
    rig_after_ms(&rig, 1000);
    assert_int_equal(rig_alive_seq(&rig, "s7"), 8);
}

/* A store that has more than there may be: those that come last are not known. */
static void streams_that_are_restored(void **state) {
    (void)state;
    char name[16];
    for (int i = 0; i <= CORE_MAX_STREAMS; i++) {
        (void)snprintf(name, sizeof name, "s%d", i);
        core_restore_stream(rig.core, name, 7);
    }
    core_restored(rig.core, &rig.now);
    rig_submit(&rig, 'a', 1, 1, &(struct rig_ask){.stream = name});
    assert_string_equal(rig.reason, "streams");
    (void)snprintf(name, sizeof name, "s%d", CORE_MAX_STREAMS - 1);
    rig_submit(&rig, 'a', 1, 1, &(struct rig_ask){.stream = name});
    assert_int_equal(rig.errors, 0);
}

/* The last ones to have a result are in `alive`, for CORE_ACTIVE_US. */
static void active_streams(void **state) {
    (void)state;
    char name[16];
    struct rig_ask ask = {.stream = name};
    for (int i = 0; i <= CORE_MAX_ALIVE_STREAMS; i++) {
        (void)snprintf(name, sizeof name, "s%d", i);
        rig_submit(&rig, 'a', i, 1, &ask);
        rig_cancel(&rig, i);
        if (i == CORE_MAX_ALIVE_STREAMS - 1) {
            rig_after_ms(&rig, 1000);
            assert_int_equal(rig_alive_streams(&rig), CORE_MAX_ALIVE_STREAMS);
            assert_int_equal(rig_alive_seq(&rig, "s0"), 1);
        }
    }
    rig_after_ms(&rig, 1000);
    assert_int_equal(rig_alive_streams(&rig), CORE_MAX_ALIVE_STREAMS);
    assert_int_equal(rig_alive_seq(&rig, "s0"), -1);
    assert_int_equal(rig_alive_seq(&rig, "s1"), 1);
    assert_int_equal(rig_alive_seq(&rig, name), 1);
    /* The last one had its result 1 s ago, the others 2 s. */
    rig_after_ms(&rig, CORE_ACTIVE_US / 1000 - 2000);
    assert_int_equal(rig_alive_streams(&rig), CORE_MAX_ALIVE_STREAMS);
    rig_after_ms(&rig, 1000);
    assert_int_equal(rig_alive_streams(&rig), 1);
    assert_int_equal(rig_alive_seq(&rig, name), 1);
    rig_after_ms(&rig, 1000);
    assert_int_equal(rig_alive_streams(&rig), 0);
}

/* ---- requests that wait for the store --------------------------------------------------- */

static void deferred_requests(void **state) {
    (void)state;
    rig.store_waits = true;
    for (int i = 0; i <= CORE_MAX_DEFERRED; i++) {
        rig_submit(&rig, 'a', i, 1, NULL);
        assert_int_equal(rig.waiting, i < CORE_MAX_DEFERRED ? i + 1 : CORE_MAX_DEFERRED);
    }
    assert_string_equal(rig.reason, "reads");
    core_answer(rig.core, &(struct record_answer){.ticket = 1}, &rig.now);
    rig_submit(&rig, 'a', CORE_MAX_DEFERRED, 1, NULL);
    assert_int_equal(rig.errors, 0);
    assert_int_equal(rig.waiting, CORE_MAX_DEFERRED + 1);
}

static void bytes_of_deferred_requests(void **state) {
    (void)state;
    enum { MOST = CORE_MAX_DEFERRED_BYTES / REQUEST_MAX_BYTES };
    rig.store_waits = true;
    for (int i = 0; i < MOST - 1; i++)
        rig_status_padded(&rig, i, REQUEST_MAX_BYTES);
    rig_status_padded(&rig, MOST, REQUEST_MAX_BYTES - 100000);
    assert_int_equal(rig.errors, 0);
    rig_status_padded(&rig, MOST, 100001);
    assert_string_equal(rig.reason, "reads");
    rig_status_padded(&rig, MOST, 100000);
    assert_int_equal(rig.errors, 0);
    assert_int_equal(rig.waiting, MOST + 1);
    core_answer(rig.core, &(struct record_answer){.ticket = 1}, &rig.now);
    rig_status_padded(&rig, MOST, REQUEST_MAX_BYTES);
    assert_int_equal(rig.errors, 0);
    rig_status_padded(&rig, MOST, 100000);
    assert_string_equal(rig.reason, "reads");
}

static void a_request(void **state) {
    (void)state;
    rig_status_padded(&rig, 1, REQUEST_MAX_BYTES);
    assert_int_equal(rig.errors, 0);
    rig_status_padded(&rig, 1, REQUEST_MAX_BYTES + 1);
    assert_int_equal(rig.errors, 1);
    assert_int_equal(rig_counter(&rig, "too_large"), 1);
}

/* ---- results in memory ------------------------------------------------------------------ */

/* Traces first..last end. The store of the rig knows nothing: "done" is what memory knows. */
static void end(int first, int last, size_t more_bytes) {
    for (int id = first; id <= last; id++) {
        rig_submit(&rig, 'a', id, 1, NULL);
        rig_large_result(&rig, 'w', rig_lease(&rig, id), more_bytes);
    }
}

static void recent_results(void **state) {
    (void)state;
    reopen(10, CORE_RECENT + 1000);
    rig_join(&rig, 'w', 1, NULL);
    end(1, CORE_RECENT, 0);
    assert_string_equal(rig_status(&rig, 1), "done");
    end(CORE_RECENT + 1, CORE_RECENT + 1, 0);
    assert_string_equal(rig_status(&rig, 1), "unknown");
    assert_string_equal(rig_status(&rig, 2), "done");
}

static void recent_results_of_a_store_that_keeps_few(void **state) {
    (void)state;
    reopen(10, 5);
    rig_join(&rig, 'w', 1, NULL);
    end(1, 5, 0);
    assert_string_equal(rig_status(&rig, 1), "done");
    end(6, 6, 0);
    assert_string_equal(rig_status(&rig, 1), "unknown");
    assert_string_equal(rig_status(&rig, 2), "done");
}

static void bytes_of_recent_results(void **state) {
    (void)state;
    enum { EIGHTH = CORE_RECENT_BYTES / 8 };
    rig_join(&rig, 'w', 1, NULL);
    end(1, 7, EIGHTH);
    assert_string_equal(rig_status(&rig, 1), "done");
    for (int id = 8; id < 12; id++) {
        end(id, id, EIGHTH);
        assert_string_equal(rig_status(&rig, id - 7), "unknown");
        assert_string_equal(rig_status(&rig, id - 6), "done");
    }
}

/* One result comes in any case. */
static void bytes_of_an_answer(void **state) {
    (void)state;
    int more;
    rig_join(&rig, 'w', 1, NULL);
    end(1, 3, CORE_MAX_FETCH_BYTES / 2 - 1000);
    end(4, 5, CORE_MAX_FETCH_BYTES + 1);
    assert_int_equal(rig_fetch(&rig, 1, 3, &more), 2);
    assert_int_equal(more, 1);
    assert_int_equal(rig_fetch(&rig, 4, 2, &more), 1);
    assert_int_equal(more, 1);
    assert_int_equal(rig_fetch(&rig, 5, 1, &more), 1);
    assert_int_equal(more, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(times_that_a_trace_is_handed_back),
        CASE(the_queue_is_bounded),
        CASE(riders_on_one_trace),
        CASE(parts_of_a_fanout),
        CASE(addresses_to_send_from),
        CASE(matches_of_requirements_and_workers),
        CASE(workers_are_bounded),
        CASE(streams_are_bounded),
        CASE(streams_that_are_restored),
        CASE(active_streams),
        CASE(deferred_requests),
        CASE(bytes_of_deferred_requests),
        CASE(a_request),
        CASE(recent_results),
        CASE(recent_results_of_a_store_that_keeps_few),
        CASE(bytes_of_recent_results),
        CASE(bytes_of_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
