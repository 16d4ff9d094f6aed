/* interview: the questions, and what the answers make. */
#include "tests/unit/check.h"

#include "common/protocol/trace.h"
#include "worker/probing/interview.h"

#include <string.h>

static void questions(void **state) {
    (void)state;
    char text[INTERVIEW_BYTES + 1];
    text[interview_ask(text)] = '\0';
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

static bool said(struct interview *interview, const char *line) {
    struct mtr_reply reply;
    assert_true(mtr_line_parse(&reply, line, strlen(line)));
    return interview_feature(interview, &reply);
}

static void answers(void **state) {
    (void)state;
    struct interview interview = {.version = ""};
    assert_true(said(&interview, "1 feature-support support 0.95"));
    assert_true(said(&interview, "2 feature-support support no"));
    assert_true(said(&interview, "3 feature-support support ok"));
    assert_true(said(&interview, "4 feature-support support ok"));
    assert_true(said(&interview, "5 feature-support support no"));
    assert_true(said(&interview, "7 feature-support support ok"));
    assert_string_equal(interview.version, "0.95");
    assert_int_equal(interview.families, 1 << 6);
    assert_int_equal(interview.protocols, 1 << TRACE_ICMP | 1 << TRACE_SCTP);
    const struct interview before = interview;
    assert_false(said(&interview, "0 feature-support support ok"));
    assert_false(said(&interview, "8 feature-support support ok"));
    assert_false(said(&interview, "2147483647 feature-support support ok"));
    assert_memory_equal(&interview, &before, sizeof before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions),
        cmocka_unit_test(answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
