/* lease: what becomes of the traces that a broker gives. See agent_rig.h. */
#include "tests/unit/agent_rig.h"

#include <string.h>

/* ---- a trace ---------------------------------------------------------------------------- */

static void from_trace_to_done(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ""));
    play_to_the_end(rig);
    expect(rig, "10000 locate 7 192.0.2.1\n"
                "10004 " REACHED "\n");
    from_broker(rig, "'done', 'lease': 7");
    run_for(rig, SECOND);
    expect(rig, "11000 > heartbeat []\n");
}

static void hops_only_with_progress(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ", 'progress': true"));
    play_to_the_end(rig);
    expect(rig, "10000 locate 7 192.0.2.1\n"
                "10003 > 'hop','lease':7,'ttl':1," HOP1 "\n"
                "10004 > 'hop','lease':7,'ttl':2," HOP2 "\n"
                "10004 " REACHED "\n");
}

static void a_result_is_sent_until_acknowledged(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ""));
    play_to_the_end(rig);
    transcript_clear(&rig->out);
    run_for(rig, 4500 * MS);
    from_broker(rig, "'done', 'lease': 7");
    run_for(rig, SECOND);
    expect(rig, "11000 > heartbeat [7]\n"
                "12000 > heartbeat [7]\n"
                "12004 " REACHED "\n"
                "13000 > heartbeat [7]\n"
                "14000 > heartbeat [7]\n"
                "14004 " REACHED "\n"
                "15000 > heartbeat []\n");
}

static void a_new_session_gets_the_results_at_once(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ""));
    play_to_the_end(rig);
    transcript_clear(&rig->out);
    from_broker(rig, "'who'");
    from_broker(rig, WELCOME);
    expect(rig, "10004 > hello [7]\n"
                "10004 log session-open: ams1 version=1\n"
                "10004 " REACHED "\n"
                "10004 > heartbeat [7]\n");
}

/* A broker that was silent for long gets each result once when it is back, and not once for each
 * AGENT_RESEND_US of its silence. A further welcome brings no result again. */
static void no_session_no_results(void **state) {
    struct rig *rig = *state;
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
}

static void a_trace_that_is_there_already(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ""));
    from_broker(rig, TRACE(7, ""));
    expect(rig, "10000 locate 7 192.0.2.1\n");
    located(rig, 7);
    from_broker(rig, TRACE(7, ""));
    located(rig, 7);
    expect(rig, "");
    assert_int_equal(rig->sent, 1);
}

static void a_wrong_trace_goes_back(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ", 'probes': 17"));
    from_broker(rig, "'trace', 'lease': 8, 'run': 1, 'deadline_ms': 1, 'trace': {}");
    expect(rig, "10000 > 'return','lease':7,'reason':'trace.probes: 17: must be 1..16'}\n"
                "10000 > 'return','lease':8,'reason':'trace.target: is missing'}\n");
}

/* A reason has at most 200 bytes, and an error message can have more. */
static void a_long_reason_is_cut(void **state) {
    struct rig *rig = *state;
    from_broker(rig, "'trace', 'lease': 7, 'run': 1, 'deadline_ms': 1,"
                     "'trace': {'target': 'a:'x126}");
    assert_non_null(strstr(rig->out.at, "'return','lease':7,'reason':'trace.target: a:a:"));
}

static void over_capacity(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ""));
    from_broker(rig, TRACE(8, ""));
    from_broker(rig, TRACE(9, ""));
    from_broker(rig, "'done', 'lease': 8");
    from_broker(rig, TRACE(10, ""));
    expect(rig, "10000 locate 7 192.0.2.1\n"
                "10000 locate 8 192.0.2.1\n"
                "10000 > 'return','lease':9,'reason':'no capacity'}\n"
                "10000 locate 10 192.0.2.1\n");
}

/* A result that the broker has not acknowledged counts as a trace, so that the capacity bounds what
 * waits. */
static void results_that_wait_are_work(void **state) {
    struct rig *rig = *state;
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
}

/* ---- names ------------------------------------------------------------------------------ */

static void a_result_waits_for_names(void **state) {
    struct rig *rig = *state;
    run_for(rig, 100 * MS);
    named(rig, 7, "192.0.2.1", "www.example");
    named(rig, 7, "192.0.2.1", "twice.example");
    named(rig, 7, "192.0.2.9", "nobody.example");
    named(rig, 8, "10.0.0.1", "nobody.example");
    expect(rig, "");
    run_for(rig, 100 * MS);
    named(rig, 7, "10.0.0.1", "");
    named(rig, 7, "10.0.0.1", "late.example");
    expect(rig, "10204 " ENDED("'192.0.2.1':'www.example'") "\n");
    from_broker(rig, "'done', 'lease': 7");
    named(rig, 7, "10.0.0.1", "");
    run_for(rig, SECOND);
    expect(rig, "11000 > heartbeat []\n");
}

static void names_that_come_before_the_end(void **state) {
    struct rig *rig = *state;
    rig->known = true;
    from_broker(rig, TRACE(7, NAMES ", 'progress': true"));
    play_to_the_end(rig);
    expect(rig, "10000 locate 7 192.0.2.1\n" ASKED "10003 > 'hop','lease':7,'ttl':1," HOP1 "\n"
                "10004 > 'hop','lease':7,'ttl':2," HOP2 "\n"
                "10004 " ENDED("'192.0.2.1':'known.example','10.0.0.1':'known.example'") "\n");
}

static void a_result_does_not_wait_for_ever(void **state) {
    struct rig *rig = *state;
    named(rig, 7, "10.0.0.1", "gw.example");
    run_for(rig, 3 * SECOND);
    from_broker(rig, "'done', 'lease': 7");
    expect(rig, "11000 > heartbeat [7]\n"
                "12000 > heartbeat [7]\n"
                "12004 " ENDED("'10.0.0.1':'gw.example'") "\n"
                                                          "13000 > heartbeat [7]\n");
}

static void nor_beyond_its_deadline(void **state) {
    struct rig *rig = *state;
    from_broker(rig, "'trace', 'lease': 7, 'run': 1, 'deadline_ms': 300, 'trace': {'id': 'x', "
                     "'target': '192.0.2.1', 'window': 1, 'attempts': 1" NAMES "}");
    play_to_the_end(rig);
    transcript_clear(&rig->out);
    run_for(rig, 900 * MS);
    expect(rig, "10300 " ENDED("") "\n");
}

static void the_deadline_ends_the_trace_without_waiting(void **state) {
    struct rig *rig = *state;
    from_broker(rig, "'trace', 'lease': 7, 'run': 1, 'deadline_ms': 300,"
                     "'trace': {'target': '192.0.2.1', 'window': 1" NAMES "}");
    located(rig, 7);
    transcript_clear(&rig->out);
    run_for(rig, 500 * MS);
    expect(rig, "10300 > 'result','lease':7," BODY(THERE, "1700000000000000", "1700000000300000",
                    "'probes_sent':1,'stop':'deadline','hops':[],'names':{}") "\n");
}

static void cancelled_while_naming(void **state) {
    struct rig *rig = *state;
    named(rig, 7, "10.0.0.1", "gw.example");
    from_broker(rig, "'cancel', 'lease': 7");
    from_broker(rig, "'cancel', 'lease': 7");
    named(rig, 7, "192.0.2.1", "late.example");
    expect(rig, "10004 " ENDED("'10.0.0.1':'gw.example'") "\n");
}

static void cancelled_before_the_names(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, NAMES));
    located(rig, 7);
    from_broker(rig, "'cancel', 'lease': 7");
    expect(rig, "10000 locate 7 192.0.2.1\n"
                "10000 name 7 192.0.2.1\n"
                "10000 > 'result','lease':7," BODY(THERE, "1700000000000000", "1700000000000000",
                    "'probes_sent':1,'stop':'cancelled','hops':[],'names':{}") "\n");
}

static void done_while_naming(void **state) {
    struct rig *rig = *state;
    from_broker(rig, "'done', 'lease': 7");
    named(rig, 7, "192.0.2.1", "www.example");
    named(rig, 7, "10.0.0.1", "gw.example");
    run_for(rig, 3 * SECOND);
    expect(rig, "11000 > heartbeat []\n"
                "12000 > heartbeat []\n"
                "13000 > heartbeat []\n");
}

static void draining_while_naming(void **state) {
    struct rig *rig = *state;
    agent_drain(rig->agent, &rig->now);
    assert_false(agent_idle(rig->agent));
    named(rig, 7, "10.0.0.1", "");
    named(rig, 7, "192.0.2.1", "");
    expect(rig, "10004 > 'drain'}\n"
                "10004 " ENDED("") "\n");
    from_broker(rig, "'done', 'lease': 7");
    assert_true(agent_idle(rig->agent));
}

/* The trace has ended, and no other worker needs to run it again. */
static void quitting_while_naming(void **state) {
    struct rig *rig = *state;
    agent_quit(rig->agent);
    expect(rig, "10004 " ENDED("") "\n"
                                   "10004 > 'bye'}\n");
}

static void a_broker_that_is_lost_while_naming(void **state) {
    struct rig *rig = *state;
    from_broker(rig, "'who'");
    expect(rig, "10004 > hello [7]\n");
    rig->unconnected = true;
    named(rig, 7, "10.0.0.1", "");
    named(rig, 7, "192.0.2.1", "");
    rig->unconnected = false;
    transcript_clear(&rig->out);
    from_broker(rig, WELCOME);
    expect(rig, "10004 log session-open: ams1 version=1\n"
                "10004 " ENDED("") "\n"
                                   "10004 > heartbeat [7]\n");
}

static void without_a_location_there_are_no_names(void **state) {
    struct rig *rig = *state;
    struct agent_location where = {
        .stop = STOP_UNRESOLVED, .error_code = "not-found", .error_message = "x"};
    from_broker(rig, TRACE(7, NAMES));
    agent_located(rig->agent, 7, &where, &rig->now);
    expect(rig, "10000 locate 7 192.0.2.1\n"
                "10000 > 'result','lease':7," BODY(NOWHERE, "1700000000000000", "1700000000000000",
                    "'probes_sent':0,'stop':'unresolved','error':{'code':'not-found',"
                    "'message':'x'},'hops':[],'names':{}") "\n");
}

/* ---- time ------------------------------------------------------------------------------- */

/* No tick comes between these events: each brings its own time. */
static void events_bring_their_time(void **state) {
    struct rig *rig = *state;
    pass(rig, 5 * MS);
    from_broker(rig, "'trace', 'lease': 7, 'run': 1, 'deadline_ms': 60000, 'trace': {'id': 'x', "
                     "'target': '192.0.2.1', 'window': 1, 'attempts': 1, 'names': true}");
    pass(rig, 2 * MS);
    located(rig, 7);
    pass(rig, 4 * MS);
    say(rig, 0, REPLY);
    pass(rig, 3 * MS);
    expect(rig, "10005 locate 7 192.0.2.1\n"
                "10007 name 7 192.0.2.1\n");
    named(rig, 7, "192.0.2.1", "");
#define RESULT                                                                                     \
    "> 'result','lease':7," BODY(THERE, "1700000000007000", "1700000000011000",                    \
        "'probes_sent':1,'stop':'reached','hops':[{'ttl':1,'probes':[{'attempt':1,"                \
        "'addr':'192.0.2.1','rtt_us':0,'sent_us':0,'verdict':'reply'}]}],'names':{}")
    expect(rig, "10014 " RESULT "\n");
    run_for(rig, AGENT_RESEND_US - 1);
    transcript_clear(&rig->out);
    run_for(rig, 1);
    expect(rig, "12014 " RESULT "\n");
}

/* A hop that does not answer has no address, and nobody asks for its name. */
static void a_silent_hop_has_no_name(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, NAMES));
    located(rig, 7);
    transcript_clear(&rig->out);
    pass(rig, MS);
    say(rig, 0, "no-reply");
    run_for(rig, MS);
    expect(rig, "");
}

/* ---- cancel and done, in each state ----------------------------------------------------- */

static void cancelled_while_locating(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ""));
    run_for(rig, 100 * MS);
    from_broker(rig, "'cancel', 'lease': 7");
    located(rig, 7); /* this is too late */
    run_for(rig, MS);
    expect(rig, "10000 locate 7 192.0.2.1\n"
                "10100 > 'result','lease':7," BODY(NOWHERE, "1700000000000000", "1700000000100000",
                    "'probes_sent':0,'stop':'cancelled','hops':[]") "\n");
    assert_int_equal(rig->sent, 0);
}

static void cancelled_while_running(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ""));
    run_for(rig, 2 * MS);
    located(rig, 7);
    run_for(rig, MS);
    say(rig, 0, "ttl-expired ip-4 10.0.0.1 round-trip-time 0");
    run_for(rig, MS);
    transcript_clear(&rig->out);
    from_broker(rig, "'cancel', 'lease': 7");
    expect(rig, "10004 > 'result','lease':7," BODY(THERE, "1700000000002000", "1700000000004000",
                    "'probes_sent':2,'stop':'cancelled','hops':[{'ttl':1," HOP1 "]") "\n");
}

static void cancelled_when_finished(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ""));
    play_to_the_end(rig);
    transcript_clear(&rig->out);
    from_broker(rig, "'cancel', 'lease': 7");
    expect(rig, "");
}

static void done_while_locating(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ""));
    transcript_clear(&rig->out);
    from_broker(rig, "'done', 'lease': 7");
    located(rig, 7);
    run_for(rig, SECOND);
    expect(rig, "11000 > heartbeat []\n");
    assert_int_equal(rig->sent, 0);
}

static void done_while_running(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ""));
    located(rig, 7);
    transcript_clear(&rig->out);
    from_broker(rig, "'done', 'lease': 7");
    say(rig, 0, REPLY);
    run_for(rig, SECOND);
    expect(rig, "11000 > heartbeat []\n");
}

/* ---- ends without probes ---------------------------------------------------------------- */

static void a_location_that_failed(void **state) {
    struct rig *rig = *state;
    struct agent_location where = {.stop = STOP_NO_ROUTE,
        .error_code = "unavailable",
        .error_message = "no route to 192.0.2.1"};
    assert_true(addr_parse(&where.dst, "192.0.2.1"));
    from_broker(rig, TRACE(7, ""));
    agent_located(rig->agent, 7, &where, &rig->now);
    agent_located(rig->agent, 7, &where, &rig->now); /* a second answer is ignored */
    agent_located(rig->agent, 99, &where, &rig->now);
    expect(rig, "10000 locate 7 192.0.2.1\n"
                "10000 > 'result','lease':7," BODY("'dst':'192.0.2.1','src':null",
                    "1700000000000000", "1700000000000000",
                    "'probes_sent':0,'stop':'no-route','error':{'code':'unavailable',"
                    "'message':'no route to 192.0.2.1'},'hops':[]") "\n");
    run_for(rig, MS);
    assert_int_equal(rig->sent, 0);
}

static void what_the_prober_cannot_do(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ", 'protocol': 'sctp'"));
    transcript_clear(&rig->out);
    located(rig, 7);
    expect(rig,
        "10000 > 'result','lease':7,'body':<{'target':'192.0.2.1'," THERE
        ",'protocol':'sctp','port':80,'first_ttl':1,'max_ttl':30,'started_us':1700000000000000,"
        "'finished_us':1700000000000000,'prober':'mtr-packet 0.95','probes_sent':0,"
        "'stop':'prober-error','error':{'code':'unavailable','message':"
        "'protocol: sctp: not supported by mtr-packet 0.95'},'hops':[]}>}\n");
}

/* The result says that all probes had the same flow, and shows its source port. */
static void a_constant_flow(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ", 'protocol': 'udp', 'port': 7, 'flow': 3"));
    located(rig, 7);
    say(rig, 0, REPLY);
    assert_non_null(strstr(rig->out.at, "'flow':3,'constant_flow':true,'src_port':"));
}

/* Each result has a body of its own. */
static void two_results(void **state) {
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, ""));
    from_broker(rig, TRACE(8, ""));
    from_broker(rig, "'cancel', 'lease': 7");
    transcript_clear(&rig->out);
    from_broker(rig, "'cancel', 'lease': 8");
    expect(rig, "10000 > 'result','lease':8," BODY(NOWHERE, "1700000000000000", "1700000000000000",
                    "'probes_sent':0,'stop':'cancelled','hops':[]") "\n");
}

static void the_deadline_while_locating(void **state) {
    struct rig *rig = *state;
    from_broker(rig, "'trace', 'lease': 7, 'run': 1, 'deadline_ms': 300,"
                     "'trace': {'target': '192.0.2.1'}");
    run_for(rig, 999 * MS);
    located(rig, 7);
    expect(rig, "10000 locate 7 192.0.2.1\n"
                "10300 > 'result','lease':7," BODY(NOWHERE, "1700000000000000", "1700000000300000",
                    "'probes_sent':0,'stop':'deadline','hops':[]") "\n");
}

/* The deadline includes the time of locating. */
static void the_deadline_while_running(void **state) {
    struct rig *rig = *state;
    from_broker(rig, "'trace', 'lease': 7, 'run': 1, 'deadline_ms': 300,"
                     "'trace': {'target': '192.0.2.1', 'window': 1}");
    run_for(rig, 200 * MS);
    located(rig, 7);
    run_for(rig, 500 * MS);
    expect(rig, "10000 locate 7 192.0.2.1\n"
                "10300 > 'result','lease':7," BODY(THERE, "1700000000200000", "1700000000300000",
                    "'probes_sent':1,'stop':'deadline','hops':[]") "\n");
}

#define OPEN(test) cmocka_unit_test_setup_teardown(test, rig_setup_open, rig_teardown)
#define NAMING(test) cmocka_unit_test_setup_teardown(test, rig_setup_naming, rig_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        OPEN(from_trace_to_done),
        OPEN(hops_only_with_progress),
        OPEN(a_result_is_sent_until_acknowledged),
        OPEN(a_new_session_gets_the_results_at_once),
        OPEN(no_session_no_results),
        OPEN(a_trace_that_is_there_already),
        OPEN(a_wrong_trace_goes_back),
        OPEN(a_long_reason_is_cut),
        OPEN(over_capacity),
        OPEN(results_that_wait_are_work),
        NAMING(a_result_waits_for_names),
        OPEN(names_that_come_before_the_end),
        NAMING(a_result_does_not_wait_for_ever),
        OPEN(nor_beyond_its_deadline),
        OPEN(the_deadline_ends_the_trace_without_waiting),
        NAMING(cancelled_while_naming),
        OPEN(cancelled_before_the_names),
        NAMING(done_while_naming),
        NAMING(draining_while_naming),
        NAMING(quitting_while_naming),
        NAMING(a_broker_that_is_lost_while_naming),
        OPEN(without_a_location_there_are_no_names),
        OPEN(events_bring_their_time),
        OPEN(a_silent_hop_has_no_name),
        OPEN(cancelled_while_locating),
        OPEN(cancelled_while_running),
        OPEN(cancelled_when_finished),
        OPEN(done_while_locating),
        OPEN(done_while_running),
        OPEN(a_location_that_failed),
        OPEN(what_the_prober_cannot_do),
        OPEN(a_constant_flow),
        OPEN(two_results),
        OPEN(the_deadline_while_locating),
        OPEN(the_deadline_while_running),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
