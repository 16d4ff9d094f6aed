/* render, progress, json, reply, stats_text: what the command line prints. */
#include "tests/unit/check.h"

#include "clients/cli/json.h"
#include "clients/cli/progress.h"
#include "clients/cli/render.h"
#include "clients/cli/reply.h"
#include "clients/cli/stats_text.h"
#include "tests/unit/wire_parse.h"

#include <stdlib.h>
#include <string.h>

static struct wire_doc doc;
static msgpack_sbuffer bytes;
static struct text out;

static int set_up(void **state) {
    (void)state;
    msgpack_sbuffer_init(&bytes);
    return wire_doc_init(&doc) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    wire_doc_free(&doc);
    msgpack_sbuffer_destroy(&bytes);
    text_free(&out);
    return 0;
}

static const msgpack_object *read_map(const char *text) {
    struct wire_error err;
    if (!wire_parse_read(&doc, &bytes, text, &err))
        fail_msg("%s: %s", text, err.message);
    return &doc.root;
}

/* Compares what was printed since the last time. */
static void expect(const char *text) {
    char *got = calloc(out.size + 1, 1);
    assert_non_null(got);
    if (out.size > 0)
        memcpy(got, out.bytes, out.size);
    text_clear(&out);
    assert_string_equal(got, text);
    free(got);
}

#define ANSWER(attempt, addr, rtt, more)                                                           \
    "{'attempt': " #attempt ", 'addr': '" addr "', 'rtt_us': " #rtt                                \
    ", 'sent_us': 0, 'verdict': " more "}"
#define EXPIRED "'ttl-expired'"
#define SILENT(attempt)                                                                            \
    "{'attempt': " #attempt ", 'addr': null, 'rtt_us': null, 'sent_us': 0, 'verdict': 'no-reply'}"

/* ---- hops ------------------------------------------------------------------------------- */

static void hop(int ttl, const char *probes) {
    char text[4096];
    (void)snprintf(text, sizeof text, "{'probes': [%s]}", probes);
    (void)render_hop(&out, "", ttl, wire_find(read_map(text), "probes"), NULL);
}

static void hops(void **state) {
    (void)state;
    static const struct {
        int ttl;
        const char *probes, *expected;
    } cases[] = {
        {1, ANSWER(1, "10.0.0.1", 412, EXPIRED), " 1  10.0.0.1            0.412 ms\n"},
        {255, ANSWER(1, "10.0.0.1", 0, EXPIRED), "255  10.0.0.1            0.000 ms\n"},
        {2, SILENT(1), " 2  *\n"},
        {2, SILENT(1) "," SILENT(2), " 2  * *\n"},
        {3, SILENT(1) "," ANSWER(2, "10.0.0.1", 1250, EXPIRED),
            " 3  10.0.0.1                *        1.250 ms\n"},
        {4, ANSWER(1, "2001:db8::1", 1234567, EXPIRED),
            " 4  2001:db8::1                              1234.567 ms\n"},
        /* Each address has one line, in the order of the first answers. */
        {5,
            ANSWER(1, "10.0.0.1", 1000, EXPIRED) "," ANSWER(2, "10.0.0.2", 2000,
                EXPIRED) "," ANSWER(3, "10.0.0.1", 3000, EXPIRED) "," SILENT(4),
            " 5  10.0.0.1            1.000 ms     3.000 ms         *\n"
            "    10.0.0.2            2.000 ms\n"},
        {6, ANSWER(1, "10.0.0.1", 1000, "'unreachable'"), " 6  10.0.0.1            1.000 ms !U\n"},
        {7, ANSWER(1, "10.0.0.1", 1000, "'reply', 'flags': ['other-address', 'new']"),
            " 7  10.0.0.1            1.000 ms !A\n"},
        {7,
            "{'attempt': 1, 'addr': '10.0.0.1', 'rtt_us': null, 'sent_us': 0, 'verdict': "
            "'ttl-expired', 'flags': ['clock-step', 'late']}",
            " 7  10.0.0.1                ?    !L !C\n"},
        {8, ANSWER(1, "10.0.0.1", 1000, "'odd'"), " 8  10.0.0.1            1.000 ms !odd\n"},
        {9,
            "{'attempt': 1, 'addr': null, 'rtt_us': null, 'sent_us': 0, 'verdict': "
            "'no-\\xc3\\xa9'}",
            " 9  * !no-??\n"},
        /* Nothing is printed of what is malformed. */
        {1, "", ""},
        {1, "1", ""},
        {1, "{'attempt': 1}", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hop(cases[i].ttl, cases[i].probes);
        expect(cases[i].expected);
    }
}

static void labels(void **state) {
    (void)state;
    hop(3, ANSWER(1, "10.0.0.1", 1000,
               EXPIRED ", 'mpls': [[24001, 0, 0, 1], [16, 7, 1, 2]]") "," ANSWER(2, "10.0.0.2",
               1000, EXPIRED) "," ANSWER(3, "10.0.0.1", 1000,
               EXPIRED ", 'mpls': [[24001, 0, 0, 1], [16, 7, 1, 2]]") "," ANSWER(4, "10.0.0.1",
               1000, EXPIRED ", 'mpls': [[24002, 0, 1, 1]]"));
    expect(" 3  10.0.0.1            1.000 ms     1.000 ms     1.000 ms\n"
           "    [MPLS: Lbl 24001 TC 0 S 0 TTL 1]\n"
           "    [MPLS: Lbl 16 TC 7 S 1 TTL 2]\n"
           "    [MPLS: Lbl 24002 TC 0 S 1 TTL 1]\n"
           "    10.0.0.2            1.000 ms\n");
    /* Stacks that differ in one number are two. */
    static const char *const others[] = {"2, 3, 0, 4", "1, 4, 0, 4", "1, 3, 1, 4", "1, 3, 0, 5"};
    static const char *const shown[] = {
        "2 TC 3 S 0 TTL 4", "1 TC 4 S 0 TTL 4", "1 TC 3 S 1 TTL 4", "1 TC 3 S 0 TTL 5"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char probes[600], expected[300];
        (void)snprintf(probes, sizeof probes,
            ANSWER(1, "10.0.0.1", 1000, EXPIRED ", 'mpls': [[1, 3, 0, 4]]") "," ANSWER(
                2, "10.0.0.1", 1000, EXPIRED ", 'mpls': [[%s]]"),
            others[i]);
        hop(3, probes);
        (void)snprintf(expected, sizeof expected,
            " 3  10.0.0.1            1.000 ms     1.000 ms\n"
            "    [MPLS: Lbl 1 TC 3 S 0 TTL 4]\n    [MPLS: Lbl %s]\n",
            shown[i]);
        expect(expected);
    }
}

/* ---- whole traces ----------------------------------------------------------------------- */

#define HEAD(run)                                                                                  \
    "'seq': 1, 'stream_seq': 1, 'epoch': 1, 'accepted_us': 0, 'id': 'one', 'stream': 'default', "  \
    "'worker': 'w1', 'run': " #run
#define BODY(target, dst, stop, hops, more)                                                        \
    "'target': '" target "', 'dst': " dst ", 'src': null, 'protocol': 'icmp', 'first_ttl': 1, "    \
    "'max_ttl': 30, 'started_us': 1700000000000000, 'finished_us': 1700000000340000, "             \
    "'probes_sent': 4, 'stop': '" stop "', 'hops': [" hops "]" more
#define HOP(ttl, probes) "{'ttl': " #ttl ", 'probes': [" probes "]}"
#define ONE HOP(1, ANSWER(1, "10.0.0.1", 412, EXPIRED))
#define TWO HOP(2, SILENT(1))
#define THREE HOP(3, ANSWER(1, "192.0.2.1", 900, "'reply'"))

static struct result_head head;
static struct result_body body;

static void read_result(const char *text) {
    struct wire_error err;
    const msgpack_object *map = read_map(text);
    if (!result_get_head(&head, map, &err) || !result_get_body(&body, map, &err))
        fail_msg("%s", err.message);
}

static void summaries(void **state) {
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"{" HEAD(1) "," BODY("192.0.2.1", "'192.0.2.1'", "reached", ONE "," TWO "," THREE, "") "}",
            "reached in 3 hops, 0.3 s, 4 probes, worker w1\n"},
        {"{" HEAD(2) "," BODY("a.example", "'192.0.2.1'", "reached", ONE, "") "}",
            "reached 192.0.2.1 in 1 hop, 0.3 s, 4 probes, worker w1, run 2\n"},
        {"{" HEAD(1) "," BODY("a", "null", "gap-limit", ONE "," TWO, "") "}",
            "gap-limit: the last 1 hop did not answer; 2 hops, 0.3 s, 4 probes, worker w1\n"},
        {"{" HEAD(1) "," BODY("a", "null", "unresolved", "",
             ", 'error': {'code': 'not-found', 'message': 'target: a: no such name'}") "}",
            "unresolved: target: a: no such name; 0 hops, 0.3 s, 4 probes, worker w1\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        read_result(cases[i].text);
        render_summary(&out, &head, &body);
        expect(cases[i].expected);
    }
}

static void one_line(void **state) {
    (void)state;
    read_result(
        "{" HEAD(1) "," BODY("192.0.2.1", "null", "reached", ONE "," TWO "," THREE, "") "}");
    render_line(&out, &head, &body);
    expect("2023-11-14T22:13:20Z default    one              192.0.2.1                reached      "
           "   3     0.900 ms\n");
}

/* A hop that was lost, and a trace that starts again, leave neither a hole nor a hop twice. */
static void live_traces(void **state) {
    (void)state;
    struct trace trace;
    struct progress progress;
    trace_defaults(&trace);
    memcpy(trace.target, "192.0.2.1", sizeof "192.0.2.1");
    progress_begin(&progress, &out, &trace);
    expect("trace to 192.0.2.1, icmp, 30 hops at most\n");
    progress_hop(&progress, &out, read_map(ONE));
    expect(" 1  10.0.0.1            0.412 ms\n");
    progress_hop(&progress, &out, read_map(THREE));
    progress_hop(&progress, &out, read_map("{'ttl': 2}"));
    expect("");
    progress_hop(&progress, &out, read_map(TWO));
    expect(" 2  *\n");
    progress_hop(&progress, &out, read_map(ONE));
    expect("worker lost, the trace starts again\n 1  10.0.0.1            0.412 ms\n");
    read_result(
        "{" HEAD(2) "," BODY("192.0.2.1", "'192.0.2.1'", "reached", ONE "," TWO "," THREE, "") "}");
    progress_end(&progress, &out, &head, &body);
    expect(" 2  *\n 3  192.0.2.1           0.900 ms\n"
           "reached in 3 hops, 0.3 s, 4 probes, worker w1, run 2\n");
    /* A run of which no hop came. */
    progress_begin(&progress, &out, &trace);
    progress_hop(&progress, &out, read_map(ONE));
    text_clear(&out);
    read_result("{" HEAD(3) "," BODY("192.0.2.1", "'192.0.2.1'", "reached", ONE, "") "}");
    progress_end(&progress, &out, &head, &body);
    expect("worker lost, the trace starts again\n 1  10.0.0.1            0.412 ms\n"
           "reached in 1 hop, 0.3 s, 4 probes, worker w1, run 3\n");
    /* Nothing is taken back where no hop was printed. */
    progress_begin(&progress, &out, &trace);
    text_clear(&out);
    progress_end(&progress, &out, &head, &body);
    expect(" 1  10.0.0.1            0.412 ms\n"
           "reached in 1 hop, 0.3 s, 4 probes, worker w1, run 3\n");
}

/* The columns are as wide as the longest name that is not too long. */
static void names(void **state) {
    (void)state;
    read_result("{" HEAD(1) "," BODY("192.0.2.1", "'192.0.2.1'", "reached", ONE "," TWO "," THREE,
        ", 'names': {'10.0.0.1': 'gw.example.net', '192.0.2.1': 'y'x60}") "}");
    progress_whole(&out, &head, &body);
    expect("trace to 192.0.2.1, icmp, 30 hops at most\n"
           " 1  gw.example.net (10.0.0.1)     0.412 ms\n"
           " 2  *\n"
           " 3  yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy (192.0.2.1)     0.900 "
           "ms\n"
           "reached in 3 hops, 0.3 s, 4 probes, worker w1\n");
    read_result("{" HEAD(1) "," BODY("192.0.2.1", "'192.0.2.1'", "reached", ONE "," TWO "," THREE,
        ", 'names': {'192.0.2.1': 'www.example.net'}") "}");
    (void)render_hop(&out, "", 1, wire_find(&body.hops->via.array.ptr[0], "probes"), body.names);
    (void)render_hop(&out, "", 3, wire_find(&body.hops->via.array.ptr[2], "probes"), body.names);
    expect(" 1  10.0.0.1                        0.412 ms\n"
           " 3  www.example.net (192.0.2.1)     0.900 ms\n");
}

/* ---- coalesce and fanout ---------------------------------------------------------------- */

static void shared(void **state) {
    (void)state;
    read_result("{" HEAD(1) ", 'shared': 'other', " BODY(
        "192.0.2.1", "'192.0.2.1'", "reached", ONE "," TWO "," THREE, "") "}");
    render_summary(&out, &head, &body);
    expect("reached in 3 hops, 0.3 s, 4 probes, worker w1, probed by other\n");
    render_line(&out, &head, &body);
    expect("2023-11-14T22:13:20Z default    one              192.0.2.1                reached      "
           "   3     0.900 ms  probed by other\n");
}

#define PLACE(worker, stop, seq)                                                                   \
    "{'worker': '" worker "', 'id': 'one/" worker "', 'stop': '" stop "', 'seq': " #seq "}"

static void fanouts(void **state) {
    (void)state;
    struct trace trace;
    struct progress progress;
    trace_defaults(&trace);
    memcpy(trace.target, "192.0.2.1", sizeof "192.0.2.1");
    progress_begin(&progress, &out, &trace);
    text_clear(&out);
    read_result(
        "{" HEAD(1) ", 'id': 'one/w1', " BODY("192.0.2.1", "null", "gap-limit", ONE, "") "}");
    progress_part(&out, &head, &body);
    expect("at w1:\n 1  10.0.0.1            0.412 ms\n"
           "gap-limit: the last 0 hops did not answer; 1 hop, 0.3 s, 4 probes, worker w1\n");
    read_result(
        "{" HEAD(0) ", 'accepted_us': 1700000000000000, " BODY("192.0.2.1", "null", "summary", "",
            ", 'members': [" PLACE("w1", "gap-limit", 1) "," PLACE("w2", "reached", 2) "," PLACE(
                "w3", "reached", 3) "]") "}");
    progress_end(&progress, &out, &head, &body);
    expect("3 parts: 2 reached, 1 gap-limit, 0.3 s\n");
    render_line(&out, &head, &body);
    expect("2023-11-14T22:13:20Z default    one              192.0.2.1                summary      "
           "3 parts: 2 reached, 1 gap-limit\n");
}

/* ---- the others ------------------------------------------------------------------------- */

static void json(void **state) {
    (void)state;
    json_line(&out,
        read_map("{'req': 7, 'a': [1, -2, true, null, 1.5], 3: 'x', 'b': <{}>, 'c': "
                 "'\\x1b[2J\\xc3\\xa9', 'bad': '\\xff', 'u': 18446744073709551615, 'i': "
                 "9223372036854775807, 'n': -9223372036854775808}"),
        "req");
    expect("{\"a\":[1,-2,true,null,1.5],\"3\":\"x\",\"b\":\"80\",\"c\":\"\\u001B[2J\\u00E9\","
           "\"bad\":\"?\",\"u\":1.84467440737096e19,\"i\":9223372036854775807,\"n\":-"
           "9223372036854775808}\n");
}

static void endpoints(void **state) {
    (void)state;
    static const struct {
        const char *results, *dialled, *expected;
    } cases[] = {
        {"'tcp://127.0.0.1:7702'", "tcp://127.0.0.1:7701", "tcp://127.0.0.1:7702"},
        {"'tcp://*:7702'", "tcp://broker.example:7701", "tcp://broker.example:7702"},
        {"'tcp://*:7702'", "tcp://[::1]:7701", "tcp://[::1]:7702"},
        {"'tcp://*:7702'", "ipc:///run/s", "tcp://127.0.0.1:7702"},
        {"'tcp://*:7702', 'ipc:///run/r'", "ipc:///run/s", "ipc:///run/r"},
        {"'tcp://*:7702', 'ipc:///run/r'", "tcp://a:1", "tcp://a:7702"},
        {"", "tcp://a:1", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reply_ping pong;
        struct wire_error err;
        char text[512], endpoint[REPLY_ENDPOINT_BYTES + 1];
        (void)snprintf(text, sizeof text,
            "{'broker': 'b', 'version': '0', 'versions': [1, 1], 'epoch': 1, 'seq': 0, 'results': "
            "[%s]}",
            cases[i].results);
        assert_true(reply_ping_get(&pong, read_map(text), &err));
        bool found = reply_ping_results(&pong, cases[i].dialled, endpoint);
        assert_true(found == (cases[i].expected != NULL));
        if (found)
            assert_string_equal(endpoint, cases[i].expected);
    }
}

static void pongs(void **state) {
    (void)state;
    static const struct {
        const char *more, *expected;
    } cases[] = {
        {"", "epoch 7, 12 results\n"}, /* of a broker that does not know of origins */
        {", 'origin': 7", "epoch 7, 12 results\n"},
        {", 'origin': 5", "epoch 7, 12 results since 5\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reply_ping pong;
        struct wire_error err;
        char text[200], expected[200];
        (void)snprintf(text, sizeof text,
            "{'broker': 'b', 'version': '0', 'versions': [1, 1], 'epoch': 7, 'seq': 12, "
            "'results': []%s}",
            cases[i].more);
        assert_true(reply_ping_get(&pong, read_map(text), &err));
        assert_int_equal(pong.origin, i == 2 ? 5 : 7);
        reply_ping_render(&out, &pong, "ipc://x", 1500);
        (void)snprintf(expected, sizeof expected,
            "b at ipc://x answers in 1.500 ms: hopmq 0, protocol 1..1, %s", cases[i].expected);
        expect(expected);
    }
}

/* Whatever a broker sends as stats, there is a line for it, and none for nonsense. */
static void numbers(void **state) {
    (void)state;
    stats_text(
        &out, read_map("{'uptime_ms': 'x', 'queue': 3, 'rates': null, 'workers': [1, {'name': "
                       "'w\\x1b', 'af': [4, 6], 'labels': {'site': 'ams'}, 'draining': true,"
                       " 'trouble': 'mtr-packet: no \\x1brights'}],"
                       " 'counters': {'a\\x0ab': 1, 'c': 'd'}}"));
    expect("up       0 s\n"
           "traces   0 queued (at most 0), 0 running, 0 results kept (at most 0)\n"
           "rates    0.0 accepted/s, 0.0 results/s, over the last 10 s\n"
           "\n"
           "WORKER                 RUNNING     SEEN  IPv  PROTOCOLS          PROBER             "
           "LABELS\n"
           "                           0/0    0.0 s\n"
           "w?                         0/0    0.0 s  4,6                                        "
           "site=ams (draining)\n"
           "  takes no traces: mtr-packet: no ?rights\n"
           "\n"
           "a?b                                     1\n");
}

/* A `pong` whose parts are of another kind is refused. */
static void malformed_pongs(void **state) {
    (void)state;
    static const struct {
        const char *versions, *results, *expected;
    } cases[] = {
        {"[1, 1]", "[]", "ok"},
        {"[0, 1000000]", "['x'x255]", "ok"},
        {"1", "[]", "bad-request [versions] versions: must be two integers"},
        {"{1: 1}", "[]", "bad-request [versions] versions: must be two integers"},
        {"[1]", "[]", "bad-request [versions] versions: must be two integers"},
        {"[1, 1, 1]", "[]", "bad-request [versions] versions: must be two integers"},
        {"['1', 1]", "[]", "bad-request [versions] versions: must be two integers"},
        {"[1, -1]", "[]", "bad-request [versions] versions: must be two integers"},
        {"[1, 1000001]", "[]", "bad-request [versions] versions: must be two integers"},
        {"[1, 1]", "{}", "bad-request [results] results: must be an array of endpoints"},
        {"[1, 1]", "['']", "bad-request [results] results: must be an array of endpoints"},
        {"[1, 1]", "['x'x256]", "bad-request [results] results: must be an array of endpoints"},
        {"[1, 1]", "['\\x1b']", "bad-request [results] results: must be an array of endpoints"},
        {"[1, 1]", "['x', 1]", "bad-request [results] results: must be an array of endpoints"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reply_ping pong;
        struct wire_error err;
        char text[512], got[400];
        (void)snprintf(text, sizeof text,
            "{'broker': 'b', 'version': '0', 'epoch': 1, 'seq': 0, 'versions': %s, 'results': %s}",
            cases[i].versions, cases[i].results);
        bool ok = reply_ping_get(&pong, read_map(text), &err);
        assert_string_equal(wire_parse_outcome(ok, &err, got), cases[i].expected);
    }
}

/* An endpoint has REPLY_ENDPOINT_BYTES at most, also once the host is in it. */
static void long_endpoints(void **state) {
    (void)state;
    struct reply_ping pong;
    struct wire_error err;
    char dialled[300] = "tcp://", endpoint[REPLY_ENDPOINT_BYTES + 1];
    assert_true(reply_ping_get(&pong,
        read_map("{'broker': 'b', 'version': '0', 'epoch': 1, 'seq': 0, 'versions': [1, 1], "
                 "'results': ['tcp://*:7702']}"),
        &err));
    size_t host = REPLY_ENDPOINT_BYTES - strlen("tcp://:7702");
    memset(dialled + 6, 'h', host);
    memcpy(dialled + 6 + host, ":1", 3);
    assert_true(reply_ping_results(&pong, dialled, endpoint));
    assert_int_equal(strlen(endpoint), REPLY_ENDPOINT_BYTES);
    assert_string_equal(endpoint + 6 + host, ":7702");
    memcpy(dialled + 6 + host, "h:1", 4);
    assert_false(reply_ping_results(&pong, dialled, endpoint));
}

/* What a broker that is well says of itself. */
static void stats(void **state) {
    (void)state;
    stats_text(&out,
        read_map("{'uptime_ms': 59999, 'queue': {'queued': 1, 'max_queued': 2, 'running': 3,"
                 " 'kept': 4, 'keep_results': 5}, 'rates': {'accepted_per_s': 1.5,"
                 " 'results_per_s': 2}, 'workers': [{'name': 'ams1', 'running': 6, 'capacity': 7,"
                 " 'seen_ms': 1234, 'af': [4, 6], 'protocols': ['icmp', 'udp'], 'prober': 'mtr',"
                 " 'labels': {'a': 'b', 'c': 'd'}, 'draining': false}]}"));
    expect("up       59 s\n"
           "traces   1 queued (at most 2), 3 running, 4 results kept (at most 5)\n"
           "rates    1.5 accepted/s, 2.0 results/s, over the last 10 s\n"
           "\n"
           "WORKER                 RUNNING     SEEN  IPv  PROTOCOLS          PROBER             "
           "LABELS\n"
           "ams1                       6/7    1.2 s  4,6  icmp,udp           mtr                "
           "a=b c=d\n");
}

static void uptimes(void **state) {
    (void)state;
    static const struct {
        int64_t ms;
        const char *expected;
    } cases[] = {
        {0, "0 s"},
        {59999, "59 s"},
        {60000, "1 min 0 s"},
        {3599999, "59 min 59 s"},
        {3600000, "1 h 0 min"},
        {86399999, "23 h 59 min"},
        {86400000, "1 d 0 h"},
        {INT64_C(864000000000) + 82800000, "10000 d 23 h"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[80], expected[300];
        (void)snprintf(text, sizeof text, "{'uptime_ms': %lld}", (long long)cases[i].ms);
        stats_text(&out, read_map(text));
        (void)snprintf(expected, sizeof expected,
            "up       %s\n"
            "traces   0 queued (at most 0), 0 running, 0 results kept (at most 0)\n"
            "rates    0.0 accepted/s, 0.0 results/s, over the last 10 s\n"
            "\n"
            "no workers: nothing runs until one dials in\n",
            cases[i].expected);
        expect(expected);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hops, set_up, tear_down),
        cmocka_unit_test_setup_teardown(labels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(summaries, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(live_traces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(endpoints, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fanouts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pongs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(malformed_pongs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_endpoints, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stats, set_up, tear_down),
        cmocka_unit_test_setup_teardown(uptimes, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
