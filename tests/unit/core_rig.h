/* core_rig: the broker's core among clients, workers and a store that are written down as text, on
 * a clock of the test's.
 *
 * A peer whose name begins with w is a worker, any other one a client; with a + behind its name it
 * asks as a REQ does. What the broker sends or publishes is a line of a transcript: whom it is for,
 * or its topic, and the message in the notation of wire_text. Warnings are lines that begin with
 * `log`. Whatever the core gives to its store is committed at once and survives rig_restart(). */
#ifndef TEST_CORE_RIG_H
#define TEST_CORE_RIG_H

#include "tests/unit/check.h"

#include "broker/core/core.h"
#include "common/protocol/session.h"
#include "tests/unit/golden.h"
#include "tests/unit/transcript.h"

#include <stdlib.h>
#include <string.h>

struct rig {
    struct core *core;
    struct instant now;
    const char *gone, *full; /* peers that are not there, or do not read; NULL: none */
    bool unreadable;         /* the store cannot be read */
    int64_t no_room_for;     /* the store's answers leave out the result with this seq; 0: none */
    bool quiet;              /* nothing is written down */
};

extern struct rig rig;

/* For cmocka: a broker with room for 10 traces in the queue, at 1 s by the monotonic clock and 5 s
 * by the wall clock. */
int rig_setup(void **state);
int rig_teardown(void **state);

/* A new core with this configuration instead, with an empty store. */
void rig_start(const struct core_config *config);

/* The broker is killed and started again, `down_ms` later, with what the store has. Its epoch is
 * 9001 and its leases begin with 200 then; the monotonic clock is at 77 s. */
void rig_restart(int64_t down_ms);

/* The store forgets its oldest result; how many it has been given. */
void rig_forget_oldest(void);
size_t rig_kept_results(void);

/* A peer sends a message, as text or as bytes; afterwards the store has answered. */
void rig_say(const char *who, const char *text);
void rig_say_bytes(const char *who, const void *bytes, size_t size);
void rig_after_ms(int64_t ms);

/* A worker sends a result with this encoded body. */
void rig_say_result(const char *who, int64_t lease, const void *body, size_t size);

/* A number in a map of `stats`, such as `queue`; one of the map `counters`. */
int64_t rig_stat(const char *map, const char *name);
int64_t rig_counter(const char *name);

/* The last lease that was given. */
int64_t rig_lease(void);

/* Whether the broker said just these bytes to somebody, as one of its last 64 messages. */
bool rig_said(const struct golden_block *block);

/* ---- the transcript ---- */

/* What is in it is not compared. */
void rig_skip(void);

/* True if the transcript is `expected`; if not, both are printed. Empties it. */
bool rig_is(const char *expected);

/* True if it contains this. */
bool rig_has(const char *text);

#define EXPECT(...) assert_true(rig_is("" __VA_ARGS__))
#define EXPECT_PART(...)                                                                           \
    do {                                                                                           \
        assert_true(rig_has("" __VA_ARGS__));                                                      \
        rig_skip();                                                                                \
    } while (0)

#define HELLO(name, capacity, more)                                                                \
    "{'v': 1, 'op': 'hello', 'name': '" name "', 'versions': [1, 1], 'prober': 'p', "              \
    "'capacity': " capacity ", 'labels': {" more "}, 'af': [4], 'protocols': ['icmp'], "           \
    "'leases': []}"
#define WELCOME(who)                                                                               \
    who " {'v':1,'op':'welcome','epoch':9000,'heartbeat_ms':1000,'dead_ms':5000,'version':1}\n"
#define SUBMIT(more, fields) "{'v': 1, 'op': 'submit'" more ", 'traces': [" fields "]}"
#define ACCEPTED(who, ids) who " {'v':1,'op':'accepted','ids':[" ids "]}\n"
#define GIVEN(who, lease, run, left, trace)                                                        \
    who " {'v':1,'op':'trace','lease':" lease ",'run':" run ",'deadline_ms':" left                 \
        ",'trace':{" trace "}}\n"
#define RESULT(lease, target, stop)                                                                \
    "{'v': 1, 'op': 'result', 'lease': " lease ", 'body': <{'target': '" target                    \
    "', 'dst': '192.0.2.1', 'src': null, 'protocol': 'icmp', 'first_ttl': 1, 'max_ttl': 30, "      \
    "'started_us': 7, 'finished_us': 8, 'probes_sent': 1, 'stop': '" stop "', 'hops': []}>}"
#define HEAD(seq, stream, stream_seq, id, more)                                                    \
    "'seq':" seq ",'stream':'" stream "','stream_seq':" stream_seq ",'epoch':9000,'id':'" id       \
    "'" more
#define BODY(target, stop)                                                                         \
    "'target':'" target "','dst':'192.0.2.1','src':null,'protocol':'icmp','first_ttl':1,"          \
    "'max_ttl':30,'started_us':7,'finished_us':8,'probes_sent':1,'stop':'" stop "','hops':[]"
#define BROKERS_BODY(target, at, stop, more)                                                       \
    "'target':'" target "','dst':null,'src':null,'protocol':'icmp','first_ttl':1,'max_ttl':30,"    \
    "'started_us':" at ",'finished_us':" at ",'probes_sent':0,'stop':'" stop "'" more ",'hops':[]"
#define DONE(who, lease) who " {'v':1,'op':'done','lease':" lease "}\n"
#define BEAT(leases) "{'v': 1, 'op': 'heartbeat', 'leases': [" leases "], 'stats': {}}"
#define BEAT_BACK(who) who " {'v':1,'op':'heartbeat','epoch':9000}\n"
#define NO_WORKER_WITH(wants)                                                                      \
    ",'error':{'code':'unavailable','message':'no worker that fits was there: " wants "'}"
#define NO_WORKER NO_WORKER_WITH("icmp, IPv4")

#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

#endif
