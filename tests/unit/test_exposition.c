/* exposition: metrics as text, and histograms. */
#include "tests/unit/check.h"

#include "common/exposition.h"

#include <stdio.h>
#include <string.h>

static struct exposition e;

static void is(const char *expected) {
    exposition_append(&e, &(struct exposition){.text = (char[]){'\0'}, .size = 1});
    assert_string_equal(e.text, expected);
    exposition_clear(&e);
}

static void samples(void **state) {
    (void)state;
    exposition_value(&e, EXPOSITION_COUNTER, "a_total", "What it is.", 17);
    exposition_family(&e, EXPOSITION_GAUGE, "b", "Two.");
    exposition_sample(&e, "worker", "ams1", -1);
    exposition_sample(&e, "worker", "ams2", INT64_MAX);
    is("# HELP a_total What it is.\n"
       "# TYPE a_total counter\n"
       "a_total 17\n"
       "# HELP b Two.\n"
       "# TYPE b gauge\n"
       "b{worker=\"ams1\"} -1\n"
       "b{worker=\"ams2\"} 9223372036854775807\n");
}

static void microseconds_are_seconds(void **state) {
    (void)state;
    exposition_value_us(&e, EXPOSITION_GAUGE, "a_seconds", "A.", 1500000);
    exposition_family(&e, EXPOSITION_GAUGE, "b_seconds", "B.");
    exposition_sample_us(&e, "of", "c", 1);
    exposition_sample_us(&e, "of", "d", -1000001);
    exposition_sample_us(&e, "of", "e", -1);
    is("# HELP a_seconds A.\n"
       "# TYPE a_seconds gauge\n"
       "a_seconds 1.500000\n"
       "# HELP b_seconds B.\n"
       "# TYPE b_seconds gauge\n"
       "b_seconds{of=\"c\"} 0.000001\n"
       "b_seconds{of=\"d\"} -1.000001\n"
       "b_seconds{of=\"e\"} -0.000001\n");
}

static void texts_are_escaped(void **state) {
    (void)state;
    exposition_family(&e, EXPOSITION_GAUGE, "a", "\"Quoted\", C:\\x,\ntwo lines.");
    exposition_sample(&e, "l", "\"} 1\nb 2\\", 3);
    is("# HELP a \"Quoted\", C:\\\\x,\\ntwo lines.\n"
       "# TYPE a gauge\n"
       "a{l=\"\\\"} 1\\nb 2\\\\\"} 3\n");
}

static void long_texts_are_whole(void **state) {
    (void)state;
    char value[5000], expected[6000];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    exposition_family(&e, EXPOSITION_GAUGE, "a", "A.");
    exposition_sample(&e, "l", value, 1);
    (void)snprintf(
        expected, sizeof expected, "# HELP a A.\n# TYPE a gauge\na{l=\"%s\"} 1\n", value);
    is(expected);
}

static void summaries(void **state) {
    (void)state;
    exposition_summary(&e, "batch_records", "B.", 2, 30);
    exposition_summary_us(&e, "commit_seconds", "C.", 2, 1500);
    is("# HELP batch_records B.\n"
       "# TYPE batch_records summary\n"
       "batch_records_sum 30\n"
       "batch_records_count 2\n"
       "# HELP commit_seconds C.\n"
       "# TYPE commit_seconds summary\n"
       "commit_seconds_sum 0.001500\n"
       "commit_seconds_count 2\n");
}

static void histograms(void **state) {
    (void)state;
    struct histogram h = {.sum_us = 0};
    histogram_add(&h, -5);
    histogram_add(&h, 100);
    histogram_add(&h, 101);
    histogram_add(&h, 10000000);
    histogram_add(&h, 10000001);
    exposition_histogram(&e, "lag_seconds", "How late.", &h);
    is("# HELP lag_seconds How late.\n"
       "# TYPE lag_seconds histogram\n"
       "lag_seconds_bucket{le=\"0.0001\"} 2\n"
       "lag_seconds_bucket{le=\"0.00025\"} 3\n"
       "lag_seconds_bucket{le=\"0.0005\"} 3\n"
       "lag_seconds_bucket{le=\"0.001\"} 3\n"
       "lag_seconds_bucket{le=\"0.0025\"} 3\n"
       "lag_seconds_bucket{le=\"0.005\"} 3\n"
       "lag_seconds_bucket{le=\"0.01\"} 3\n"
       "lag_seconds_bucket{le=\"0.025\"} 3\n"
       "lag_seconds_bucket{le=\"0.05\"} 3\n"
       "lag_seconds_bucket{le=\"0.1\"} 3\n"
       "lag_seconds_bucket{le=\"0.25\"} 3\n"
       "lag_seconds_bucket{le=\"0.5\"} 3\n"
       "lag_seconds_bucket{le=\"1\"} 3\n"
       "lag_seconds_bucket{le=\"2.5\"} 3\n"
       "lag_seconds_bucket{le=\"5\"} 3\n"
       "lag_seconds_bucket{le=\"10\"} 4\n"
       "lag_seconds_bucket{le=\"+Inf\"} 5\n"
       "lag_seconds_sum 20.000202\n"
       "lag_seconds_count 5\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples),
        cmocka_unit_test(microseconds_are_seconds),
        cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(long_texts_are_whole),
        cmocka_unit_test(summaries),
        cmocka_unit_test(histograms),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    exposition_free(&e);
    return failed;
}
