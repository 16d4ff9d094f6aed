/* trace: every field's edges, and what fields say together. */
#include "tests/unit/check.h"

#include "common/protocol/session.h"
#include "common/protocol/trace.h"
#include "tests/unit/rng.h"
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

static bool get(struct trace *trace, const char *text, const char *path, struct wire_error *err) {
    if (!wire_parse_read(&doc, &bytes, text, err))
        fail_msg("%s: %s", text, err->message);
    return trace_get(trace, &doc.root, path, err);
}

/* `rest` are fields beside the target. */
static void expect(const char *rest, const char *expected) {
    struct trace trace;
    struct wire_error err;
    char text[5000], got[400];
    (void)snprintf(text, sizeof text, "{'target': '192.0.2.1'%s%s}", rest[0] ? ", " : "", rest);
    bool ok = get(&trace, text, "", &err);
    if (strcmp(wire_parse_outcome(ok, &err, got), expected) != 0)
        fail_msg("%s\n  expected %s\n  got      %s", text, expected, got);
}

#define WRONG(field, text) "bad-request [" field "] " field ": " text

static void integers(void **state) {
    (void)state;
    /* Rows: field, limits, what must stand beside it for both limits to be possible. */
    static const struct {
        const char *name;
        long min, max;
        const char *beside;
    } cases[] = {
        {"port", 1, 65535, "'protocol': 'tcp'"},
        {"first_ttl", 1, 255, "'max_ttl': 255"},
        {"max_ttl", 1, 255, "'first_ttl': 1"},
        {"probes", 1, 16, "'attempts': 32"},
        {"attempts", 1, 32, "'probes': 1"},
        {"timeout_ms", 100, 30000, "'af': 4"},
        {"gap_limit", 0, 255, "'af': 4"},
        {"loop_limit", 0, 255, "'af': 4"},
        {"window", 0, 64, "'af': 4"},
        {"flow", 0, 1023, "'protocol': 'udp'"},
        {"size", 28, 1500, "'af': 4"},
        {"tos", 0, 255, "'af': 4"},
        {"bit_pattern", 0, 255, "'af': 4"},
        {"priority", 0, 9, "'af': 4"},
        {"deadline_ms", 100, 86400000, "'af': 4"},
        {"max_age_ms", 0, 86400000, "'coalesce': true"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char rest[200], expected[200];
        const char *name = cases[i].name;
        for (int edge = 0; edge < 4; edge++) {
            long value = edge < 2 ? cases[i].min - edge : cases[i].max + (edge == 3);
            (void)snprintf(rest, sizeof rest, "%s, '%s': %ld", cases[i].beside, name, value);
            (void)snprintf(expected, sizeof expected, "ok");
            if (edge % 2 == 1)
                (void)snprintf(expected, sizeof expected,
                    "bad-request [%s] %s: %ld: must be %ld..%ld", name, name, value, cases[i].min,
                    cases[i].max);
            expect(rest, expected);
        }
        (void)snprintf(rest, sizeof rest, "%s, '%s': 'x'", cases[i].beside, name);
        (void)snprintf(expected, sizeof expected,
            "bad-request [%s] %s: must be an integer of %ld..%ld", name, name, cases[i].min,
            cases[i].max);
        expect(rest, expected);
    }
}

static void texts_and_others(void **state) {
    (void)state;
    static const struct {
        const char *rest, *expected;
    } cases[] = {
        {"", "ok"},
        {"'unknown': 1, 7: 8", "ok"},
        {"'id': 'x'x64", "ok"},
        {"'id': 'x'x65", WRONG("id", "65 bytes: must be 1..64")},
        {"'id': ''", WRONG("id", "0 bytes: must be 1..64")},
        {"'id': 'A-z.0_9:'", "ok"},
        {"'id': 'a/b'", WRONG("id", "a/b: a character that is not allowed here")},
        {"'id': 5", WRONG("id", "must be a string of 1..64 bytes")},
        {"'stream': 'x'x64", "ok"},
        {"'stream': 'x'x65", WRONG("stream", "65 bytes: must be 1..64")},
        {"'stream': ''", WRONG("stream", "0 bytes: must be 1..64")},
        {"'stream': 'a.b'", WRONG("stream", "a.b: a character that is not allowed here")},
        {"'stream': 'a:b'", WRONG("stream", "a:b: a character that is not allowed here")},
        {"'af': 0", "ok"},
        {"'af': 4", "ok"},
        {"'af': 6", WRONG("af", "6: but target 192.0.2.1 is IPv4")},
        {"'af': 5", WRONG("af", "5: but target 192.0.2.1 is IPv4")},
        {"'af': 7", WRONG("af", "7: must be 0..6")},
        {"'protocol': 'icmp'", "ok"},
        {"'protocol': 'udp'", "ok"},
        {"'protocol': 'tcp'", "ok"},
        {"'protocol': 'sctp'", "ok"},
        {"'protocol': 'UDP'", WRONG("protocol", "UDP: must be one of icmp, udp, tcp, sctp")},
        {"'protocol': 1", WRONG("protocol", "must be one of icmp, udp, tcp, sctp")},
        {"'port': 80", WRONG("port", "icmp has no ports; use protocol udp or tcp")},
        {"'port': 80, 'protocol': 'udp'", "ok"},
        {"'port': 65535, 'protocol': 'udp'", "ok"}, /* the worker answers that */
        {"'source': '192.0.2.9'", "ok"},
        {"'source': '2001:db8::1'", WRONG("source", "2001:db8::1: is IPv6, the trace is IPv4")},
        {"'source': 'localhost'", WRONG("source", "localhost: must be an address of the worker")},
        {"'source': '0.0.0.0'", WRONG("source", "0.0.0.0: must be an address of the worker")},
        {"'source': '224.0.0.1'", WRONG("source", "224.0.0.1: must be an address of the worker")},
        {"'source': 'x'", WRONG("source", "1 bytes: must be 2..45")},
        {"'source': 'x'x46", WRONG("source", "46 bytes: must be 2..45")},
        {"'first_ttl': 30", "ok"},
        {"'first_ttl': 31", WRONG("first_ttl", "31: must be at most max_ttl, 30")},
        {"'first_ttl': 5, 'max_ttl': 4", WRONG("first_ttl", "5: must be at most max_ttl, 4")},
        {"'first_ttl': 5, 'max_ttl': 5", "ok"},
        {"'probes': 3, 'attempts': 3", "ok"},
        {"'probes': 3, 'attempts': 2", WRONG("attempts", "2: must be at least probes, 3")},
        {"'probes': 16", "ok"},
        {"'flow': 1", WRONG("flow", "only with protocol udp")},
        {"'flow': 0, 'protocol': 'tcp'", WRONG("flow", "only with protocol udp")},
        {"'progress': true", "ok"},
        {"'progress': 1", WRONG("progress", "must be true or false")},
        {"'names': true", "ok"},
        {"'names': 'x'", WRONG("names", "must be true or false")},
        {"'wait': false", "ok"},
        {"'wait': 0", WRONG("wait", "must be true or false")},
        {"'coalesce': true", "ok"},
        {"'coalesce': 'x'", WRONG("coalesce", "must be true or false")},
        {"'max_age_ms': 0", "ok"},
        {"'max_age_ms': 1", WRONG("max_age_ms", "only with coalesce")},
        {"'fanout': 'all'", "ok"},
        {"'fanout': 1", "ok"},
        {"'fanout': 1000", "ok"},
        {"'fanout': 0", WRONG("fanout", "0: must be 1..1000")},
        {"'fanout': 1001", WRONG("fanout", "1001: must be 1..1000")},
        {"'fanout': 'some'", WRONG("fanout", "must be an integer of 1..1000, or all")},
        {"'fanout': 2, 'coalesce': true", WRONG("fanout", "not with coalesce")},
        {"'fanout': 'all', 'coalesce': true", WRONG("fanout", "not with coalesce")},
        {"'workers': {}", "ok"},
        {"'workers': {'site': 'ams'}", "ok"},
        {"'workers': 'ams'", WRONG("workers", "must be a map of at most 16 labels")},
        {"'workers': {'site': 1}", WRONG("workers", "a label's name and value must be strings of "
                                                    "1..64 of A-Za-z0-9._:-")},
        {"'meta': null", "ok"},
        {"'meta': 'x'x1021", "ok"}, /* and 3 bytes before it */
        {"'meta': 'x'x1022", WRONG("meta", "must be at most 1024 bytes encoded")},
        {"'meta': {'1': [2, {}, 1.5]}", "ok"},
        {"'meta': {1: 2}",
            WRONG("meta", "must have strings as map keys, UTF-8 in strings, and nest "
                          "at most 12 deep")},
        {"'meta': ['\\xed\\xa0\\x80']", WRONG("meta", "must have strings as map keys, UTF-8 in "
                                                      "strings, and nest at most 12 deep")},
        {"'meta': ['\\xc3\\xa9\\xf4\\x8f\\xbf\\xbf']", "ok"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect(cases[i].rest, cases[i].expected);
}

static void targets(void **state) {
    (void)state;
    static const struct {
        const char *target, *expected; /* the canonical form, or the error */
    } cases[] = {
        {"'192.0.2.1'", "192.0.2.1"},
        {"'2001:DB8:0:0:0:0:0:1'", "2001:db8::1"},
        {"'::ffff:192.0.2.1'", WRONG("target", "::ffff:192.0.2.1: no trace can go there")},
        {"'::1'", "::1"},
        {"'127.0.0.1'", "127.0.0.1"},
        {"'example.org'", "example.org"},
        {"'a_b-c.1'", "a_b-c.1"},
        {"'192.0.2.256'", "192.0.2.256"}, /* a name as good as any other */
        {"'0.0.0.0'", WRONG("target", "0.0.0.0: no trace can go there")},
        {"'::'", WRONG("target", "::: no trace can go there")},
        {"'0:0:0:0:0:0:0:0'", WRONG("target", "::: no trace can go there")},
        {"'224.0.0.1'", WRONG("target", "224.0.0.1: no trace can go there")},
        {"'239.255.255.255'", WRONG("target", "239.255.255.255: no trace can go there")},
        {"'240.0.0.1'", "240.0.0.1"},
        {"'255.255.255.255'", WRONG("target", "255.255.255.255: no trace can go there")},
        {"'ff02::1'", WRONG("target", "ff02::1: no trace can go there")},
        {"'a:b'", WRONG("target", "a:b: neither an address nor a host name")},
        {"'1::2::3'", WRONG("target", "1::2::3: neither an address nor a host name")},
        {"''", WRONG("target", "0 bytes: must be 1..253")},
        {"'fe80::1%eth0'", WRONG("target", "fe80::1%eth0: a character that is not allowed here")},
        {"'a b'", WRONG("target", "a b: a character that is not allowed here")},
        {"'a\\x0a9 send-probe'",
            WRONG("target", "a?9 send-probe: a character that is not allowed here")},
        {"7", WRONG("target", "must be a string of 1..253 bytes")},
        {"'x'x254", WRONG("target", "254 bytes: must be 1..253")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trace trace;
        struct wire_error err;
        char text[400], got[400];
        (void)snprintf(text, sizeof text, "{'target': %s}", cases[i].target);
        bool ok = get(&trace, text, "", &err);
        assert_string_equal(
            ok ? trace.target : wire_parse_outcome(ok, &err, got), cases[i].expected);
    }
    struct trace trace;
    struct wire_error err;
    assert_true(get(&trace, "{'target': 'x'x253}", "", &err));
    assert_int_equal(strlen(trace.target), 253);
    assert_false(get(&trace, "{}", "", &err));
    assert_string_equal(err.message, "target: is missing");
}

static void families(void **state) {
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"{'target': 'a.example', 'af': 6, 'source': '2001:db8::1'}", "ok"},
        {"{'target': 'a.example', 'source': '2001:db8::1'}", "ok"},
        {"{'target': 'a.example', 'af': 5}", WRONG("af", "must be 4, 6 or 0")},
        {"{'target': 'a.example', 'af': 1}", WRONG("af", "must be 4, 6 or 0")},
        {"{'target': 'a.example', 'af': 4, 'source': '::1'}",
            WRONG("source", "::1: is IPv6, the trace is IPv4")},
        {"{'target': '::1', 'af': 4}", WRONG("af", "4: but target ::1 is IPv6")},
        {"{'target': '::1', 'source': '192.0.2.1'}",
            WRONG("source", "192.0.2.1: is IPv4, the trace is IPv6")},
        {"{'target': '::1', 'size': 48}", "ok"},
        {"{'target': '::1', 'size': 47}", WRONG("size", "must be 48..1500 for IPv6")},
        {"{'target': 'a.example', 'size': 28}", "ok"}, /* the worker knows the family */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trace trace;
        struct wire_error err;
        char got[400];
        bool ok = get(&trace, cases[i].text, "", &err);
        assert_string_equal(wire_parse_outcome(ok, &err, got), cases[i].expected);
    }
}

static void paths(void **state) {
    (void)state;
    static const struct {
        const char *text, *field;
    } cases[] = {
        {"{}", "traces[999].target"},
        {"{'target': '::'}", "traces[999].target"},
        {"{'target': '::1', 'af': 4}", "traces[999].af"},
        {"{'target': '::1', 'source': 'xx'}", "traces[999].source"},
        {"{'target': '::1', 'port': 99999}", "traces[999].port"},
        {"{'target': '::1', 'port': 80}", "traces[999].port"},
        {"{'target': '::1', 'workers': 1}", "traces[999].workers"},
        {"{'target': '::1', 'meta': 'x'x1025}", "traces[999].meta"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trace trace;
        struct wire_error err;
        assert_false(get(&trace, cases[i].text, "traces[999].", &err));
        assert_string_equal(err.code, "bad-request");
        assert_string_equal(err.field, cases[i].field);
        assert_memory_equal(err.message, err.field, strlen(err.field));
    }
}

static void defaults(void **state) {
    (void)state;
    struct trace t;
    struct wire_error err;
    assert_true(get(&t, "{'target': '192.0.2.1'}", "", &err));
    assert_string_equal(t.id, "");
    assert_string_equal(t.stream, "default");
    assert_string_equal(t.source, "");
    assert_int_equal(t.af, 0);
    assert_int_equal(t.protocol, TRACE_ICMP);
    assert_int_equal(t.port, 0);
    assert_int_equal(t.first_ttl, 1);
    assert_int_equal(t.max_ttl, 30);
    assert_int_equal(t.probes, 1);
    assert_int_equal(t.attempts, 2);
    assert_int_equal(t.timeout_ms, 2000);
    assert_int_equal(t.gap_limit, 5);
    assert_int_equal(t.window, 0);
    assert_int_equal(t.flow, -1);
    assert_int_equal(t.size, 64);
    assert_int_equal(t.tos, 0);
    assert_int_equal(t.bit_pattern, 0);
    assert_int_equal(t.priority, 4);
    assert_int_equal(t.deadline_ms, 120000);
    assert_false(t.progress);
    assert_false(t.coalesce);
    assert_int_equal(t.max_age_ms, 0);
    assert_int_equal(t.fanout, 0);
    assert_true(t.wait);
    assert_null(t.workers);
    assert_null(t.meta);
    assert_true(get(&t, "{'target': '192.0.2.1', 'protocol': 'sctp', 'probes': 3}", "", &err));
    assert_int_equal(t.port, 80);
    assert_int_equal(t.attempts, 4);
    assert_true(get(&t, "{'target': '192.0.2.1', 'protocol': 'udp'}", "", &err));
    assert_int_equal(t.port, 0);
}

static void expect_put(const char *in, const char *expected) {
    struct trace trace;
    struct wire_error err;
    struct transcript text = {0};
    msgpack_sbuffer out;
    msgpack_packer pk;
    struct wire_doc again;
    assert_true(wire_doc_init(&again));
    if (!get(&trace, in, "", &err))
        fail_msg("%s: %s", in, err.message);
    msgpack_sbuffer_init(&out);
    msgpack_packer_init(&pk, &out, msgpack_sbuffer_write);
    trace_put_map(&pk, &trace);
    assert_true(wire_doc_read(&again, out.data, out.size, 1000, &err));
    wire_parse_add(&text, &again.root);
    assert_true(transcript_is(&text, expected));
    transcript_free(&text);
    msgpack_sbuffer_destroy(&out);
    wire_doc_free(&again);
}

static void equal_traces_give_equal_bytes(void **state) {
    (void)state;
    expect_put("{'target': '192.0.2.1'}", "{'target':'192.0.2.1'}");
    expect_put("{'stream': 'default', 'attempts': 2, 'probes': 1, 'window': 0, 'af': 0,"
               "'priority': 4, 'target': '192.0.2.1', 'protocol': 'icmp', 'progress': false}",
        "{'target':'192.0.2.1'}");
    expect_put("{'port': 80, 'protocol': 'tcp', 'attempts': 4, 'probes': 3, 'target': '0::1'}",
        "{'target':'::1','protocol':'tcp','probes':3}");
    expect_put(
        "{'meta': null, 'flow': 0, 'protocol': 'udp', 'progress': true, 'attempts': 3,"
        "'probes': 3, 'workers': {'a': 'b'}, 'target': 'x', 'id': 'i', 'stream': 's',"
        "'af': 6, 'port': 9, 'source': '::0:2', 'first_ttl': 2, 'max_ttl': 3,"
        "'timeout_ms': 100, 'gap_limit': 0, 'loop_limit': 9, 'window': 1, 'size': 1500, 'tos': 255,"
        "'bit_pattern': 1, 'priority': 0, 'deadline_ms': 86400000, 'names': true,"
        "'coalesce': true, 'max_age_ms': 7, 'wait': false}",
        "{'target':'x','af':6,'protocol':'udp','port':9,'source':'::2','first_ttl':2,'max_ttl':3,"
        "'probes':3,'attempts':3,'timeout_ms':100,'gap_limit':0,'loop_limit':9,'window':1,'flow':0,"
        "'size':1500,'tos':255,'bit_pattern':1,'names':true,'workers':{'a':'b'},'id':'i',"
        "'stream':'s','priority':0,'deadline_ms':86400000,'progress':true,'coalesce':true,"
        "'max_age_ms':7,'wait':false,'meta':null}");
    expect_put("{'fanout': 'all', 'wait': true, 'target': 'x'}", "{'target':'x','fanout':'all'}");
    expect_put("{'fanout': 3, 'target': 'x'}", "{'target':'x','fanout':3}");
}

/* Packs the trace into `bytes` and prints what makes it the same probing as another. */
static const char *probing(const char *in, char out[200]) {
    struct trace trace;
    struct wire_error err;
    msgpack_packer pk;
    if (!get(&trace, in, "", &err))
        fail_msg("%s: %s", in, err.message);
    msgpack_sbuffer packed;
    msgpack_sbuffer_init(&packed);
    msgpack_packer_init(&pk, &packed, msgpack_sbuffer_write);
    trace_put_map(&pk, &trace);
    size_t size;
    const char *found = trace_probing(packed.data, packed.size, &size);
    assert_non_null(found);
    size_t used = 0;
    for (size_t i = 0; i < size; i++)
        used += (size_t)snprintf(out + used, 200 - used,
            found[i] >= 0x20 && found[i] < 0x7f ? "%c" : "<%02x>", (unsigned char)found[i]);
    for (size_t cut = 0; cut < packed.size; cut++)
        assert_null(trace_probing(packed.data, cut, &size));
    msgpack_sbuffer_destroy(&packed);
    return out;
}

static void what_makes_the_same_probing(void **state) {
    (void)state;
    char one[200], other[200];
    assert_string_equal(probing("{'target': '192.0.2.1'}", one), "<a6>target<a9>192.0.2.1");
    static const char *const same[] = {"'id': 'target', 'stream': 's', 'priority': 1",
        "'deadline_ms': 5000, 'progress': true, 'coalesce': true, 'max_age_ms': 1",
        "'wait': false, 'meta': {'target': 'x'}", "'af': 0, 'window': 0, 'attempts': 2"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        char text[300];
        (void)snprintf(text, sizeof text, "{%s, 'target': '192.0.2.1'}", same[i]);
        assert_string_equal(probing(text, other), one);
    }
    static const char *const different[] = {"'af': 4", "'protocol': 'udp'", "'first_ttl': 2",
        "'max_ttl': 2", "'probes': 2", "'attempts': 3", "'timeout_ms': 100", "'gap_limit': 1",
        "'loop_limit': 1", "'window': 1", "'size': 65", "'tos': 1", "'bit_pattern': 1",
        "'names': true", "'workers': {'a': 'b'}", "'source': '192.0.2.9'"};
    for (size_t i = 0; i < sizeof different / sizeof different[0]; i++) {
        char text[300];
        (void)snprintf(text, sizeof text, "{%s, 'target': '192.0.2.1'}", different[i]);
        assert_string_not_equal(probing(text, other), one);
    }
    /* over 15 pairs, the map's head is longer */
    assert_string_equal(
        probing("{'target': 'x', 'protocol': 'udp', 'port': 9, 'flow': 1, 'id': 'i', 'stream': 's',"
                "'first_ttl': 2, 'max_ttl': 3, 'probes': 2, 'timeout_ms': 101, 'gap_limit': 1,"
                "'loop_limit': 1, 'window': 1, 'size': 65, 'tos': 1, 'priority': 1, 'meta': 1}",
            one),
        "<a6>target<a1>x<a8>protocol<a3>udp<a4>port<09><a9>first_ttl<02><a7>max_ttl<03>"
        "<a6>probes<02><aa>timeout_mse<a9>gap_limit<01><aa>loop_limit<01><a6>window<01>"
        "<a4>flow<01><a4>sizeA<a3>tos<01>");
    size_t size;
    assert_null(trace_probing("\x91\x01", 2, &size)); /* an array */
    assert_null(trace_probing("\x80\x80", 2, &size));
    assert_non_null(trace_probing("\x80", 1, &size));
    assert_int_equal(size, 0);
}

/* A trace that was filled in from a command line meets the same checks. */
static void a_trace_that_was_not_decoded_is_checked_too(void **state) {
    (void)state;
    struct trace t;
    struct wire_error err;
    trace_defaults(&t);
    (void)snprintf(t.target, sizeof t.target, "2001:DB8::1");
    t.protocol = TRACE_TCP;
    t.probes = 2;
    assert_true(trace_check(&t, "", &err));
    assert_string_equal(t.target, "2001:db8::1");
    assert_int_equal(t.attempts, 3);
    assert_int_equal(t.port, 80);
    t.first_ttl = 31;
    assert_false(trace_check(&t, "", &err));
    assert_string_equal(err.message, "first_ttl: 31: must be at most max_ttl, 30");
}

/* A trace that was accepted must be readable where it is carried on: in the worker's `trace`
 * it stands one level deeper than in the client's. */
static void an_accepted_meta_can_be_carried_to_a_worker(void **state) {
    (void)state;
    struct trace trace;
    struct wire_error err;
    const char *deep = "{'v': 1, 'op': 'trace', 'target': '::1',"
                       "'meta': [[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}";
    if (!wire_parse_read(&doc, &bytes, deep, &err) || !trace_get(&trace, &doc.root, "", &err))
        return; /* refusing it at once is as good */
    msgpack_sbuffer inner, outer;
    msgpack_packer pk;
    struct wire_doc carried;
    msgpack_sbuffer_init(&inner);
    msgpack_sbuffer_init(&outer);
    assert_true(wire_doc_init(&carried));
    msgpack_packer_init(&pk, &inner, msgpack_sbuffer_write);
    trace_put_map(&pk, &trace);
    struct session_msg msg = {.op = SESSION_TRACE,
        .lease = 1,
        .run = 1,
        .deadline_ms = 1,
        .trace_bytes = inner.data,
        .trace_size = inner.size};
    msgpack_packer_init(&pk, &outer, msgpack_sbuffer_write);
    session_put(&pk, &msg);
    bool readable = wire_doc_read(&carried, outer.data, outer.size, SESSION_MAX_VALUES, &err);
    wire_doc_free(&carried);
    msgpack_sbuffer_destroy(&inner);
    msgpack_sbuffer_destroy(&outer);
    if (!readable)
        fail_msg("accepted from the client, but the worker answers: %s", err.message);
}

/* What is accepted, written and read again is the same trace. */
static void random_traces_survive_the_round_trip(void **state) {
    (void)state;
    static const char *const rows[] = {"'probes': %u", "'attempts': %u", "'first_ttl': %u",
        "'max_ttl': %u", "'window': %u", "'gap_limit': %u", "'priority': %u", "'size': %u",
        "'port': %u", "'flow': %u", "'tos': %u", "'af': %u", "'timeout_ms': %u00"};
    static const char *const protocols[] = {"icmp", "udp", "tcp", "sctp"};
    uint64_t rng = rng_seed("random_traces");
    unsigned accepted = 0;
    for (int run = 0; run < 5000; run++) {
        struct transcript in = {0};
        struct trace trace, again;
        struct wire_error err;
        transcript_add(&in, "{'target': '%s', 'protocol': '%s'",
            rng_below(&rng, 2) ? "192.0.2.1" : "2001:db8::1", protocols[rng_below(&rng, 4)]);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
            if (rng_below(&rng, 4) == 0) {
                transcript_add(&in, ", ");
                /* the format is one of the literals above */
                char field[40];
                (void)snprintf(field, sizeof field, "%s", rows[i]);
                char *hole = strstr(field, "%u");
                *hole = '\0';
                transcript_add(&in, "%s%u%s", field, rng_below(&rng, 70), hole + 2);
            }
        transcript_add(&in, "}");
        if (get(&trace, in.at, "", &err)) {
            accepted++;
            msgpack_packer pk;
            msgpack_sbuffer out;
            msgpack_sbuffer_init(&out);
            msgpack_packer_init(&pk, &out, msgpack_sbuffer_write);
            trace_put_map(&pk, &trace);
            assert_true(wire_doc_read(&doc, out.data, out.size, 1000, &err));
            assert_true(trace_get(&again, &doc.root, "", &err));
            assert_memory_equal(&trace, &again, sizeof trace);
            msgpack_sbuffer_destroy(&out);
        }
        transcript_free(&in);
    }
    assert_true(accepted > 200);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(integers),
        TEST(texts_and_others),
        TEST(targets),
        TEST(families),
        TEST(paths),
        TEST(defaults),
        TEST(equal_traces_give_equal_bytes),
        TEST(what_makes_the_same_probing),
        TEST(a_trace_that_was_not_decoded_is_checked_too),
        TEST(an_accepted_meta_can_be_carried_to_a_worker),
        TEST(random_traces_survive_the_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
