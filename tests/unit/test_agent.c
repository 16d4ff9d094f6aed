/* agent: conversations of a worker with its broker about their session. See agent_rig.h. */
#include "tests/unit/agent_rig.h"

#include "common/timeline.h"

#include <inttypes.h>
#include <string.h>

/* ---- sessions --------------------------------------------------------------------------- */

static void hello_and_heartbeats(void **state) {
    struct rig *rig = *state;
    assert_int_equal(agent_next(rig->agent), TIMELINE_NEVER);
    run_for(rig, 5 * SECOND);
    expect(rig, ""); /* without a prober there is no hello */
    prober_up(rig);
    run_for(rig, 2500 * MS);
    from_broker(rig, WELCOME);
    run_for(rig, 1500 * MS);
    from_broker(rig, "'heartbeat', 'epoch': 1");
    run_for(rig, 1000 * MS);
    expect(rig, "15000 > hello []\n"
                "16000 > hello []\n"
                "17000 > hello []\n"
                "17500 log session-open: ams1 version=1\n"
                "17500 > heartbeat []\n"
                "18500 > heartbeat []\n"
                "19500 > heartbeat []\n");
    prober_up(rig); /* another prober of the same kind begins no new session */
    expect(rig, "");
}

/* Each number in a heartbeat is that of its own counter. Gauges of the mux are measured when it is
 * sent, and are 0 here. */
static void the_numbers_in_a_heartbeat(void **state) {
    struct rig *rig = *state;
    struct mux_counters *of_mux = mux_counters(rig->mux);
    struct agent_counters *of_agent = agent_counters(rig->agent);
    struct transcript expected = {0};
    int64_t value = 100;
#define COUNTER(member) (member) = value++
#define GAUGE(member) (void)(member)
#define GAUGE_US(member) (void)(member)
#define X(name, kind, metric, help) kind(of_mux->name);
    MUX_COUNTERS(X)
#undef X
#undef GAUGE
#define GAUGE COUNTER
#define X(name, scope, kind, metric, help) kind(of_agent->name);
    AGENT_COUNTERS(X)
#undef X
#undef GAUGE_US
#undef GAUGE
#undef COUNTER
    transcript_add(&expected, "11000 > 'heartbeat','leases':[],'stats':{'traces_done':0");
#define X(name, kind, metric, help)                                                                \
    transcript_add(&expected, ",'" #name "':%" PRId64, of_mux->name);
    MUX_COUNTERS(X)
#undef X
#define X(name, scope, kind, metric, help)                                                         \
    transcript_add(&expected, ",'" #name "':%" PRId64, of_agent->name);
    AGENT_COUNTERS(X)
#undef X
    transcript_add(&expected, "}}\n");
    rig->whole = true;
    run_for(rig, SECOND);
    expect(rig, expected.at);
    transcript_free(&expected);
}

static void the_counters(void **state) {
    struct rig *rig = *state;
    const struct agent_counters *c = agent_counters(rig->agent);
    agent_message(rig->agent, "?", 1, &rig->now); /* this cannot be read */
    from_broker(rig, "'hello'");                  /* this is not for a worker */
    from_broker(rig, "'heartbeat', 'epoch': 1");
    assert_int_equal(c->bad_messages, 2);
    rig->unconnected = true;
    run_for(rig, 2 * SECOND);
    rig->unconnected = false;
    assert_int_equal(c->dropped_to_broker, 2); /* two heartbeats */
    from_broker(rig, TRACE(7, ""));
    from_broker(rig, TRACE(8, ""));
    assert_int_equal(agent_figures(rig->agent).held, 2);
    from_broker(rig, "'cancel', 'lease': 8");
    agent_hand_back(rig->agent, &rig->now);
    assert_int_equal(agent_counters(rig->agent)->traces_done, 1);
    assert_int_equal(agent_figures(rig->agent).held, 1);
    from_broker(rig, "'done', 'lease': 8");
    assert_int_equal(agent_figures(rig->agent).held, 0);
    assert_int_equal(agent_counters(rig->agent)->traces_done, 1);
}

static void a_silent_broker(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ""));
    transcript_clear(&rig->out);
    run_for(rig, 7 * SECOND);
    expect(rig, "11000 > heartbeat [7]\n"
                "12000 > heartbeat [7]\n"
                "13000 > heartbeat [7]\n"
                "14000 > heartbeat [7]\n"
                "15000 log session-silent: nothing heard from the broker\n"
                "15000 > hello [7]\n"
                "16000 > hello [7]\n"
                "17000 > hello [7]\n");
    from_broker(rig, WELCOME);
    expect(rig, "17000 log session-open: ams1 version=1\n"
                "17000 > heartbeat [7]\n");
}

/* Silence is noticed after dead_ms, although the next heartbeat would be due later. */
static void silence_between_heartbeats(void **state) {
    struct rig *rig = *state;
    from_broker(rig, "'welcome', 'epoch': 1, 'heartbeat_ms': 3000, 'dead_ms': 5000");
    transcript_clear(&rig->out);
    run_for(rig, 6 * SECOND);
    expect(rig, "13000 > heartbeat []\n"
                "15000 log session-silent: nothing heard from the broker\n"
                "15000 > hello []\n"
                "16000 > hello []\n");
}

static void what_is_heard_puts_silence_off(void **state) {
    struct rig *rig = *state;
    run_for(rig, 4 * SECOND);
    from_broker(rig, "'heartbeat', 'epoch': 1");
    transcript_clear(&rig->out);
    run_for(rig, 5 * SECOND - 1);
    assert_null(strstr(rig->out.at, "session-silent"));
    transcript_clear(&rig->out);
    run_for(rig, 1);
    expect(rig, "19000 log session-silent: nothing heard from the broker\n"
                "19000 > hello []\n");
}

/* A second welcome begins no new session, but its times hold. */
static void another_welcome(void **state) {
    struct rig *rig = *state;
    from_broker(rig, "'welcome', 'epoch': 1, 'heartbeat_ms': 2000, 'dead_ms': 3000");
    run_for(rig, 3 * SECOND);
    expect(rig, "10000 > heartbeat []\n"
                "12000 > heartbeat []\n"
                "13000 log session-silent: nothing heard from the broker\n"
                "13000 > hello []\n");
}

/* Before there is a connection, hello is tried again after AGENT_UNSENT_US. */
static void a_hello_that_cannot_be_sent(void **state) {
    struct rig *rig = *state;
    rig->unconnected = true;
    prober_up(rig);
    run_for(rig, AGENT_UNSENT_US - 1);
    rig->unconnected = false;
    run_for(rig, 2 * SECOND);
    expect(rig, "10000 > hello []\n"
                "10050 > hello []\n"
                "11050 > hello []\n");
}

static void the_broker_asks_who(void **state) {
    struct rig *rig = *state;
    from_broker(rig, "'who'");
    run_for(rig, SECOND);
    from_broker(rig, WELCOME);
    expect(rig, "10000 > hello []\n"
                "11000 > hello []\n"
                "11000 log session-open: ams1 version=1\n"
                "11000 > heartbeat []\n");
}

/* A broker that has just started says `who` to each message. */
static void one_hello_for_many_questions(void **state) {
    struct rig *rig = *state;
    for (int i = 0; i < 5; i++)
        from_broker(rig, "'who'");
    expect(rig, "10000 > hello []\n");
    from_broker(rig, WELCOME);
    transcript_clear(&rig->out);
    from_broker(rig, "'who'");
    expect(rig, "10000 > hello []\n");
}

/* If the host gets other addresses, the next hello has them. */
static void a_hello_has_the_addresses_of_now(void **state) {
    struct rig *rig = *state;
    rig->source = "2001:db8::1";
    from_broker(rig, "'who'");
    assert_non_null(strstr(rig->out.at, "'sources':['2001:db8::1']}"));
    transcript_clear(&rig->out);
    rig->source = ""; /* they are not known */
    from_broker(rig, "'who'");
    assert_null(strstr(rig->out.at, "'sources'"));
}

/* A broker of version 1 does not say which version it chose. It cannot choose one that was not
 * offered. */
static void the_version_that_the_broker_chose(void **state) {
    struct rig *rig = *state;
    prober_up(rig);
    transcript_clear(&rig->out);
    from_broker(rig, WELCOME ", 'version': 3");
    expect(rig, "10000 log bad-message: version: 3: must be 1..2\n");
    from_broker(rig, WELCOME ", 'version': 2");
    expect(rig, "10000 log session-open: ams1 version=2\n"
                "10000 > heartbeat []\n");
}

static void who_before_there_is_a_prober(void **state) {
    struct rig *rig = *state;
    from_broker(rig, "'who'");
    expect(rig, "");
}

static void rejected(void **state) {
    struct rig *rig = *state;
    prober_up(rig);
    from_broker(rig, "'reject', 'code': 'busy', 'message': 'full'");
    from_broker(rig, "'who'"); /* the worker waits all the same */
    run_for(rig, 6 * SECOND);
    expect(rig, "10000 > hello []\n"
                "10000 log session-rejected: busy: full\n"
                "15000 > hello []\n"
                "16000 > hello []\n");
}

/* In an open session a reject is about one message, not about the session. */
static void a_reject_in_an_open_session(void **state) {
    struct rig *rig = *state;
    from_broker(rig, "'reject', 'code': 'bad-request', 'message': 'x'");
    run_for(rig, SECOND);
    expect(rig, "11000 > heartbeat []\n");
}

static void what_does_not_decode(void **state) {
    struct rig *rig = *state;
    agent_message(rig->agent, "\xc1", 1, &rig->now);
    agent_message(rig->agent, "", 0, &rig->now);
    from_broker(rig, "'nothing'");
    from_broker(rig, "'cancel'");
    from_broker(rig, "'cancel', 'lease': 99"); /* as if the lease had ended meanwhile */
    from_broker(rig, "'done', 'lease': 99");
    expect(rig, "10000 log bad-message: not a msgpack message: broken at byte 0\n"
                "10000 log bad-message: not a msgpack message: broken at byte 0\n"
                "10000 log bad-message: op: nothing: must be one of hello, heartbeat, hop, result,"
                " return, drain, bye, welcome, reject, who, trace, cancel, done\n"
                "10000 log bad-message: lease: is missing\n");
}

/* A broker whose messages cannot be read counts as silent. */
static void noise_does_not_keep_a_session(void **state) {
    struct rig *rig = *state;
    for (int i = 0; i < 7; i++) {
        run_for(rig, SECOND);
        agent_message(rig->agent, "\xc1", 1, &rig->now);
    }
    assert_non_null(strstr(rig->out.at, "session-silent"));
}

/* ---- trouble ---------------------------------------------------------------------------- */

#define NO_PROBER_HELLO(trouble)                                                                   \
    "> 'hello','name':'ams1','versions':[1,2],'prober':'mtr-packet','capacity':2,"                 \
    "'labels':{'site':'ams'},'af':[],'protocols':[],'leases':[],'flows':[],"                       \
    "'sources':['198.51.100.2'],'trouble':'" trouble "'}"

/* A worker whose prober was never up says hello, and says it again when the prober is up. */
static void trouble_from_the_start(void **state) {
    struct rig *rig = *state;
    agent_prober_trouble(rig->agent, "no rights", &rig->now);
    expect(rig, "10000 " NO_PROBER_HELLO("no rights") "\n");
    run_for(rig, SECOND);
    expect(rig, "11000 " NO_PROBER_HELLO("no rights") "\n");
    from_broker(rig, WELCOME);
    run_for(rig, 500 * MS);
    agent_prober_trouble(rig->agent, "no file", &rig->now);
    run_for(rig, SECOND);
    expect(rig, "11000 log session-open: ams1 version=1\n"
                "11000 > 'heartbeat','leases':[],'trouble':'no rights'\n"
                "11500 > 'heartbeat','leases':[],'trouble':'no file'\n"
                "12500 > 'heartbeat','leases':[],'trouble':'no file'\n");
    from_broker(rig, "'who'");
    expect(rig, "12500 " NO_PROBER_HELLO("no file") "\n");
    prober_up(rig);
    from_broker(rig, WELCOME);
    expect(rig, "12500 > hello []\n"
                "12500 log session-open: ams1 version=1\n"
                "12500 > heartbeat []\n");
}

/* The broker first hears of the trouble, then gets back the traces that have not ended. Results
 * stay.
 */
static void trouble_in_the_middle(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ""));
    play_to_the_end(rig);
    from_broker(rig, TRACE(8, ""));
    from_broker(rig, TRACE(9, ""));
    located(rig, 8);
    transcript_clear(&rig->out);
    mux_prober(rig->mux, NULL, rig->now.mono_us);
    agent_prober_trouble(rig->agent, "it died", &rig->now);
    expect(rig, "10004 > 'heartbeat','leases':[7,8,9],'trouble':'it died'\n"
                "10004 > 'return','lease':8,'reason':'it died'}\n"
                "10004 > 'return','lease':9,'reason':'it died'}\n");
    located(rig, 9);
    from_broker(rig, TRACE(10, "")); /* sent before the broker knew of the trouble */
    from_broker(rig, "'cancel', 'lease': 8");
    expect(rig, "10004 > 'return','lease':10,'reason':'it died'}\n");
    prober_up(rig);
    expect(rig, "10004 > heartbeat [7]\n");
    from_broker(rig, TRACE(11, ""));
    located(rig, 11);
    expect(rig, "10004 locate 11 192.0.2.1\n");
    unsigned probes = 0;
    for (unsigned i = 0; i < rig->sent; i++)
        probes += rig->tokens[i] >= MTR_TOKEN_PROBES;
    assert_int_equal(probes, 4); /* 8 and 9 are forgotten: two of 7, one of 8, one of 11 */
}

static void trouble_while_draining(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ""));
    located(rig, 7);
    agent_drain(rig->agent, &rig->now);
    assert_false(agent_idle(rig->agent));
    agent_prober_trouble(rig->agent, "it died", &rig->now);
    assert_true(agent_idle(rig->agent));
}

static void trouble_of_a_rejected_worker(void **state) {
    struct rig *rig = *state;
    agent_prober_trouble(rig->agent, "no file", &rig->now);
    from_broker(rig, "'reject', 'code': 'busy', 'message': 'full'");
    transcript_clear(&rig->out);
    prober_up(rig); /* the worker still waits after the reject */
    agent_prober_trouble(rig->agent, "no file", &rig->now);
    prober_up(rig);
    run_for(rig, 5 * SECOND);
    expect(rig, "15000 > hello []\n");
}

static void trouble_is_cut(void **state) {
    struct rig *rig = *state;
    char why[300], cut[SESSION_TROUBLE_BYTES + 2];
    memset(why, 'x', sizeof why - 1);
    why[sizeof why - 1] = '\0';
    (void)snprintf(cut, sizeof cut, "%.*s'", SESSION_TROUBLE_BYTES, why);
    agent_prober_trouble(rig->agent, why, &rig->now);
    assert_non_null(strstr(rig->out.at, cut));
}

/* mtr-packet was replaced by another version meanwhile. */
static void another_prober_is_another_hello(void **state) {
    struct rig *rig = *state;
    agent_prober_up(
        rig->agent, "0.96", 1U << 4 | 1U << 6, 1U << TRACE_ICMP | 1U << TRACE_UDP, &rig->now);
    assert_non_null(strstr(rig->out.at, "'prober':'mtr-packet 0.96'"));
    assert_non_null(strstr(rig->out.at, "'flows':[4,6]"));
    transcript_clear(&rig->out);
    agent_prober_up(rig->agent, "0.96", 1U << 4, 1U << TRACE_ICMP | 1U << TRACE_UDP, &rig->now);
    assert_non_null(strstr(rig->out.at, "'af':[4],'protocols':['icmp','udp'],"));
    assert_non_null(strstr(rig->out.at, "'flows':[4]"));
    transcript_clear(&rig->out);
    agent_prober_up(rig->agent, "0.96", 1U << 4, 1U << TRACE_ICMP, &rig->now);
    assert_non_null(strstr(rig->out.at, "'af':[4],'protocols':['icmp'],"));
    assert_non_null(strstr(rig->out.at, "'flows':[]"));
    transcript_clear(&rig->out);
    agent_prober_up(rig->agent, "0.96", 1U << 4, 1U << TRACE_ICMP, &rig->now);
    expect(rig, "");
}

/* ---- leaving ---------------------------------------------------------------------------- */

static void draining(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ""));
    transcript_clear(&rig->out);
    assert_false(agent_idle(rig->agent));
    agent_drain(rig->agent, &rig->now);
    from_broker(rig, TRACE(8, ""));
    expect(rig, "10000 > 'drain'}\n"
                "10000 > 'return','lease':8,'reason':'draining'}\n");
    assert_false(agent_idle(rig->agent));
    play_to_the_end(rig);
    assert_false(agent_idle(rig->agent));
    transcript_clear(&rig->out);
    from_broker(rig, "'who'");
    from_broker(rig, "'done', 'lease': 7");
    assert_true(agent_idle(rig->agent));
    from_broker(rig, WELCOME); /* the broker of a new session learns of the drain, too */
    expect(rig, "10004 > hello [7]\n"
                "10004 log session-open: ams1 version=1\n"
                "10004 > heartbeat []\n"
                "10004 > 'drain'}\n");
}

static void draining_before_a_session(void **state) {
    struct rig *rig = *state;
    agent_drain(rig->agent, &rig->now);
    expect(rig, "");
    assert_true(agent_idle(rig->agent));
}

static void handing_back(void **state) {
    struct rig *rig = *state;
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
}

/* A trace that has ended has a result, which is not thrown away. */
static void handing_back_while_naming(void **state) {
    struct rig *rig = *state;
    pass(rig, 5 * MS);
    agent_hand_back(rig->agent, &rig->now);
    expect(rig, "10009 " ENDED("") "\n");
    run_for(rig, AGENT_RESEND_US - 1);
    transcript_clear(&rig->out);
    run_for(rig, 1);
    expect(rig, "12009 " ENDED("") "\n");
}

static void quitting(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ""));
    play_to_the_end(rig);
    from_broker(rig, TRACE(8, ""));
    transcript_clear(&rig->out);
    agent_quit(rig->agent);
    expect(rig, "10004 > 'return','lease':8,'reason':'draining'}\n"
                "10004 > 'bye'}\n");
}

#define NEW(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)
#define OPEN(test) cmocka_unit_test_setup_teardown(test, rig_setup_open, rig_teardown)
#define THREE(test) cmocka_unit_test_setup_teardown(test, rig_setup_three, rig_teardown)
#define NAMING(test) cmocka_unit_test_setup_teardown(test, rig_setup_naming, rig_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        NEW(hello_and_heartbeats),
        OPEN(the_numbers_in_a_heartbeat),
        OPEN(the_counters),
        OPEN(a_silent_broker),
        OPEN(silence_between_heartbeats),
        OPEN(what_is_heard_puts_silence_off),
        OPEN(another_welcome),
        NEW(a_hello_that_cannot_be_sent),
        OPEN(the_broker_asks_who),
        OPEN(one_hello_for_many_questions),
        OPEN(a_hello_has_the_addresses_of_now),
        NEW(the_version_that_the_broker_chose),
        NEW(who_before_there_is_a_prober),
        NEW(rejected),
        OPEN(a_reject_in_an_open_session),
        OPEN(what_does_not_decode),
        OPEN(noise_does_not_keep_a_session),
        NEW(trouble_from_the_start),
        THREE(trouble_in_the_middle),
        OPEN(trouble_while_draining),
        NEW(trouble_of_a_rejected_worker),
        NEW(trouble_is_cut),
        OPEN(another_prober_is_another_hello),
        OPEN(draining),
        NEW(draining_before_a_session),
        OPEN(handing_back),
        NAMING(handing_back_while_naming),
        OPEN(quitting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
