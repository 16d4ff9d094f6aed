/* mtr_line: commands to the byte, every word that mtr-packet has said, and lines it never should.
 */
#include "tests/unit/check.h"

#include "common/protocol/trace.h"
#include "tests/unit/rng.h"
#include "tests/unit/transcript.h"
#include "worker/probing/mtr_line.h"
#include "worker/probing/mtr_tokens.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- commands --------------------------------------------------------------------------- */

static void expect_command(const struct mtr_probe *probe, const char *expected) {
    char line[MTR_LINE_BYTES];
    size_t size = mtr_line_probe(line, probe);
    assert_true(size < sizeof line);
    line[size] = '\0';
    assert_string_equal(line, expected);
}

static struct addr parsed(const char *text) {
    struct addr addr;
    assert_true(addr_parse(&addr, text));
    return addr;
}

static void commands(void **state) {
    (void)state;
    struct mtr_probe p = {.token = 2048,
        .protocol = TRACE_ICMP,
        .target = parsed("192.0.2.1"),
        .local = parsed("198.51.100.2"),
        .ttl = 1,
        .timeout_s = 2,
        .size = 64};
    expect_command(&p, "2048 send-probe ip-4 192.0.2.1 local-ip-4 198.51.100.2 protocol icmp"
                       " ttl 1 timeout 2\n");
    p.protocol = TRACE_UDP;
    p.port = 53;
    p.local_port = 20000;
    p.size = 28;
    p.tos = 184;
    p.bit_pattern = 255;
    expect_command(&p, "2048 send-probe ip-4 192.0.2.1 local-ip-4 198.51.100.2 protocol udp ttl 1"
                       " timeout 2 port 53 local-port 20000 size 28 tos 184 bit-pattern 255\n");
    p = (struct mtr_probe){.token = 2147483647,
        .protocol = TRACE_SCTP,
        .target = parsed("2001:db8:1111:2222:3333:4444:5555:6666"),
        .local = parsed("2001:db8:1111:2222:3333:4444:5555:7777"),
        .ttl = 255,
        .timeout_s = 30,
        .tos = 255,
        .bit_pattern = 255,
        .size = 1500,
        .port = 65535,
        .local_port = 65535};
    expect_command(&p, "2147483647 send-probe ip-6 2001:db8:1111:2222:3333:4444:5555:6666"
                       " local-ip-6 2001:db8:1111:2222:3333:4444:5555:7777 protocol sctp ttl 255"
                       " timeout 30 port 65535 local-port 65535 size 1500 tos 255"
                       " bit-pattern 255\n");
}

static void the_longest_command_is_within_what_mtr_packet_reads(void **state) {
    (void)state;
    struct mtr_probe p = {.token = MTR_TOKEN_MAX,
        .protocol = TRACE_SCTP,
        .ttl = 255,
        .timeout_s = 255,
        .tos = 255,
        .bit_pattern = 255,
        .size = 65535,
        .port = 65535,
        .local_port = 65535};
    memset(&p.target, 0xff, sizeof p.target);
    p.target.af = 6;
    p.local = p.target;
    char line[MTR_LINE_BYTES];
    char way[MTR_WAY_BYTES + 64];
    mtr_line_way(way, &p);
    assert_true(strlen(way) < MTR_WAY_BYTES);
    size_t size = mtr_line_probe(line, &p);
    assert_true(size <= 260);
    unsigned words = 0;
    for (size_t i = 0; i < size; i++)
        words += line[i] == ' ' || line[i] == '\n';
    assert_true(words <= 2 + 2 * 16); /* token, command, at most 16 pairs: cmdparse.h */
}

static void the_question_for_a_feature(void **state) {
    (void)state;
    char line[MTR_LINE_BYTES];
    size_t size = mtr_line_feature(line, 7, "version");
    assert_int_equal(size, strlen("7 check-support feature version\n"));
    assert_memory_equal(line, "7 check-support feature version\n", size);
}

/* ---- replies ---------------------------------------------------------------------------- */

static const char *const classes[] = {
    [MTR_REPLY] = "reply",
    [MTR_EXPIRED] = "expired",
    [MTR_UNREACHABLE] = "unreachable",
    [MTR_SILENT] = "silent",
    [MTR_NO_ROUTE] = "no-route",
    [MTR_EXHAUSTED] = "exhausted",
    [MTR_DENIED] = "denied",
    [MTR_INVALID] = "invalid",
    [MTR_TOO_LONG] = "too-long",
    [MTR_FEATURE] = "feature",
    [MTR_TROUBLE] = "trouble",
};

/* A line as one text: token, class, word, and what else came. */
static const char *shown(const char *line, struct transcript *out) {
    struct mtr_reply r;
    char addr[ADDR_TEXT];
    transcript_clear(out);
    /* on the heap and without an end, so that a sanitizer sees a read beyond it */
    size_t size = strlen(line);
    char *exact = malloc(size > 0 ? size : 1);
    assert_non_null(exact);
    memcpy(exact, line, size);
    bool ok = mtr_line_parse(&r, exact, size);
    free(exact);
    if (!ok) {
        transcript_add(out, "malformed");
        return out->at;
    }
    transcript_add(out, "%d %s %s", r.token, classes[r.class], r.word);
    if (r.addr.af != 0)
        transcript_add(out, " %s", addr_print(&r.addr, addr));
    if (r.rtt_us >= 0)
        transcript_add(out, " %" PRId64 "us", r.rtt_us);
    if (r.support[0] != '\0')
        transcript_add(out, " support=%s", r.support);
    for (int i = 0; i < r.mpls_count; i++)
        transcript_add(
            out, " [%u %u %u %u]", r.mpls[i].label, r.mpls[i].tc, r.mpls[i].s, r.mpls[i].ttl);
    return out->at;
}

struct line_case {
    const char *line, *expected;
};

static void expect_lines(const struct line_case *cases, size_t count) {
    struct transcript out = {0};
    for (size_t i = 0; i < count; i++)
        if (strcmp(shown(cases[i].line, &out), cases[i].expected) != 0)
            fail_msg("%s\n  expected %s\n  got      %s", cases[i].line, cases[i].expected, out.at);
    transcript_free(&out);
}

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void words(void **state) {
    (void)state;
    static const struct line_case cases[] = {
        {"33 reply ip-4 192.0.2.1 round-trip-time 412", "33 reply reply 192.0.2.1 412us"},
        {"33 reply ip-6 2001:db8::1 round-trip-time 0", "33 reply reply 2001:db8::1 0us"},
        {"33 ttl-expired ip-4 10.0.0.1 round-trip-time 9", "33 expired ttl-expired 10.0.0.1 9us"},
        {"33 no-reply", "33 silent no-reply"},
        {"33 no-route", "33 no-route no-route"},
        {"33 no-route ip-4 10.0.0.1 round-trip-time 9", "33 unreachable no-route 10.0.0.1 9us"},
        {"33 no-route-host", "33 no-route no-route-host"},
        {"33 no-route-host ip-4 10.0.0.1 round-trip-time 9",
            "33 unreachable no-route-host 10.0.0.1 9us"},
        {"33 no-route-network", "33 no-route no-route-network"},
        {"33 no-route-network ip-6 ::1 round-trip-time 9",
            "33 unreachable no-route-network ::1 9us"},
        {"33 network-down", "33 no-route network-down"},
        {"33 host-down", "33 no-route host-down"},
        {"33 host-down ip-4 10.0.0.1 round-trip-time 9", "33 unreachable host-down 10.0.0.1 9us"},
        {"33 probes-exhausted", "33 exhausted probes-exhausted"},
        {"33 permission-denied", "33 denied permission-denied"},
        {"33 invalid-argument", "33 invalid invalid-argument"},
        {"33 invalid-argument reason ip-version-not-supported", "33 invalid invalid-argument"},
        {"33 invalid-argument reason protocol-not-supported", "33 invalid invalid-argument"},
        {"33 address-in-use", "33 trouble address-in-use"},
        {"33 address-not-available", "33 no-route address-not-available"},
        {"33 unexpected-error errno 90", "33 too-long unexpected-error"},
        {"33 unexpected-error errno 13", "33 trouble unexpected-error"},
        {"33 wait-tcp-respone-timeout", "33 silent wait-tcp-respone-timeout"},
        {"33 unknown-command", "33 trouble unknown-command"},
        {"0 command-parse-error", "0 trouble command-parse-error"},
        {"0 command-buffer-overflow", "0 trouble command-buffer-overflow"},
        {"1 feature-support support 0.95", "1 feature feature-support support=0.95"},
        {"1 feature-support support 0.96-12-gabcdef0",
            "1 feature feature-support support=0.96-12-gabcdef0"},
        {"1 feature-support support no", "1 feature feature-support support=no"},
        {"33 a-word-of-tomorrow", "33 trouble a-word-of-tomorrow"},
    };
    expect_lines(cases, COUNT(cases));
}

/* What each released mtr-packet can say: every word in packet/command.c, probe.c and probe_unix.c
 * of mtr's tags v0.88 to v0.96 and of 7b01773 (2026-06). Versions are 0.N; 97 is the latter. */
static const struct released {
    int from, to;
    const char *word;
    const char *alone;    /* what it means without an address; NULL: never said so */
    const char *answered; /* and with address and time */
} released[] = {
    {88, 97, "reply", NULL, "reply"},
    {88, 97, "ttl-expired", NULL, "expired"},
    {88, 97, "no-reply", "silent", NULL},
    {88, 95, "no-route", "no-route", "unreachable"}, /* EHOSTUNREACH, ENETUNREACH */
    {96, 97, "no-route-host", "no-route", "unreachable"},
    {96, 97, "no-route-network", "no-route", NULL},
    {88, 97, "network-down", "no-route", NULL},
    {96, 97, "host-down", "no-route", NULL},
    {88, 97, "probes-exhausted", "exhausted", NULL},
    {88, 97, "permission-denied", "denied", NULL},
    {88, 97, "invalid-argument", "invalid", NULL},
    {88, 97, "invalid-argument reason ip-version-not-supported", "invalid", NULL},
    {88, 97, "invalid-argument reason protocol-not-supported", "invalid", NULL},
    {88, 97, "address-in-use", "trouble", NULL},
    {88, 97, "address-not-available", "no-route", NULL},
    {96, 97, "wait-tcp-respone-timeout", "silent", NULL},
    {88, 97, "unexpected-error errno 90", "too-long", NULL}, /* EMSGSIZE */
    {88, 97, "unexpected-error errno 13", "trouble", NULL},  /* EACCES */
    {88, 97, "unexpected-error winerror 11010", "trouble", NULL},
    {88, 97, "feature-support support no", "feature", NULL},
    {88, 97, "unknown-command", "trouble", NULL},
    {88, 97, "command-parse-error", "trouble", NULL},
    {88, 97, "command-buffer-overflow", "trouble", NULL},
};

static void every_word_of_every_version(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(released); i++) {
        const struct released *r = &released[i];
        struct mtr_reply reply;
        char line[200];
        assert_true(r->from >= 88 && r->to >= r->from);
        for (int answered = 0; answered < 2; answered++) {
            const char *class = answered ? r->answered : r->alone;
            int size = snprintf(line, sizeof line, "33 %s%s", r->word,
                answered ? " ip-6 2001:db8::1 round-trip-time 7 mpls 3,0,1,1" : "");
            assert_true(mtr_line_parse(&reply, line, (size_t)size));
            if (class != NULL && strcmp(classes[reply.class], class) != 0)
                fail_msg("0.%d..0.%d: %s: %s, not %s", r->from, r->to, line, classes[reply.class],
                    class);
            assert_int_equal(reply.addr.af, answered ? 6 : 0);
            assert_int_equal(reply.rtt_us, answered ? 7 : -1);
            assert_int_equal(reply.mpls_count, answered);
        }
    }
}

/* Nothing but an answer with an address and a time makes a hop; anything else is
 * a word that is no verdict of ours, or is silence. */
static void only_an_answer_is_an_answer(void **state) {
    (void)state;
    static const char *const lacking[] = {"", " ip-4 10.0.0.1", " round-trip-time 5"};
    for (size_t i = 0; i < COUNT(released); i++)
        for (size_t j = 0; j < COUNT(lacking); j++) {
            struct mtr_reply reply;
            char line[200];
            int size = snprintf(line, sizeof line, "33 %s%s", released[i].word, lacking[j]);
            assert_true(mtr_line_parse(&reply, line, (size_t)size));
            assert_true(reply.class != MTR_REPLY && reply.class != MTR_EXPIRED &&
                        reply.class != MTR_UNREACHABLE);
        }
}

static void versions(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int minor;
        bool flow4, flow6;
    } cases[] = {
        {"0.88", 88, false, false},
        {"0.92", 92, false, false},
        {"0.93", 93, true, false},
        {"0.95", 95, true, false},
        {"0.95-12-gabcdef", 95, true, false},
        {"0.96", 96, true, true},
        {"0.100", 100, true, true},
        {"1", MTR_MINOR_OF_1, true, true},
        {"1.2", MTR_MINOR_OF_1, true, true},
        {"", 0, false, false},
        {"0", 0, false, false},
        {"unknown", 0, false, false},
        {"0.", 0, false, false},
        {"v0.96", 0, false, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(mtr_minor(cases[i].text), cases[i].minor);
        assert_int_equal(mtr_keeps_flow(cases[i].text, 4), cases[i].flow4);
        assert_int_equal(mtr_keeps_flow(cases[i].text, 6), cases[i].flow6);
    }
}

static void arguments_go_by_name(void **state) {
    (void)state;
    static const struct line_case cases[] = {
        {"1 reply round-trip-time 5 ip-4 10.0.0.1", "1 reply reply 10.0.0.1 5us"},
        {"1 reply hue blue ip-4 10.0.0.1 new 1 round-trip-time 5", "1 reply reply 10.0.0.1 5us"},
        {"1   reply  ip-4   10.0.0.1 round-trip-time 5  ", "1 reply reply 10.0.0.1 5us"},
        {" 1 no-reply", "1 silent no-reply"},
        {"007 no-reply", "7 silent no-reply"},
        /* an answer without its address or time is none */
        {"1 reply", "1 trouble reply"},
        {"1 reply ip-4 10.0.0.1", "1 trouble reply 10.0.0.1"},
        {"1 ttl-expired round-trip-time 5", "1 trouble ttl-expired 5us"},
        {"1 no-route ip-4 10.0.0.1", "1 no-route no-route 10.0.0.1"},
        {"1 no-route round-trip-time 5", "1 no-route no-route 5us"},
    };
    expect_lines(cases, COUNT(cases));
}

#define EXPIRED "1 ttl-expired ip-4 10.0.0.1 round-trip-time 5 mpls "
#define EXPIRED_SHOWN "1 expired ttl-expired 10.0.0.1 5us"

static void mpls(void **state) {
    (void)state;
    static const struct line_case cases[] = {
        {EXPIRED "24001,0,1,1", EXPIRED_SHOWN " [24001 0 1 1]"},
        {EXPIRED "1048575,7,0,255,1,2,1,4", EXPIRED_SHOWN " [1048575 7 0 255] [1 2 1 4]"},
        {EXPIRED "1,1,1,1,2,2,0,2,3,3,0,3,4,4,0,4,5,5,0,5,6,6,0,6,7,7,0,7,8,0,0,8",
            EXPIRED_SHOWN " [1 1 1 1] [2 2 0 2] [3 3 0 3] [4 4 0 4] [5 5 0 5] [6 6 0 6]"
                          " [7 7 0 7] [8 0 0 8]"},
        {EXPIRED "1,1,1,1,2,2,0,2,3,3,0,3,4,4,0,4,5,5,0,5,6,6,0,6,7,7,0,7,8,0,0,8,9,0,0,9",
            "malformed"},
        {EXPIRED "1048576,0,1,1", "malformed"},
        {EXPIRED "1,8,1,1", "malformed"},
        {EXPIRED "1,0,2,1", "malformed"},
        {EXPIRED "1,0,1,256", "malformed"},
        {EXPIRED "1,0,1", "malformed"},
        {EXPIRED "1,0,1,", "malformed"},
        {EXPIRED "1,0,1,1,", "malformed"},
        {EXPIRED ",0,1,1", "malformed"},
        {EXPIRED "1,,1,1", "malformed"},
        {EXPIRED "1;0;1;1", "malformed"},
        {EXPIRED "1,0,1,1x", "malformed"},
        {EXPIRED "-1,0,1,1", "malformed"},
        {EXPIRED "99999999999999999999,0,1,1", "malformed"},
    };
    expect_lines(cases, COUNT(cases));
}

static void malformed(void **state) {
    (void)state;
    static const struct line_case cases[] = {
        {"", "malformed"},
        {" ", "malformed"},
        {"1", "malformed"},
        {"1 ", "malformed"},
        {"reply", "malformed"},
        {"x reply", "malformed"},
        {"1x reply", "malformed"},
        {"-1 no-reply", "malformed"},
        {"+1 no-reply", "malformed"},
        {"2147483647 no-reply", "2147483647 silent no-reply"},
        {"2147483648 no-reply", "malformed"},
        {"4294967297 no-reply", "malformed"},
        {"99999999999999999999999999 no-reply", "malformed"},
        {"1 reply ip-4", "malformed"},
        {"1 reply ip-4 10.0.0.1 round-trip-time", "malformed"},
        {"1 reply ip-4 10.0.0 round-trip-time 5", "malformed"},
        {"1 reply ip-4 ::1 round-trip-time 5", "malformed"},
        {"1 reply ip-6 10.0.0.1 round-trip-time 5", "malformed"},
        {"1 reply ip-4 router round-trip-time 5", "malformed"},
        {"1 reply ip-6 fe80::1%eth0 round-trip-time 5", "malformed"},
        {"1 reply ip-6 1111:2222:3333:4444:5555:6666:7777:8888:9999 round-trip-time 5",
            "malformed"},
        {"1 reply ip-4 10.0.0.1 round-trip-time -5",
            "1 reply reply 10.0.0.1 9223372036854775807us"},
        {"1 reply ip-4 10.0.0.1 round-trip-time --5", "malformed"},
        {"1 reply ip-4 10.0.0.1 round-trip-time -", "malformed"},
        {"1 reply ip-4 10.0.0.1 round-trip-time 5.5", "malformed"},
        {"1 reply ip-4 10.0.0.1 round-trip-time 9223372036854775808", "malformed"},
        {"1 reply ip-4 10.0.0.1 round-trip-time 5\r", "malformed"},
        {"1\tno-reply", "malformed"},
        {"1 no-\x01reply", "malformed"},
        {"1 no-reply\r", "malformed"},
        {"1 a23456789b123456789c123456789d12", "1 trouble a23456789b123456789c123456789d12"},
        {"1 a23456789b123456789c123456789d123", "malformed"},
        {"1 feature-support support a23456789b123456789c123456789d123", "malformed"},
    };
    expect_lines(cases, COUNT(cases));
    struct mtr_reply r;
    assert_false(mtr_line_parse(&r, "1 no-reply\0x", 12));
    assert_false(mtr_line_parse(&r, "1 \0", 3));
}

/* Every beginning of a good line is refused or says less, never something else. */
static void a_line_that_is_cut_off(void **state) {
    (void)state;
    static const char line[] = EXPIRED "24001,0,1,255";
    for (size_t size = 0; size < sizeof line - 1; size++) {
        struct mtr_reply r;
        char *exact = malloc(size > 0 ? size : 1);
        assert_non_null(exact);
        memcpy(exact, line, size);
        if (mtr_line_parse(&r, exact, size)) {
            assert_int_equal(r.token, 1);
            assert_memory_equal(r.word, "ttl-expired", strlen(r.word));
            assert_true(r.rtt_us <= 5);
        }
        free(exact);
    }
}

/* ---- framing ---------------------------------------------------------------------------- */

/* Feeds the bytes in pieces and shows the lines that came out. */
static void feed(struct mtr_framer *framer, struct transcript *out, const char *data, size_t size) {
    const char *line;
    size_t length;
    char *exact = malloc(size > 0 ? size : 1);
    assert_non_null(exact);
    memcpy(exact, data, size);
    const char *at = exact;
    while ((line = mtr_framer_next(framer, &at, &size, &length)) != NULL)
        transcript_add(out, "[%.*s]", (int)length, line);
    assert_int_equal(size, 0);
    free(exact);
}

static void lines_across_reads(void **state) {
    (void)state;
    static const char stream[] = "1 no-reply\n\n2 reply ip-4 10.0.0.1 round-trip-time 5\nx\n";
    static const char expected[] = "[1 no-reply][][2 reply ip-4 10.0.0.1 round-trip-time 5][x]";
    size_t size = sizeof stream - 1;
    for (size_t i = 0; i <= size; i++)
        for (size_t j = i; j <= size; j++) {
            struct mtr_framer framer = {.used = 0};
            struct transcript out = {0};
            feed(&framer, &out, stream, i);
            feed(&framer, &out, stream + i, j - i);
            feed(&framer, &out, stream + j, size - j);
            assert_string_equal(out.at, expected);
            transcript_free(&out);
        }
}

static void an_unfinished_line_waits(void **state) {
    (void)state;
    struct mtr_framer framer = {.used = 0};
    struct transcript out = {0};
    feed(&framer, &out, "1 no-", 5);
    assert_int_equal(out.used, 0);
    feed(&framer, &out, "reply\n2", 7);
    assert_true(transcript_is(&out, "[1 no-reply]"));
    transcript_free(&out);
}

/* A line of exactly MTR_REPLY_BYTES is the longest; what is longer is dropped whole, and the
 * next line is itself again, wherever the reads are cut. */
static void overlong_lines(void **state) {
    (void)state;
    static char stream[3 * MTR_REPLY_BYTES];
    for (size_t length = MTR_REPLY_BYTES - 1; length <= MTR_REPLY_BYTES + 1; length++) {
        memset(stream, 'x', length);
        memcpy(stream + length, "\n1 no-reply\n", 12);
        size_t size = length + 12;
        for (size_t cut = 0; cut <= size; cut++) {
            struct mtr_framer framer = {.used = 0};
            struct transcript out = {0};
            bool fits = length <= MTR_REPLY_BYTES;
            feed(&framer, &out, stream, cut);
            feed(&framer, &out, stream + cut, size - cut);
            assert_int_equal(framer.overlong, !fits);
            assert_int_equal(out.used, (fits ? length + 2 : 0) + strlen("[1 no-reply]"));
            assert_string_equal(out.at + out.used - 12, "[1 no-reply]");
            transcript_free(&out);
        }
    }
}

static void an_endless_line_is_counted_once(void **state) {
    (void)state;
    struct mtr_framer framer = {.used = 0};
    struct transcript out = {0};
    static char part[700];
    memset(part, 'x', sizeof part);
    for (int i = 0; i < 1000; i++)
        feed(&framer, &out, part, sizeof part);
    assert_int_equal(framer.overlong, 1);
    feed(&framer, &out, "\nok\n", 4);
    assert_true(transcript_is(&out, "[ok]"));
    assert_int_equal(framer.overlong, 1);
    transcript_free(&out);
}

/* Random lines cut at random places come out as they went in. */
static void random_cuts(void **state) {
    (void)state;
    uint64_t rng = rng_seed("random_cuts");
    for (int run = 0; run < 500; run++) {
        struct mtr_framer framer = {.used = 0};
        struct transcript stream = {0}, expected = {0}, out = {0};
        for (int i = 0; i < 10; i++) {
            unsigned length = rng_below(&rng, 1100);
            transcript_add(&stream, "%0*d\n", (int)length + 1, i);
            if (length + 1 <= MTR_REPLY_BYTES)
                transcript_add(&expected, "[%0*d]", (int)length + 1, i);
        }
        for (size_t at = 0; at < stream.used;) {
            size_t part = 1 + rng_below(&rng, 400);
            if (part > stream.used - at)
                part = stream.used - at;
            feed(&framer, &out, stream.at + at, part);
            at += part;
        }
        assert_true(transcript_is(&out, expected.at));
        transcript_free(&stream);
        transcript_free(&expected);
        transcript_free(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands),
        cmocka_unit_test(the_longest_command_is_within_what_mtr_packet_reads),
        cmocka_unit_test(the_question_for_a_feature),
        cmocka_unit_test(words),
        cmocka_unit_test(every_word_of_every_version),
        cmocka_unit_test(only_an_answer_is_an_answer),
        cmocka_unit_test(versions),
        cmocka_unit_test(arguments_go_by_name),
        cmocka_unit_test(mpls),
        cmocka_unit_test(malformed),
        cmocka_unit_test(a_line_that_is_cut_off),
        cmocka_unit_test(lines_across_reads),
        cmocka_unit_test(an_unfinished_line_waits),
        cmocka_unit_test(overlong_lines),
        cmocka_unit_test(an_endless_line_is_counted_once),
        cmocka_unit_test(random_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
