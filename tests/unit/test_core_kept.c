/* core: what outlives the broker, and what the store is asked; see core_rig.h. */
#include "tests/unit/core_rig.h"

#include "common/protocol/result.h"
#include "tests/unit/wire_parse.h"

#include <inttypes.h>

#define LISTING(name, leases)                                                                      \
    "{'v': 1, 'op': 'hello', 'name': '" name "', 'versions': [1, 1], 'prober': 'p', "              \
    "'capacity': 4, 'labels': {}, 'af': [4], 'protocols': ['icmp'], 'leases': [" leases "]}"
#define WELCOME_AGAIN(who)                                                                         \
    who " {'v':1,'op':'welcome','epoch':9001,'heartbeat_ms':1000,'dead_ms':5000,'version':1}\n"
#define TRACE(id, more) "{'target': '192.0.2.1', 'id': '" id "'" more "}"
#define PROBE(id) "'target':'192.0.2.1','id':'" id "'"
#define OF_EPOCH_2(seq, stream_seq, id, more)                                                      \
    "'seq':" seq ",'stream':'default','stream_seq':" stream_seq ",'epoch':9001,'id':'" id "'" more

/* ---- restart ---------------------------------------------------------------------------- */

static void a_restart_keeps_what_was_accepted(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "1", ""));
    rig_say("c1", SUBMIT("", TRACE("a", "") ", " TRACE("b", ", 'deadline_ms': 5000")));
    rig_say("w1", RESULT("100", "192.0.2.1", "reached")); /* a has ended, b runs */
    rig_skip();
    rig_restart(1000);
    EXPECT("");
    /* The worker still has b and tells it; nothing is probed twice. */
    rig_say("w2", LISTING("one", "101"));
    EXPECT(WELCOME_AGAIN("w2"));
    rig_say("w2", RESULT("101", "192.0.2.1", "reached"));
    EXPECT("result.default.b {'v':1,'op':'result'," OF_EPOCH_2(
        "2", "2", "b", ",'accepted_us':5000000,'worker':'one','run':1,")
            BODY("192.0.2.1", "reached") "}\n" DONE("w2", "101"));
    /* Both ids are known: one from memory, one from the store. */
    rig_say("c2", SUBMIT("", TRACE("a", "") ", " TRACE("b", ", 'deadline_ms': 5000")));
    EXPECT(ACCEPTED("c2", "'a','b'"));
    rig_say("c2", SUBMIT("", TRACE("a", ", 'max_ttl': 3")));
    EXPECT(ACCEPTED("c2",
        "{'code':'conflict','message':'id: a: is in use for a different trace','field':'id'}"));
    rig_say("c2", "{'v': 1, 'op': 'status', 'ids': ['a', 'b', 'x']}");
    EXPECT("c2 {'v':1,'op':'status','states':[{'id':'a','state':'done'},{'id':'b','state':'done'},"
           "{'id':'x','state':'unknown'}]}\n");
    rig_say("c2", "{'v': 1, 'op': 'trace', 'target': '192.0.2.1', 'id': 'a'}");
    EXPECT("c2 {'v':1,'op':'result'," HEAD("1", "default", "1", "a",
        ",'accepted_us':5000000,'worker':'one','run':1,") BODY("192.0.2.1", "reached") "}\n");
}

static void an_absent_worker_is_given_up_after_ten_seconds(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "2", ""));
    rig_say("c1", SUBMIT("", TRACE("a", "") ", " TRACE("b", "")));
    rig_restart(0);
    rig_skip();
    rig_say("w2", HELLO("two", "4", ""));
    rig_skip();
    for (int i = 0; i < 9; i++) {
        rig_after_ms(1000);
        rig_say("w2", BEAT(""));
    }
    rig_skip();
    rig_after_ms(1000);
    EXPECT("log worker-gone name=one running=2 why=\"did not come back after the broker's "
           "restart\"\n" GIVEN("w2", "200", "2", "110000", PROBE("a"))
               GIVEN("w2", "201", "2", "110000", PROBE("b")));
    /* When it comes after all, what it has is nobody's. */
    rig_say("w1", LISTING("one", "100"));
    EXPECT(WELCOME_AGAIN("w1") DONE("w1", "100"));
}

static void what_a_returning_worker_does_not_list_runs_again(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "2", ""));
    rig_say("c1", SUBMIT("", TRACE("a", "") ", " TRACE("b", "")));
    rig_restart(0);
    rig_skip();
    rig_say("w2", LISTING("one", "101"));
    EXPECT("log worker-gone name=one running=1 why=\"its name has joined again\"\n" WELCOME_AGAIN(
        "w2") GIVEN("w2", "200", "2", "120000", PROBE("a")));
}

/* A whole counts as the parts that it will make. */
static void fanouts_fill_the_queue(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "1", ""));
    rig_say("w2", HELLO("two", "1", ""));
    rig_say("w3", HELLO("three", "1", ""));
    rig_say("c1", SUBMIT("", TRACE("a", "") ", " TRACE("b", "") ", " TRACE("c", "")));
    rig_skip();
    for (int i = 0; i < 3; i++) {
        char submit[128];
        (void)snprintf(submit, sizeof submit, SUBMIT("", TRACE("f%d", ", 'fanout': 'all'")), i);
        rig_say("c1", submit);
    }
    EXPECT(ACCEPTED("c1", "'f0'") ACCEPTED("c1", "'f1'") ACCEPTED("c1", "'f2'"));
    rig_say("c1", SUBMIT("", TRACE("d", "")));
    EXPECT_PART("'reason':'queue'");
    rig_say("c1", "{'v': 1, 'op': 'cancel', 'ids': ['f0', 'f1']}");
    rig_skip();
    rig_say("c1", SUBMIT("", TRACE("d", "")));
    EXPECT(ACCEPTED("c1", "'d'"));
}

/* A worker whose connection is cut comes back over another one with what it runs: it costs no run,
 * but for the trace that it did not get. */
static void a_cut_connection_costs_no_run(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "4", ""));
    rig_say("c1", SUBMIT("", TRACE("a", "")));
    rig_skip();
    rig.gone = "w1";
    rig_say("c1", SUBMIT("", TRACE("b", "")));
    EXPECT(ACCEPTED("c1", "'b'"));
    rig.gone = NULL;
    rig_say("w2", LISTING("one", "100"));
    EXPECT("log worker-lost name=one running=0 why=\"its name has joined again\"\n" WELCOME("w2")
            GIVEN("w2", "102", "1", "120000", PROBE("b")));
    rig_say("w2", RESULT("100", "192.0.2.1", "reached"));
    EXPECT_PART("'worker':'one','run':1");
    /* It may be cut twice in a row; that is no fight for the name. */
    rig.gone = "w2";
    rig_say("c1", SUBMIT("", TRACE("c", "")));
    rig.gone = NULL;
    rig_skip();
    rig_say("w3", HELLO("one", "4", ""));
    EXPECT_PART("welcome");
}

/* A worker that was asked more than once says hello more than once, the second time without what it
 * was given after the first. */
static void a_hello_that_crossed_a_trace(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "4", ""));
    rig_say("c1", SUBMIT("", TRACE("a", "") ", " TRACE("b", "")));
    rig_restart(0);
    rig_skip();
    rig_say("w2", LISTING("one", "100"));
    EXPECT("log worker-gone name=one running=1 why=\"its name has joined again\"\n" WELCOME_AGAIN(
        "w2") GIVEN("w2", "200", "2", "120000", PROBE("b")));
    rig_say("w2", LISTING("one", "100"));
    rig_say("w2", BEAT("100, 200"));
    EXPECT(WELCOME_AGAIN("w2") "w2 {'v':1,'op':'heartbeat','epoch':9001}\n");
    rig_after_ms(4000);
    rig_say("w2", BEAT("100"));
    rig_after_ms(1000); /* it had its time to list it */
    rig_say("w2", LISTING("one", "100"));
    rig_say("w2", RESULT("100", "192.0.2.1", "reached"));
    assert_true(rig_has("'lease':201,'run':3"));
}

static void a_deadline_goes_on_and_a_clock_that_was_set_does_not_end_it(void **state) {
    (void)state;
    rig_say("c1", SUBMIT("", TRACE("a", ", 'deadline_ms': 5000")));
    rig_skip();
    rig_restart(4000);
    rig_after_ms(999);
    EXPECT("");
    rig_after_ms(1);
    EXPECT("result.default.a {'v':1,'op':'result'," OF_EPOCH_2(
        "1", "1", "a", ",'accepted_us':5000000,'run':0,")
            BROKERS_BODY("192.0.2.1", "10000000", "no-worker", NO_WORKER) "}\n");
    rig_say("c1", SUBMIT("", TRACE("b", ", 'deadline_ms': 5000")));
    rig_restart(-3600000); /* an hour back: never more than all of it is left */
    rig_skip();
    rig_after_ms(4999);
    EXPECT("");
    rig_after_ms(1);
    EXPECT_PART("'stop':'no-worker'");
}

static void a_cancel_outlives_the_broker(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "2", ""));
    rig_say("c1", SUBMIT("", TRACE("a", "")));
    rig_say("c1", "{'v': 1, 'op': 'cancel', 'ids': ['a']}");
    rig_restart(0);
    rig_skip();
    rig_say("w2", LISTING("one", "100"));
    EXPECT("w2 {'v':1,'op':'cancel','lease':100}\n" WELCOME_AGAIN("w2"));
    rig_after_ms(250);
    EXPECT_PART("'stop':'cancelled'");
}

static void runs_are_counted_across_restarts(void **state) {
    (void)state;
    rig_say("c1", SUBMIT("", TRACE("a", "")));
    for (int run = 1; run <= 3; run++) {
        rig_say("w1", HELLO("one", "2", ""));
        rig_skip();
        rig_restart(0);
        rig_after_ms(10000);
    }
    assert_true(rig_has("'stop':'worker-lost'"));
    EXPECT_PART("started 3 times");
}

/* ---- replay ----------------------------------------------------------------------------- */

static void end_three(void) {
    rig_say("w1", HELLO("one", "4", ""));
    rig_say(
        "c1", SUBMIT("", TRACE("a", "") ", " TRACE("b", ", 'stream': 's'") ", " TRACE("c", "")));
    for (int i = 0; i < 3; i++) {
        char result[512];
        (void)snprintf(result, sizeof result, RESULT("%d", "192.0.2.1", "reached"), 100 + i);
        rig_say("w1", result);
    }
    rig_skip();
}

#define PLAYED(seq, stream, stream_seq, id)                                                        \
    "{'v':1,'op':'result'," HEAD(seq, stream, stream_seq, id,                                      \
        ",'accepted_us':5000000,'worker':'one','run':1,") BODY("192.0.2.1", "reached") "}"
#define REPLAY_END(more, lost) "],'more':" more lost ",'epoch':9000,'origin':9000,'seq':3}\n"

static void replay_brings_what_was_published(void **state) {
    (void)state;
    end_three();
    rig_say("c1", "{'v': 1, 'op': 'replay', 'req': 5, 'after': 0, 'limit': 2}");
    EXPECT("c1 {'v':1,'op':'results','req':5,'results':[" PLAYED(
        "1", "default", "1", "a") "," PLAYED("2", "s", "1", "b") REPLAY_END("true", ""));
    rig_say("c1", "{'v': 1, 'op': 'replay', 'after': 1, 'stream': 'default'}");
    EXPECT("c1 {'v':1,'op':'results','results':[" PLAYED("3", "default", "2", "c")
            REPLAY_END("false", ""));
    rig_forget_oldest();
    rig_forget_oldest();
    rig_say("c1", "{'v': 1, 'op': 'replay', 'after': 0}");
    EXPECT("c1 {'v':1,'op':'results','results':[" PLAYED("3", "default", "2", "c")
            REPLAY_END("false", ",'lost':[1,2]"));
    rig_say("c1", "{'v': 1, 'op': 'replay', 'after': 3}");
    EXPECT("c1 {'v':1,'op':'results','results':[" REPLAY_END("false", ""));
    rig_say("c1", "{'v': 1, 'op': 'replay', 'after': 9223372036854775807}");
    EXPECT("c1 {'v':1,'op':'results','results':[" REPLAY_END("false", ""));
}

/* What cannot be read is not taken for what is not there. */
static void a_store_that_cannot_be_read(void **state) {
    (void)state;
    end_three();
    rig_restart(0);
    rig_skip();
    rig.unreadable = true;
    rig_say("c1", "{'v': 1, 'op': 'replay', 'req': 5, 'after': 0}");
    EXPECT("c1 {'v':1,'op':'error','req':5,'code':'internal','message':'the store cannot be read; "
           "the broker\\'s log tells why'}\n");
    rig_say("c1", SUBMIT("", TRACE("a", "")));
    EXPECT_PART("'code':'internal'");
    rig.unreadable = false;
    rig_say("c1", SUBMIT("", TRACE("a", "")));
    EXPECT(ACCEPTED("c1", "'a'"));
}

/* The store leaves out what its answer has no room for. */
static void repeated_with_more_results_than_fit(void **state) {
    (void)state;
    end_three();
    rig_restart(0);
    rig_skip();
    rig.no_room_for = 3;
    rig_say("c1", SUBMIT(", 'notify': true", TRACE("a", "") ", " TRACE("c", "")));
    EXPECT(ACCEPTED("c1", "'a',{'code':'busy','message':'id: c: has ended; ask again for its "
                          "result','field':'id','reason':'reads','retry_ms':100}") "c1 " PLAYED("1",
        "default", "1", "a") "\n");
    rig.no_room_for = 0;
    rig_say("c1", SUBMIT(", 'notify': true", TRACE("c", "")));
    EXPECT(ACCEPTED("c1", "'c'") "c1 " PLAYED("3", "default", "2", "c") "\n");
}

/* ---- coalesce --------------------------------------------------------------------------- */

#define RIDER(id, more) TRACE(id, ", 'coalesce': true" more)
#define SHARED(seq, id, by, stop)                                                                  \
    "result.default." id " {'v':1,'op':'result'," HEAD(seq, "default", seq, id,                    \
        ",'accepted_us':5000000,'worker':'one','run':1,'shared':'" by "',")                        \
        BODY("192.0.2.1", stop) "}\n"

static void riders_share_one_probing(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "4", ""));
    rig_skip();
    rig_say("c1", SUBMIT("", TRACE("a", "")));
    rig_say("c1", SUBMIT(", 'notify': true", RIDER("b", "") ", " RIDER("c", ", 'max_ttl': 5")));
    EXPECT(ACCEPTED("c1", "'a'") GIVEN("w1", "100", "1", "120000", PROBE("a"))
            ACCEPTED("c1", "'b','c'") GIVEN("w1", "101", "1", "120000",
                "'target':'192.0.2.1','max_ttl':5,'id':'c','coalesce':true"));
    rig_after_ms(100);
    rig_say("w1", RESULT("100", "192.0.2.1", "reached"));
    EXPECT("result.default.a {'v':1,'op':'result'," HEAD(
        "1", "default", "1", "a", ",'accepted_us':5000000,'worker':'one','run':1,")
            BODY("192.0.2.1", "reached") "}\n" SHARED("2", "b", "a", "reached") //
        "c1 {'v':1,'op':'result'," HEAD(
            "2", "default", "2", "b", ",'accepted_us':5000000,'worker':'one','run':1,'shared':'a',")
            BODY("192.0.2.1", "reached") "}\n" DONE("w1", "100"));
    /* A result that is not too old is taken, an older one is not. */
    rig_after_ms(900);
    rig_say("c1", SUBMIT("", RIDER("d", ", 'max_age_ms': 900")));
    assert_true(rig_has("result.default.d"));
    EXPECT_PART("'shared':'a'");
    rig_after_ms(1);
    rig_say("c1", SUBMIT("", RIDER("e", ", 'max_age_ms': 900")));
    EXPECT(ACCEPTED("c1", "'e'") GIVEN("w1", "102", "1", "120000",
        "'target':'192.0.2.1','id':'e','coalesce':true,'max_age_ms':900"));
}

/* Only what ended with a path is worth taking later. */
static void which_results_are_taken(void **state) {
    static const struct {
        const char *stop;
        bool taken;
    } cases[] = {{"reached", true}, {"unreachable", true}, {"gap-limit", true}, {"max-ttl", true},
        {"loop", true}, {"deadline", false}, {"cancelled", false}, {"unresolved", false},
        {"no-route", false}, {"denied", false}, {"prober-error", false}};
    char text[600];
    (void)state;
    rig_say("w1", HELLO("one", "1", ""));
    for (int i = 0; i < (int)(sizeof cases / sizeof cases[0]); i++) {
        (void)snprintf(text, sizeof text, SUBMIT("", TRACE("%d", ", 'max_ttl': %d")), i, i + 1);
        rig_say("c1", text);
        (void)snprintf(
            text, sizeof text, RESULT("%" PRId64, "192.0.2.1", "%s"), rig_lease(), cases[i].stop);
        rig_say("w1", text);
        (void)snprintf(text, sizeof text,
            SUBMIT("", RIDER("r%d", ", 'max_ttl': %d, 'max_age_ms': 1000")), i, i + 1);
        int64_t shared = rig_counter("shared");
        rig_say("c1", text);
        assert_int_equal(rig_counter("shared") - shared, cases[i].taken);
        if (cases[i].taken)
            continue;
        (void)snprintf(text, sizeof text, "{'v': 1, 'op': 'cancel', 'ids': ['r%d']}", i);
        rig_say("c1", text);
        rig_after_ms(250);
    }
    rig_skip();
}

/* What cuts a trace short for reasons of its own is not its riders' end; all else is. */
static void which_ends_are_shared(void **state) {
    static const struct {
        const char *stop;
        bool shared;
    } cases[] = {{"reached", true}, {"loop", true}, {"unresolved", true}, {"no-route", true},
        {"denied", true}, {"prober-error", true}, {"deadline", false}, {"cancelled", false}};
    char text[600];
    (void)state;
    rig_say("w1", HELLO("one", "1", ""));
    for (int i = 0; i < (int)(sizeof cases / sizeof cases[0]); i++) {
        (void)snprintf(text, sizeof text,
            SUBMIT("", TRACE("%d", ", 'max_ttl': %d") ", " RIDER("r%d", ", 'max_ttl': %d")), i,
            i + 1, i, i + 1);
        rig_say("c1", text);
        int64_t shared = rig_counter("shared");
        (void)snprintf(
            text, sizeof text, RESULT("%" PRId64, "192.0.2.1", "%s"), rig_lease(), cases[i].stop);
        rig_say("w1", text);
        assert_int_equal(rig_counter("shared") - shared, cases[i].shared);
        assert_int_equal(rig_stat("queue", "running"), !cases[i].shared);
        if (cases[i].shared)
            continue;
        (void)snprintf(text, sizeof text, RESULT("%" PRId64, "192.0.2.1", "reached"), rig_lease());
        rig_say("w1", text);
    }
    rig_skip();
}

/* As many values as a worker may send: with the broker's own they are more. */
static void the_largest_result_is_shared(void **state) {
    enum { VALUES = RESULT_MAX_VALUES - 26 };
    static const char plain[] =
        "{'target': '192.0.2.1', 'dst': null, 'src': null, 'protocol': 'icmp', 'first_ttl': 1, "
        "'max_ttl': 30, 'started_us': 7, 'finished_us': 8, 'probes_sent': 1, 'stop': 'reached', "
        "'hops': [], 'x': 0}";
    msgpack_sbuffer body;
    msgpack_packer pk;
    (void)state;
    rig_say("w1", HELLO("one", "4", ""));
    rig_say("c1", SUBMIT("", TRACE("a", "")));
    msgpack_sbuffer_init(&body);
    wire_parse_pack(&body, plain);
    body.size--; /* the 0 */
    msgpack_packer_init(&pk, &body, msgpack_sbuffer_write);
    msgpack_pack_array(&pk, VALUES);
    for (int i = 0; i < VALUES; i++)
        msgpack_pack_nil(&pk);
    rig_skip();
    rig_say_result("w1", 100, body.data, body.size);
    msgpack_sbuffer_destroy(&body);
    EXPECT_PART("result.default.a");
    rig_say("c1", SUBMIT("", RIDER("b", ", 'max_age_ms': 1000")));
    assert_true(rig_has("result.default.b"));
    rig_after_ms(200000);
    rig_skip();
}

static void a_rider_goes_on_when_its_leader_is_cancelled(void **state) {
    (void)state;
    rig_say("c1", SUBMIT("", TRACE("a", "") ", " RIDER("b", "") ", " RIDER("c", "")));
    rig_skip();
    rig_say("c1", "{'v': 1, 'op': 'cancel', 'ids': ['a']}");
    rig_skip();
    rig_say("c1", "{'v': 1, 'op': 'status', 'ids': ['b', 'c']}");
    EXPECT("c1 {'v':1,'op':'status','states':[{'id':'b','state':'queued','position':1},"
           "{'id':'c','state':'queued'}]}\n");
    rig_say("c1", "{'v': 1, 'op': 'cancel', 'ids': ['c']}");
    EXPECT_PART("result.default.c");
    rig_say("w1", HELLO("one", "4", ""));
    EXPECT(WELCOME("w1")
            GIVEN("w1", "100", "1", "120000", "'target':'192.0.2.1','id':'b','coalesce':true"));
}

static void a_rider_that_no_worker_could_have_served(void **state) {
    (void)state;
    rig_say("c1", SUBMIT("", TRACE("a", "") ", " RIDER("b", ", 'deadline_ms': 1000")));
    rig_skip();
    rig_after_ms(1000);
    assert_true(rig_has("result.default.b"));
    EXPECT_PART("'stop':'no-worker'");
    rig_say("w1", HELLO("one", "1", ""));
    rig_say("c1", SUBMIT("", RIDER("c", ", 'deadline_ms': 1000")));
    rig_skip();
    rig_after_ms(1000);
    assert_true(rig_has("result.default.c"));
    EXPECT_PART("'stop':'deadline'");
}

static void riders_outlive_the_broker(void **state) {
    (void)state;
    rig_say("c1", SUBMIT("", TRACE("a", "") ", " RIDER("b", "")));
    rig_restart(0);
    rig_skip();
    rig_say("w1", HELLO("one", "4", ""));
    EXPECT(WELCOME_AGAIN("w1") GIVEN("w1", "200", "1", "120000", PROBE("a")));
    rig_say("w1", RESULT("200", "192.0.2.1", "reached"));
    assert_true(rig_has("'id':'b'"));
    EXPECT_PART("'shared':'a'");
}

/* What is being cancelled ends without a result of its own, so nobody may wait for it. */
static void nobody_rides_on_what_is_being_cancelled(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "4", ""));
    rig_say("c1", SUBMIT("", TRACE("a", "")));
    rig_say("c1", "{'v': 1, 'op': 'cancel', 'ids': ['a']}");
    rig_skip();
    rig_say("c1", SUBMIT("", RIDER("b", "")));
    EXPECT(ACCEPTED("c1", "'b'") GIVEN("w1", "101", "1", "120000", PROBE("b") ",'coalesce':true"));
}

/* ---- fanout ----------------------------------------------------------------------------- */

#define PLACE "'target':'192.0.2.1','id':'a','fanout':'all'"
#define MEMBER(worker, stop, seq)                                                                  \
    "{'worker':'" worker "','id':'a/" worker "','stop':'" stop "','seq':" seq "}"

static void a_fanout_runs_at_each_worker(void **state) {
    (void)state;
    rig_say("c1", SUBMIT(", 'notify': true", TRACE("a", ", 'fanout': 'all'")));
    rig_skip();
    rig_say("w1", HELLO("one", "1", ""));
    rig_say("w2", HELLO("two", "1", ""));
    /* The first worker that fits fixes the set; the second came too late. */
    EXPECT(WELCOME("w1") GIVEN("w1", "100", "1", "120000", PLACE) WELCOME("w2"));
    rig_say("w1", RESULT("100", "192.0.2.1", "reached"));
    rig_skip();
    rig_say("c2", SUBMIT(", 'notify': true", TRACE("b", ", 'fanout': 2")));
    rig_skip();
    rig_say("w2", RESULT("102", "192.0.2.1", "gap-limit"));
    assert_true(rig_has("c2 {'v':1,'op':'result','seq':3"));
    EXPECT_PART("'id':'b/two'");
    rig_say("w1", RESULT("101", "192.0.2.1", "reached"));
    assert_true(rig_has("result.default.b {'v':1,'op':'result','seq':5"));
    assert_true(rig_has(
        "'stop':'summary','hops':[],'members':[{'worker':'two','id':'b/two','stop':'gap-limit',"
        "'seq':3},{'worker':'one','id':'b/one','stop':'reached','seq':4}]"));
    rig_skip();
    rig_say("c1", "{'v': 1, 'op': 'status', 'ids': ['a', 'a/one', 'b', 'b/two']}");
    EXPECT("c1 {'v':1,'op':'status','states':[{'id':'a','state':'done'},{'id':'a/one','state':"
           "'done'},{'id':'b','state':'done'},{'id':'b/two','state':'done'}]}\n");
}

static void a_fanout_outlives_the_broker(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "1", ""));
    rig_say("w2", HELLO("two", "1", ""));
    rig_say("w3", HELLO("three", "1", ""));
    rig_say("c1", SUBMIT("", TRACE("a", ", 'fanout': 'all'")));
    rig_say("w1", RESULT("100", "192.0.2.1", "reached"));
    rig_restart(0);
    rig_skip();
    rig_say("w2", HELLO("three", "4", ""));
    rig_say("w1", LISTING("two", "102"));
    rig_skip();
    rig_say("c1", "{'v': 1, 'op': 'cancel', 'ids': ['a']}");
    rig_after_ms(250);
    assert_true(rig_has("'stop':'summary'"));
    EXPECT_PART("{'worker':'one','id':'a/one','stop':'reached','seq':1}");
    assert_int_equal(rig_kept_results(), 4);
}

static void a_trace_that_will_not_wait(void **state) {
    (void)state;
    rig_say("c1", SUBMIT("", TRACE("a", ", 'wait': false")));
    EXPECT(ACCEPTED("c1", "{'code':'unavailable','message':'workers: no worker that fits is there: "
                          "icmp, IPv4','field':'workers'"
                          "}"));
    rig_say("w1", HELLO("one", "1", ""));
    rig_say("c1", SUBMIT("", TRACE("b", "") ", " TRACE("c", ", 'wait': false")));
    rig_skip();
    rig_say("c1", "{'v': 1, 'op': 'status', 'ids': ['a', 'c']}");
    EXPECT("c1 {'v':1,'op':'status','states':[{'id':'a','state':'unknown'},{'id':'c','state':"
           "'queued','position':1}]}\n");
}

/* While the store is behind, nothing is added to what waits for it. */
static void a_store_that_is_behind(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "1", ""));
    rig_say("c1", SUBMIT("", TRACE("a", "")));
    rig_say("w1", RESULT("100", "192.0.2.1", "reached"));
    rig_skip();
    core_refuse(rig.core, "store", "the disk is slow");
    rig_say("w1", RESULT("100", "192.0.2.1", "reached"));
    EXPECT("");
    rig_say("w1", BEAT("100"));
    EXPECT(BEAT_BACK("w1"));
    rig_say("c1", "{'v': 1, 'op': 'status', 'ids': ['a']}");
    EXPECT(
        "c1 {'v':1,'op':'error','code':'busy','message':'the disk is too slow, or full','reason':"
        "'store','retry_ms':1000}\n");
    rig_say("c1", "{'v': 1, 'op': 'ping'}");
    EXPECT_PART("pong");
    core_drain(rig.core);
    core_refuse(rig.core, NULL, NULL); /* room again; but it drains */
    rig_say("w1", RESULT("100", "192.0.2.1", "reached"));
    EXPECT(DONE("w1", "100"));
    rig_say("w1", BEAT("100"));
    EXPECT(DONE("w1", "100") BEAT_BACK("w1"));
    rig_say("c1", SUBMIT("", TRACE("b", "")));
    EXPECT_PART("'reason':'draining'");
}

/* Nor where no question is for the store. */
static void a_store_that_is_behind_and_keeps_no_results(void **state) {
    (void)state;
    const struct core_config config = {.name = "b1", .version = "test", .max_queued = 10};
    rig_start(&config);
    core_refuse(rig.core, "store", "the disk is slow");
    rig_say("c1", "{'v': 1, 'op': 'cancel', 'ids': ['a']}");
    EXPECT(
        "c1 {'v':1,'op':'error','code':'busy','message':'the disk is too slow, or full','reason':"
        "'store','retry_ms':1000}\n");
}

/* A worker cannot list what the store holds back; it has its time from when that leaves. */
static void a_lease_that_has_not_left_is_not_lost(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "2", ""));
    rig_say("c1", SUBMIT("", TRACE("a", "")));
    for (int i = 0; i < 8; i++) {
        rig_after_ms(1000);
        core_shell(rig.core)->held_us = rig.now.mono_us;
        rig_say("w1", BEAT(""));
    }
    rig_skip();
    rig_after_ms(4999);
    rig_say("w1", BEAT(""));
    EXPECT(BEAT_BACK("w1"));
    rig_after_ms(1);
    rig_say("w1", BEAT(""));
    EXPECT(BEAT_BACK("w1") GIVEN("w1", "101", "2", "107000", PROBE("a")));
}

static void an_id_like_our_own_is_refused(void **state) {
    (void)state;
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1'}, " TRACE("2328-7", "")));
    EXPECT(ACCEPTED("c1", "'2328-1',{'code':'bad-request','message':'id: 2328-7: begins like those "
                          "that this broker makes "
                          "itself','field':'id'}"));
    rig_say("c1", SUBMIT("", TRACE("2328-1", "")));
    EXPECT(ACCEPTED("c1", "'2328-1'"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(a_restart_keeps_what_was_accepted),
        CASE(an_absent_worker_is_given_up_after_ten_seconds),
        CASE(what_a_returning_worker_does_not_list_runs_again),
        CASE(fanouts_fill_the_queue),
        CASE(a_cut_connection_costs_no_run),
        CASE(a_hello_that_crossed_a_trace),
        CASE(a_deadline_goes_on_and_a_clock_that_was_set_does_not_end_it),
        CASE(a_cancel_outlives_the_broker),
        CASE(runs_are_counted_across_restarts),
        CASE(replay_brings_what_was_published),
        CASE(a_store_that_cannot_be_read),
        CASE(repeated_with_more_results_than_fit),
        CASE(riders_share_one_probing),
        CASE(which_results_are_taken),
        CASE(which_ends_are_shared),
        CASE(the_largest_result_is_shared),
        CASE(a_rider_goes_on_when_its_leader_is_cancelled),
        CASE(a_rider_that_no_worker_could_have_served),
        CASE(riders_outlive_the_broker),
        CASE(nobody_rides_on_what_is_being_cancelled),
        CASE(a_fanout_runs_at_each_worker),
        CASE(a_fanout_outlives_the_broker),
        CASE(a_trace_that_will_not_wait),
        CASE(a_store_that_is_behind),
        CASE(a_store_that_is_behind_and_keeps_no_results),
        CASE(a_lease_that_has_not_left_is_not_lost),
        CASE(an_id_like_our_own_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
