/* wire_text: what it shows of messages, however long and whatever they hold. Its text for all that
 * the protocol has is compared in the tests of the codecs. */
#include "tests/unit/check.h"

#include "tests/unit/wire_parse.h"

static msgpack_sbuffer bytes;

static const char *shown(const char *text) {
    static char out[400];
    msgpack_sbuffer_clear(&bytes);
    wire_parse_pack(&bytes, text);
    assert_true(wire_text_message(out, sizeof out, bytes.data, bytes.size));
    return out;
}

static void messages(void **state) {
    (void)state;
    assert_string_equal(
        shown("{'a': [1, -2, true, false, null, 1.5]}"), "{'a':[1,-2,true,false,null,1.5]}");
    assert_string_equal(
        shown("{'it\\'s \\\\ \\x0a\\x1b\\xff\"': {}}"), "{'it\\'s \\\\ \\x0a\\x1b\\xff\"':{}}");
    assert_string_equal(shown("{'body': <{'a': 1}>}"), "{'body':<{'a':1}>}");
    assert_string_equal(
        shown("{'body': <{'b': <{'c': <{'d': 1}>}>}>}"), "{'body':<{'b':<{'c':<4 bytes>}>}>}");
    assert_string_equal(shown("{'body': <7>, 'e': <>}"), "{'body':<1 bytes>,'e':<0 bytes>}");
}

static void what_is_no_message(void **state) {
    (void)state;
    assert_string_equal(shown("7"), "#07#");
    assert_string_equal(shown("#dd ff ff ff ff#"), "#dd ff ff ff ff#");
    char out[8];
    assert_true(wire_text_message(out, sizeof out, "", 0));
    assert_string_equal(out, "##");
    assert_false(wire_text_message(out, sizeof out, "\xc1\xc1\xc1\xc1\xc1", 5));
    assert_string_equal(out, "#c1...");
}

/* At every size: no more than that, ended, the beginning, and the sign that something is cut. */
static void what_does_not_fit(void **state) {
    (void)state;
    static const char whole[] = "{'a':[1,2,{'b':'x\\x0ay'}],'c':<{'d':null}>}";
    struct wire_doc doc;
    struct wire_error err;
    char out[sizeof whole + 8];
    assert_true(wire_doc_init(&doc));
    assert_true(wire_parse_read(&doc, &bytes, whole, &err));
    for (size_t size = 8; size < sizeof out; size++) {
        memset(out, '?', sizeof out);
        if (wire_text_print(out, size, &doc.root)) {
            assert_string_equal(out, whole);
            continue;
        }
        size_t length = strnlen(out, size);
        assert_true(length < size && length > 3);
        assert_string_equal(out + length - 3, "...");
        assert_memory_equal(out, whole, length - 3);
    }
    assert_true(wire_text_print(out, sizeof out, &doc.root));
    wire_doc_free(&doc);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages),
        cmocka_unit_test(what_is_no_message),
        cmocka_unit_test(what_does_not_fit),
    };
    msgpack_sbuffer_init(&bytes);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    msgpack_sbuffer_destroy(&bytes);
    return failed;
}
