/* agent_rig: an agent with a broker, a shell and an mtr-packet that a test plays, on a clock of its
 * own. Everything that the agent wants is a line of rig->out, which begins with the time in
 * milliseconds; what goes to the broker follows a >. The rig starts at 10,000 ms.
 *
 * A hello is shown as `hello [LEASES]` if all else is as usual, and a heartbeat as
 * `heartbeat [LEASES]`, without its numbers. Set rig->whole to see all of both.
 */
#ifndef TEST_AGENT_RIG_H
#define TEST_AGENT_RIG_H

#include "tests/unit/check.h"

#include "tests/unit/transcript.h"
#include "worker/session/agent.h"

#define MS INT64_C(1000)
#define SECOND INT64_C(1000000)
#define WALL INT64_C(1700000000000000) /* the wall clock at the start */
#define MAX_SENT 64

struct rig {
    struct agent *agent;
    struct mux *mux;
    struct instant now;
    struct transcript out;
    struct wire_doc doc;
    msgpack_sbuffer bytes;
    int32_t tokens[MAX_SENT]; /* of the probes that mtr-packet was told to send */
    unsigned sent;
    bool unconnected; /* nothing can be sent to the broker */
    bool whole;       /* show all of hellos and heartbeats */
    bool known;       /* names are known at once */
    const char *source;
    char line[MTR_LINE_BYTES];
};

/* For cmocka; *state is the rig. */
int rig_setup(void **state);        /* a worker for two traces, whose prober is not up */
int rig_setup_open(void **state);   /* the same with a prober and an open session */
int rig_setup_three(void **state);  /* the same for three traces */
int rig_setup_naming(void **state); /* as open; lease 7 has ended and waits for two names */
int rig_teardown(void **state);

/* ---- the broker ------------------------------------------------------------------------- */

/* `message` is the rest of a message behind 'op': */
void from_broker(struct rig *rig, const char *message);

#define WELCOME "'welcome', 'epoch': 1, 'heartbeat_ms': 1000, 'dead_ms': 5000"
#define RIG_HELLO_HEAD                                                                             \
    "'hello','name':'ams1','versions':[1,2],'prober':'mtr-packet 0.95','capacity':2,"              \
    "'labels':{'site':'ams'},'af':[4,6],'protocols':['icmp','udp'],'leases':["
#define RIG_HELLO_TAIL "],'flows':[4],'sources':['198.51.100.2']}"

#define TRACE(lease, more)                                                                         \
    "'trace', 'lease': " #lease                                                                    \
    ", 'run': 1, 'deadline_ms': 60000, 'trace': {'id': 'x', 'target': "                            \
    "'192.0.2.1', 'window': 1, 'attempts': 1" more "}"

#define BODY(src_and_dst, started, finished, rest)                                                 \
    "'body':<{'target':'192.0.2.1'," src_and_dst ",'protocol':'icmp','first_ttl':1,'max_ttl':30,"  \
    "'started_us':" started ",'finished_us':" finished ",'prober':'mtr-packet 0.95'," rest "}>}"
#define NOWHERE "'dst':null,'src':null"
#define THERE "'dst':'192.0.2.1','src':'198.51.100.2'"

/* ---- the shell and mtr-packet ----------------------------------------------------------- */

void prober_up(struct rig *rig);

/* The trace of a lease goes to 192.0.2.1, from 198.51.100.2. */
void located(struct rig *rig, int64_t lease);

void named(struct rig *rig, int64_t lease, const char *addr, const char *name);

/* mtr-packet answers the command of this number, from 0. */
void say(struct rig *rig, unsigned number, const char *rest);

/* Time passes, and what is due happens, as in the shell. */
void run_for(struct rig *rig, int64_t us);

/* Time passes, and the agent does not learn of it before the next event. */
void pass(struct rig *rig, int64_t us);

/* Compares all of the transcript, and clears it. */
void expect(struct rig *rig, const char *expected);

/* ---- a trace of two hops ---------------------------------------------------------------- */

/* Lease 7, which the broker has given just now, reaches its target within 4 ms. */
void play_to_the_end(struct rig *rig);

#define REPLY "reply ip-4 192.0.2.1 round-trip-time 0"
#define HOP1                                                                                       \
    "'probes':[{'attempt':1,'addr':'10.0.0.1','rtt_us':0,'sent_us':0,'verdict':'ttl-expired'}]}"
#define HOP2                                                                                       \
    "'probes':[{'attempt':1,'addr':'192.0.2.1','rtt_us':0,'sent_us':1000,'verdict':'reply'}]}"
#define REACHED                                                                                    \
    "> 'result','lease':7," BODY(THERE, "1700000000002000", "1700000000004000",                    \
        "'probes_sent':2,'stop':'reached','hops':[{'ttl':1," HOP1 ",{'ttl':2," HOP2 "]")

/* The same trace with `names`: what it asks for from its start to its end, and its result. */
#define NAMES ", 'names': true"
#define ASKED "10002 name 7 192.0.2.1\n10003 name 7 10.0.0.1\n"
#define ENDED(names)                                                                               \
    "> 'result','lease':7," BODY(THERE, "1700000000002000", "1700000000004000",                    \
        "'probes_sent':2,'stop':'reached','hops':[{'ttl':1," HOP1 ",{'ttl':2," HOP2                \
        "],'names':{" names "}")

#endif
