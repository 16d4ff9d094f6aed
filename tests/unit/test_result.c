/* hop and result: what a worker's body may hold, and what comes out of the broker. */
#include "tests/unit/check.h"

#include "common/protocol/hop.h"
#include "common/protocol/result.h"
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

static void read_text(const char *text) {
    struct wire_error err;
    if (!wire_parse_read(&doc, &bytes, text, &err))
        fail_msg("%s: %s", text, err.message);
}

/* ---- probes ----------------------------------------------------------------------------- */

#define SILENT "'attempt': 1, 'addr': null, 'rtt_us': null, 'sent_us': 0, 'verdict': 'no-reply'"
#define ANSWER(more)                                                                               \
    "'attempt': 2, 'addr': '10.0.0.1', 'rtt_us': 5, 'sent_us': 9, 'verdict': 'reply'" more

static void probes(void **state) {
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {SILENT, "ok"},
        {ANSWER(""), "ok"},
        {"'attempt': 1", "addr: is missing"},
        {SILENT ", 'attempt': 0", "attempt: 0: must be 1..32"},
        {SILENT ", 'attempt': 32", "ok"},
        {SILENT ", 'attempt': 33", "attempt: 33: must be 1..32"},
        {SILENT ", 'rtt_us': 5", "rtt_us: only with an addr"},
        {SILENT ", 'addr': '::1'", "ok"},
        {ANSWER(", 'rtt_us': 2147483647"), "ok"},
        {ANSWER(", 'rtt_us': 2147483648"), "rtt_us: 2147483648: must be 0..2147483647"},
        {ANSWER(", 'rtt_us': -1"), "rtt_us: -1: must be 0..2147483647"},
        {ANSWER(", 'sent_us': 9223372036854775807"), "ok"},
        {ANSWER(", 'sent_us': null"), "sent_us: must be an integer of 0..9223372036854775807"},
        {ANSWER(", 'addr': 'router'"), "addr: must be an address or nil"},
        {ANSWER(", 'addr': ''"), "addr: 0 bytes: must be 2..45"},
        {ANSWER(", 'verdict': ''"), "verdict: 0 bytes: must be 1..32"},
        {ANSWER(", 'verdict': 'x'x32"), "ok"},
        {ANSWER(", 'verdict': 'x'x33"), "verdict: 33 bytes: must be 1..32"},
        {ANSWER(", 'verdict': 'a\\x0a'"), "verdict: a?: a character that is not allowed here"},
        {ANSWER(", 'mpls': []"), "ok"},
        {ANSWER(", 'mpls': [8*[1048575,7,1,255]]"), "ok"},
        {ANSWER(", 'mpls': [9*[1,2,0,3]]"),
            "mpls: must be an array of at most 8 [label, tc, s, ttl]"},
        {ANSWER(", 'mpls': [[1048576,0,0,0]]"),
            "mpls: must be an array of at most 8 [label, tc, s, ttl]"},
        {ANSWER(", 'mpls': [[0,8,0,0]]"),
            "mpls: must be an array of at most 8 [label, tc, s, ttl]"},
        {ANSWER(", 'mpls': [[0,0,2,0]]"),
            "mpls: must be an array of at most 8 [label, tc, s, ttl]"},
        {ANSWER(", 'mpls': [[0,0,0,256]]"),
            "mpls: must be an array of at most 8 [label, tc, s, ttl]"},
        {ANSWER(", 'mpls': [[0,0,0]]"), "mpls: must be an array of at most 8 [label, tc, s, ttl]"},
        {ANSWER(", 'mpls': [[0,0,0,0,0]]"),
            "mpls: must be an array of at most 8 [label, tc, s, ttl]"},
        {ANSWER(", 'mpls': [[0,0,0,-1]]"),
            "mpls: must be an array of at most 8 [label, tc, s, ttl]"},
        {ANSWER(", 'mpls': {}"), "mpls: must be an array of at most 8 [label, tc, s, ttl]"},
        {ANSWER(", 'flags': []"), "ok"},
        {ANSWER(", 'flags': [16*'new']"), "ok"},
        {ANSWER(", 'flags': [17*'new']"), "flags: must be an array of at most 16 strings"},
        {ANSWER(", 'flags': [1]"), "flags: must be an array of at most 16 strings"},
        {ANSWER(", 'flags': 'new'"), "flags: must be an array of at most 16 strings"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hop_probe probe;
        struct mpls_label mpls[HOP_MPLS_MAX];
        struct wire_error err;
        char text[1000];
        (void)snprintf(text, sizeof text, "{%s}", cases[i].text);
        read_text(text);
        bool ok = hop_get_probe(&doc.root, &probe, mpls, "", &err);
        if (strcmp(ok ? "ok" : err.message, cases[i].expected) != 0)
            fail_msg("%s\n  expected %s\n  got      %s", text, cases[i].expected,
                ok ? "ok" : err.message);
    }
}

static void expect_probe_again(const char *in, const char *expected) {
    struct hop_probe probe;
    struct mpls_label mpls[HOP_MPLS_MAX];
    struct wire_error err;
    struct transcript text = {0};
    msgpack_packer pk;
    read_text(in);
    assert_true(hop_get_probe(&doc.root, &probe, mpls, "", &err));
    msgpack_sbuffer_clear(&bytes);
    msgpack_packer_init(&pk, &bytes, msgpack_sbuffer_write);
    msgpack_pack_map(&pk, 1);
    wire_put_text(&pk, "probes");
    hop_put_probes(&pk, &probe, 1);
    assert_true(wire_doc_read(&doc, bytes.data, bytes.size, 1000, &err));
    wire_parse_add(&text, &doc.root);
    assert_true(transcript_is(&text, expected));
    transcript_free(&text);
}

static void probes_come_back(void **state) {
    (void)state;
    expect_probe_again("{" SILENT "}", "{'probes':[{'attempt':1,'addr':null,'rtt_us':null,"
                                       "'sent_us':0,'verdict':'no-reply'}]}");
    expect_probe_again("{" ANSWER(", 'addr': '2001:DB8::1', 'verdict': 'ttl-expired'") "}",
        "{'probes':[{'attempt':2,'addr':'2001:db8::1','rtt_us':5,'sent_us':9,"
        "'verdict':'ttl-expired'}]}");
    expect_probe_again("{" ANSWER(", 'verdict': 'unreachable'") "}",
        "{'probes':[{'attempt':2,'addr':'10.0.0.1','rtt_us':5,'sent_us':9,"
        "'verdict':'unreachable'}]}");
    expect_probe_again("{" SILENT ", 'verdict': 'unexpected-error'}",
        "{'probes':[{'attempt':1,'addr':null,'rtt_us':null,'sent_us':0,"
        "'verdict':'unexpected-error'}]}");
    /* a flag that this version does not know is not kept */
    expect_probe_again(
        "{" ANSWER(", 'flags': ['new', 'other-address'], 'mpls': [[1,2,1,4],[5,6,0,8]]") "}",
        "{'probes':[{'attempt':2,'addr':'10.0.0.1','rtt_us':5,'sent_us':9,'verdict':'reply',"
        "'mpls':[[1,2,1,4],[5,6,0,8]],'flags':['other-address']}]}");
}

/* ---- hops ------------------------------------------------------------------------------- */

#define HOP(ttl) "{'ttl': " #ttl ", 'probes': [{" SILENT "}]}"

static void hops(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t first_ttl;
        const char *expected; /* the text after field and colon, or NULL: accepted */
    } cases[] = {
        {"[]", 1, NULL},
        {"[" HOP(1) "]", 1, NULL},
        {"[" HOP(4) "," HOP(5) "," HOP(6) "]", 4, NULL},
        {"[" HOP(255) "]", 255, NULL},
        {"[" HOP(2) "]", 1, "ttl: 2: must be 1"},
        {"[" HOP(1) "," HOP(1) "]", 1, "ttl: 1: must be 2"},
        {"[" HOP(1) "," HOP(3) "]", 1, "ttl: 3: must be 2"},
        {"[" HOP(2) "," HOP(1) "]", 2, "ttl: 1: must be 3"},
        {"{}", 1, "must be an array of at most 255 hops"},
        {"null", 1, "must be an array of at most 255 hops"},
        {"[256*" HOP(1) "]", 1, "must be an array of at most 255 hops"},
        {"[1]", 1, "must be a map"},
        {"[{'probes': []}]", 1, "is missing"},
        {"[{'ttl': 1}]", 1, "is missing"},
        {"[{'ttl': 0, 'probes': []}]", 0, "0: must be 1..255"},
        {"[{'ttl': 256, 'probes': []}]", 256, "256: must be 1..255"},
        {"[{'ttl': 1, 'probes': {}}]", 1, "must be an array"},
        {"[{'ttl': 1, 'probes': []}]", 1, "must be an array of 1..32 probes"},
        {"[{'ttl': 1, 'probes': [32*{" SILENT "}]}]", 1, NULL},
        {"[{'ttl': 1, 'probes': [33*{" SILENT "}]}]", 1, "must be an array of 1..32 probes"},
        {"[{'ttl': 1, 'probes': [{}]}]", 1, "is missing"},
        {"[{'ttl': 1, 'probes': [1]}]", 1, "must be a map"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wire_error err;
        char text[2000];
        (void)snprintf(text, sizeof text, "{'hops': %s}", cases[i].text);
        read_text(text);
        uint32_t unknown = 0;
        bool ok = hop_check_hops(wire_find(&doc.root, "hops"), cases[i].first_ttl, &unknown, &err);
        size_t size = cases[i].expected != NULL ? strlen(cases[i].expected) : 0;
        if (ok != (cases[i].expected == NULL) ||
            (!ok && (strlen(err.message) < size ||
                        strcmp(cases[i].expected, err.message + strlen(err.message) - size) != 0)))
            fail_msg("%s\n  expected %s\n  got      %s", text,
                cases[i].expected != NULL ? cases[i].expected : "ok", ok ? "ok" : err.message);
    }
}

static void expect_field(const char *text, const char *field) {
    struct wire_error err;
    uint32_t unknown = 0;
    read_text(text);
    assert_false(hop_check_hops(wire_find(&doc.root, "hops"), 1, &unknown, &err));
    assert_string_equal(err.field, field);
}

/* docs/protocol.md, section 4: the field is a path such as traces[3].port. */
static void a_wrong_hop_is_named_by_its_path(void **state) {
    (void)state;
    expect_field("{'hops': [" HOP(1) ", " HOP(1) "]}", "hops[1].ttl");
    expect_field("{'hops': [{'ttl': 1, 'probes': 1}]}", "hops[0].probes");
    expect_field("{'hops': [{'ttl': 1, 'probes': []}]}", "hops[0].probes");
}

static void a_wrong_probe_is_named_by_its_path(void **state) {
    (void)state;
    expect_field("{'hops': [{'ttl': 1, 'probes': [{" SILENT "}, {" SILENT ", 'attempt': 99}]}]}",
        "hops[0].probes[1].attempt");
}

static void hops_are_grouped_by_ttl(void **state) {
    (void)state;
    static const struct hop_probe list[] = {
        {.ttl = 3, .attempt = 1, .rtt_us = -1, .verdict = HOP_NO_REPLY},
        {.ttl = 3, .attempt = 2, .rtt_us = -1, .verdict = HOP_OTHER, .word = "odd"},
        {.ttl = 4,
            .attempt = 1,
            .rtt_us = 7,
            .addr = {4, {10, 0, 0, 1}},
            .verdict = HOP_REPLY,
            .flags = HOP_OTHER_ADDRESS},
    };
    struct transcript text = {0};
    struct wire_error err;
    msgpack_packer pk;
    msgpack_packer_init(&pk, &bytes, msgpack_sbuffer_write);
    msgpack_pack_map(&pk, 2);
    wire_put_text(&pk, "three");
    hop_put_hops(&pk, list, 3);
    wire_put_text(&pk, "none");
    hop_put_hops(&pk, NULL, 0);
    assert_true(wire_doc_read(&doc, bytes.data, bytes.size, 1000, &err));
    wire_parse_add(&text, &doc.root);
    assert_true(transcript_is(&text,
        "{'three':[{'ttl':3,'probes':[{'attempt':1,'addr':null,'rtt_us':null,'sent_us':0,"
        "'verdict':'no-reply'},{'attempt':2,'addr':null,'rtt_us':null,'sent_us':0,"
        "'verdict':'odd'}]},{'ttl':4,'probes':[{'attempt':1,'addr':'10.0.0.1','rtt_us':7,"
        "'sent_us':0,'verdict':'reply','flags':['other-address']}]}],'none':[]}"));
    transcript_free(&text);
}

/* ---- bodies ----------------------------------------------------------------------------- */

#define BODY                                                                                       \
    "'target': 'a.example', 'dst': '10.0.0.1', 'src': null, 'protocol': 'udp', 'first_ttl': 1,"    \
    "'max_ttl': 30, 'started_us': 1, 'finished_us': 2, 'probes_sent': 3, 'stop': 'reached',"       \
    "'hops': []"

#define NO_NAMES                                                                                   \
    "names: must be a map from at most 256 addresses to host names of 1..253 of A-Za-z0-9._-"

#define NOT_PORTABLE                                                                               \
    "body: must have strings as map keys, UTF-8 in strings, and nest at most 12 deep"

static void bodies(void **state) {
    (void)state;
    static const struct {
        const char *more, *expected;
    } cases[] = {
        {"", "ok"},
        {", 'unknown': [1]", "ok"},
        {", 'target': ''", "target: 0 bytes: must be 1..253"},
        {", 'target': 'x'x254", "target: 254 bytes: must be 1..253"},
        {", 'dst': null", "ok"},
        {", 'dst': 'x'x46", "dst: 46 bytes: must be 2..45"},
        {", 'src': 5", "src: must be a string of 2..45 bytes"},
        {", 'protocol': 'gre'", "protocol: gre: must be one of icmp, udp, tcp, sctp"},
        {", 'port': 1", "ok"},
        {", 'port': 65536", "port: 65536: must be 1..65535"},
        {", 'port': 0", "port: 0: must be 1..65535"},
        {", 'flow': 1023", "ok"},
        {", 'flow': 1024", "flow: 1024: must be 0..1023"},
        {", 'first_ttl': 0", "first_ttl: 0: must be 1..255"},
        {", 'max_ttl': 256", "max_ttl: 256: must be 1..255"},
        {", 'started_us': -1", "started_us: -1: must be 0..9223372036854775807"},
        {", 'finished_us': 9223372036854775808",
            "finished_us: 9223372036854775808: must be 0..9223372036854775807"},
        {", 'prober': 'x'x64", "ok"},
        {", 'prober': 'x'x65", "prober: 65 bytes: must be 1..64"},
        {", 'probes_sent': null", "probes_sent: must be an integer of 0..9223372036854775807"},
        {", 'constant_flow': true, 'src_port': 20000", "ok"},
        {", 'constant_flow': 1", "constant_flow: must be true or false"},
        {", 'src_port': 0", "src_port: 0: must be 1..65535"},
        {", 'stop': 'bored'",
            "stop: bored: must be one of reached, unreachable, gap-limit, max-ttl, loop, deadline, "
            "cancelled, unresolved, no-route, denied, prober-error, worker-lost, no-worker, "
            "summary"},
        {", 'error': {'code': 'denied', 'message': ''}", "ok"},
        {", 'error': {'code': 'denied'}", "error.message: is missing"},
        {", 'error': {'message': 'x'}", "error.code: is missing"},
        {", 'error': {'code': 'x'x33, 'message': ''}", "error.code: 33 bytes: must be 1..32"},
        {", 'error': {'code': 'x', 'message': 'y'x224}", "ok"},
        {", 'error': {'code': 'x', 'message': 'y'x225}",
            "error.message: 225 bytes: must be 0..224"},
        {", 'hops': null", "hops: must be an array of at most 255 hops"},
        {", 'names': {}", "ok"},
        {", 'names': {'192.0.2.1': 'a_b-c.1.Example', '2001:db8::1': 'x'x253}", "ok"},
        {", 'names': []", NO_NAMES},
        {", 'names': {'192.0.2.1': ''}", NO_NAMES},
        {", 'names': {'192.0.2.1': 'x'x254}", NO_NAMES},
        {", 'names': {'192.0.2.1': 7}", NO_NAMES},
        {", 'names': {'192.0.2.1': 'a\\x1b'}", NO_NAMES},
        {", 'names': {'192.0.2.1': 'a b'}", NO_NAMES},
        {", 'names': {'192.0.2.1': '.'}", NO_NAMES},
        {", 'names': {'192.0.2.1': 'a\\x00b'}", NO_NAMES},
        {", 'names': {'192.0.2.1': '192.0.2.2'}", NO_NAMES}, /* would pass for the hop */
        {", 'names': {'router': 'a'}", NO_NAMES},
        {", 'names': {'192.0.2.1\\x00x': 'a'}", NO_NAMES},
        {", 'names': {'2001:DB8::1': 'a'}", NO_NAMES}, /* not canonical: nobody would find it */
        {", 'names': {'x'x46: 'a'}", NO_NAMES},
        {", 'names': {3221225985: 'a'}", NO_NAMES},
        /* what is not looked at is passed on: every reader must be able to read it */
        {", 'unknown': '\\xff'", NOT_PORTABLE},
        {", 'unknown': {1: 2}", NOT_PORTABLE},
        {", 1: 2", NOT_PORTABLE},
        {", '\\xff': 2", NOT_PORTABLE},
        {", 'hops': [{'ttl': 1, 'probes': [{" SILENT "}], 'unknown': ['\\xff']}]", NOT_PORTABLE},
        {", 'hops': [{'ttl': 1, 'probes': [{" SILENT ", '\\xff': 1}]}]", NOT_PORTABLE},
        {", 'hops': [{'ttl': 1, 'probes': [{" SILENT ", 'flags': ['\\xff']}]}]", NOT_PORTABLE},
        {", 'hops': [{'ttl': 1, 'probes': [{" SILENT ", 'unknown': 'x'}]}]", "ok"},
        {", 'error': {'code': 'x', 'message': 'y', 'z': {null: 1}}", NOT_PORTABLE},
        /* of a key that stands twice, the first value too */
        {", 'error': {1: 2}, 'error': {'code': 'x', 'message': 'y'}", NOT_PORTABLE},
        {", 'hops': [{'ttl': 1, 'probes': '\\xff', 'probes': [{" SILENT "}]}]", NOT_PORTABLE},
        /* the broker's own keys */
        {", 'v': 1", "body: only the broker may set v and op"},
        {", 'op': 'result'", "body: only the broker may set v and op"},
        {", 'req': 1", "req: only the broker may set it"},
        {", 'seq': 1", "seq: only the broker may set it"},
        {", 'stream': 's'", "stream: only the broker may set it"},
        {", 'stream_seq': 1", "stream_seq: only the broker may set it"},
        {", 'epoch': 1", "epoch: only the broker may set it"},
        {", 'id': 'x'", "id: only the broker may set it"},
        {", 'meta': 1", "meta: only the broker may set it"},
        {", 'accepted_us': 1", "accepted_us: only the broker may set it"},
        {", 'worker': 'w'", "worker: only the broker may set it"},
        {", 'run': 1", "run: only the broker may set it"},
        {", 'shared': 'x'", "shared: only the broker may set it"},
        {", 'stop': 'summary'", "members: only the broker makes a summary"},
        {", 'members': []", "members: only the broker makes a summary"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wire_error err;
        char text[2000];
        (void)snprintf(text, sizeof text, "{" BODY "%s}", cases[i].more);
        read_text(text);
        bool ok = result_check_body(&doc.root, &err);
        if (strcmp(ok ? "ok" : err.message, cases[i].expected) != 0)
            fail_msg("%s\n  expected %s\n  got      %s", cases[i].more, cases[i].expected,
                ok ? "ok" : err.message);
    }
    static const char *const required[] = {"target", "dst", "src", "protocol", "first_ttl",
        "max_ttl", "started_us", "finished_us", "probes_sent", "stop", "hops"};
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
        struct wire_error err;
        char text[2000], expected[60];
        (void)snprintf(text, sizeof text, "{" BODY "}");
        char *key = strstr(text, required[i]);
        key[0] = 'X';
        read_text(text);
        assert_false(result_check_body(&doc.root, &err));
        (void)snprintf(expected, sizeof expected, "%s: is missing", required[i]);
        assert_string_equal(err.message, expected);
    }
}

static void too_many_names(void **state) {
    (void)state;
    struct wire_error err;
    for (int count = 256; count <= 257; count++) {
        struct transcript text = {0};
        transcript_add(&text, "{" BODY ", 'names': {");
        for (int i = 0; i < count; i++)
            transcript_add(&text, "'10.0.%d.%d': 'a', ", i / 256, i % 256);
        transcript_add(&text, "}}");
        read_text(text.at);
        assert_int_equal(result_check_body(&doc.root, &err), count == 256);
        transcript_free(&text);
    }
}

static void names_come_last(void **state) {
    (void)state;
    struct result_name names[3] = {
        {.name = (char[]){"a.example"}}, {.name = (char[]){""}}, {.name = NULL}};
    struct transcript text = {0};
    struct wire_error err;
    msgpack_sbuffer with;
    msgpack_packer pk;
    assert_true(addr_parse(&names[0].addr, "2001:db8::1"));
    assert_true(addr_parse(&names[1].addr, "192.0.2.1"));
    assert_true(addr_parse(&names[2].addr, "192.0.2.2"));
    read_text("{" BODY "}");
    msgpack_sbuffer_init(&with);
    msgpack_packer_init(&pk, &with, msgpack_sbuffer_write);
    result_put_names(&pk, bytes.data, bytes.size, names, 3);
    assert_true(wire_doc_read(&doc, with.data, with.size, 1000, &err));
    assert_true(result_check_body(&doc.root, &err));
    wire_parse_add(&text, &doc.root);
    assert_non_null(strstr(text.at, "'hops':[],'names':{'2001:db8::1':'a.example'}}"));
    transcript_free(&text);
    msgpack_sbuffer_destroy(&with);
}

/* Section 3: a message is a map with string keys. What is published must be one. */
static void a_body_with_other_keys_is_refused(void **state) {
    (void)state;
    struct wire_error err;
    read_text("{" BODY ", 7: 8}");
    assert_false(result_check_body(&doc.root, &err));
}

static void expect_merged(const char *body, const struct result_head *head, const char *expected) {
    struct wire_error err;
    struct transcript text = {0};
    msgpack_sbuffer out;
    msgpack_packer pk;
    read_text(body);
    msgpack_sbuffer_init(&out);
    msgpack_packer_init(&pk, &out, msgpack_sbuffer_write);
    result_merge(&pk, head, bytes.data, bytes.size);
    assert_true(wire_doc_read(&doc, out.data, out.size, 1000, &err));
    wire_parse_add(&text, &doc.root);
    assert_true(transcript_is(&text, expected));
    transcript_free(&text);
    msgpack_sbuffer_destroy(&out);
}

static const struct result_head small_head = {
    .seq = 1, .stream_seq = 2, .epoch = 3, .accepted_us = 4, .id = "i", .stream = "s"};

#define SMALL                                                                                      \
    "{'v':1,'op':'result','seq':1,'stream':'s','stream_seq':2,'epoch':3,'id':'i',"                 \
    "'accepted_us':4,'run':0,"

static void merging(void **state) {
    (void)state;
    expect_merged("{'a': 1}", &small_head, SMALL "'a':1}");
    struct result_head head = small_head;
    msgpack_object req = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = 9};
    msgpack_object meta = {.type = MSGPACK_OBJECT_NIL};
    head.req = &req;
    head.meta = &meta;
    head.run = 2;
    (void)snprintf(head.worker, sizeof head.worker, "w");
    expect_merged("{'a': 1}", &head,
        "{'v':1,'op':'result','req':9,'seq':1,'stream':'s','stream_seq':2,'epoch':3,'id':'i',"
        "'meta':null,'accepted_us':4,'worker':'w','run':2,'a':1}");
}

/* A map of any size may come in any of three forms. */
static void merging_of_every_form_of_map(void **state) {
    (void)state;
    expect_merged("#de 0002 a1 61 01 a1 62 02#", &small_head, SMALL "'a':1,'b':2}");
    expect_merged("#df 00000002 a1 61 01 a1 62 02#", &small_head, SMALL "'a':1,'b':2}");
    struct transcript body = {0}, expected = {0};
    transcript_add(&body, "{");
    transcript_add(&expected, "%s", SMALL);
    for (int i = 0; i < 300; i++) {
        transcript_add(&body, "%s'k%d': %d", i > 0 ? ", " : "", i, i);
        transcript_add(&expected, "%s'k%d':%d", i > 0 ? "," : "", i, i);
    }
    transcript_add(&body, "}");
    transcript_add(&expected, "}");
    expect_merged(body.at, &small_head, expected.at);
    transcript_free(&body);
    transcript_free(&expected);
}

static void a_whole_result_is_read(void **state) {
    (void)state;
    struct result_head head;
    struct result_body body;
    struct wire_error err;
    read_text("{'v': 1, 'op': 'result', 'req': 'r', 'seq': 1, 'stream': 's', 'stream_seq': 2,"
              "'epoch': 3, 'id': 'i', 'meta': {}, 'accepted_us': 4, 'worker': 'w', 'run': 1000,"
              "'error': {'code': 'denied', 'message': 'no'}, 'flow': 7, " BODY "}");
    assert_true(result_get_head(&head, &doc.root, &err));
    assert_true(result_get_body(&body, &doc.root, &err));
    assert_true(wire_is(head.req, "r"));
    assert_non_null(head.meta);
    assert_int_equal(head.run, 1000);
    assert_string_equal(body.error_code, "denied");
    assert_string_equal(body.error_message, "no");
    assert_string_equal(body.dst, "10.0.0.1");
    assert_string_equal(body.src, "");
    assert_int_equal(body.protocol, TRACE_UDP);
    assert_int_equal(body.flow, 7);
    assert_int_equal(body.port, 0);
    assert_int_equal(body.stop, STOP_REACHED);
}

static void heads(void **state) {
    (void)state;
    static const struct {
        const char *more, *expected;
    } cases[] = {
        {"", "ok"},
        {", 'seq': 0", "seq: 0: must be 1..9223372036854775807"},
        {", 'stream_seq': 0", "stream_seq: 0: must be 1..9223372036854775807"},
        {", 'epoch': 0", "ok"},
        {", 'run': 1001", "run: 1001: must be 0..1000"},
        {", 'worker': ''", "worker: 0 bytes: must be 1..64"},
        {", 'id': 'a b'", "id: a b: a character that is not allowed here"},
        {", 'id': 'a/b'", "ok"},
        {", 'id': 'a/b/c'", "id: a/b/c: must be an id, or an id, / and a worker"},
        {", 'shared': 'a.b/c'", "ok"},
        {", 'shared': ''", "shared: 0 bytes: must be 1..129"},
        {", 'stream': 'a.b'", "stream: a.b: a character that is not allowed here"},
        {", 'accepted_us': null", "accepted_us: must be an integer of 0..9223372036854775807"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct result_head head;
        struct wire_error err;
        char text[400];
        (void)snprintf(text, sizeof text,
            "{'seq': 1, 'stream': 's', 'stream_seq': 2, 'epoch': 3, 'id': 'i', 'accepted_us': 4,"
            "'run': 0%s}",
            cases[i].more);
        read_text(text);
        bool ok = result_get_head(&head, &doc.root, &err);
        assert_string_equal(ok ? "ok" : err.message, cases[i].expected);
    }
}

static void ids(void **state) {
    (void)state;
    char at[132];
    memset(at, 'x', sizeof at);
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"a", true},
        {"A-z.0_9:", true},
        {"a/b", true},
        {"A:1/b.c-d_e", true},
        {"", false},
        {"/", false},
        {"a/", false},
        {"/b", false},
        {"a/b/c", false},
        {"a//b", false},
        {"a b", false},
        {"a/b c", false},
        {"\xc3\xa9", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (result_is_id(cases[i].text, strlen(cases[i].text)) != cases[i].good)
            fail_msg("%s", cases[i].text);
    assert_false(result_is_id("a\0b", 3));
    assert_true(result_is_id(at, 64));
    assert_false(result_is_id(at, 65));
    at[64] = '/';
    assert_true(result_is_id(at, 129));
    assert_int_equal(RESULT_ID_BYTES, 129);
    assert_false(result_is_id(at, 130));
    at[64] = 'x';
    at[65] = '/';
    assert_false(result_is_id(at, 129));
}

static void a_summary_lists_its_members(void **state) {
    (void)state;
    struct result_body body = {.target = "x",
                           .flow = -1,
                           .stop = STOP_SUMMARY,
                           .first_ttl = 1,
                           .max_ttl = 30,
                           .error_code = ""},
                       read;
    struct result_member members[2] =
        {{.worker = "w1", .id = "i/w1", .stop = STOP_REACHED, .seq = 8},
            {.worker = "w2", .id = "i/w2", .stop = STOP_NO_WORKER, .seq = 9}},
                         member;
    struct transcript text = {0};
    struct wire_error err;
    msgpack_packer pk;
    msgpack_packer_init(&pk, &bytes, msgpack_sbuffer_write);
    result_put_summary(&pk, &body, 2);
    for (int i = 0; i < 2; i++)
        result_put_member(&pk, &members[i]);
    assert_true(wire_doc_read(&doc, bytes.data, bytes.size, 1000, &err));
    wire_parse_add(&text, &doc.root);
    assert_true(transcript_is(&text,
        "{'target':'x','dst':null,'src':null,'protocol':'icmp','first_ttl':1,'max_ttl':30,"
        "'started_us':0,'finished_us':0,'probes_sent':0,'stop':'summary','hops':[],'members':["
        "{'worker':'w1','id':'i/w1','stop':'reached','seq':8},"
        "{'worker':'w2','id':'i/w2','stop':'no-worker','seq':9}]}"));
    transcript_free(&text);
    assert_true(result_get_body(&read, &doc.root, &err));
    assert_int_equal(read.members->via.array.size, 2);
    assert_true(result_get_member(&member, &read.members->via.array.ptr[1], "", &err));
    assert_string_equal(member.worker, "w2");
    assert_string_equal(member.id, "i/w2");
    assert_int_equal(member.stop, STOP_NO_WORKER);
    assert_int_equal(member.seq, 9);
}

static void wrong_members(void **state) {
    (void)state;
    static const struct {
        const char *members, *expected;
    } cases[] = {
        {"[]", "ok"},
        {"{}", "members: must be an array of at most 10000"},
        {"[1]", "members[0]: must be a map"},
        {"[{'worker': 'w', 'id': 'i/w', 'stop': 'reached', 'seq': 1}, {}]",
            "members[1].worker: is missing"},
        {"[{'worker': 'w', 'id': 'i/w', 'stop': 'reached', 'seq': 0}]",
            "members[0].seq: 0: must be 1..9223372036854775807"},
        {"[{'worker': 'w', 'id': '/w', 'stop': 'reached', 'seq': 1}]",
            "members[0].id: /w: must be an id, or an id, / and a worker"},
        {"[{'worker': 'w', 'id': 'i', 'stop': 'bored', 'seq': 1}]", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct result_body body;
        struct wire_error err;
        char text[1000];
        (void)snprintf(
            text, sizeof text, "{" BODY ", 'stop': 'summary', 'members': %s}", cases[i].members);
        read_text(text);
        bool ok = result_get_body(&body, &doc.root, &err);
        if (cases[i].expected == NULL)
            assert_string_equal(err.field, "members[0].stop");
        else
            assert_string_equal(ok ? "ok" : err.message, cases[i].expected);
    }
}

static void what_a_body_takes_from_its_trace(void **state) {
    (void)state;
    struct trace trace;
    struct result_body body;
    trace_defaults(&trace);
    memset(trace.target, 'x', TRACE_TARGET_BYTES);
    trace.protocol = TRACE_UDP;
    trace.port = 53;
    trace.flow = 5;
    trace.first_ttl = 2;
    trace.max_ttl = 9;
    result_from_trace(&body, &trace);
    (void)snprintf(body.error_code, sizeof body.error_code, "c");
    struct transcript text = {0};
    struct wire_error err;
    msgpack_packer pk;
    msgpack_packer_init(&pk, &bytes, msgpack_sbuffer_write);
    body.target[1] = '\0';
    result_put_body(&pk, &body, NULL, 0);
    assert_true(wire_doc_read(&doc, bytes.data, bytes.size, 1000, &err));
    wire_parse_add(&text, &doc.root);
    assert_true(transcript_is(&text,
        "{'target':'x','dst':null,'src':null,'protocol':'udp','port':53,'flow':5,'first_ttl':2,"
        "'max_ttl':9,'started_us':0,'finished_us':0,'probes_sent':0,'stop':'reached',"
        "'error':{'code':'c','message':''},'hops':[]}"));
    transcript_free(&text);
    assert_true(result_check_body(&doc.root, &err));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(probes),
        TEST(probes_come_back),
        TEST(hops),
        TEST(a_wrong_hop_is_named_by_its_path),
        TEST(a_wrong_probe_is_named_by_its_path),
        TEST(hops_are_grouped_by_ttl),
        TEST(bodies),
        TEST(too_many_names),
        TEST(names_come_last),
        TEST(a_body_with_other_keys_is_refused),
        TEST(merging),
        TEST(merging_of_every_form_of_map),
        TEST(a_whole_result_is_read),
        TEST(heads),
        TEST(ids),
        TEST(a_summary_lists_its_members),
        TEST(wrong_members),
        TEST(what_a_body_takes_from_its_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
