/* agent: a worker's part of the worker protocol, towards one broker; docs/protocol.md,
 * section 9. Pure.
 *
 * A session: the agent says hello every AGENT_HELLO_US until the broker says welcome. Then it sends
 * a heartbeat every heartbeat_ms, which the welcome tells. A reject lets it wait AGENT_REJECTED_US
 * before the next hello.
 *
 * A silent broker: if nothing readable came for dead_ms, which the welcome tells too, the session
 * is closed, "session-silent" is logged, and the agent says hello again until some broker says
 * welcome. Traces run on meanwhile. Their hops are not sent; results are kept and sent after the
 * welcome.
 *
 * A trace (lease.h): the shell locates it (address and route), the mux runs it, it waits up to
 * AGENT_NAMES_US for the host names that it wants, and its result is kept until the broker has
 * acknowledged it. The agents of several brokers share one mux.
 */
#ifndef HOPMQ_AGENT_H
#define HOPMQ_AGENT_H

#include "common/instant.h"
#include "common/protocol/labels.h"
#include "common/protocol/session.h"
#include "worker/probing/mux.h"
#include "worker/session/agent_counters.h"

/* After a reject, the next hello waits this long. */
#define AGENT_REJECTED_US 5000000

/* While nobody answers, hello is said again after AGENT_HELLO_US; after AGENT_UNSENT_US if the last
 * one could not be sent, such as before the connection is there. */
#define AGENT_HELLO_US 1000000
#define AGENT_UNSENT_US 50000

/* A result that the broker has not acknowledged after AGENT_RESEND_US is sent again. */
#define AGENT_RESEND_US 2000000

/* A trace that has ended waits up to AGENT_NAMES_US for names, but not beyond its deadline. */
#define AGENT_NAMES_US 2000000

struct agent;

struct agent_config {
    char name[SESSION_NAME_BYTES + 1];
    int64_t capacity; /* traces at a time, 1..SESSION_MAX_CAPACITY */
    struct labels labels;
};

/* What an agent needs of the shell. */
struct agent_sink {
    void *context;
    /* Sends a message to the broker. Returns false if it cannot be sent now. */
    bool (*to_broker)(void *context, const void *bytes, size_t size);
    /* Finds the destination and the source address of a trace. The shell answers with
     * agent_located(), during this call or later. */
    void (*locate)(void *context, int64_t lease, const struct trace *trace);
    /* Fills in the addresses of this host that a trace can name as its `source`, and returns how
     * many there are. It returns 0 if they do not fit: then any address may be one of them. Called
     * for each hello. */
    size_t (*sources)(void *context, struct addr sources[SESSION_MAX_SOURCES]);
    /* Finds the host name of an address that a trace with `names` has met. The shell answers with
     * agent_named(), during this call or later. Called once for each address of a lease. */
    void (*name)(void *context, int64_t lease, const struct addr *addr);
    /* Logs an event, with a detail for people. */
    void (*say)(void *context, const char *event, const char *detail);
};

/* The addresses of a trace; if error_code is not empty, why it cannot be run. */
struct agent_location {
    struct addr dst, src; /* af is 0 if one was not found */
    enum result_stop stop;
    char error_code[33];
    char error_message[225];
};

/* The mux must outlive the agent. Its sink must have agent_on_hop() and agent_on_done(). */
struct agent *agent_new(
    const struct agent_config *config, const struct agent_sink *sink, struct mux *mux);
void agent_destroy(struct agent **agent);

/* For the sink of the mux, whose owners are the leases of agents. */
void agent_on_hop(void *context, void *owner, const struct hop_probe *probes, size_t count);
void agent_on_done(void *context, void *owner, const struct result_body *end,
    const struct hop_probe *probes, size_t count, int64_t now_us);

/* The prober has started, and answered check-support with this: families as 1 << 4 | 1 << 6,
 * protocols as 1 << enum trace_protocol. The agent says hello the first time and whenever one of
 * these has changed. */
void agent_prober_up(struct agent *agent, const char *version, unsigned families,
    unsigned protocols, const struct instant *now);

/* No prober stays up, for the reason `why`, which is cut to SESSION_TROUBLE_BYTES. The agent tells
 * the broker, in a hello if it has not said one yet, hands back all traces that have not ended, and
 * accepts no trace until agent_prober_up(). */
void agent_prober_trouble(struct agent *agent, const char *why, const struct instant *now);

/* A message came from the broker, in one frame. */
void agent_message(struct agent *agent, const void *bytes, size_t size, const struct instant *now);

/* The answer to sink.locate(). It is ignored if the lease has ended meanwhile. */
void agent_located(struct agent *agent, int64_t lease, const struct agent_location *location,
    const struct instant *now);

/* The answer to sink.name(); empty if there is no name. It is ignored if the lease has ended
 * meanwhile. */
void agent_named(struct agent *agent, int64_t lease, const struct addr *addr, const char *name,
    const struct instant *now);

/* Tells the broker that the worker drains. From now on new traces are handed back. */
void agent_drain(struct agent *agent, const struct instant *now);

/* Hands back all traces that have not ended. Results still wait until the broker acknowledges them.
 */
void agent_hand_back(struct agent *agent, const struct instant *now);

/* Hands back all traces that have not ended, and says bye. */
void agent_quit(struct agent *agent);

/* True if the agent drains and has no lease left. */
bool agent_idle(const struct agent *agent);

void agent_tick(struct agent *agent, const struct instant *now);

/* When agent_tick() is to be called next, on the monotonic clock. The mux has its own time. */
int64_t agent_next(struct agent *agent);

/* The counters of this agent; the shell sets those that are SHARED. */
struct agent_counters *agent_counters(struct agent *agent);

/* The state of the session. */
struct agent_figures {
    bool open; /* the broker has said welcome, and is not silent */
    bool draining;
    const char *trouble; /* why no trace can run; empty if traces can */
    int64_t held;        /* traces that run, or whose result is not acknowledged */
};

struct agent_figures agent_figures(const struct agent *agent);

#endif
