/* logfmt: values that cannot pose as pairs or lines. */
#include "tests/unit/check.h"

#include "common/logfmt.h"

#include <inttypes.h>
#include <string.h>

#define expect(expected, ...)                                                                      \
    do {                                                                                           \
        char got[200];                                                                             \
        size_t size = logfmt_print(got, sizeof got, __VA_ARGS__);                                  \
        assert_string_equal(got, expected);                                                        \
        assert_int_equal(size, strlen(expected));                                                  \
    } while (0)

static void conversions(void **state) {
    (void)state;
    expect("limit=-5 frames=7", "limit=%d frames=%u", -5, 7U);
    expect("a=-9223372036854775808 b=18446744073709551615", "a=%" PRId64 " b=%" PRIu64, INT64_MIN,
        UINT64_MAX);
    expect("a=-1 b=2 c=3 d=4294967295", "a=%lld b=%zu c=%ld d=%u", -1LL, (size_t)2, 3L, UINT32_MAX);
    expect("share=5% name=x", "share=%d%% name=%s", 5, "x");
    expect("line=abc", "line=%.*s", 3, "abcdef");
    expect("line=ab", "line=%.*s", 3, "ab");
}

static void values_are_quoted_where_they_must(void **state) {
    (void)state;
    expect("name=ams1", "name=%s", "ams1");
    expect("at=tcp://127.0.0.1:7701", "at=%s", "tcp://127.0.0.1:7701");
    expect("name=\"\" n=1", "name=%s n=%d", "", 1);
    expect("name=\"a b\"", "name=%s", "a b");
    expect("name=\"a=b\"", "name=%s", "a=b");
    expect("why=\"\"", "why=\"%s\"", "");
    expect("why=\"a b\"", "why=\"%s\"", "a b");
    expect("fix=\"setcap x /a b\" n=\"c d\"", "fix=\"setcap x %s\" n=%s", "/a b", "c d");
}

static void hostile_values_stay_values(void **state) {
    (void)state;
    expect("why=\"x\\\" level=error\"", "why=\"%s\"", "x\" level=error");
    expect("why=\"x\\\" level=error\"", "why=%s", "x\" level=error");
    expect("why=\"\\\\\\\"\"", "why=%s", "\\\"");
    expect("why=\"a\\u000ats=1 event=forged\"", "why=%s", "a\nts=1 event=forged");
    expect("why=\"\\u001b[2J\\u007f\\u000d\"", "why=%s", "\x1b[2J\x7f\r");
    expect("why=\"\\u00c2\\u0085\\u00ff\"", "why=\"%s\"",
        "\xc2\x85\xff"); /* NEL, a new line to some */
}

/* At every size: no more than that, ended, quotes in pairs, and the sign that something is cut. */
static void what_does_not_fit(void **state) {
    (void)state;
    static const char whole[] = "name=ams1 why=\"a \\\" b\\u000ac\" n=1";
    char got[sizeof whole + 16];
    for (size_t size = 8; size < sizeof got; size++) {
        memset(got, 'x', sizeof got);
        size_t length = logfmt_print(got, size, "name=%s why=\"%s\" n=%d", "ams1", "a \" b\nc", 1);
        assert_true(length < size);
        assert_int_equal(strlen(got), length);
        if (strcmp(got, whole) == 0)
            continue;
        unsigned quotes = 0;
        for (size_t i = 0; i < length; i++)
            quotes += got[i] == '"' && (i == 0 || got[i - 1] != '\\');
        assert_int_equal(quotes % 2, 0);
        size_t end = length - (got[length - 1] == '"');
        assert_memory_equal(got + end - 3, "...", 3);
        assert_memory_equal(got, whole, end - 3);
    }
    assert_int_equal(
        logfmt_print(got, sizeof got, "name=%s why=\"%s\" n=%d", "ams1", "a \" b\nc", 1),
        sizeof whole - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversions),
        cmocka_unit_test(values_are_quoted_where_they_must),
        cmocka_unit_test(hostile_values_stay_values),
        cmocka_unit_test(what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
