/* columns: the columns of a result, and its hops as JSON. */
#include "tests/unit/check.h"

#include "broker/store/columns.h"
#include "tests/unit/wire_parse.h"

#include <stdio.h>
#include <string.h>

static struct wire_doc doc;
static msgpack_sbuffer bytes, json;

static int set_up(void **state) {
    (void)state;
    msgpack_sbuffer_init(&bytes);
    msgpack_sbuffer_init(&json);
    return wire_doc_init(&doc) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    wire_doc_free(&doc);
    msgpack_sbuffer_destroy(&bytes);
    msgpack_sbuffer_destroy(&json);
    return 0;
}

static void read_columns(struct columns *columns, const char *map_text) {
    struct wire_error err;
    assert_true(wire_parse_read(&doc, &bytes, map_text, &err));
    columns_read(columns, bytes.data, bytes.size);
}

static void json_is(const char *expected) {
    assert_int_equal(json.size, strlen(expected));
    assert_memory_equal(json.data, expected, json.size);
}

static void hops_are(const char *map_text, const char *expected) {
    struct columns o;
    struct wire_error err;
    assert_true(wire_parse_read(&doc, &bytes, map_text, &err));
    columns_read_result(&o, &json, bytes.data, bytes.size);
    json_is(expected);
}

static bool is(struct wire_string text, const char *expected) {
    return expected == NULL ? text.at == NULL
                            : text.at != NULL && text.size == strlen(expected) &&
                                  memcmp(text.at, expected, text.size) == 0;
}

static void columns(void **state) {
    (void)state;
    struct columns o;
    read_columns(&o, "{'unknown': {'target': 'x'}, 'target': 'a.example', 'stream': 's', 'dst': "
                     "null, 'src': '192.0.2.7',"
                     " 'protocol': 'udp', 'worker': 'w', 'stop': 'unresolved',"
                     " 'error': {'code': 'not-found', 'message': 'm'}, 'accepted_us': 1,"
                     " 'started_us': 2, 'finished_us': 3, 'run': 4, 'probes_sent': 5}");
    assert_true(is(o.target, "a.example") && is(o.stream, "s") && is(o.dst, NULL));
    assert_true(is(o.src, "192.0.2.7") && is(o.protocol, "udp") && is(o.worker, "w"));
    assert_true(is(o.stop, "unresolved") && is(o.error, "not-found"));
    assert_int_equal(o.accepted_us * 10000 + o.started_us * 1000 + o.finished_us * 100 +
                         o.run * 10 + o.probes_sent,
        12345);
}

static void what_is_not_there_or_wrong_is_left_out(void **state) {
    (void)state;
    struct columns o;
    read_columns(&o, "{'target': 7, 'run': 'x', 'started_us': -1, 'error': 'e'}");
    assert_true(is(o.target, NULL) && is(o.error, NULL) && is(o.stop, NULL));
    assert_int_equal(o.run, -1);
    assert_int_equal(o.started_us, -1);
    assert_int_equal(o.probes_sent, -1);
}

static void hops(void **state) {
    (void)state;
    hops_are("{}", "[]");
    hops_are("{'hops': []}", "[]");
    hops_are("{'hops': 7}", "[]");
    hops_are("{'hops': [{'ttl': 1, 'probes': [{'attempt': 1, 'addr': '10.0.0.1', 'rtt_us': 412,"
             " 'sent_us': 0, 'verdict': 'ttl-expired', 'mpls': [[24001, 0, 1, 1]]}]},"
             " {'ttl': 2, 'probes': [{'attempt': 1, 'addr': null, 'rtt_us': null, 'sent_us': 35,"
             " 'verdict': 'no-reply'}, {'attempt': 2, 'addr': '::1', 'rtt_us': 2000035,"
             " 'sent_us': 9, 'verdict': 'reply'}]}]}",
        "[[1,1,\"10.0.0.1\",412,0,\"ttl-expired\"],[2,1,null,null,35,\"no-reply\"],"
        "[2,2,\"::1\",2000035,9,\"reply\"]]");
}

/* Integers may come in any form; see docs/protocol.md, section 3. */
static void signed_and_long_integers(void **state) {
    (void)state;
    struct columns o;
    read_columns(&o, "{'started_us': #d3 0000000000000005#, 'finished_us': #d2 00000006#,"
                     " 'accepted_us': #cf 0000000000000007#, 'run': #d0 08#,"
                     " 'probes_sent': #d1 0009#}");
    assert_int_equal(o.started_us, 5);
    assert_int_equal(o.finished_us, 6);
    assert_int_equal(o.accepted_us, 7);
    assert_int_equal(o.run, 8);
    assert_int_equal(o.probes_sent, 9);
    hops_are("{'hops': [{'ttl': #d0 01#, 'probes': [{'attempt': #d1 0002#,"
             " 'rtt_us': #d2 0000019c#, 'sent_us': #d3 0000000000000000#}]}]}",
        "[[1,2,null,412,0,null]]");
}

static void the_ttl_may_come_behind(void **state) {
    (void)state;
    hops_are("{'hops': [{'probes': [{'attempt': 1}, {'attempt': 2}], 'x': {'y': [1, 2]}, 'ttl': 3},"
             " {'ttl': 4, 'probes': [{'attempt': 1}]}]}",
        "[[3,1,null,null,null,null],[3,2,null,null,null,null],[4,1,null,null,null,null]]");
}

static void of_keys_that_stand_twice_the_last_counts(void **state) {
    (void)state;
    struct columns o;
    read_columns(&o, "{'target': 'a', 'run': 1, 'error': {'code': 'x', 'code': 'y'}, 'run': 2,"
                     " 'target': 'b', 'dst': 'c', 'dst': null}");
    assert_true(is(o.target, "b") && is(o.error, "y") && is(o.dst, NULL));
    assert_int_equal(o.run, 2);
    hops_are("{'hops': [{'ttl': 1, 'probes': [{'attempt': 1}]}],"
             " 'hops': [{'ttl': 2, 'probes': [{'attempt': 2}]}]}",
        "[[2,2,null,null,null,null]]");
    hops_are("{'hops': [{'ttl': 1, 'probes': [{'attempt': 1}]}], 'hops': []}", "[]");
    hops_are("{'hops': [{'ttl': 1, 'probes': [{'attempt': 1}, {'attempt': 2}],"
             " 'probes': [{'attempt': 3, 'attempt': 4}]}]}",
        "[[1,4,null,null,null,null]]");
    hops_are("{'hops': [{'ttl': 1, 'probes': [{'attempt': 1}], 'ttl': 5}]}",
        "[[5,1,null,null,null,null]]");
    hops_are("{'hops': [{'probes': [{'attempt': 1}], 'ttl': 5, 'probes': [{'attempt': 2}]}]}",
        "[[5,2,null,null,null,null]]");
}

/* A row with broken JSON would spoil each question that reads it. */
static void what_is_cut_off_is_still_json(void **state) {
    (void)state;
    struct columns o;
    struct wire_error err;
    assert_true(wire_parse_read(&doc, &bytes,
        "{'worker': 'w', 'hops': [{'ttl': 1, 'probes': [{'attempt': 1, 'addr': 'a'}]}]}", &err));
    columns_read_result(&o, &json, bytes.data, bytes.size - 1);
    assert_true(is(o.worker, "w"));
    json_is("[[1,1,null,null,null,null]]");
    columns_read_result(&o, &json, "\xc1", 1);
    json_is("[]");
    columns_read_result(&o, &json, "", 0);
    json_is("[]");
}

static void strings_are_quoted(void **state) {
    (void)state;
    hops_are("{'hops': [{'ttl': 1, 'probes': [{'verdict': '\"a\\x5cb\"'}]}]}",
        "[[1,null,null,null,null,\"\\\"a\\\\b\\\"\"]]");
}

/* No address and no verdict is longer than 64 bytes. */
static void strings_that_are_too_long_are_left_out(void **state) {
    (void)state;
    char map[200], expected[100], text[66];
    memset(text, 'v', 65);
    text[65] = '\0';
    (void)snprintf(map, sizeof map, "{'hops': [{'ttl': 1, 'probes': [{'verdict': '%s'}]}]}", text);
    hops_are(map, "[[1,null,null,null,null,null]]");
    text[64] = '\0';
    (void)snprintf(map, sizeof map, "{'hops': [{'ttl': 1, 'probes': [{'verdict': '%s'}]}]}", text);
    (void)snprintf(expected, sizeof expected, "[[1,null,null,null,null,\"%s\"]]", text);
    hops_are(map, expected);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(columns),
        TEST(what_is_not_there_or_wrong_is_left_out),
        TEST(hops),
        TEST(signed_and_long_integers),
        TEST(the_ttl_may_come_behind),
        TEST(of_keys_that_stand_twice_the_last_counts),
        TEST(what_is_cut_off_is_still_json),
        TEST(strings_are_quoted),
        TEST(strings_that_are_too_long_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
