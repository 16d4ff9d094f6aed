/* batch: what goes in comes out in order, a trace with its last run. */
#include "tests/unit/check.h"

#include "broker/store/batch.h"

#include <stdio.h>
#include <string.h>

static struct batch batch;

static int tear_down(void **state) {
    (void)state;
    batch_free(&batch);
    return 0;
}

/* What a record points to; it is overwritten when the record has been added, so that a record that
 * comes out must have a copy. */
static struct { char id[32], name[32], bytes[32]; } given;

static void overwrite(void) { memset(&given, '#', sizeof given); }

static void add_trace(int64_t number) {
    (void)snprintf(given.id, sizeof given.id, "id-%d", (int)number);
    (void)snprintf(given.name, sizeof given.name, "s%d", (int)number);
    (void)snprintf(given.bytes, sizeof given.bytes, "bytes");
    batch_add_trace(&batch, &(struct record_trace){.number = number,
                                .id = given.id,
                                .submitter = given.name,
                                .trace = given.bytes,
                                .trace_size = 5,
                                .run = {.number = number, .worker = ""}});
    overwrite();
}

static void add_run(int64_t number, int64_t run, const char *worker) {
    (void)snprintf(given.name, sizeof given.name, "%s", worker);
    batch_add_run(&batch, &(struct record_run){.number = number, .run = run, .worker = given.name});
    overwrite();
}

static void add_result(int64_t seq) {
    (void)snprintf(given.id, sizeof given.id, "r%d", (int)seq);
    (void)snprintf(given.name, sizeof given.name, "stream%d", (int)seq);
    (void)snprintf(given.bytes, sizeof given.bytes, "tresult");
    batch_add_result(&batch, &(struct record_result){.seq = seq,
                                 .id = given.id,
                                 .stream = given.name,
                                 .trace = given.bytes,
                                 .trace_size = 1,
                                 .result = given.bytes + 1,
                                 .result_size = 6});
    overwrite();
}

/* As "trace 1 id-1 s1 run 2 w; run 7 run 1 v; result 3 r3 stream3; ". */
static void holds(const char *expected) {
    char told[1024] = "";
    struct batch_record r;
    size_t used = 0;
    for (size_t at = 0; batch_next(&batch, &at, &r);) {
        char *to = told + used;
        const size_t left = sizeof told - used;
        int size;
        if (r.kind == BATCH_TRACE) {
            assert_int_equal(r.trace.trace_size, 5);
            assert_memory_equal(r.trace.trace, "bytes", 5);
            size = snprintf(to, left, "trace %d %s %s run %d %s; ", (int)r.trace.number, r.trace.id,
                r.trace.submitter, (int)r.trace.run.run, r.trace.run.worker);
        } else if (r.kind == BATCH_RUN) {
            size = snprintf(
                to, left, "run %d run %d %s; ", (int)r.run.number, (int)r.run.run, r.run.worker);
        } else {
            assert_int_equal(r.result.trace_size, 1);
            assert_memory_equal(r.result.trace, "t", 1);
            assert_int_equal(r.result.result_size, 6);
            assert_memory_equal(r.result.result, "result", 6);
            size = snprintf(
                to, left, "result %d %s %s; ", (int)r.result.seq, r.result.id, r.result.stream);
        }
        used += (size_t)size;
    }
    assert_string_equal(told, expected);
}

static void records_come_in_order(void **state) {
    (void)state;
    holds("");
    add_run(7, 1, "v");
    add_trace(8);
    add_result(3);
    add_trace(9);
    add_run(6, 2, "w");
    holds("run 7 run 1 v; trace 8 id-8 s8 run 0 ; result 3 r3 stream3; trace 9 id-9 s9 run 0 ; run "
          "6 run 2 w; ");
    assert_int_equal(batch.results, 1);
    assert_int_equal(batch.result_bytes, 6);
}

static void a_run_is_told_with_its_trace(void **state) {
    (void)state;
    add_trace(4);
    add_trace(5);
    add_trace(6);
    add_run(5, 1, "v");
    add_run(3, 1, "v");
    add_run(7, 1, "v");
    add_run(6, 1, "v");
    add_run(5, 2, "longer");
    add_run(4, 1, "u");
    holds("trace 4 id-4 s4 run 1 u; trace 5 id-5 s5 run 2 longer; trace 6 id-6 s6 run 1 v; "
          "run 3 run 1 v; run 7 run 1 v; ");
}

static void numbers_that_jump_are_no_others(void **state) {
    (void)state;
    add_trace(4);
    add_trace(6);
    add_run(5, 1, "v");
    add_run(6, 1, "w");
    holds("trace 4 id-4 s4 run 0 ; trace 6 id-6 s6 run 0 ; run 5 run 1 v; run 6 run 1 w; ");
}

static void an_empty_one_knows_no_trace(void **state) {
    (void)state;
    add_trace(4);
    batch_clear(&batch);
    add_run(4, 1, "v");
    holds("run 4 run 1 v; ");
}

/* A store that was busy once does not keep the memory for ever. */
static void much_memory_is_given_back(void **state) {
    (void)state;
    add_result(1);
    batch_clear(&batch);
    assert_non_null(batch.bytes);
    while (batch.size <= 1024 * 1024)
        add_result(1);
    batch_clear(&batch);
    assert_null(batch.bytes);
    assert_int_equal(batch.count + batch.results + batch.result_bytes + batch.trace_count, 0);
    add_result(2);
    holds("result 2 r2 stream2; ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(records_come_in_order, tear_down),
        cmocka_unit_test_teardown(a_run_is_told_with_its_trace, tear_down),
        cmocka_unit_test_teardown(numbers_that_jump_are_no_others, tear_down),
        cmocka_unit_test_teardown(an_empty_one_knows_no_trace, tear_down),
        cmocka_unit_test_teardown(much_memory_is_given_back, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
