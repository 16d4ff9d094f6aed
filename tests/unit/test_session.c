/* session: every message between worker and broker, its edges and its way back. */
#include "tests/unit/check.h"

#include "common/protocol/session.h"
#include "tests/unit/wire_parse.h"

#include <stdlib.h>
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

static bool get(struct session_msg *msg, const char *text, struct wire_error *err) {
    return wire_parse_read(&doc, &bytes, text, err) && session_get(msg, &doc, err);
}

#define HELLO                                                                                      \
    "'v': 1, 'op': 'hello', 'name': 'ams1', 'versions': [1, 1], 'prober': 'p', 'capacity': 5,"     \
    "'labels': {}, 'af': [4], 'protocols': ['icmp'], 'leases': []"
#define PROBE "{'attempt': 1, 'addr': null, 'rtt_us': null, 'sent_us': 0, 'verdict': 'no-reply'}"
#define HOP "'v': 1, 'op': 'hop', 'lease': 1, 'ttl': 1, 'probes': [" PROBE "]"
#define TRACE "'v': 1, 'op': 'trace', 'lease': 1, 'run': 1, 'deadline_ms': 0, 'trace': {}"
#define WELCOME "'v': 1, 'op': 'welcome', 'epoch': 0, 'heartbeat_ms': 1000, 'dead_ms': 5000"
#define EIGHT "'a': 1, 'b': 1, 'c': 1, 'd': 1, 'e': 1, 'f': 1, 'g': 1, 'h': 1"
#define STATS(pairs) "'v': 1, 'op': 'heartbeat', 'leases': [], 'stats': {" pairs "}"
#define SOURCES "sources: must be an array of at most 64 addresses"
#define LABEL "labels: a label's name and value must be strings of 1..64 of A-Za-z0-9._:-"

static void messages(void **state) {
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"'op': 'who'", "v: must be 1"},
        {"'v': 2, 'op': 'who'", "v: must be 1"},
        {"'v': 0, 'op': 'who'", "v: must be 1"},
        {"'v': '1', 'op': 'who'", "v: must be 1"},
        {"'v': 1", "op: is missing"},
        {"'v': 1, 'op': 'hi'",
            "op: hi: must be one of hello, heartbeat, hop, result, return, drain, bye, welcome, "
            "reject, who, trace, cancel, done"},
        {"'v': 1, 'op': 'who'", "ok"},
        {"'v': 1, 'op': 'bye', 'extra': 1, 2: 3", "ok"},
        {"'v': 1, 'op': 'drain'", "ok"},
        /* hello */
        {HELLO, "ok"},
        {HELLO ", 'name': ''", "name: 0 bytes: must be 1..64"},
        {HELLO ", 'name': 'x'x64", "ok"},
        {HELLO ", 'name': 'x'x65", "name: 65 bytes: must be 1..64"},
        {HELLO ", 'name': 'a b'", "name: a b: a character that is not allowed here"},
        {HELLO ", 'versions': [0, 1000]", "ok"},
        {HELLO ", 'versions': [2, 1]", "versions: must be [lowest, highest]"},
        {HELLO ", 'versions': [1]", "versions: must be [lowest, highest]"},
        {HELLO ", 'versions': [1, 1, 1]", "versions: must be [lowest, highest]"},
        {HELLO ", 'versions': [1, '1']", "versions: must be [lowest, highest]"},
        {HELLO ", 'versions': 1", "versions: must be [lowest, highest]"},
        {HELLO ", 'prober': ''", "prober: 0 bytes: must be 1..64"},
        {HELLO ", 'prober': 'x'x65", "prober: 65 bytes: must be 1..64"},
        {HELLO ", 'capacity': 0", "capacity: 0: must be 1..100000"},
        {HELLO ", 'capacity': 100000", "ok"},
        {HELLO ", 'capacity': 100001", "capacity: 100001: must be 1..100000"},
        {HELLO ", 'labels': []", "labels: must be a map of at most 16 labels"},
        {HELLO ", 'labels': {32*'a'}", "ok"}, /* 16 pairs */
        {HELLO ", 'labels': {34*'a'}", "labels: must be a map of at most 16 labels"},
        {HELLO ", 'labels': {'a': ''}", LABEL},
        {HELLO ", 'labels': {'x'x65: 'a'}", LABEL},
        {HELLO ", 'labels': {1: 'a'}", LABEL},
        {HELLO ", 'labels': {'a': 'b c'}", LABEL},
        {HELLO ", 'af': []", "ok"},
        {HELLO ", 'af': [4, 6, 4]", "ok"},
        {HELLO ", 'af': [5]", "af: must be an array of 4 and 6"},
        {HELLO ", 'af': [0]", "af: must be an array of 4 and 6"},
        {HELLO ", 'af': [64]", "af: must be an array of 4 and 6"},
        {HELLO ", 'af': 4", "af: must be an array of 4 and 6"},
        {HELLO ", 'protocols': ['icmp', 'gre']", "ok"}, /* a newer worker may have more */
        {HELLO ", 'protocols': [1]", "protocols: must be an array of names"},
        {HELLO ", 'protocols': 'icmp'", "protocols: must be an array of names"},
        {HELLO ", 'leases': [1, 9223372036854775807]", "ok"},
        {HELLO ", 'leases': [9223372036854775808]",
            "leases: must be an array of at most 100000 integers"},
        {HELLO ", 'leases': [-1]", "leases: must be an array of at most 100000 integers"},
        {HELLO ", 'leases': ['1']", "leases: must be an array of at most 100000 integers"},
        {HELLO ", 'leases': {}", "leases: must be an array of at most 100000 integers"},
        {HELLO ", 'leases': [100000*1]", "ok"},
        {HELLO ", 'leases': [100001*1]", "leases: must be an array of at most 100000 integers"},
        {HELLO ", 'flows': [6, 4, 4]", "ok"},
        {HELLO ", 'flows': []", "ok"},
        {HELLO ", 'flows': [5]", "flows: must be an array of 4 and 6"},
        {HELLO ", 'flows': null", "flows: must be an array of 4 and 6"},
        {HELLO ", 'sources': []", "ok"},
        {HELLO ", 'sources': ['192.0.2.1', '2001:db8::1']", "ok"},
        {HELLO ", 'sources': [64*'::1']", "ok"},
        {HELLO ", 'sources': [65*'::1']", SOURCES},
        {HELLO ", 'sources': ['192.0.2.1', '']", SOURCES},
        {HELLO ", 'sources': ['192.0.2']", SOURCES},
        {HELLO ", 'sources': ['fe80::1%eth0']", SOURCES},
        {HELLO ", 'sources': ['0000:0000:0000:0000:0000:0000:192.168.100.100']", "ok"},
        {HELLO ", 'sources': ['0000:0000:0000:0000:0000:0000:192.168.100.1000']", SOURCES},
        {HELLO ", 'sources': ['::1\\x00']", SOURCES},
        {HELLO ", 'sources': [1]", SOURCES},
        {HELLO ", 'sources': '192.0.2.1'", SOURCES},
        {HELLO ", 'trouble': 'x'x200", "ok"},
        {HELLO ", 'trouble': 'x'x201", "trouble: 201 bytes: must be 1..200"},
        {HELLO ", 'trouble': ''", "trouble: 0 bytes: must be 1..200"},
        {HELLO ", 'trouble': 1", "trouble: must be a string of 1..200 bytes"},
        {HELLO ", 'trouble': 'a\\x0ab'", "trouble: a?b: a character that is not allowed here"},
        {"'v': 1, 'op': 'hello'", "name: is missing"},
        /* heartbeat */
        {"'v': 1, 'op': 'heartbeat', 'leases': [], 'stats': {}", "ok"},
        {"'v': 1, 'op': 'heartbeat', 'epoch': 0", "ok"},
        {"'v': 1, 'op': 'heartbeat', 'epoch': -1", "epoch: -1: must be 0..9223372036854775807"},
        {STATS(EIGHT ", " EIGHT ", " EIGHT ", " EIGHT), "ok"},
        {STATS(EIGHT ", " EIGHT ", " EIGHT ", " EIGHT ", 'i': 1"),
            "stats: must be a map of at most 32 names to integers"},
        {"'v': 1, 'op': 'heartbeat', 'leases': [], 'stats': {'x'x64: 9223372036854775807}", "ok"},
        {"'v': 1, 'op': 'heartbeat', 'leases': [], 'stats': {'x'x65: 1}",
            "stats: must be a map of at most 32 names to integers"},
        {"'v': 1, 'op': 'heartbeat', 'leases': [], 'stats': {'a': -1}",
            "stats: must be a map of at most 32 names to integers"},
        {"'v': 1, 'op': 'heartbeat', 'leases': [], 'stats': {'a b': 1}",
            "stats: must be a map of at most 32 names to integers"},
        {"'v': 1, 'op': 'heartbeat', 'leases': [], 'stats': []",
            "stats: must be a map of at most 32 names to integers"},
        {STATS("") ", 'trouble': 'x'x200", "ok"},
        {STATS("") ", 'trouble': 'x'x201", "trouble: 201 bytes: must be 1..200"},
        {STATS("") ", 'trouble': null", "trouble: must be a string of 1..200 bytes"},
        /* hop */
        {HOP, "ok"},
        {HOP ", 'lease': 0", "lease: 0: must be 1..9223372036854775807"},
        {HOP ", 'lease': 9223372036854775807", "ok"},
        {HOP ", 'lease': 9223372036854775808",
            "lease: 9223372036854775808: must be 1..9223372036854775807"},
        {HOP ", 'ttl': 0", "ttl: 0: must be 1..255"},
        {HOP ", 'ttl': 255", "ok"},
        {HOP ", 'ttl': 256", "ttl: 256: must be 1..255"},
        {HOP ", 'probes': []", "probes: must be an array of 1..32 probes"},
        {HOP ", 'probes': 1", "probes: must be an array of 1..32 probes"},
        {HOP ", 'probes': [32*" PROBE "]", "ok"},
        {HOP ", 'probes': [33*" PROBE "]", "probes: must be an array of 1..32 probes"},
        {"'v': 1, 'op': 'hop', 'lease': 1, 'ttl': 1", "probes: is missing"},
        /* result */
        {"'v': 1, 'op': 'result', 'lease': 1, 'body': <{}>", "ok"},
        {"'v': 1, 'op': 'result', 'lease': 1, 'body': <>", "ok"}, /* result_check_body looks in */
        {"'v': 1, 'op': 'result', 'lease': 1, 'body': {}", "body: must be bin"},
        {"'v': 1, 'op': 'result', 'lease': 1, 'body': 'x'", "body: must be bin"},
        {"'v': 1, 'op': 'result', 'lease': 1", "body: is missing"},
        {"'v': 1, 'op': 'result', 'body': <{}>", "lease: is missing"},
        /* return */
        {"'v': 1, 'op': 'return', 'lease': 1, 'reason': ''", "ok"},
        {"'v': 1, 'op': 'return', 'lease': 1, 'reason': 'x'x200", "ok"},
        {"'v': 1, 'op': 'return', 'lease': 1, 'reason': 'x'x201",
            "reason: 201 bytes: must be 0..200"},
        {"'v': 1, 'op': 'return', 'lease': 1", "reason: is missing"},
        /* welcome */
        {WELCOME, "ok"},
        {WELCOME ", 'heartbeat_ms': 9", "heartbeat_ms: 9: must be 10..3600000"},
        {WELCOME ", 'heartbeat_ms': 3600001", "heartbeat_ms: 3600001: must be 10..3600000"},
        {WELCOME ", 'dead_ms': 9", "dead_ms: 9: must be 10..3600000"},
        {WELCOME ", 'dead_ms': 3600001", "dead_ms: 3600001: must be 10..3600000"},
        {"'v': 1, 'op': 'welcome', 'epoch': 1, 'heartbeat_ms': 10", "dead_ms: is missing"},
        {WELCOME ", 'version': 1", "ok"},
        {WELCOME ", 'version': 2", "ok"},
        {WELCOME ", 'version': 0", "version: 0: must be 1..2"},
        {WELCOME ", 'version': 3", "version: 3: must be 1..2"},
        /* reject */
        {"'v': 1, 'op': 'reject', 'code': 'busy', 'message': ''", "ok"},
        {"'v': 1, 'op': 'reject', 'code': '', 'message': ''", "code: 0 bytes: must be 1..32"},
        {"'v': 1, 'op': 'reject', 'code': 'x', 'message': 'y'x225",
            "message: 225 bytes: must be 0..224"},
        /* trace; what is in it is trace_get()'s */
        {TRACE, "ok"},
        {TRACE ", 'trace': 5", "ok"},
        {TRACE ", 'run': 0", "run: 0: must be 1..1000"},
        {TRACE ", 'run': 1001", "run: 1001: must be 1..1000"},
        {TRACE ", 'deadline_ms': 86400000", "ok"},
        {TRACE ", 'deadline_ms': 86400001", "deadline_ms: 86400001: must be 0..86400000"},
        {"'v': 1, 'op': 'trace', 'lease': 1, 'run': 1, 'deadline_ms': 0", "trace: is missing"},
        {"'v': 1, 'op': 'cancel'", "lease: is missing"},
        {"'v': 1, 'op': 'cancel', 'lease': 1", "ok"},
        {"'v': 1, 'op': 'done', 'lease': 1.0",
            "lease: must be an integer of 1..9223372036854775807"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct session_msg msg;
        struct wire_error err;
        char text[1000];
        (void)snprintf(text, sizeof text, "{%s}", cases[i].text);
        bool ok = get(&msg, text, &err);
        if (strcmp(ok ? "ok" : err.message, cases[i].expected) != 0)
            fail_msg("%s\n  expected %s\n  got      %s", text, cases[i].expected,
                ok ? "ok" : err.message);
    }
}

static void another_version_is_told_apart(void **state) {
    (void)state;
    struct session_msg msg;
    struct wire_error err;
    assert_false(get(&msg, "{'v': 2, 'op': 'hello'}", &err));
    assert_string_equal(err.code, "unsupported-version");
    assert_false(get(&msg, "{'v': 1, 'op': 'hello'}", &err));
    assert_string_equal(err.code, "bad-request");
}

/* Section 9: a lease is an integer of 1..2^63-1. */
static void lease_zero_is_refused_in_lists_too(void **state) {
    (void)state;
    struct session_msg msg;
    struct wire_error err;
    assert_false(get(&msg, "{" HELLO ", 'leases': [0]}", &err));
    assert_string_equal(err.field, "leases");
}

static void a_wrong_probe_is_named_by_its_path(void **state) {
    (void)state;
    struct session_msg msg;
    struct wire_error err;
    assert_false(get(&msg, "{" HOP ", 'probes': [" PROBE ", {}]}", &err));
    assert_string_equal(err.field, "probes[1].attempt");
}

static void a_hello_arrives(void **state) {
    (void)state;
    struct session_msg msg;
    struct wire_error err;
    assert_true(get(&msg,
        "{'leases': [5, 6], 'protocols': ['tcp', 'icmp'], 'af': [6], 'labels': {'a': 'b', 'c': "
        "'d'},"
        "'capacity': 7, 'prober': 'mtr', 'versions': [1, 3], 'name': 'n', 'op': 'hello', 'v': 1}",
        &err));
    assert_int_equal(msg.op, SESSION_HELLO);
    assert_string_equal(session_op_name(msg.op), "hello");
    assert_string_equal(msg.name, "n");
    assert_int_equal(msg.version_min, 1);
    assert_int_equal(msg.version_max, 3);
    assert_string_equal(msg.prober, "mtr");
    assert_int_equal(msg.capacity, 7);
    assert_int_equal(msg.labels.count, 2);
    assert_string_equal(msg.labels.at[1].value, "d");
    assert_int_equal(msg.families, 1 << 6);
    assert_int_equal(msg.protocols, 1 << TRACE_TCP | 1 << TRACE_ICMP);
    assert_int_equal(msg.lease_count, 2);
    assert_int_equal(msg.leases[0], 5);
    assert_int_equal(msg.leases[1], 6);
}

/* A worker of version 1 tells neither its flows nor its addresses: what it may be able to do, it is
 * given. One that tells them is believed. */
static void what_an_older_worker_does_not_say(void **state) {
    (void)state;
    static const struct {
        const char *more;
        unsigned flows;
        size_t sources;
    } cases[] = {
        {"", 0, 0}, /* HELLO has no udp */
        {", 'protocols': ['udp']", 1U << 4, 0},
        {", 'protocols': ['udp'], 'af': [6, 4]", 1U << 4 | 1U << 6, 0},
        {", 'protocols': ['udp'], 'flows': []", 0, 0},
        {", 'protocols': ['udp'], 'af': [6, 4], 'flows': [6]", 1U << 6, 0},
        {", 'sources': []", 0, 0},
        {", 'sources': ['192.0.2.1', '2001:DB8::0:1']", 0, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct session_msg msg;
        struct wire_error err;
        char text[1000];
        (void)snprintf(text, sizeof text, "{" HELLO "%s}", cases[i].more);
        assert_true(get(&msg, text, &err));
        assert_int_equal(msg.flows, cases[i].flows);
        assert_int_equal(msg.source_count, cases[i].sources);
        struct addr second;
        if (msg.source_count == 2)
            assert_true(addr_parse(&second, "2001:db8::1") &&
                        addr_equal(&second, &msg.sources[1]) && msg.sources[0].af == 4);
    }
}

static void the_version_of_a_session(void **state) {
    (void)state;
    static const int64_t cases[][3] = {
        {1, 1, 1}, {1, 2, 2}, {2, 2, 2}, {2, 5, 2}, {0, 1, 1}, {0, 9, 2}, {0, 0, 0}, {3, 4, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct session_msg msg;
        struct wire_error err;
        char text[1000];
        (void)snprintf(text, sizeof text, "{" HELLO ", 'versions': [%d, %d]}", (int)cases[i][0],
            (int)cases[i][1]);
        assert_true(get(&msg, text, &err));
        assert_int_equal(session_version(&msg), cases[i][2]);
    }
    struct session_msg msg;
    struct wire_error err;
    assert_true(get(&msg, "{" WELCOME "}", &err)); /* a broker of version 1 */
    assert_int_equal(msg.version, 1);
    assert_true(get(&msg, "{" WELCOME ", 'version': 2}", &err));
    assert_int_equal(msg.version, 2);
}

/* Members of an op that a peer adds to another op are not taken over. */
static void fields_of_another_op_are_ignored(void **state) {
    (void)state;
    struct session_msg msg;
    struct wire_error err;
    assert_true(get(&msg, "{'v': 1, 'op': 'who', 'lease': 5, 'name': 'x', 'leases': 7}", &err));
    assert_int_equal(msg.lease, 0);
    assert_string_equal(msg.name, "");
    assert_int_equal(msg.lease_count, 0);
}

static void expect_put(const struct session_msg *msg, const char *expected) {
    struct transcript text = {0};
    struct wire_error err;
    struct session_msg again;
    msgpack_packer pk;
    msgpack_sbuffer_clear(&bytes);
    msgpack_packer_init(&pk, &bytes, msgpack_sbuffer_write);
    session_put(&pk, msg);
    assert_true(wire_doc_read(&doc, bytes.data, bytes.size, SESSION_MAX_VALUES, &err));
    wire_parse_add(&text, &doc.root);
    assert_true(transcript_is(&text, expected));
    transcript_free(&text);
    if (!session_get(&again, &doc, &err))
        fail_msg("we do not read what we write: %s", err.message);
    assert_int_equal(again.op, msg->op);
    assert_int_equal(again.lease, msg->lease);
}

static void messages_are_written(void **state) {
    (void)state;
    static const int64_t leases[] = {INT64_MAX, 1};
    static const struct session_stat stats[] = {{"sent", 0}, {"lost", INT64_MAX}};
    static const struct hop_probe probe = {
        .ttl = 9, .attempt = 1, .rtt_us = -1, .verdict = HOP_NO_REPLY};
    expect_put(&(struct session_msg){.op = SESSION_HELLO,
                   .name = "n",
                   .version_min = 1,
                   .version_max = 1,
                   .prober = "p",
                   .capacity = 3,
                   .labels = {1, {{"site", "ams"}}},
                   .families = 1 << 4 | 1 << 6,
                   .protocols = 1 << TRACE_UDP | 1 << TRACE_SCTP,
                   .leases = leases,
                   .lease_count = 2},
        "{'v':1,'op':'hello','name':'n','versions':[1,1],'prober':'p','capacity':3,"
        "'labels':{'site':'ams'},'af':[4,6],'protocols':['udp','sctp'],"
        "'leases':[9223372036854775807,1]}");
    struct addr sources[2];
    assert_true(addr_parse(&sources[0], "2001:db8::1") && addr_parse(&sources[1], "192.0.2.1"));
    expect_put(&(struct session_msg){.op = SESSION_HELLO,
                   .name = "n",
                   .version_min = 1,
                   .version_max = 2,
                   .prober = "p",
                   .capacity = 3,
                   .families = 1 << 4 | 1 << 6,
                   .flows = 1 << 4,
                   .sources = sources,
                   .source_count = 2},
        "{'v':1,'op':'hello','name':'n','versions':[1,2],'prober':'p','capacity':3,"
        "'labels':{},'af':[4,6],'protocols':[],'leases':[],'flows':[4],"
        "'sources':['2001:db8::1','192.0.2.1']}");
    expect_put(&(struct session_msg){.op = SESSION_HELLO,
                   .name = "n",
                   .version_min = 2,
                   .version_max = 2,
                   .prober = "p",
                   .capacity = 3},
        "{'v':1,'op':'hello','name':'n','versions':[2,2],'prober':'p','capacity':3,"
        "'labels':{},'af':[],'protocols':[],'leases':[],'flows':[]}");
    expect_put(&(struct session_msg){.op = SESSION_HELLO,
                   .name = "n",
                   .version_min = 1,
                   .version_max = 1,
                   .prober = "mtr-packet",
                   .capacity = 3,
                   .trouble = "no rights"},
        "{'v':1,'op':'hello','name':'n','versions':[1,1],'prober':'mtr-packet','capacity':3,"
        "'labels':{},'af':[],'protocols':[],'leases':[],'trouble':'no rights'}");
    expect_put(&(struct session_msg){.op = SESSION_HEARTBEAT,
                   .leases = leases,
                   .lease_count = 1,
                   .stat_list = stats,
                   .stat_count = 2},
        "{'v':1,'op':'heartbeat','leases':[9223372036854775807],"
        "'stats':{'sent':0,'lost':9223372036854775807}}");
    expect_put(&(struct session_msg){.op = SESSION_HEARTBEAT, .trouble = "no rights"},
        "{'v':1,'op':'heartbeat','leases':[],'trouble':'no rights','stats':{}}");
    expect_put(&(struct session_msg){.op = SESSION_HEARTBEAT},
        "{'v':1,'op':'heartbeat','leases':[],'stats':{}}");
    expect_put(&(struct session_msg){.op = SESSION_HEARTBEAT, .epoch = 5},
        "{'v':1,'op':'heartbeat','epoch':5}");
    expect_put(
        &(struct session_msg){
            .op = SESSION_HOP, .lease = 7, .ttl = 9, .hop_probes = &probe, .hop_probe_count = 1},
        "{'v':1,'op':'hop','lease':7,'ttl':9,'probes':[{'attempt':1,'addr':null,'rtt_us':null,"
        "'sent_us':0,'verdict':'no-reply'}]}");
    expect_put(
        &(struct session_msg){.op = SESSION_RESULT, .lease = 7, .body = "\x80", .body_size = 1},
        "{'v':1,'op':'result','lease':7,'body':<{}>}");
    expect_put(&(struct session_msg){.op = SESSION_RETURN, .lease = 7},
        "{'v':1,'op':'return','lease':7,'reason':''}");
    expect_put(&(struct session_msg){.op = SESSION_DRAIN}, "{'v':1,'op':'drain'}");
    expect_put(&(struct session_msg){.op = SESSION_BYE}, "{'v':1,'op':'bye'}");
    expect_put(
        &(struct session_msg){.op = SESSION_WELCOME, .epoch = 0, .heartbeat_ms = 10, .dead_ms = 20},
        "{'v':1,'op':'welcome','epoch':0,'heartbeat_ms':10,'dead_ms':20}");
    expect_put(
        &(struct session_msg){
            .op = SESSION_WELCOME, .epoch = 9, .heartbeat_ms = 10, .dead_ms = 20, .version = 2},
        "{'v':1,'op':'welcome','epoch':9,'heartbeat_ms':10,'dead_ms':20,'version':2}");
    expect_put(&(struct session_msg){.op = SESSION_REJECT, .code = "busy"},
        "{'v':1,'op':'reject','code':'busy','message':''}");
    expect_put(&(struct session_msg){.op = SESSION_WHO}, "{'v':1,'op':'who'}");
    expect_put(&(struct session_msg){.op = SESSION_TRACE,
                   .lease = 7,
                   .run = 3,
                   .deadline_ms = 0,
                   .trace_bytes = "\x81\xa1x\x01",
                   .trace_size = 4},
        "{'v':1,'op':'trace','lease':7,'run':3,'deadline_ms':0,'trace':{'x':1}}");
    expect_put(
        &(struct session_msg){.op = SESSION_CANCEL, .lease = 7}, "{'v':1,'op':'cancel','lease':7}");
    expect_put(
        &(struct session_msg){.op = SESSION_DONE, .lease = 7}, "{'v':1,'op':'done','lease':7}");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(messages),
        TEST(another_version_is_told_apart),
        TEST(lease_zero_is_refused_in_lists_too),
        TEST(a_wrong_probe_is_named_by_its_path),
        TEST(a_hello_arrives),
        TEST(what_an_older_worker_does_not_say),
        TEST(the_version_of_a_session),
        TEST(fields_of_another_op_are_ignored),
        TEST(messages_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
