/* core: conversations of clients and workers with the broker, on a clock of the test's. */
#include "tests/unit/core_rig.h"

static void a_trace_goes_through(void **state) {
    (void)state;
    rig_say("w1", HELLO("ams1", "2", ""));
    EXPECT(WELCOME("w1"));
    rig_say("c1",
        SUBMIT(", 'req': 7, 'notify': true", "{'target': '192.0.2.1', 'id': 'a', 'meta': [1]}"));
    EXPECT("c1 {'v':1,'op':'accepted','req':7,'ids':['a']}\n" GIVEN(
        "w1", "100", "1", "120000", "'target':'192.0.2.1','id':'a','meta':[1]"));
    rig_after_ms(50);
    rig_say("w1", RESULT("100", "192.0.2.1", "reached"));
    EXPECT("result.default.a {'v':1,'op':'result'," HEAD("1", "default", "1", "a",
        ",'meta':[1],'accepted_us':5000000,'worker':'ams1','run':1,") BODY("192.0.2.1",
        "reached") "}\n"
                   "c1 {'v':1,'op':'result','req':7," HEAD("1", "default", "1", "a",
                       ",'meta':[1],'accepted_us':5000000,'worker':'ams1','run':1,")
                       BODY("192.0.2.1", "reached") "}\n" DONE("w1", "100"));
    /* Told twice, it is acknowledged twice and counted once. */
    rig_say("w1", RESULT("100", "192.0.2.1", "reached"));
    EXPECT(DONE("w1", "100"));
}

static void a_req_gets_the_result_of_a_trace(void **state) {
    (void)state;
    rig_say("w1", HELLO("ams1", "2", ""));
    rig_skip();
    rig_say("c1+", "{'v': 1, 'op': 'trace', 'target': '192.0.2.1', 'progress': true}");
    EXPECT(GIVEN("w1", "100", "1", "120000", "'target':'192.0.2.1','id':'2328-1','progress':true"));
    rig_say("w1", "{'v': 1, 'op': 'hop', 'lease': 100, 'ttl': 1, 'probes': [{'attempt': 1, 'addr': "
                  "null, 'rtt_us': null, 'sent_us': 0, 'verdict': 'no-reply'}]}");
    EXPECT(
        "hop.default.2328-1 {'v':1,'op':'hop','id':'2328-1','stream':'default','ttl':1,'probes':["
        "{'attempt':1,'addr':null,'rtt_us':null,'sent_us':0,'verdict':'no-reply'}]}\n");
    rig_say("w1", RESULT("100", "192.0.2.1", "reached"));
    EXPECT("result.default.2328-1 {'v':1,'op':'result'," HEAD("1", "default", "1", "2328-1",
        ",'accepted_us':5000000,'worker':'ams1','run':1,") BODY("192.0.2.1",
        "reached") "}\n"
                   "c1+ {'v':1,'op':'result'," HEAD("1", "default", "1", "2328-1",
                       ",'accepted_us':5000000,'worker':'ams1','run':1,")
                       BODY("192.0.2.1", "reached") "}\n" DONE("w1", "100"));
}

static void the_same_id_again(void **state) {
    (void)state;
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1', 'id': 'a'}"));
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1', 'id': 'a', 'max_ttl': 30}"));
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.2', 'id': 'a'}"));
    EXPECT(ACCEPTED("c1", "'a'") ACCEPTED("c1", "'a'") ACCEPTED("c1",
        "{'code':'conflict','message':'id: a: is in use for a different trace','field':'id'}"));
}

static void priority_and_age_decide(void **state) {
    (void)state;
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1', 'id': 'a'}, {'target': '192.0.2.1', 'id': "
                             "'b'}, {'target': '192.0.2.1', 'id': 'c', 'priority': 0}"));
    rig_say("c1", "{'v': 1, 'op': 'status', 'ids': ['a', 'b', 'c', 'd']}");
    EXPECT(ACCEPTED("c1", "'a','b','c'") "c1 {'v':1,'op':'status','states':["
                                         "{'id':'a','state':'queued','position':2},"
                                         "{'id':'b','state':'queued','position':3},"
                                         "{'id':'c','state':'queued','position':1},"
                                         "{'id':'d','state':'unknown'}]}\n");
    rig_say("w1", HELLO("ams1", "2", ""));
    EXPECT(WELCOME("w1")
            GIVEN("w1", "100", "1", "120000", "'target':'192.0.2.1','id':'c','priority':0")
                GIVEN("w1", "101", "1", "120000", "'target':'192.0.2.1','id':'a'"));
    rig_say("c1", "{'v': 1, 'op': 'status', 'ids': ['a', 'b']}");
    EXPECT("c1 {'v':1,'op':'status','states':[{'id':'a','state':'running','worker':'ams1'},"
           "{'id':'b','state':'queued','position':1}]}\n");
}

static void labels_decide_and_load_is_shared(void **state) {
    (void)state;
    rig_say("w1", HELLO("ams1", "2", "'site': 'ams'"));
    rig_say("w2", HELLO("fra1", "4", "'site': 'fra'"));
    rig_skip();
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1', 'id': 'a', 'workers': {'site': 'ams'}}, "
                             "{'target': '192.0.2.1', 'id': 'b', 'workers': {'site': 'lon'}}, "
                             "{'target': '192.0.2.1', 'id': 'c'}, {'target': '192.0.2.1', 'id': "
                             "'d'}"));
    EXPECT(ACCEPTED("c1", "'a','b','c','d'") GIVEN(
        "w1", "100", "1", "120000", "'target':'192.0.2.1','workers':{'site':'ams'},'id':'a'")
            GIVEN("w2", "101", "1", "120000", "'target':'192.0.2.1','id':'c'")
                GIVEN("w2", "102", "1", "120000", "'target':'192.0.2.1','id':'d'"));
    /* b waits for its deadline, of 120 s after 5 s; the workers must be heard meanwhile. */
    for (int i = 0; i < 30; i++) {
        rig_after_ms(4000);
        rig_say("w1", BEAT("100"));
        rig_say("w2", BEAT("101, 102"));
        if (i < 29)
            rig_skip();
    }
    EXPECT("result.default.b {'v':1,'op':'result'," HEAD("1", "default", "1", "b",
        ",'accepted_us':5000000,'run':0,") BROKERS_BODY("192.0.2.1", "125000000", "no-worker",
        NO_WORKER_WITH("icmp, IPv4, site=lon")) "}\n" BEAT_BACK("w1") BEAT_BACK("w2"));
}

static void a_lost_worker_is_replaced_three_times(void **state) {
    (void)state;
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1', 'id': 'a'}"));
    rig_say("w1", HELLO("one", "1", ""));
    rig_skip();
    rig_after_ms(4999);
    EXPECT("");
    rig_after_ms(1);
    EXPECT("log worker-lost name=one running=1 why=\"silent\"\n");
    /* What it says now is a stranger's. */
    rig_say("w1", BEAT("100"));
    EXPECT("w1 {'v':1,'op':'who'}\n");
    rig_say("w2", HELLO("two", "1", ""));
    EXPECT(WELCOME("w2") GIVEN("w2", "101", "2", "115000", "'target':'192.0.2.1','id':'a'"));
    rig.gone = "w2";
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1', 'id': 'b', 'priority': 0}"));
    rig_say("w3", HELLO("three", "1", ""));
    rig_skip();
    rig_after_ms(5000);
    /* two is silent; three, which has b, is too. */
    rig_skip();
    rig_say("w4", HELLO("four", "2", ""));
    EXPECT(WELCOME("w4")
            GIVEN("w4", "103", "2", "115000", "'target':'192.0.2.1','id':'b','priority':0"));
    /* The last run of a is made alone. */
    rig_say("w4", RESULT("103", "192.0.2.1", "reached"));
    assert_true(rig_has(
        DONE("w4", "103") GIVEN("w4", "104", "3", "110000", "'target':'192.0.2.1','id':'a'")));
    rig_skip();
    rig_say("w4", "{'v': 1, 'op': 'bye'}");
    EXPECT("result.default.a {'v':1,'op':'result'," HEAD("2", "default", "2", "a",
        ",'accepted_us':5000000,'run':3,") BROKERS_BODY("192.0.2.1", "15000000", "worker-lost",
        ",'error':{'code':'unavailable','message':'started 3 times, handed back 0 times'}") "}\n");
}

static void a_worker_that_comes_back_keeps_its_leases(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "2", ""));
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1', 'id': 'a'}, {'target': '192.0.2.1', 'id': "
                             "'b'}"));
    rig_skip();
    /* A new connection has a new routing id; of its two leases it lists one, and a strange one. */
    rig_say("w2",
        "{'v': 1, 'op': 'hello', 'name': 'one', 'versions': [1, 1], 'prober': 'p', 'capacity': 2, "
        "'labels': {}, 'af': [4], 'protocols': ['icmp'], 'leases': [101, 55]}");
    EXPECT("log worker-lost name=one running=1 why=\"its name has joined again\"\n" WELCOME("w2")
            DONE("w2", "55") GIVEN("w2", "102", "2", "120000", "'target':'192.0.2.1','id':'a'"));
    rig_say("w2", RESULT("101", "192.0.2.1", "reached"));
    EXPECT("result.default.b {'v':1,'op':'result'," HEAD(
        "1", "default", "1", "b", ",'accepted_us':5000000,'worker':'one','run':1,")
            BODY("192.0.2.1", "reached") "}\n" DONE("w2", "101"));
    /* Two that use one name: the holder keeps it while the other goes on asking. */
    rig_say("w1", HELLO("one", "2", ""));
    EXPECT("log worker-rejected code=conflict message=\"name: one: another worker uses it; give "
           "each its own --name\"\n"
           "w1 {'v':1,'op':'reject','code':'conflict','message':'name: one: another worker uses "
           "it; give each its own --name'}\n");
}

/* The holder of a name keeps it for as long as the other one asks, and 10 s more. */
static void a_contest_is_prolonged(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "2", ""));
    rig_say("w2", HELLO("one", "2", "")); /* takes the name over */
    rig_skip();
    for (int i = 0; i < 4; i++) {
        rig_after_ms(4999);
        rig_say("w2", BEAT(""));
        rig_after_ms(4999);
        rig_say("w2", BEAT(""));
        rig_skip();
        rig_say("w1", HELLO("one", "2", ""));
        EXPECT_PART("'code':'conflict'");
    }
    for (int i = 0; i < 2; i++) {
        rig_after_ms(4999);
        rig_say("w2", BEAT(""));
    }
    rig_after_ms(1);
    rig_skip();
    rig_say("w1", HELLO("one", "2", "")); /* 9,999 ms later */
    EXPECT_PART("'code':'conflict'");
    for (int i = 0; i < 4; i++) {
        rig_after_ms(2500);
        rig_say("w2", BEAT(""));
    }
    rig_skip();
    rig_say("w1", HELLO("one", "2", "")); /* 10,000 ms later */
    EXPECT("log worker-lost name=one running=0 why=\"its name has joined again\"\n" WELCOME("w1"));
}

static void a_lease_that_is_not_listed_is_lost(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "2", ""));
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1', 'id': 'a'}"));
    rig_skip();
    for (int i = 0; i < 4; i++) {
        rig_after_ms(1000);
        rig_say("w1", BEAT(""));
    }
    EXPECT(BEAT_BACK("w1") BEAT_BACK("w1") BEAT_BACK("w1") BEAT_BACK("w1"));
    rig_after_ms(1000);
    rig_say("w1", BEAT("100, 77"));
    EXPECT(DONE("w1", "77") BEAT_BACK("w1"));
    rig_say("w1", BEAT(""));
    EXPECT(BEAT_BACK("w1") GIVEN("w1", "101", "2", "115000", "'target':'192.0.2.1','id':'a'"));
}

static void cancel_and_deadline(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "1", ""));
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1', 'id': 'a', 'deadline_ms': 3000}, "
                             "{'target': '192.0.2.1', 'id': 'b'}"));
    rig_skip();
    rig_say("c1", "{'v': 1, 'op': 'cancel', 'ids': ['b', 'a', 'x']}");
    EXPECT("c1 {'v':1,'op':'cancelled','states':[{'id':'b','state':'queued','position':1},"
           "{'id':'a','state':'running','worker':'one'},{'id':'x','state':'unknown'}]}\n"
           "result.default.b {'v':1,'op':'result'," HEAD("1", "default", "1", "b",
               ",'accepted_us':5000000,'run':0,") BROKERS_BODY("192.0.2.1", "5000000", "cancelled",
               "") "}\n"
                   "w1 {'v':1,'op':'cancel','lease':100}\n");
    /* A worker that does not answer in 250 ms is not waited for. */
    rig_after_ms(249);
    EXPECT("");
    rig_after_ms(1);
    EXPECT(DONE("w1", "100") "result.default.a {'v':1,'op':'result'," HEAD("2", "default", "2", "a",
        ",'accepted_us':5000000,'worker':'one','run':1,") BROKERS_BODY("192.0.2.1", "5250000",
        "cancelled",
        ",'error':{'code':'unavailable','message':'its worker did not answer in time'}") "}\n");
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1', 'id': 'c', 'deadline_ms': 2000}"));
    rig_skip();
    rig_after_ms(2999);
    EXPECT("");
    rig_after_ms(1);
    EXPECT(DONE("w1", "101") "result.default.c {'v':1,'op':'result'," HEAD("3", "default", "3", "c",
        ",'accepted_us':5250000,'worker':'one','run':1,") BROKERS_BODY("192.0.2.1", "8250000",
        "deadline",
        ",'error':{'code':'unavailable','message':'its worker did not answer in time'}") "}\n");
}

static void what_a_worker_must_not_say(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "1", ""));
    rig_say("w2", HELLO("two", "1", ""));
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1', 'id': 'a'}"));
    rig_skip();
    /* Another's lease; its own, with the broker's keys; a broker's message; garbage. */
    rig_say("w2", RESULT("100", "192.0.2.9", "reached"));
    EXPECT(DONE("w2", "100"));
    rig_say("w2", "{'v': 1, 'op': 'return', 'lease': 100, 'reason': ''}");
    rig_say("w2", "{'v': 1, 'op': 'welcome', 'epoch': 1, 'heartbeat_ms': 10, 'dead_ms': 10}");
    rig_say("w2", "{'v': 1, 'op': 'hop', 'lease': 100}");
    rig_say("w9", "{'v': 1, 'op': 'hop', 'lease': 100}");
    EXPECT("log bad-worker-message name=two why=\"not a worker's message\"\n"
           "log bad-worker-message name=two why=\"ttl: is missing\"\n"
           "log bad-worker-message name=- why=\"ttl: is missing\"\n"
           "w9 {'v':1,'op':'reject','code':'bad-request','message':'ttl: is missing'}\n");
    rig_say("w1",
        "{'v': 1, 'op': 'result', 'lease': 100, 'body': <{'seq': 1, 'target': 'x', 'dst': null, "
        "'src': null, 'protocol': 'icmp', 'first_ttl': 1, 'max_ttl': 30, 'started_us': 7, "
        "'finished_us': 8, 'probes_sent': 1, 'stop': 'reached', 'hops': []}>}");
    EXPECT("log bad-worker-message name=one why=\"seq: only the broker may set it\"\n" DONE(
        "w1", "100") GIVEN("w1", "101", "2", "120000", "'target':'192.0.2.1','id':'a'"));
}

static void handed_back_goes_to_another(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "1", ""));
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1', 'id': 'a'}, {'target': '192.0.2.1', 'id': "
                             "'b'}"));
    rig_skip();
    rig_say("w1", "{'v': 1, 'op': 'drain'}");
    rig_say("w1", "{'v': 1, 'op': 'return', 'lease': 100, 'reason': 'draining'}");
    EXPECT("");
    rig_say("w2", HELLO("two", "2", ""));
    EXPECT(WELCOME("w2") GIVEN("w2", "101", "1", "120000", "'target':'192.0.2.1','id':'a'")
            GIVEN("w2", "102", "1", "120000", "'target':'192.0.2.1','id':'b'"));
}

/* Nor does a worker that hands everything back use up a trace's returns at once. */
static void who_hands_back_gets_nothing_until_its_heartbeat(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "2", ""));
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1', 'id': 'a'}"));
    rig_skip();
    rig_say("w1", "{'v': 1, 'op': 'return', 'lease': 100, 'reason': 'no capacity'}");
    EXPECT("");
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1', 'id': 'b', 'wait': false}"));
    EXPECT(ACCEPTED("c1", "'b'"));
    rig_say("w1", BEAT(""));
    EXPECT(BEAT_BACK("w1") GIVEN("w1", "101", "1", "120000", "'target':'192.0.2.1','id':'a'")
            GIVEN("w1", "102", "1", "120000", "'target':'192.0.2.1','id':'b','wait':false"));
}

/* A worker that does not read is not lost: its traces go to others, and count no run. */
static void a_full_worker_is_passed_over(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "4", ""));
    rig_say("w2", HELLO("two", "1", ""));
    rig_skip();
    rig.full = "w1";
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1', 'id': 'a'}, {'target': '192.0.2.1', 'id': "
                             "'b'}"));
    EXPECT(ACCEPTED("c1", "'a','b'")
            GIVEN("w2", "101", "1", "120000", "'target':'192.0.2.1','id':'b'"));
    rig.full = NULL;
    rig_say("w1", BEAT(""));
    EXPECT(BEAT_BACK("w1") GIVEN("w1", "102", "1", "120000", "'target':'192.0.2.1','id':'a'"));
}

#define TROUBLED(leases, trouble)                                                                  \
    "{'v': 1, 'op': 'heartbeat', 'leases': [" leases "], 'trouble': '" trouble "', 'stats': {}}"

/* A worker in trouble gets nothing; what it hands back goes to others; when it is well it gets
 * traces again. */
static void a_worker_in_trouble_gets_nothing(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "2", ""));
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1', 'id': 'a'}, {'target': '192.0.2.1', 'id': "
                             "'b'}"));
    rig_skip();
    rig_say("w1", TROUBLED("100, 101", "it died"));
    EXPECT("log worker-trouble name=one why=\"it died\"\n" BEAT_BACK("w1"));
    rig_say("w1", "{'v': 1, 'op': 'return', 'lease': 100, 'reason': 'it died'}");
    EXPECT("");
    rig_say("w1", TROUBLED("101", "it died"));
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1', 'id': 'c'}"));
    EXPECT(BEAT_BACK("w1") ACCEPTED("c1", "'c'"));
    rig_say("w2", HELLO("two", "1", ""));
    EXPECT(WELCOME("w2") GIVEN("w2", "102", "1", "120000", "'target':'192.0.2.1','id':'a'"));
    rig_say("w1", BEAT("101"));
    EXPECT(BEAT_BACK("w1") GIVEN("w1", "103", "1", "120000", "'target':'192.0.2.1','id':'c'"));
}

/* What only a worker in trouble could run has no worker when its deadline comes. */
static void trouble_from_the_first_hello(void **state) {
    (void)state;
#define AT_HELLO(trouble)                                                                          \
    "{'v': 1, 'op': 'hello', 'name': 'one', 'versions': [1, 1], 'prober': 'p', 'capacity': 2, "    \
    "'labels': {}, 'af': [], 'protocols': [], 'leases': []" trouble "}"
    rig_say("w1", AT_HELLO(", 'trouble': 'no rights'"));
    EXPECT("log worker-trouble name=one why=\"no rights\"\n" WELCOME("w1"));
    rig_say("c1",
        SUBMIT("", "{'target': '192.0.2.1', 'id': 'a', 'deadline_ms': 100}, {'target': '192.0.2.1',"
                   " 'id': 'b'}"));
    EXPECT(ACCEPTED("c1", "'a','b'"));
    rig_say("c1", "{'v': 1, 'op': 'stats'}");
    EXPECT_PART("'draining':false,'seen_ms':0,'trouble':'no rights'}");
    rig_after_ms(100);
    EXPECT("result.default.a {'v':1,'op':'result'," HEAD(
        "1", "default", "1", "a", ",'accepted_us':5000000,'run':0,")
            BROKERS_BODY("192.0.2.1", "5100000", "no-worker", NO_WORKER) "}\n");
    rig_say("w1", HELLO("one", "2", ""));
    EXPECT(WELCOME("w1") GIVEN("w1", "100", "1", "119900", "'target':'192.0.2.1','id':'b'"));
    rig_say("c1", "{'v': 1, 'op': 'stats'}");
    assert_false(rig_has("trouble"));
    rig_skip();
}

static void full_is_busy(void **state) {
    (void)state;
    const struct core_config config = {
        .name = "b1", .version = "test", .max_queued = 2, .keep_results = 10000};
    rig_start(&config);
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1', 'id': 'a'}, {'target': '192.0.2.1', 'id': "
                             "'b'}, {'target': '192.0.2.1', 'id': 'c'}"));
    EXPECT(ACCEPTED("c1", "'a','b',{'code':'busy','message':'queue: 2: full; send again later',"
                          "'field':'queue','reason':'queue','retry_ms':1000}"));
    for (int i = 0; i < 32; i++) { /* asked twice, it is one that waits */
        char who[16];
        (void)snprintf(who, sizeof who, "k%d", i / 2);
        rig_say(who, "{'v': 1, 'op': 'trace', 'target': '192.0.2.1', 'id': 'a'}");
    }
    EXPECT("");
    rig_say("c2", "{'v': 1, 'op': 'trace', 'target': '192.0.2.1', 'id': 'a'}");
    EXPECT("c2 {'v':1,'op':'error','code':'busy','message':'id: a: 16 sockets wait for it "
           "already','field':'id','reason':'waiters','retry_ms':2000}\n");
}

static void drain_and_shutdown(void **state) {
    (void)state;
    rig_say("w1", HELLO("one", "1", ""));
    rig_say("c1", SUBMIT(", 'notify': true", "{'target': '192.0.2.1', 'id': 'a'}, {'target': "
                                             "'192.0.2.1', 'id': 'b', 'stream': 's'}"));
    rig_skip();
    core_drain(rig.core);
    assert_false(core_drained(rig.core));
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1'}"));
    EXPECT(ACCEPTED("c1", "{'code':'busy','message':'this broker is draining; send again later, "
                          "or to another','reason':'draining','retry_ms':2000}"));
    rig_say("w1", RESULT("100", "192.0.2.1", "reached"));
    rig_skip();
    assert_true(core_drained(rig.core));
    rig.now.mono_us += 250;
    rig.now.wall_us += 250;
    core_shutdown(rig.core, &rig.now);
#define STOPPED                                                                                    \
    HEAD("2", "s", "1", "b", ",'accepted_us':5000000,'run':0,")                                    \
    BROKERS_BODY("192.0.2.1", "5000250", "cancelled",                                              \
        ",'error':{'code':'unavailable','message':'the broker was stopped'}")                      \
    "}\n"
    EXPECT("result.s.b {'v':1,'op':'result'," STOPPED "c1 {'v':1,'op':'result'," STOPPED);
}

static void errors_name_the_field(void **state) {
    (void)state;
    rig_say("c1", "{'v': 1, 'op': 'trace', 'req': 1, 'target': '192.0.2.1', 'max_ttl': 0}");
    rig_say("c1+", "{'v': 2, 'op': 'ping', 'req': 'x'}");
    rig_say("c1", SUBMIT("", "{'target': 'a b'}, {'target': '192.0.2.1', 'id': 'ok'}"));
    core_client_frames(rig.core, &(struct core_peer){"c1", 2, 0, false}, 10, &rig.now);
    EXPECT("c1 {'v':1,'op':'error','req':1,'code':'bad-request','message':'max_ttl: 0: must be "
           "1..255','field':'max_ttl'}\n"
           "c1+ {'v':1,'op':'error','req':'x','code':'unsupported-version','message':'v: 2: this "
           "broker speaks 1','field':'v'}\n" ACCEPTED("c1",
               "{'code':'bad-request','message':'traces[0].target: a b: a character that is not "
               "allowed here','field':'traces[0].target'},'ok'") "c1 "
                                                                 "{'v':1,'op':'error','code':'bad-"
                                                                 "request','message':'frames: 10: "
                                                                 "must be 1, or an "
                                                                 "empty frame and 1, as a REQ "
                                                                 "sends','field':'frames'}\n");
}

static void pong_names_the_endpoints(void **state) {
    (void)state;
    rig_say("c1", "{'v': 1, 'op': 'ping'}");
    EXPECT("c1 {'v':1,'op':'pong','broker':'b1','version':'test','versions':[1,1],'epoch':9000,"
           "'origin':9000,'seq':0,'results':['ipc://r']}\n");
}

/* ---- the golden blocks that the broker writes --------------------------------------------- */

static struct golden golden;

static int read_document(void **state) {
    (void)state;
    return golden_read(&golden);
}

/* As the examples of the document have it. */
static void start_as_documented(void) {
    const struct core_config config = {.name = "b1",
        .version = "0.1.0",
        .max_queued = 100,
        .keep_results = 10000,
        .epoch = 1700000000000000,
        .origin = 1700000000000000,
        .first_lease = 4660,
        .results = {"tcp://127.0.0.1:7702"},
        .result_count = 1};
    rig_start(&config);
    rig.now.wall_us = 1700000000000001;
}

static void say_golden(const char *who, const char *name) {
    const struct golden_block *block = golden_find(&golden, name);
    rig_say_bytes(who, block->bytes, block->size);
}

static void expect_golden(const char *name) {
    if (!rig_said(golden_find(&golden, name)))
        fail_msg("golden %s: not among what the broker said", name);
}

/* `count` traces of the stream come and end. */
static void end_traces(const char *stream, int count) {
    struct transcript text = {0};
    for (int i = 0; i < count; i++) {
        transcript_add(&text, SUBMIT("", "{'target': '192.0.2.1', 'id': '%s-%d', 'stream': '%s'}"),
            stream, i, stream);
        rig_say("c9", text.at);
        transcript_clear(&text);
        transcript_add(&text, "{'v': 1, 'op': 'cancel', 'ids': ['%s-%d']}", stream, i);
        rig_say("c9", text.at);
        transcript_clear(&text);
    }
    transcript_free(&text);
}

/* The worker's part of the document's result: all from `target` on. */
static void say_golden_body(const char *who, int64_t lease) {
    const struct golden_block *block = golden_find(&golden, "result");
    struct wire_doc whole;
    struct wire_error err;
    msgpack_sbuffer body;
    msgpack_packer pk;
    uint32_t first = 0;
    assert_true(wire_doc_init(&whole));
    assert_true(wire_doc_read(&whole, block->bytes, block->size, 1048576, &err));
    const msgpack_object_map *map = &whole.root.via.map;
    while (first < map->size && !wire_is(&map->ptr[first].key, "target"))
        first++;
    msgpack_sbuffer_init(&body);
    msgpack_packer_init(&pk, &body, msgpack_sbuffer_write);
    msgpack_pack_map(&pk, map->size - first);
    for (uint32_t i = first; i < map->size; i++) {
        msgpack_pack_object(&pk, map->ptr[i].key);
        msgpack_pack_object(&pk, map->ptr[i].val);
    }
    rig_say_result(who, lease, body.data, body.size);
    msgpack_sbuffer_destroy(&body);
    wire_doc_free(&whole);
}

static void what_the_document_shows(void **state) {
    (void)state;
    start_as_documented();
    say_golden("c1", "fetch");
    expect_golden("results");
    rig_say("c1", "{'v': 1, 'op': 'trace', 'req': 7, 'target': '192.0.2.1', 'protocol': 'udp', "
                  "'port': 99999}");
    expect_golden("error");
    say_golden("w9", "worker-drain");
    expect_golden("worker-who");
    rig_say("w9",
        "{'v': 1, 'op': 'hello', 'name': 'x', 'versions': [3, 4], 'prober': 'p', 'capacity': 1, "
        "'labels': {}, 'af': [4], 'protocols': ['icmp'], 'leases': []}");
    expect_golden("worker-reject");
    /* 11 results. Those of the other stream are older than CORE_ACTIVE_US: `alive` does not list
     * it. */
    end_traces("old", 9);
    rig_after_ms(60001);
    end_traces("default", 2);
    rig.now.wall_us = 1700000001000000;
    say_golden("w1", "worker-hello");
    expect_golden("worker-welcome");
    rig_say("c1", "{'v': 1, 'op': 'trace', 'req': 7, 'target': '192.0.2.1', 'id': 'one'}");
    expect_golden("worker-trace");
    rig_say("c1",
        SUBMIT("", "{'target': '192.0.2.1', 'workers': {'site': 'fra'}}, {'target': '192.0.2.1', "
                   "'workers': {'site': 'fra'}}, {'target': '192.0.2.1', 'id': 'two', 'workers': "
                   "{'site': 'fra'}}"));
    say_golden("c1", "status");
    expect_golden("status-reply");
    say_golden("w1", "worker-heartbeat");
    expect_golden("worker-heartbeat-reply");
    say_golden("c1", "cancel");
    expect_golden("cancelled");
    expect_golden("worker-cancel");
    say_golden_body("w1", 4660);
    expect_golden("result");
    expect_golden("worker-done");
    say_golden("c1", "ping");
    expect_golden("pong");
    rig_after_ms(1000);
    expect_golden("alive");
}

static void the_hop_that_the_document_shows(void **state) {
    (void)state;
    start_as_documented();
    say_golden("w1", "worker-hello");
    rig_say("c1", SUBMIT("", "{'target': '192.0.2.1', 'id': 'one', 'progress': true}"));
    say_golden("w1", "worker-hop");
    expect_golden("hop");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(a_trace_goes_through),
        CASE(a_req_gets_the_result_of_a_trace),
        CASE(the_same_id_again),
        CASE(priority_and_age_decide),
        CASE(labels_decide_and_load_is_shared),
        CASE(a_lost_worker_is_replaced_three_times),
        CASE(a_worker_that_comes_back_keeps_its_leases),
        CASE(a_contest_is_prolonged),
        CASE(a_lease_that_is_not_listed_is_lost),
        CASE(cancel_and_deadline),
        CASE(what_a_worker_must_not_say),
        CASE(handed_back_goes_to_another),
        CASE(who_hands_back_gets_nothing_until_its_heartbeat),
        CASE(a_full_worker_is_passed_over),
        CASE(a_worker_in_trouble_gets_nothing),
        CASE(trouble_from_the_first_hello),
        CASE(full_is_busy),
        CASE(drain_and_shutdown),
        CASE(errors_name_the_field),
        CASE(pong_names_the_endpoints),
        CASE(what_the_document_shows),
        CASE(the_hop_that_the_document_shows),
    };
    return cmocka_run_group_tests(tests, read_document, NULL);
}
