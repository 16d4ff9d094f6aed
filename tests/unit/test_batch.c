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

static void add_trace(int64_t number) {
    char id[32];
    (void)snprintf(id, sizeof id, "id-%d", (int)number);
    batch_add_trace(&batch, &(struct record_trace){.number = number,
                                .id = id,
                                .submitter = "c",
                                .trace = "bytes",
                                .trace_size = 5,
                                .run = {.number = number, .worker = ""}});
}

static void add_run(int64_t number, int64_t run, const char *worker) {
    batch_add_run(&batch, &(struct record_run){.number = number, .run = run, .worker = worker});
}

static void add_result(int64_t seq) {
    batch_add_result(&batch, &(struct record_result){.seq = seq,
                                 .id = "r",
                                 .stream = "s",
                                 .trace = "t",
                                 .trace_size = 1,
                                 .result = "result",
                                 .result_size = 6});
}

/* As "trace 1 id-1 run 2 w; run 7 run 1 v; result 3; ". */
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
            size = snprintf(to, left, "trace %d %s run %d %s; ", (int)r.trace.number, r.trace.id,
                (int)r.trace.run.run, r.trace.run.worker);
        } else if (r.kind == BATCH_RUN) {
            size = snprintf(
                to, left, "run %d run %d %s; ", (int)r.run.number, (int)r.run.run, r.run.worker);
        } else {
            size = snprintf(to, left, "result %d; ", (int)r.result.seq);
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
    holds("run 7 run 1 v; trace 8 id-8 run 0 ; result 3; trace 9 id-9 run 0 ; run 6 run 2 w; ");
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
    holds("trace 4 id-4 run 0 ; trace 5 id-5 run 2 longer; trace 6 id-6 run 1 v; "
          "run 3 run 1 v; run 7 run 1 v; ");
}

static void numbers_that_jump_are_no_others(void **state) {
    (void)state;
    add_trace(4);
    add_trace(6);
    add_run(5, 1, "v");
    add_run(6, 1, "w");
    holds("trace 4 id-4 run 0 ; trace 6 id-6 run 0 ; run 5 run 1 v; run 6 run 1 w; ");
}

static void an_empty_one_knows_no_trace(void **state) {
    (void)state;
    add_trace(4);
    batch_clear(&batch);
    add_run(4, 1, "v");
    holds("run 4 run 1 v; ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(records_come_in_order, tear_down),
        cmocka_unit_test_teardown(a_run_is_told_with_its_trace, tear_down),
        cmocka_unit_test_teardown(numbers_that_jump_are_no_others, tear_down),
        cmocka_unit_test_teardown(an_empty_one_knows_no_trace, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
