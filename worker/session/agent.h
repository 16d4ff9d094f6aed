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

/* How long a refused worker waits before it says hello again. */
#define AGENT_REJECTED_US 5000000

/* How often hello is said while nobody answers, and while it cannot even be sent. */
#define AGENT_HELLO_US 1000000
#define AGENT_UNSENT_US 50000

/* A result that was not acknowledged for so long is sent again. */
#define AGENT_RESEND_US 2000000

/* How long a trace that has ended waits for names, within its deadline. */
#define AGENT_NAMES_US 2000000

struct agent;

struct agent_config {
    char name[SESSION_NAME_BYTES + 1];
    int64_t capacity; /* traces at a time, 1..SESSION_MAX_CAPACITY */
    struct labels labels;
};

struct agent_sink {
    void *context;
    /* False if it cannot be sent now, such as before the connection is there. */
    bool (*to_broker)(void *context, const void *bytes, size_t size);
    /* Find dst and src for a trace and say so with agent_located(), now or later. */
    void (*locate)(void *context, int64_t lease, const struct trace *trace);
    /* Fills in the addresses of this host that a trace's `source` can name, and returns how many
     * there are; 0 if they do not fit: then it may be any. Asked for each hello. */
    size_t (*sources)(void *context, struct addr sources[SESSION_MAX_SOURCES]);
    /* Find the host name of an address that a trace with `names` has met, and say so with
     * agent_named(), now or later. Once for each address of a lease. */
    void (*name)(void *context, int64_t lease, const struct addr *addr);
    /* A line for the log: an event in the manner of logfmt, and what it is about. */
    void (*say)(void *context, const char *event, const char *detail);
};

/* Where a trace goes and from where; or why it cannot, then error_code is not empty. */
struct agent_location {
    struct addr dst, src; /* what was found; af 0: not known */
    enum result_stop stop;
    char error_code[33];
    char error_message[225];
};

/* The mux must outlive the agent, and its sink must have the two functions below. */
struct agent *agent_new(
    const struct agent_config *config, const struct agent_sink *sink, struct mux *mux);
void agent_destroy(struct agent **agent);

/* For the sink of the mux: its owners are leases of agents. */
void agent_on_hop(void *context, void *owner, const struct hop_probe *probes, size_t count);
void agent_on_done(void *context, void *owner, const struct result_body *end,
    const struct hop_probe *probes, size_t count, int64_t now_us);

/* The prober is there, with what check-support told. The first time, and when that has changed, the
 * worker says hello. */
void agent_prober_up(struct agent *agent, const char *version, unsigned families,
    unsigned protocols, const struct instant *now);

/* No prober stays up, for the reason given, of which SESSION_TROUBLE_BYTES are told: the worker
 * says so, in a hello if it has said none, hands back what is not finished, and takes no traces
 * until the prober is up. */
void agent_prober_trouble(struct agent *agent, const char *why, const struct instant *now);

/* A message of one frame from the broker. */
void agent_message(struct agent *agent, const void *bytes, size_t size, const struct instant *now);

/* The answer to sink.locate. Harmless if the lease has ended since. */
void agent_located(struct agent *agent, int64_t lease, const struct agent_location *location,
    const struct instant *now);

/* The answer to sink.name, empty if there is none. Harmless if the lease has ended since. */
void agent_named(struct agent *agent, int64_t lease, const struct addr *addr, const char *name,
    const struct instant *now);

/* No new traces. */
void agent_drain(struct agent *agent, const struct instant *now);

/* Hands back what has not ended; results wait on for the broker's word. */
void agent_hand_back(struct agent *agent, const struct instant *now);

/* Hands back what runs and says bye. */
void agent_quit(struct agent *agent);

/* True when a draining agent has nothing left. */
bool agent_idle(const struct agent *agent);

void agent_tick(struct agent *agent, const struct instant *now);

/* When agent_tick() wants to be called next, on the monotonic clock. The mux has its own. */
int64_t agent_next(struct agent *agent);

/* What it has counted. The shell sets the counters that are SHARED. */
struct agent_counters *agent_counters(struct agent *agent);

/* How it is now. */
struct agent_figures {
    bool open; /* a broker has said welcome, and is heard */
    bool draining;
    const char *trouble; /* why no trace can run; empty: none */
    int64_t held;        /* traces that are not over, or whose result is not acknowledged */
};

struct agent_figures agent_figures(const struct agent *agent);

#endif
