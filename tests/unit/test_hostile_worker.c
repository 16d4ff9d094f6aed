/* Results of a hostile worker, or of one that is another program: the broker goes on, and clients
 * and subscribers can read what it sends them. */
#include "tests/unit/check.h"

#include "broker/core/core.h"
#include "common/protocol/session.h"
#include "tests/unit/wire_parse.h"

#include <string.h>

#define READER_VALUES 1048576 /* the most that the client of hopmq reads */

static struct core *core;
static struct instant now = {1000000, 5000000};
static struct wire_doc doc;
static msgpack_sbuffer bytes;
static unsigned results, unreadable; /* of results, in any form */

/* Reads a message as a client or subscriber does. */
static void receive(const void *at, size_t size) {
    struct wire_doc got;
    struct wire_error err;
    assert_true(wire_doc_init(&got));
    if (!wire_doc_read(&got, at, size, READER_VALUES, &err)) {
        fprintf(stderr, "unreadable: %s\n", err.message);
        unreadable++;
    } else if (wire_is(wire_find(&got.root, "op"), "result")) {
        results++;
    } else if (wire_is(wire_find(&got.root, "op"), "results")) {
        results += wire_find(&got.root, "results")->via.array.size;
    }
    wire_doc_free(&got);
}

static void to_client(
    void *context, const struct core_peer *peer, const void *at, size_t size, enum core_when when) {
    (void)context;
    (void)peer;
    (void)when;
    receive(at, size);
}

static void to_worker(
    void *context, const struct core_peer *peer, const void *at, size_t size, enum core_when when) {
    (void)context;
    (void)peer;
    (void)at;
    (void)size;
    (void)when;
}

static void publish(void *context, const char *topic, const void *at, size_t size) {
    (void)context;
    (void)topic;
    receive(at, size);
}

static void say(void *context, enum core_level level, const char *event, const char *detail) {
    (void)context;
    (void)level;
    (void)event;
    (void)detail;
}

/* ---- a store that forgets all ---- */

static uint64_t asked; /* the ticket of an open question; 0: none */

static void keep_trace(void *context, const struct record_trace *trace) {
    (void)context;
    (void)trace;
}

static void keep_run(void *context, const struct record_run *run) {
    (void)context;
    (void)run;
}

static void keep_result(void *context, const struct record_result *result) {
    (void)context;
    (void)result;
}

static void read_store(void *context, const struct record_read *read) {
    (void)context;
    asked = read->ticket;
}

static int set_up(void **state) {
    (void)state;
    static const struct core_config config = {.name = "b1",
        .version = "test",
        .max_queued = 10,
        .keep_results = 10,
        .epoch = 9000,
        .first_lease = 100};
    static const struct core_sink sink = {
        NULL, to_client, to_worker, publish, keep_trace, keep_run, keep_result, read_store, say};
    core = core_new(&config, &sink, &now);
    asked = 0;
    msgpack_sbuffer_init(&bytes);
    results = unreadable = 0;
    return wire_doc_init(&doc) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    core_destroy(&core);
    wire_doc_free(&doc);
    msgpack_sbuffer_destroy(&bytes);
    return 0;
}

static void from(const char *who, const char *text) {
    struct core_peer peer = {who, strlen(who), 0, false};
    msgpack_sbuffer_clear(&bytes);
    wire_parse_pack(&bytes, text);
    if (who[0] == 'w') {
        assert_true(bytes.size <= SESSION_MAX_BYTES);
        core_worker_message(core, &peer, bytes.data, bytes.size, &now);
    } else {
        core_client_message(core, &peer, bytes.data, bytes.size, &now);
    }
    if (asked != 0) {
        const struct record_answer nothing = {.ticket = asked, .first_seq = 1};
        asked = 0;
        core_answer(core, &nothing, &now);
    }
}

/* One trace, a result with these pairs in it beside those that must be, and a fetch. The trace
 * may also go back to the queue: then a good result ends it. */
static void one_trace(const char *more) {
    static const char result[] =
        "{'v': 1, 'op': 'result', 'lease': %d, 'body': <{'target': '192.0.2.1', 'dst': null,"
        "'src': null, 'protocol': 'icmp', 'first_ttl': 1, 'max_ttl': 30, 'started_us': 7,"
        "'finished_us': 8, 'probes_sent': 1, 'stop': 'reached', 'hops': []%s%s}>}";
    struct transcript text = {0};
    from("w1", "{'v': 1, 'op': 'hello', 'name': 'w', 'versions': [1, 1], 'prober': 'p',"
               "'capacity': 2, 'labels': {}, 'af': [4], 'protocols': ['icmp'], 'leases': []}");
    from("c1", "{'v': 1, 'op': 'trace', 'req': 7, 'target': '192.0.2.1', 'id': 'a'}");
    transcript_add(&text, result, 100, ", ", more);
    from("w1", text.at);
    transcript_clear(&text);
    transcript_add(&text, result, 101, "", "");
    from("w1", text.at);
    transcript_free(&text);
    from("c1", "{'v': 1, 'op': 'fetch', 'ids': ['a']}");
}

static void an_unknown_key_is_carried(void **state) {
    (void)state;
    one_trace("'new': [1, {'a': 2}]");
    assert_int_equal(unreadable, 0);
    assert_int_equal(results, 3); /* published, answered, fetched */
}

/* The body's own nesting is fine, but in `results` it stands two levels deeper. */
static void an_unknown_key_that_is_nested_deep(void **state) {
    (void)state;
    one_trace("'new': [[[[[[[[[[[[[[1]]]]]]]]]]]]]]");
    assert_int_equal(unreadable, 0);
    assert_int_equal(results, 3);
}

/* The body has just the values that a frame may have; the broker's own keys come on top. */
static void a_body_with_as_many_values_as_can_be(void **state) {
    (void)state;
    one_trace("'new': [1048551*null]");
    assert_int_equal(unreadable, 0);
    assert_int_equal(results, 3);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_unknown_key_is_carried),
        TEST(an_unknown_key_that_is_nested_deep),
        TEST(a_body_with_as_many_values_as_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
