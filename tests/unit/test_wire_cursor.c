/* wire_cursor: values one behind the other, none of them read beyond the end. */
#include "tests/unit/check.h"

#include "common/protocol/wire_cursor.h"
#include "tests/unit/wire_parse.h"

#include <stdlib.h>
#include <string.h>

static msgpack_sbuffer bytes;

static struct wire_cursor begin(const char *text) {
    unsigned times = 1;
    msgpack_sbuffer_clear(&bytes);
    (void)wire_parse_value(&bytes, text, &times);
    return wire_cursor_begin(bytes.data, bytes.size);
}

static bool at_end(const struct wire_cursor *cursor) { return cursor->at == cursor->end; }

static void number_is(const char *text, int64_t expected) {
    struct wire_cursor cursor = begin(text);
    assert_int_equal(wire_cursor_number(&cursor), expected);
    assert_true(at_end(&cursor));
}

static void numbers(void **state) {
    (void)state;
    number_is("0", 0);
    number_is("127", 127);
    number_is("128", 128);
    number_is("256", 256);
    number_is("65536", 65536);
    number_is("4294967296", INT64_C(4294967296));
    number_is("#cf 7fffffffffffffff#", INT64_MAX);
    number_is("#cf 8000000000000000#", -1);
    number_is("-1", -1);
    number_is("-40000", -1);
    number_is("#d0 07#", 7);
    number_is("#d0 7f#", 127);
    number_is("#d1 0007#", 7);
    number_is("#d1 7fff#", 32767);
    number_is("#d2 00000007#", 7);
    number_is("#d2 7fffffff#", INT32_MAX);
    number_is("#d3 0000000000000007#", 7);
    number_is("#d3 7fffffffffffffff#", INT64_MAX);
    number_is("#d0 80#", -1);
    number_is("#d1 8000#", -1);
    number_is("#d2 80000000#", -1);
    number_is("#d3 8000000000000000#", -1);
    number_is("#d3 ffffffffffffffff#", -1);
    number_is("#ce ffffffff#", UINT32_MAX);
    number_is("'7'", -1);
    number_is("[7]", -1);
    number_is("null", -1);
}

static void reads_as(const char *text, const char *expected) {
    struct wire_cursor cursor = begin(text);
    struct wire_string got = wire_cursor_text(&cursor);
    assert_true(at_end(&cursor));
    if (expected == NULL) {
        assert_null(got.at);
        return;
    }
    assert_int_equal(got.size, strlen(expected));
    assert_memory_equal(got.at, expected, got.size);
}

static void texts(void **state) {
    (void)state;
    reads_as("''", "");
    reads_as("'ab'", "ab");
    reads_as(
        "'0123456789012345678901234567890123456789'", "0123456789012345678901234567890123456789");
    reads_as("#da 0002 6162#", "ab");
    reads_as("#db 00000002 6162#", "ab");
    reads_as("#c4 02 6162#", NULL);
    reads_as("7", NULL);
    reads_as("['ab', {'c': 'd'}]", NULL);
}

static void containers(void **state) {
    (void)state;
    struct wire_cursor cursor = begin("[{'a': 1, 'b': [2]}, [3, 4], 'end']");
    assert_int_equal(wire_cursor_array(&cursor), 3);
    assert_int_equal(wire_cursor_map(&cursor), 2);
    assert_int_equal(wire_cursor_text(&cursor).size, 1);
    assert_int_equal(wire_cursor_number(&cursor), 1);
    wire_cursor_skip(&cursor);
    assert_int_equal(wire_cursor_map(&cursor), 0); /* it is an array */
    assert_int_equal(wire_cursor_map(&cursor), 0);
    assert_int_equal(wire_cursor_text(&cursor).size, 3);
    assert_true(at_end(&cursor));
    cursor = begin("[20*7]");
    assert_int_equal(wire_cursor_array(&cursor), 20);
    cursor = begin("#de 0001 07 07#");
    assert_int_equal(wire_cursor_map(&cursor), 1);
    cursor = begin("#dd 00000002 07 07#");
    assert_int_equal(wire_cursor_array(&cursor), 2);
}

/* The bytes in memory of their exact size, so that the sanitizers see a read beyond them. */
static void broken(const void *text, size_t size) {
    void *exact = malloc(size);
    assert_non_null(exact);
    memcpy(exact, text, size);
    struct wire_cursor cursor = wire_cursor_begin(exact, size);
    assert_int_equal(wire_cursor_map(&cursor), 0);
    assert_true(at_end(&cursor));
    cursor = wire_cursor_begin(exact, size);
    assert_int_equal(wire_cursor_array(&cursor), 0);
    assert_true(at_end(&cursor));
    cursor = wire_cursor_begin(exact, size);
    assert_null(wire_cursor_text(&cursor).at);
    assert_true(at_end(&cursor));
    assert_int_equal(wire_cursor_number(&cursor), -1);
    assert_true(at_end(&cursor));
    cursor = wire_cursor_begin(exact, size);
    assert_int_equal(wire_cursor_number(&cursor), -1);
    assert_true(at_end(&cursor));
    free(exact);
}

static void what_ends_too_early_is_absent(void **state) {
    (void)state;
#define BROKEN(bytes) broken(bytes, sizeof(bytes) - 1)
    BROKEN("\xc1");
    BROKEN("\xa2x");
    BROKEN("\xd9\x02x");
    BROKEN("\xda\x00");
    BROKEN("\xdb\xff\xff\xff\xffx");
    BROKEN("\xcd\x01");
    BROKEN("\xcf\x01\x02\x03");
    BROKEN("\xd0");
    BROKEN("\xd3\x01\x02\x03");
    BROKEN("\x82\x01");
    BROKEN("\x92");
    BROKEN("\xdd\xff\xff\xff\xff\x01");
    BROKEN("\xdf\xff\xff\xff\xff\x01");
    BROKEN("\xdc\x00");
}

int main(void) {
    msgpack_sbuffer_init(&bytes);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(texts),
        cmocka_unit_test(containers),
        cmocka_unit_test(what_ends_too_early_is_absent),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    msgpack_sbuffer_destroy(&bytes);
    return failed;
}
