/* mtr_features: the questions, and what the answers make. */
#include "tests/unit/check.h"

#include "common/protocol/trace.h"
#include "worker/probing/mtr_features.h"

#include <string.h>

static void questions(void **state) {
    (void)state;
    char text[MTR_FEATURES_BYTES + 1];
    text[mtr_features_ask(text)] = '\0';
    assert_string_equal(text, "1 check-support feature version\n"
                              "2 check-support feature ip-4\n"
                              "3 check-support feature ip-6\n"
                              "4 check-support feature icmp\n"
                              "5 check-support feature udp\n"
                              "6 check-support feature tcp\n"
                              "7 check-support feature sctp\n"
                              "8 send-probe ip-4 127.0.0.1 local-ip-4 127.0.0.1 protocol udp "
                              "ttl 64 timeout 1\n");
}

static bool said(struct mtr_features *features, const char *line) {
    struct mtr_reply reply;
    assert_true(mtr_line_parse(&reply, line, strlen(line)));
    return mtr_features_take(features, &reply);
}

static void answers(void **state) {
    (void)state;
    struct mtr_features features = {.version = ""};
    assert_true(said(&features, "1 feature-support support 0.95"));
    assert_true(said(&features, "2 feature-support support no"));
    assert_true(said(&features, "3 feature-support support ok"));
    assert_true(said(&features, "4 feature-support support ok"));
    assert_true(said(&features, "5 feature-support support no"));
    assert_true(said(&features, "7 feature-support support ok"));
    assert_string_equal(features.version, "0.95");
    assert_int_equal(features.families, 1 << 6);
    assert_int_equal(features.protocols, 1 << TRACE_ICMP | 1 << TRACE_SCTP);
    const struct mtr_features before = features;
    assert_false(said(&features, "0 feature-support support ok"));
    assert_false(said(&features, "8 feature-support support ok"));
    assert_false(said(&features, "2147483647 feature-support support ok"));
    assert_memory_equal(&features, &before, sizeof before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions),
        cmocka_unit_test(answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
