/* agent: conversations of a worker with its broker, on clocks of our own. Lines that begin with
 * > go to the broker; heartbeats are shown without their numbers but for one test. */
#include "tests/unit/check.h"

#include "common/timeline.h"
#include "tests/unit/wire_parse.h"
#include "worker/session/agent.h"

#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000)
#define SECOND INT64_C(1000000)
#define WALL INT64_C(1700000000000000)
#define MAX_SENT 64

struct rig {
    struct agent *agent;
    struct mux *mux;
    struct instant now;
    struct transcript out;
    struct wire_doc doc;
    msgpack_sbuffer bytes;
    int32_t tokens[MAX_SENT];
    unsigned sent;
    bool unconnected; /* nothing can be sent */
    bool stats;       /* show a heartbeat's numbers */
    bool known;       /* names are known at once */
    const char *source;
    char line[MTR_LINE_BYTES];
};

static void stamp(struct rig *rig) {
    transcript_add(&rig->out, "%" PRId64 " ", rig->now.mono_us / MS);
}

static bool to_broker(void *context, const void *bytes, size_t size) {
    struct rig *rig = context;
    struct wire_error err;
    struct transcript message = {0};
    struct session_msg msg;
    if (!wire_doc_read(&rig->doc, bytes, size, SESSION_MAX_VALUES, &err) ||
        !session_get(&msg, &rig->doc, &err))
        fail_msg("a message that cannot be read: %s", err.message);
    wire_parse_add(&message, &rig->doc.root);
    char *stats = strstr(message.at, ",'stats'");
    if (!rig->stats && stats != NULL)
        *stats = '\0';
    stamp(rig);
    static const char head[] = "{'v':1,'op':";
    assert_memory_equal(message.at, head, sizeof head - 1);
    transcript_add(&rig->out, "> %s\n", message.at + sizeof head - 1);
    transcript_free(&message);
    return !rig->unconnected;
}

static void locate(void *context, int64_t lease, const struct trace *trace) {
    struct rig *rig = context;
    stamp(rig);
    transcript_add(&rig->out, "locate %" PRId64 " %s\n", lease, trace->target);
}

static size_t sources(void *context, struct addr list[SESSION_MAX_SOURCES]) {
    struct rig *rig = context;
    return addr_parse(&list[0], rig->source);
}

static void name(void *context, int64_t lease, const struct addr *addr) {
    struct rig *rig = context;
    char text[ADDR_TEXT];
    stamp(rig);
    transcript_add(&rig->out, "name %" PRId64 " %s\n", lease, addr_print(addr, text));
    if (rig->known)
        agent_named(rig->agent, lease, addr, "known.example", &rig->now);
}

static void log_line(void *context, const char *event, const char *detail) {
    struct rig *rig = context;
    stamp(rig);
    transcript_add(&rig->out, "log %s: %s\n", event, detail);
}

static void on_send(void *context, const char *line, size_t size) {
    struct rig *rig = context;
    (void)size;
    assert_true(rig->sent < MAX_SENT);
    rig->tokens[rig->sent++] = (int32_t)strtol(line, NULL, 10);
}

static void on_stuck(void *context) { log_line(context, "stuck", ""); }

static bool on_seq_check(void *context, struct addr *from, struct addr *to, uint16_t *to_port) {
    (void)context;
    (void)from;
    (void)to;
    (void)to_port;
    return false;
}

static struct rig *rig_new(int64_t capacity) {
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->now = (struct instant){10 * SECOND, WALL};
    rig->source = "198.51.100.2";
    assert_true(wire_doc_init(&rig->doc));
    msgpack_sbuffer_init(&rig->bytes);
    rig->mux = mux_new(
        0, &(struct mux_sink){rig, on_send, agent_on_hop, agent_on_done, on_stuck, on_seq_check});
    struct agent_config config = {.name = "ams1", .capacity = capacity};
    assert_true(labels_add(&config.labels, "site=ams"));
    rig->agent = agent_new(
        &config, &(struct agent_sink){rig, to_broker, locate, sources, name, log_line}, rig->mux);
    return rig;
}

static void rig_end(struct rig *rig) {
    agent_destroy(&rig->agent);
    assert_null(rig->agent);
    mux_destroy(&rig->mux);
    wire_doc_free(&rig->doc);
    msgpack_sbuffer_destroy(&rig->bytes);
    transcript_free(&rig->out);
    free(rig);
}

static void from_broker(struct rig *rig, const char *message) {
    struct transcript text = {0};
    transcript_add(&text, "{'v': 1, 'op': %s}", message);
    msgpack_sbuffer_clear(&rig->bytes);
    wire_parse_pack(&rig->bytes, text.at);
    agent_message(rig->agent, rig->bytes.data, rig->bytes.size, &rig->now);
    transcript_free(&text);
}

/* As the shell: from one wake-up to the next. */
static void run_for(struct rig *rig, int64_t us) {
    int64_t until = rig->now.mono_us + us;
    for (;;) {
        int64_t next = agent_next(rig->agent), probing = mux_next(rig->mux, rig->now.mono_us);
        next = probing < next ? probing : next;
        bool last = next > until;
        next = last ? until : next < rig->now.mono_us ? rig->now.mono_us : next;
        rig->now.wall_us += next - rig->now.mono_us;
        rig->now.mono_us = next;
        agent_tick(rig->agent, &rig->now);
        mux_tick(rig->mux, rig->now.mono_us);
        if (last)
            return;
    }
}

static void expect(struct rig *rig, const char *expected) {
    assert_true(transcript_is(&rig->out, expected));
    transcript_clear(&rig->out);
}

static void prober_up(struct rig *rig) {
    mux_prober(rig->mux, "0.95", rig->now.mono_us);
    agent_prober_up(
        rig->agent, "0.95", 1U << 4 | 1U << 6, 1U << TRACE_ICMP | 1U << TRACE_UDP, &rig->now);
}

#define WELCOME "'welcome', 'epoch': 1, 'heartbeat_ms': 1000, 'dead_ms': 5000"
#define HELLO(leases)                                                                              \
    "> 'hello','name':'ams1','versions':[1,2],'prober':'mtr-packet 0.95','capacity':2,"            \
    "'labels':{'site':'ams'},'af':[4,6],'protocols':['icmp','udp'],'leases':[" leases "],"         \
    "'flows':[4],'sources':['198.51.100.2']}\n"
#define BEAT(leases) "> 'heartbeat','leases':[" leases "]\n"

/* A rig whose session is open. */
static struct rig *rig_open(void) {
    struct rig *rig = rig_new(2);
    prober_up(rig);
    from_broker(rig, WELCOME);
    transcript_clear(&rig->out);
    return rig;
}

static void located(struct rig *rig, int64_t lease) {
    struct agent_location where = {.error_code = ""};
    assert_true(addr_parse(&where.dst, "192.0.2.1"));
    assert_true(addr_parse(&where.src, "198.51.100.2"));
    agent_located(rig->agent, lease, &where, &rig->now);
    mux_tick(rig->mux, rig->now.mono_us);
}

static void say(struct rig *rig, unsigned number, const char *rest) {
    char line[200];
    struct mtr_reply reply;
    assert_true(number < rig->sent);
    (void)snprintf(line, sizeof line, "%d %s", rig->tokens[number], rest);
    assert_true(mtr_line_parse(&reply, line, strlen(line)));
    mux_reply(rig->mux, &reply, rig->now.mono_us);
}

#define TRACE(lease, more)                                                                         \
    "'trace', 'lease': " #lease                                                                    \
    ", 'run': 1, 'deadline_ms': 60000, 'trace': {'id': 'x', 'target': "                            \
    "'192.0.2.1', 'window': 1, 'attempts': 1" more "}"
#define REPLY "reply ip-4 192.0.2.1 round-trip-time 0"

#define BODY(src_and_dst, started, finished, rest)                                                 \
    "'body':<{'target':'192.0.2.1'," src_and_dst ",'protocol':'icmp','first_ttl':1,'max_ttl':30,"  \
    "'started_us':" started ",'finished_us':" finished ",'prober':'mtr-packet 0.95'," rest "}>}\n"
#define NOWHERE "'dst':null,'src':null"
#define THERE "'dst':'192.0.2.1','src':'198.51.100.2'"

/* ---- sessions --------------------------------------------------------------------------- */

static void hello_and_heartbeats(void **state) {
    (void)state;
    struct rig *rig = rig_new(2);
    assert_int_equal(agent_next(rig->agent), TIMELINE_NEVER);
    run_for(rig, 5 * SECOND);
    expect(rig, ""); /* no prober, no hello */
    prober_up(rig);
    run_for(rig, 2500 * MS);
    from_broker(rig, WELCOME);
    run_for(rig, 1500 * MS);
    from_broker(rig, "'heartbeat', 'epoch': 1");
    run_for(rig, 1000 * MS);
    expect(rig, "15000 " HELLO("") "16000 " HELLO("") "17000 " HELLO(
                    "") "17500 log session-open: ams1 version=1\n"
                        "17500 " BEAT("") "18500 " BEAT("") "19500 " BEAT(""));
    prober_up(rig); /* a new prober is no new session */
    expect(rig, "");
    rig_end(rig);
}

static void the_numbers_in_a_heartbeat(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    rig->stats = true;
    *agent_shell_counters(rig->agent) = (struct agent_shell_counters){3, 4, {5, 6, 7, 8}};
    from_broker(rig, "'hello'"); /* no message for a worker */
    transcript_clear(&rig->out);
    run_for(rig, SECOND);
    expect(rig,
        "11000 > 'heartbeat','leases':[],'stats':{'traces_done':0,'probes_sent':0,"
        "'probes_in_flight':0,'probes_lost':0,'replies':0,'no_replies':0,'late_replies':0,'late_"
        "taken':0,'duplicates_suspected':0,"
        "'impossible_times':0,'clock_steps':0,'probes_beyond':0,'prober_lag_us':0,'first_hop_waits'"
        ":0,'"
        "first_hops_limited':0,'sequence_waits':0,'numbers_skipped':0,'sequence_drift':0,'seq_"
        "checks':0,'"
        "seq_checks_failed':0,'seq_check_strangers':0,'bad_tokens':0,'bad_"
        "lines':0,'bad_messages':1,"
        "'prober_restarts':3,'dropped_to_broker':4,'names_cached':5,'name_queries':6,"
        "'name_failures':7,'names_refused':8}}\n");
    rig_end(rig);
}

static void a_silent_broker(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ""));
    transcript_clear(&rig->out);
    run_for(rig, 7 * SECOND);
    expect(rig, "11000 " BEAT("7") "12000 " BEAT("7") "13000 " BEAT("7") "14000 " BEAT(
                    "7") "15000 log session-silent: nothing heard from the broker\n"
                         "15000 " HELLO("7") "16000 " HELLO("7") "17000 " HELLO("7"));
    from_broker(rig, WELCOME);
    expect(rig, "17000 log session-open: ams1 version=1\n17000 " BEAT("7"));
    rig_end(rig);
}

/* Before the connection is there, hello is tried again soon. */
static void a_hello_that_cannot_be_sent(void **state) {
    (void)state;
    struct rig *rig = rig_new(2);
    rig->unconnected = true;
    prober_up(rig);
    run_for(rig, AGENT_UNSENT_US - 1);
    rig->unconnected = false;
    run_for(rig, 2 * SECOND);
    expect(rig, "10000 " HELLO("") "10050 " HELLO("") "11050 " HELLO(""));
    rig_end(rig);
}

static void the_broker_asks_who(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, "'who'");
    run_for(rig, SECOND);
    from_broker(rig, WELCOME);
    expect(rig, "10000 " HELLO("") "11000 " HELLO("") "11000 log session-open: ams1 version=1\n"
                                                      "11000 " BEAT(""));
    rig_end(rig);
}

/* A broker that has just started asks it once for each message. */
static void one_hello_for_many_questions(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    for (int i = 0; i < 5; i++)
        from_broker(rig, "'who'");
    expect(rig, "10000 " HELLO(""));
    from_broker(rig, WELCOME);
    transcript_clear(&rig->out);
    from_broker(rig, "'who'");
    expect(rig, "10000 " HELLO(""));
    rig_end(rig);
}

/* A host gets other addresses: the next hello has them. */
static void addresses_are_told_anew(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    rig->source = "2001:db8::1";
    from_broker(rig, "'who'");
    assert_non_null(strstr(rig->out.at, "'sources':['2001:db8::1']}"));
    transcript_clear(&rig->out);
    rig->source = ""; /* unknown */
    from_broker(rig, "'who'");
    assert_null(strstr(rig->out.at, "'sources'"));
    rig_end(rig);
}

/* Version 1 has no word of it. What nobody offered cannot be chosen. */
static void the_version_that_the_broker_chose(void **state) {
    (void)state;
    struct rig *rig = rig_new(2);
    prober_up(rig);
    transcript_clear(&rig->out);
    from_broker(rig, WELCOME ", 'version': 3");
    expect(rig, "10000 log bad-message: version: 3: must be 1..2\n");
    from_broker(rig, WELCOME ", 'version': 2");
    expect(rig, "10000 log session-open: ams1 version=2\n10000 " BEAT(""));
    rig_end(rig);
}

static void who_before_there_is_a_prober(void **state) {
    (void)state;
    struct rig *rig = rig_new(2);
    from_broker(rig, "'who'");
    expect(rig, "");
    rig_end(rig);
}

static void rejected(void **state) {
    (void)state;
    struct rig *rig = rig_new(2);
    prober_up(rig);
    from_broker(rig, "'reject', 'code': 'busy', 'message': 'full'");
    from_broker(rig, "'who'"); /* not before its time */
    run_for(rig, 6 * SECOND);
    expect(rig, "10000 " HELLO("") "10000 log session-rejected: busy: full\n"
                                   "15000 " HELLO("") "16000 " HELLO(""));
    rig_end(rig);
}

/* In an open session it is about one message, not about the session. */
static void a_reject_in_an_open_session(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, "'reject', 'code': 'bad-request', 'message': 'x'");
    run_for(rig, SECOND);
    expect(rig, "11000 " BEAT(""));
    rig_end(rig);
}

static void what_does_not_decode(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    agent_message(rig->agent, "\xc1", 1, &rig->now);
    agent_message(rig->agent, "", 0, &rig->now);
    from_broker(rig, "'nothing'");
    from_broker(rig, "'cancel'");
    from_broker(rig, "'cancel', 'lease': 99"); /* a lease that ended meanwhile */
    from_broker(rig, "'done', 'lease': 99");
    expect(rig, "10000 log bad-message: not a msgpack message: broken at byte 0\n"
                "10000 log bad-message: not a msgpack message: broken at byte 0\n"
                "10000 log bad-message: op: nothing: must be one of hello, heartbeat, hop, result,"
                " return, drain, bye, welcome, reject, who, trace, cancel, done\n"
                "10000 log bad-message: lease: is missing\n");
    rig_end(rig);
}

/* A broker that says only what cannot be read is as good as silent. */
static void noise_does_not_keep_a_session(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    for (int i = 0; i < 7; i++) {
        run_for(rig, SECOND);
        agent_message(rig->agent, "\xc1", 1, &rig->now);
    }
    assert_non_null(strstr(rig->out.at, "session-silent"));
    rig_end(rig);
}

/* ---- a trace ---------------------------------------------------------------------------- */

#define HOP1                                                                                       \
    "'probes':[{'attempt':1,'addr':'10.0.0.1','rtt_us':0,'sent_us':0,'verdict':'ttl-expired'}]}"
#define HOP2                                                                                       \
    "'probes':[{'attempt':1,'addr':'192.0.2.1','rtt_us':0,'sent_us':1000,'verdict':'reply'}]}"
#define REACHED                                                                                    \
    "> 'result','lease':7," BODY(THERE, "1700000000002000", "1700000000004000",                    \
        "'probes_sent':2,'stop':'reached','hops':[{'ttl':1," HOP1 ",{'ttl':2," HOP2 "]")

static void play_to_the_end(struct rig *rig) {
    run_for(rig, 2 * MS);
    located(rig, 7);
    run_for(rig, 1 * MS);
    say(rig, 0, "ttl-expired ip-4 10.0.0.1 round-trip-time 0");
    mux_tick(rig->mux, rig->now.mono_us);
    run_for(rig, 1 * MS);
    say(rig, 1, REPLY);
}

static void from_trace_to_done(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ""));
    play_to_the_end(rig);
    expect(rig, "10000 locate 7 192.0.2.1\n10004 " REACHED);
    from_broker(rig, "'done', 'lease': 7");
    run_for(rig, SECOND);
    expect(rig, "11000 " BEAT(""));
    rig_end(rig);
}

static void hops_only_with_progress(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ", 'progress': true"));
    play_to_the_end(rig);
    expect(rig, "10000 locate 7 192.0.2.1\n"
                "10003 > 'hop','lease':7,'ttl':1," HOP1 "\n"
                "10004 > 'hop','lease':7,'ttl':2," HOP2 "\n"
                "10004 " REACHED);
    rig_end(rig);
}

static void a_result_is_sent_until_acknowledged(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ""));
    play_to_the_end(rig);
    transcript_clear(&rig->out);
    run_for(rig, 4500 * MS);
    from_broker(rig, "'done', 'lease': 7");
    run_for(rig, SECOND);
    expect(rig, "11000 " BEAT("7") "12000 " BEAT("7") "12004 " REACHED "13000 " BEAT(
                    "7") "14000 " BEAT("7") "14004 " REACHED "15000 " BEAT(""));
    rig_end(rig);
}

static void a_new_session_gets_the_results_at_once(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ""));
    play_to_the_end(rig);
    transcript_clear(&rig->out);
    from_broker(rig, "'who'");
    from_broker(rig, WELCOME);
    expect(rig, "10004 " HELLO("7") "10004 log session-open: ams1 version=1\n10004 " REACHED
                                    "10004 " BEAT("7"));
    rig_end(rig);
}

/* A broker that hangs for long finds each result once when it goes on, not as often as it would
 * have been sent meanwhile; nor does each of its answers to all the hellos bring one. */
static void no_session_no_results(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ", 'progress': true"));
    from_broker(rig, "'who'");
    play_to_the_end(rig);
    run_for(rig, 5 * SECOND);
    assert_null(strstr(rig->out.at, "'result'"));
    assert_null(strstr(rig->out.at, "'hop'"));
    transcript_clear(&rig->out);
    from_broker(rig, WELCOME);
    assert_non_null(strstr(rig->out.at, "'result'"));
    transcript_clear(&rig->out);
    from_broker(rig, WELCOME);
    assert_null(strstr(rig->out.at, "'result'"));
    rig_end(rig);
}

static void a_trace_that_is_there_already(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ""));
    from_broker(rig, TRACE(7, ""));
    expect(rig, "10000 locate 7 192.0.2.1\n");
    located(rig, 7);
    from_broker(rig, TRACE(7, ""));
    located(rig, 7);
    expect(rig, "");
    assert_int_equal(rig->sent, 1);
    rig_end(rig);
}

static void a_wrong_trace_goes_back(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ", 'probes': 17"));
    from_broker(rig, "'trace', 'lease': 8, 'run': 1, 'deadline_ms': 1, 'trace': {}");
    expect(rig, "10000 > 'return','lease':7,'reason':'trace.probes: 17: must be 1..16'}\n"
                "10000 > 'return','lease':8,'reason':'trace.target: is missing'}\n");
    rig_end(rig);
}

/* A reason is at most 200 bytes, an error's message more. */
static void a_long_reason_is_cut(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, "'trace', 'lease': 7, 'run': 1, 'deadline_ms': 1,"
                     "'trace': {'target': 'a:'x126}");
    assert_non_null(strstr(rig->out.at, "'return','lease':7,'reason':'trace.target: a:a:"));
    rig_end(rig);
}

static void over_capacity(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ""));
    from_broker(rig, TRACE(8, ""));
    from_broker(rig, TRACE(9, ""));
    from_broker(rig, "'done', 'lease': 8");
    from_broker(rig, TRACE(10, ""));
    expect(rig, "10000 locate 7 192.0.2.1\n10000 locate 8 192.0.2.1\n"
                "10000 > 'return','lease':9,'reason':'no capacity'}\n"
                "10000 locate 10 192.0.2.1\n");
    rig_end(rig);
}

/* A result that the broker has not taken yet holds its place: what waits is bounded. */
static void results_that_wait_are_work(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ""));
    from_broker(rig, TRACE(8, ""));
    from_broker(rig, "'cancel', 'lease': 8");
    play_to_the_end(rig);
    transcript_clear(&rig->out);
    from_broker(rig, TRACE(9, ""));
    expect(rig, "10004 > 'return','lease':9,'reason':'no capacity'}\n");
    from_broker(rig, "'done', 'lease': 8");
    from_broker(rig, TRACE(10, ""));
    expect(rig, "10004 locate 10 192.0.2.1\n");
    rig_end(rig);
}

/* ---- names ------------------------------------------------------------------------------ */

#define NAMES ", 'names': true"
#define ASKED "10002 name 7 192.0.2.1\n10003 name 7 10.0.0.1\n"
#define ENDED(names)                                                                               \
    "> 'result','lease':7," BODY(THERE, "1700000000002000", "1700000000004000",                    \
        "'probes_sent':2,'stop':'reached','hops':[{'ttl':1," HOP1 ",{'ttl':2," HOP2                \
        "],'names':{" names "}")

static void named(struct rig *rig, int64_t lease, const char *addr, const char *text) {
    struct addr known;
    assert_true(addr_parse(&known, addr));
    agent_named(rig->agent, lease, &known, text, &rig->now);
}

/* An open session in which lease 7 has ended and waits for two names. */
static struct rig *rig_naming(void) {
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, NAMES));
    play_to_the_end(rig);
    expect(rig, "10000 locate 7 192.0.2.1\n" ASKED);
    return rig;
}

static void a_result_waits_for_names(void **state) {
    (void)state;
    struct rig *rig = rig_naming();
    run_for(rig, 100 * MS);
    named(rig, 7, "192.0.2.1", "www.example");
    named(rig, 7, "192.0.2.1", "twice.example");
    named(rig, 7, "192.0.2.9", "nobody.example");
    named(rig, 8, "10.0.0.1", "nobody.example");
    expect(rig, "");
    run_for(rig, 100 * MS);
    named(rig, 7, "10.0.0.1", "");
    named(rig, 7, "10.0.0.1", "late.example");
    expect(rig, "10204 " ENDED("'192.0.2.1':'www.example'"));
    from_broker(rig, "'done', 'lease': 7");
    named(rig, 7, "10.0.0.1", "");
    run_for(rig, SECOND);
    expect(rig, "11000 " BEAT(""));
    rig_end(rig);
}

static void names_that_come_before_the_end(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    rig->known = true;
    from_broker(rig, TRACE(7, NAMES ", 'progress': true"));
    play_to_the_end(rig);
    expect(rig, "10000 locate 7 192.0.2.1\n" ASKED "10003 > 'hop','lease':7,'ttl':1," HOP1 "\n"
                "10004 > 'hop','lease':7,'ttl':2," HOP2 "\n"
                "10004 " ENDED("'192.0.2.1':'known.example','10.0.0.1':'known.example'"));
    rig_end(rig);
}

static void a_result_does_not_wait_for_ever(void **state) {
    (void)state;
    struct rig *rig = rig_naming();
    named(rig, 7, "10.0.0.1", "gw.example");
    run_for(rig, 3 * SECOND);
    from_broker(rig, "'done', 'lease': 7");
    expect(rig, "11000 " BEAT("7") "12000 " BEAT("7") "12004 " ENDED(
                    "'10.0.0.1':'gw.example'") "13000 " BEAT("7"));
    rig_end(rig);
}

static void nor_beyond_its_deadline(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, "'trace', 'lease': 7, 'run': 1, 'deadline_ms': 300, 'trace': {'id': 'x', "
                     "'target': '192.0.2.1', 'window': 1, 'attempts': 1" NAMES "}");
    play_to_the_end(rig);
    transcript_clear(&rig->out);
    run_for(rig, 900 * MS);
    expect(rig, "10300 " ENDED(""));
    rig_end(rig);
}

static void the_deadline_ends_the_trace_without_waiting(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, "'trace', 'lease': 7, 'run': 1, 'deadline_ms': 300,"
                     "'trace': {'target': '192.0.2.1', 'window': 1" NAMES "}");
    located(rig, 7);
    transcript_clear(&rig->out);
    run_for(rig, 500 * MS);
    expect(rig, "10300 > 'result','lease':7," BODY(THERE, "1700000000000000", "1700000000300000",
                    "'probes_sent':1,'stop':'deadline','hops':[],'names':{}"));
    rig_end(rig);
}

static void cancelled_while_naming(void **state) {
    (void)state;
    struct rig *rig = rig_naming();
    named(rig, 7, "10.0.0.1", "gw.example");
    from_broker(rig, "'cancel', 'lease': 7");
    from_broker(rig, "'cancel', 'lease': 7");
    named(rig, 7, "192.0.2.1", "late.example");
    expect(rig, "10004 " ENDED("'10.0.0.1':'gw.example'"));
    rig_end(rig);
}

static void cancelled_before_the_names(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, NAMES));
    located(rig, 7);
    from_broker(rig, "'cancel', 'lease': 7");
    expect(rig, "10000 locate 7 192.0.2.1\n10000 name 7 192.0.2.1\n"
                "10000 > 'result','lease':7," BODY(THERE, "1700000000000000", "1700000000000000",
                    "'probes_sent':1,'stop':'cancelled','hops':[],'names':{}"));
    rig_end(rig);
}

static void done_while_naming(void **state) {
    (void)state;
    struct rig *rig = rig_naming();
    from_broker(rig, "'done', 'lease': 7");
    named(rig, 7, "192.0.2.1", "www.example");
    named(rig, 7, "10.0.0.1", "gw.example");
    run_for(rig, 3 * SECOND);
    expect(rig, "11000 " BEAT("") "12000 " BEAT("") "13000 " BEAT(""));
    rig_end(rig);
}

static void draining_while_naming(void **state) {
    (void)state;
    struct rig *rig = rig_naming();
    agent_drain(rig->agent, &rig->now);
    assert_false(agent_idle(rig->agent));
    named(rig, 7, "10.0.0.1", "");
    named(rig, 7, "192.0.2.1", "");
    expect(rig, "10004 > 'drain'}\n10004 " ENDED(""));
    from_broker(rig, "'done', 'lease': 7");
    assert_true(agent_idle(rig->agent));
    rig_end(rig);
}

/* It has ended: no other worker needs to run it again. */
static void quitting_while_naming(void **state) {
    (void)state;
    struct rig *rig = rig_naming();
    agent_quit(rig->agent);
    expect(rig, "10004 " ENDED("") "10004 > 'bye'}\n");
    rig_end(rig);
}

static void a_broker_that_is_lost_while_naming(void **state) {
    (void)state;
    struct rig *rig = rig_naming();
    from_broker(rig, "'who'");
    expect(rig, "10004 " HELLO("7"));
    rig->unconnected = true;
    named(rig, 7, "10.0.0.1", "");
    named(rig, 7, "192.0.2.1", "");
    rig->unconnected = false;
    transcript_clear(&rig->out);
    from_broker(rig, WELCOME);
    expect(rig, "10004 log session-open: ams1 version=1\n10004 " ENDED("") "10004 " BEAT("7"));
    rig_end(rig);
}

static void without_a_location_there_are_no_names(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    struct agent_location where = {
        .stop = STOP_UNRESOLVED, .error_code = "not-found", .error_message = "x"};
    from_broker(rig, TRACE(7, NAMES));
    agent_located(rig->agent, 7, &where, &rig->now);
    expect(rig, "10000 locate 7 192.0.2.1\n10000 > 'result','lease':7," BODY(NOWHERE,
                    "1700000000000000", "1700000000000000",
                    "'probes_sent':0,'stop':'unresolved','error':{'code':'not-found',"
                    "'message':'x'},'hops':[],'names':{}"));
    rig_end(rig);
}

/* ---- cancel and done, in each state ----------------------------------------------------- */

static void cancelled_while_locating(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ""));
    run_for(rig, 100 * MS);
    from_broker(rig, "'cancel', 'lease': 7");
    located(rig, 7); /* too late */
    run_for(rig, MS);
    expect(rig,
        "10000 locate 7 192.0.2.1\n10100 > 'result','lease':7," BODY(NOWHERE, "1700000000000000",
            "1700000000100000", "'probes_sent':0,'stop':'cancelled','hops':[]"));
    assert_int_equal(rig->sent, 0);
    rig_end(rig);
}

static void cancelled_while_running(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ""));
    run_for(rig, 2 * MS);
    located(rig, 7);
    run_for(rig, MS);
    say(rig, 0, "ttl-expired ip-4 10.0.0.1 round-trip-time 0");
    run_for(rig, MS);
    transcript_clear(&rig->out);
    from_broker(rig, "'cancel', 'lease': 7");
    expect(rig, "10004 > 'result','lease':7," BODY(THERE, "1700000000002000", "1700000000004000",
                    "'probes_sent':2,'stop':'cancelled','hops':[{'ttl':1," HOP1 "]"));
    rig_end(rig);
}

static void cancelled_when_finished(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ""));
    play_to_the_end(rig);
    transcript_clear(&rig->out);
    from_broker(rig, "'cancel', 'lease': 7");
    expect(rig, "");
    rig_end(rig);
}

static void done_while_locating(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ""));
    transcript_clear(&rig->out);
    from_broker(rig, "'done', 'lease': 7");
    located(rig, 7);
    run_for(rig, SECOND);
    expect(rig, "11000 " BEAT(""));
    assert_int_equal(rig->sent, 0);
    rig_end(rig);
}

static void done_while_running(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ""));
    located(rig, 7);
    transcript_clear(&rig->out);
    from_broker(rig, "'done', 'lease': 7");
    say(rig, 0, REPLY);
    run_for(rig, SECOND);
    expect(rig, "11000 " BEAT(""));
    rig_end(rig);
}

/* ---- ends without probes ---------------------------------------------------------------- */

static void a_location_that_failed(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    struct agent_location where = {.stop = STOP_NO_ROUTE,
        .error_code = "unavailable",
        .error_message = "no route to 192.0.2.1"};
    assert_true(addr_parse(&where.dst, "192.0.2.1"));
    from_broker(rig, TRACE(7, ""));
    agent_located(rig->agent, 7, &where, &rig->now);
    agent_located(rig->agent, 7, &where, &rig->now); /* twice is harmless */
    agent_located(rig->agent, 99, &where, &rig->now);
    expect(rig, "10000 locate 7 192.0.2.1\n"
                "10000 > 'result','lease':7," BODY("'dst':'192.0.2.1','src':null",
                    "1700000000000000", "1700000000000000",
                    "'probes_sent':0,'stop':'no-route','error':{'code':'unavailable',"
                    "'message':'no route to 192.0.2.1'},'hops':[]"));
    rig_end(rig);
}

static void what_the_prober_cannot_do(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ", 'protocol': 'sctp'"));
    transcript_clear(&rig->out);
    located(rig, 7);
    expect(rig,
        "10000 > 'result','lease':7,'body':<{'target':'192.0.2.1'," THERE
        ",'protocol':'sctp','port':80,'first_ttl':1,'max_ttl':30,'started_us':1700000000000000,"
        "'finished_us':1700000000000000,'prober':'mtr-packet 0.95','probes_sent':0,"
        "'stop':'prober-error','error':{'code':'unavailable','message':"
        "'protocol: sctp: not supported by mtr-packet 0.95'},'hops':[]}>}\n");
    rig_end(rig);
}

static void the_deadline_while_locating(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, "'trace', 'lease': 7, 'run': 1, 'deadline_ms': 300,"
                     "'trace': {'target': '192.0.2.1'}");
    run_for(rig, 999 * MS);
    located(rig, 7);
    expect(rig,
        "10000 locate 7 192.0.2.1\n10300 > 'result','lease':7," BODY(NOWHERE, "1700000000000000",
            "1700000000300000", "'probes_sent':0,'stop':'deadline','hops':[]"));
    rig_end(rig);
}

/* Locating takes from the same time. */
static void the_deadline_while_running(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, "'trace', 'lease': 7, 'run': 1, 'deadline_ms': 300,"
                     "'trace': {'target': '192.0.2.1', 'window': 1}");
    run_for(rig, 200 * MS);
    located(rig, 7);
    run_for(rig, 500 * MS);
    expect(
        rig, "10000 locate 7 192.0.2.1\n10300 > 'result','lease':7," BODY(THERE, "1700000000200000",
                 "1700000000300000", "'probes_sent':1,'stop':'deadline','hops':[]"));
    rig_end(rig);
}

/* ---- trouble ---------------------------------------------------------------------------- */

#define NO_PROBER_HELLO(trouble)                                                                   \
    "> 'hello','name':'ams1','versions':[1,2],'prober':'mtr-packet','capacity':2,"                 \
    "'labels':{'site':'ams'},'af':[],'protocols':[],'leases':[],'flows':[],"                       \
    "'sources':['198.51.100.2'],'trouble':'" trouble "'}\n"
#define TROUBLED(leases, trouble) "> 'heartbeat','leases':[" leases "],'trouble':'" trouble "'\n"

/* A worker whose prober was never up is there too, and says hello anew when it is. */
static void trouble_from_the_start(void **state) {
    (void)state;
    struct rig *rig = rig_new(2);
    agent_prober_trouble(rig->agent, "no rights", &rig->now);
    run_for(rig, SECOND);
    from_broker(rig, WELCOME);
    run_for(rig, 500 * MS);
    agent_prober_trouble(rig->agent, "no file", &rig->now);
    run_for(rig, SECOND);
    from_broker(rig, "'who'");
    expect(rig, "10000 " NO_PROBER_HELLO("no rights") "11000 " NO_PROBER_HELLO(
                    "no rights") "11000 log session-open: ams1 version=1\n"
                                 "11000 " TROUBLED("", "no rights") "11500 " TROUBLED(
                                     "", "no file") "12500 " TROUBLED("",
                                     "no file") "12500 " NO_PROBER_HELLO("no file"));
    prober_up(rig);
    from_broker(rig, WELCOME);
    expect(rig, "12500 " HELLO("") "12500 log session-open: ams1 version=1\n12500 " BEAT(""));
    rig_end(rig);
}

/* What it has not finished goes back, after the word of the trouble; what it has finished stays. */
static void trouble_in_the_middle(void **state) {
    (void)state;
    struct rig *rig = rig_new(3);
    prober_up(rig);
    from_broker(rig, WELCOME);
    from_broker(rig, TRACE(7, ""));
    play_to_the_end(rig);
    from_broker(rig, TRACE(8, ""));
    from_broker(rig, TRACE(9, ""));
    located(rig, 8);
    transcript_clear(&rig->out);
    mux_prober(rig->mux, NULL, rig->now.mono_us);
    agent_prober_trouble(rig->agent, "it died", &rig->now);
    expect(rig, "10004 " TROUBLED("7,8,9", "it died") "10004 > 'return','lease':8,'reason':'it "
                                                      "died'}\n"
                                                      "10004 > 'return','lease':9,'reason':'it "
                                                      "died'}\n");
    located(rig, 9);
    from_broker(rig, TRACE(10, "")); /* it was on its way */
    from_broker(rig, "'cancel', 'lease': 8");
    expect(rig, "10004 > 'return','lease':10,'reason':'it died'}\n");
    prober_up(rig);
    expect(rig, "10004 " BEAT("7"));
    from_broker(rig, TRACE(11, ""));
    located(rig, 11);
    expect(rig, "10004 locate 11 192.0.2.1\n");
    unsigned probes = 0;
    for (unsigned i = 0; i < rig->sent; i++)
        probes += rig->tokens[i] >= MTR_TOKEN_PROBES;
    assert_int_equal(probes, 4); /* 8 and 9 are forgotten: two of 7, one of 8, one of 11 */
    rig_end(rig);
}

static void trouble_while_draining(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ""));
    located(rig, 7);
    agent_drain(rig->agent, &rig->now);
    assert_false(agent_idle(rig->agent));
    agent_prober_trouble(rig->agent, "it died", &rig->now);
    assert_true(agent_idle(rig->agent));
    rig_end(rig);
}

static void trouble_of_a_rejected_worker(void **state) {
    (void)state;
    struct rig *rig = rig_new(2);
    agent_prober_trouble(rig->agent, "no file", &rig->now);
    from_broker(rig, "'reject', 'code': 'busy', 'message': 'full'");
    transcript_clear(&rig->out);
    prober_up(rig); /* not before its time */
    agent_prober_trouble(rig->agent, "no file", &rig->now);
    prober_up(rig);
    run_for(rig, 5 * SECOND);
    expect(rig, "15000 " HELLO(""));
    rig_end(rig);
}

static void trouble_is_cut(void **state) {
    (void)state;
    struct rig *rig = rig_new(2);
    char why[300], cut[SESSION_TROUBLE_BYTES + 2];
    memset(why, 'x', sizeof why - 1);
    why[sizeof why - 1] = '\0';
    (void)snprintf(cut, sizeof cut, "%.*s'", SESSION_TROUBLE_BYTES, why);
    agent_prober_trouble(rig->agent, why, &rig->now);
    assert_non_null(strstr(rig->out.at, cut));
    rig_end(rig);
}

/* mtr-packet was replaced by another version meanwhile. */
static void another_prober_is_another_hello(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    agent_prober_up(
        rig->agent, "0.96", 1U << 4 | 1U << 6, 1U << TRACE_ICMP | 1U << TRACE_UDP, &rig->now);
    assert_non_null(strstr(rig->out.at, "'prober':'mtr-packet 0.96'"));
    assert_non_null(strstr(rig->out.at, "'flows':[4,6]"));
    transcript_clear(&rig->out);
    agent_prober_up(rig->agent, "0.96", 1U << 4, 1U << TRACE_ICMP, &rig->now);
    assert_non_null(strstr(rig->out.at, "'af':[4],'protocols':['icmp'],"));
    assert_non_null(strstr(rig->out.at, "'flows':[]"));
    rig_end(rig);
}

/* ---- leaving ---------------------------------------------------------------------------- */

static void draining(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ""));
    transcript_clear(&rig->out);
    assert_false(agent_idle(rig->agent));
    agent_drain(rig->agent, &rig->now);
    from_broker(rig, TRACE(8, ""));
    expect(rig, "10000 > 'drain'}\n10000 > 'return','lease':8,'reason':'draining'}\n");
    assert_false(agent_idle(rig->agent));
    play_to_the_end(rig);
    assert_false(agent_idle(rig->agent));
    transcript_clear(&rig->out);
    from_broker(rig, "'who'");
    from_broker(rig, "'done', 'lease': 7");
    assert_true(agent_idle(rig->agent));
    from_broker(rig, WELCOME); /* a new session learns it too */
    expect(rig, "10004 " HELLO("7") "10004 log session-open: ams1 version=1\n10004 " BEAT(
                    "") "10004 > 'drain'}\n");
    rig_end(rig);
}

static void draining_before_a_session(void **state) {
    (void)state;
    struct rig *rig = rig_new(2);
    agent_drain(rig->agent, &rig->now);
    expect(rig, "");
    assert_true(agent_idle(rig->agent));
    rig_end(rig);
}

static void handing_back(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ""));
    play_to_the_end(rig);
    from_broker(rig, TRACE(8, ""));
    agent_drain(rig->agent, &rig->now);
    transcript_clear(&rig->out);
    agent_hand_back(rig->agent, &rig->now);
    expect(rig, "10004 > 'return','lease':8,'reason':'draining'}\n");
    assert_false(agent_idle(rig->agent));
    from_broker(rig, "'done', 'lease': 7");
    assert_true(agent_idle(rig->agent));
    expect(rig, "");
    rig_end(rig);
}

/* What has ended has a result, and that is not thrown away. */
static void handing_back_while_naming(void **state) {
    (void)state;
    struct rig *rig = rig_naming();
    agent_hand_back(rig->agent, &rig->now);
    expect(rig, "10004 " ENDED(""));
    rig_end(rig);
}

static void quitting(void **state) {
    (void)state;
    struct rig *rig = rig_open();
    from_broker(rig, TRACE(7, ""));
    play_to_the_end(rig);
    from_broker(rig, TRACE(8, ""));
    transcript_clear(&rig->out);
    agent_quit(rig->agent);
    expect(rig, "10004 > 'return','lease':8,'reason':'draining'}\n10004 > 'bye'}\n");
    rig_end(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_and_heartbeats),
        cmocka_unit_test(the_numbers_in_a_heartbeat),
        cmocka_unit_test(a_silent_broker),
        cmocka_unit_test(a_hello_that_cannot_be_sent),
        cmocka_unit_test(the_broker_asks_who),
        cmocka_unit_test(one_hello_for_many_questions),
        cmocka_unit_test(addresses_are_told_anew),
        cmocka_unit_test(the_version_that_the_broker_chose),
        cmocka_unit_test(who_before_there_is_a_prober),
        cmocka_unit_test(rejected),
        cmocka_unit_test(a_reject_in_an_open_session),
        cmocka_unit_test(what_does_not_decode),
        cmocka_unit_test(noise_does_not_keep_a_session),
        cmocka_unit_test(from_trace_to_done),
        cmocka_unit_test(hops_only_with_progress),
        cmocka_unit_test(a_result_is_sent_until_acknowledged),
        cmocka_unit_test(a_new_session_gets_the_results_at_once),
        cmocka_unit_test(no_session_no_results),
        cmocka_unit_test(a_trace_that_is_there_already),
        cmocka_unit_test(a_wrong_trace_goes_back),
        cmocka_unit_test(a_long_reason_is_cut),
        cmocka_unit_test(over_capacity),
        cmocka_unit_test(results_that_wait_are_work),
        cmocka_unit_test(a_result_waits_for_names),
        cmocka_unit_test(names_that_come_before_the_end),
        cmocka_unit_test(a_result_does_not_wait_for_ever),
        cmocka_unit_test(nor_beyond_its_deadline),
        cmocka_unit_test(the_deadline_ends_the_trace_without_waiting),
        cmocka_unit_test(cancelled_while_naming),
        cmocka_unit_test(cancelled_before_the_names),
        cmocka_unit_test(done_while_naming),
        cmocka_unit_test(draining_while_naming),
        cmocka_unit_test(quitting_while_naming),
        cmocka_unit_test(a_broker_that_is_lost_while_naming),
        cmocka_unit_test(without_a_location_there_are_no_names),
        cmocka_unit_test(cancelled_while_locating),
        cmocka_unit_test(cancelled_while_running),
        cmocka_unit_test(cancelled_when_finished),
        cmocka_unit_test(done_while_locating),
        cmocka_unit_test(done_while_running),
        cmocka_unit_test(a_location_that_failed),
        cmocka_unit_test(what_the_prober_cannot_do),
        cmocka_unit_test(the_deadline_while_locating),
        cmocka_unit_test(the_deadline_while_running),
        cmocka_unit_test(trouble_from_the_start),
        cmocka_unit_test(trouble_in_the_middle),
        cmocka_unit_test(trouble_while_draining),
        cmocka_unit_test(trouble_of_a_rejected_worker),
        cmocka_unit_test(trouble_is_cut),
        cmocka_unit_test(another_prober_is_another_hello),
        cmocka_unit_test(draining),
        cmocka_unit_test(draining_before_a_session),
        cmocka_unit_test(handing_back),
        cmocka_unit_test(handing_back_while_naming),
        cmocka_unit_test(quitting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
