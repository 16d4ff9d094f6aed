/* store_memory: results in memory, and the batches that they and all records stand in. */
#include "tests/unit/check.h"

#include "broker/store/store_memory.h"

#include <stdio.h>
#include <string.h>

static struct store_memory *memory;
static struct batch rows;

static int set_up(void **state) {
    (void)state;
    memory = store_memory_new(5);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    store_memory_destroy(&memory);
    batch_free(&rows);
    return 0;
}

/* A result of 10 bytes whose content is its seq. What the record points to is overwritten then: the
 * store must have copies. */
static void add(int64_t seq, const char *id, const char *stream) {
    struct {
        char id[16], stream[16], trace[6], bytes[11];
    } given;
    (void)snprintf(given.id, sizeof given.id, "%s", id);
    (void)snprintf(given.stream, sizeof given.stream, "%s", stream);
    (void)snprintf(given.trace, sizeof given.trace, "trace");
    (void)snprintf(given.bytes, sizeof given.bytes, "%010d", (int)seq);
    store_memory_add(memory, &(struct record_result){.seq = seq,
                                 .id = given.id,
                                 .stream = given.stream,
                                 .trace = given.trace,
                                 .trace_size = 5,
                                 .result = given.bytes,
                                 .result_size = 10});
    memset(&given, '#', sizeof given);
}

static void ids(const char *const *ids, size_t count, size_t max_bytes) {
    struct record_answer answer;
    batch_clear(&rows);
    store_memory_read(memory,
        &(struct record_read){
            .query = RECORD_IDS, .ids = ids, .id_count = count, .max_bytes = max_bytes},
        &rows, &answer);
    assert_false(answer.more);
}

static struct record_answer after(
    int64_t seq, const char *stream, int64_t limit, size_t max_bytes) {
    struct record_answer answer;
    batch_clear(&rows);
    store_memory_read(memory,
        &(struct record_read){.ticket = 7,
            .query = RECORD_AFTER,
            .after = seq,
            .stream = stream,
            .limit = limit,
            .max_bytes = max_bytes},
        &rows, &answer);
    assert_int_equal(answer.ticket, 7);
    return answer;
}

/* The rows' seqs; without its bytes a result has a minus. */
static void rows_are(const char *expected) {
    char text[128] = "";
    struct batch_record record;
    for (size_t at = 0; batch_next(&rows, &at, &record);) {
        char bytes[11];
        size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, "%s%s%d", used > 0 ? " " : "",
            record.result.result == NULL ? "-" : "", (int)record.result.seq);
        (void)snprintf(bytes, sizeof bytes, "%010d", (int)record.result.seq);
        assert_int_equal(record.kind, BATCH_RESULT);
        assert_memory_equal(record.result.trace, "trace", 5);
        if (record.result.result != NULL)
            assert_memory_equal(record.result.result, bytes, 10);
    }
    assert_string_equal(text, expected);
}

static void an_empty_store(void **state) {
    (void)state;
    const char *const names[] = {"a"};
    ids(names, 1, 100);
    rows_are("");
    struct record_answer answer = after(0, NULL, 10, 100);
    assert_int_equal(answer.first_seq, 1);
    assert_false(answer.more);
}

static void by_id(void **state) {
    (void)state;
    const char *const names[] = {"c", "none", "a", "b"};
    add(1, "a", "x");
    add(2, "b", "x");
    add(3, "c", "y");
    ids(names, 4, 100);
    rows_are("3 1 2");
    ids(names, 4, 20);
    rows_are("3 1 -2");
    ids(names, 4, 0);
    rows_are("3 -1 -2");
}

static void by_seq(void **state) {
    (void)state;
    add(11, "a", "x");
    add(12, "b", "y");
    add(14, "c", "x");
    assert_int_equal(after(0, NULL, 10, 100).first_seq, 11);
    rows_are("11 12 14");
    assert_false(after(12, NULL, 1, 100).more);
    rows_are("14");
    assert_true(after(11, NULL, 1, 100).more);
    rows_are("12");
    assert_true(after(0, NULL, 10, 29).more);
    rows_are("11 12");
    assert_false(after(14, NULL, 10, 100).more);
    rows_are("");
    (void)after(INT64_MAX, NULL, 10, 100);
    rows_are("");
}

static void by_stream(void **state) {
    (void)state;
    add(1, "a", "x");
    add(2, "b", "y");
    add(3, "c", "xx");
    add(4, "d", "x");
    assert_false(after(0, "x", 10, 100).more);
    rows_are("1 4");
    assert_true(after(0, "x", 1, 100).more);
    assert_false(after(1, "x", 1, 100).more);
    rows_are("4");
    (void)after(0, "w", 10, 100);
    rows_are("");
}

static void the_oldest_go(void **state) {
    (void)state;
    char id[16];
    for (int seq = 1; seq <= 8; seq++) {
        (void)snprintf(id, sizeof id, "id%d", seq);
        add(seq, id, seq % 2 == 0 ? "even" : "odd");
    }
    const char *const names[] = {"id3", "id4"};
    assert_int_equal(store_memory_count(memory), 5);
    assert_int_equal(after(0, NULL, 10, 100).first_seq, 4);
    rows_are("4 5 6 7 8");
    (void)after(0, "odd", 10, 100);
    rows_are("5 7");
    ids(names, 2, 100);
    rows_are("4");
}

static void an_id_that_comes_again_replaces_the_first(void **state) {
    (void)state;
    const char *const names[] = {"a"};
    add(1, "a", "x");
    add(2, "a", "x");
    ids(names, 1, 100);
    rows_are("2");
    assert_int_equal(store_memory_count(memory), 1);
    struct batch_record record;
    size_t at = 0;
    assert_true(batch_next(&rows, &at, &record));
    assert_string_equal(record.result.id, "a");
    assert_string_equal(record.result.stream, "x");
}

/* Records come out as they went in, whatever stands between them. */
static void records_in_a_batch(void **state) {
    (void)state;
    struct batch_record out;
    size_t at = 0;
    for (int round = 0; round < 2; round++) {
        batch_add_trace(&rows, &(struct record_trace){.number = 1,
                                   .id = "one",
                                   .submitter = "",
                                   .accepted_us = 5,
                                   .trace = "\0t",
                                   .trace_size = 2,
                                   .run = {.worker = "w"}});
        batch_add_run(&rows, &(struct record_run){.number = 2, .lease = 9, .worker = "ams"});
        batch_add_result(&rows, &(struct record_result){.seq = 3,
                                    .id = "three",
                                    .stream = "s",
                                    .trace = "",
                                    .result = "result",
                                    .result_size = 6});
    }
    assert_int_equal(rows.count, 6);
    assert_int_equal(rows.results, 2);
    assert_int_equal(rows.result_bytes, 12);
    for (int round = 0; round < 2; round++) {
        assert_true(batch_next(&rows, &at, &out));
        assert_int_equal(out.kind, BATCH_TRACE);
        assert_int_equal(out.trace.accepted_us, 5);
        assert_string_equal(out.trace.id, "one");
        assert_string_equal(out.trace.submitter, "");
        assert_string_equal(out.trace.run.worker, "w");
        assert_memory_equal(out.trace.trace, "\0t", 2);
        assert_true(batch_next(&rows, &at, &out));
        assert_int_equal(out.kind, BATCH_RUN);
        assert_int_equal(out.run.lease, 9);
        assert_string_equal(out.run.worker, "ams");
        assert_true(batch_next(&rows, &at, &out));
        assert_string_equal(out.result.id, "three");
        assert_string_equal(out.result.stream, "s");
        assert_int_equal(out.result.trace_size, 0);
        assert_memory_equal(out.result.result, "result", 6);
    }
    assert_false(batch_next(&rows, &at, &out));
    batch_clear(&rows);
    assert_int_equal(rows.count, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_empty_store),
        TEST(by_id),
        TEST(by_seq),
        TEST(by_stream),
        TEST(the_oldest_go),
        TEST(an_id_that_comes_again_replaces_the_first),
        TEST(records_in_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
