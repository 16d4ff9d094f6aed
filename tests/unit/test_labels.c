/* labels: what a worker has and what a trace wants. */
#include "tests/unit/check.h"

#include "common/protocol/labels.h"
#include "tests/unit/wire_parse.h"

#include <string.h>

static struct wire_doc doc;
static msgpack_sbuffer bytes;

static int set_up(void **state) {
    (void)state;
    msgpack_sbuffer_init(&bytes);
    return wire_doc_init(&doc) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    wire_doc_free(&doc);
    msgpack_sbuffer_destroy(&bytes);
    return 0;
}

static const msgpack_object *map(const char *text) {
    struct wire_error err;
    assert_true(wire_parse_read(&doc, &bytes, text, &err));
    return &doc.root;
}

static void from_the_command_line(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"site=ams", true},
        {"a=b", true},
        {"A.z_9:-=Z.0", true},
        {"", false},
        {"=", false},
        {"site", false},
        {"=ams", false},
        {"site=", false},
        {"site=a=b", false},
        {"site=a b", false},
        {"si te=a", false},
        {"site=\xc3\xa9", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct labels labels = {0};
        assert_int_equal(labels_add(&labels, cases[i].text), cases[i].ok);
        assert_int_equal(labels.count, cases[i].ok);
    }
    struct labels labels = {0};
    assert_true(labels_add(&labels, "site=ams"));
    assert_string_equal(labels.at[0].name, "site");
    assert_string_equal(labels.at[0].value, "ams");
}

static void lengths_on_the_command_line(void **state) {
    (void)state;
    for (int name = 63; name <= 65; name++)
        for (int value = 63; value <= 65; value++) {
            struct labels labels = {0};
            char text[140];
            (void)snprintf(text, sizeof text, "%0*d=%0*d", name, 0, value, 0);
            assert_int_equal(labels_add(&labels, text), name <= 64 && value <= 64);
        }
}

static void at_most_16(void **state) {
    (void)state;
    struct labels labels = {0};
    for (int i = 0; i < 17; i++) {
        char text[20];
        (void)snprintf(text, sizeof text, "l%d=v", i);
        assert_int_equal(labels_add(&labels, text), i < 16);
    }
    assert_int_equal(labels.count, LABELS_MAX);
}

static void fitting(void **state) {
    (void)state;
    static const struct {
        const char *want;
        bool fits;
    } cases[] = {
        {"{}", true},
        {"{'site': 'ams'}", true},
        {"{'isp': 'x', 'site': 'ams'}", true},
        {"{'site': 'am'}", false},
        {"{'site': 'amsx'}", false},
        {"{'sit': 'ams'}", false},
        {"{'ams': 'site'}", false},
        {"{'isp': 'ams'}", false},
        {"{'site': 'ams', 'rack': '1'}", false},
    };
    struct labels have = {0}, none = {0};
    assert_true(labels_add(&have, "site=ams"));
    assert_true(labels_add(&have, "isp=x"));
    assert_true(labels_fit(&have, NULL));
    assert_true(labels_fit(&none, NULL));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(labels_fit(&have, map(cases[i].want)), cases[i].fits);
        assert_int_equal(labels_fit(&none, map(cases[i].want)), i == 0);
    }
}

/* Section 3: where a key stands twice in a map, the last one counts. */
static void the_last_of_two_equal_labels_counts(void **state) {
    (void)state;
    struct labels have = {0};
    assert_true(labels_add(&have, "site=ams"));
    assert_true(labels_fit(&have, map("{'site': 'fra', 'site': 'ams'}")));
    assert_false(labels_fit(&have, map("{'site': 'ams', 'site': 'fra'}")));
}

static void over_the_wire(void **state) {
    (void)state;
    struct labels in, out = {0};
    struct wire_error err;
    struct transcript text = {0};
    const msgpack_object *wire = map("{'a': 'b', 'x'x64: 'y'x64}");
    assert_true(labels_check(wire, "labels", &err));
    labels_get(&in, wire);
    assert_int_equal(in.count, 2);
    assert_int_equal(strlen(in.at[1].value), 64);
    assert_true(labels_add(&out, "site=ams"));
    msgpack_packer pk;
    msgpack_sbuffer_clear(&bytes);
    msgpack_packer_init(&pk, &bytes, msgpack_sbuffer_write);
    labels_put(&pk, &out);
    assert_true(wire_doc_read(&doc, bytes.data, bytes.size, 100, &err));
    wire_parse_add(&text, &doc.root);
    assert_true(transcript_is(&text, "{'site':'ams'}"));
    transcript_free(&text);
}

/* Each label is checked, not the first one only. */
static void what_is_no_label_is_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "{'': 'b'}",
        "{'a': ''}",
        "{'a': 'b', 'c d': 'e'}",
        "{'a': 'b', 'c': 1}",
        "{'a': 'b', 'c': 'd', 'e': 'f g'}",
    };
    struct wire_error err;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(labels_check(map(wrong[i]), "labels", &err));
    assert_true(labels_check(map("{'a': 'b', 'c': 'd', 'e': 'f'}"), "labels", &err));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(from_the_command_line),
        TEST(lengths_on_the_command_line),
        TEST(at_most_16),
        TEST(fitting),
        TEST(the_last_of_two_equal_labels_counts),
        TEST(over_the_wire),
        TEST(what_is_no_label_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
