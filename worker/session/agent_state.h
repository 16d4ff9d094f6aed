/* agent_state: what agent.c (the session with a broker) and lease.c (the traces that it gave us)
 * share; nobody else includes it. Pure. */
#ifndef HOPMQ_AGENT_STATE_H
#define HOPMQ_AGENT_STATE_H

#include "common/timeline.h"
#include "worker/session/agent.h"
#include "worker/session/responders.h"

#include <bsd/sys/tree.h>

enum lease_state {
    LEASE_LOCATING, /* the shell looks for address and route */
    LEASE_RUNNING,  /* the mux has it */
    LEASE_NAMING,   /* it has ended, but waits for names */
    LEASE_FINISHED, /* its result waits for the broker's word */
};

struct lease {
    struct timeline_entry timer; /* the end of locating, or of naming; then the next sending */
    RB_ENTRY(lease) link;
    struct agent *agent;
    int64_t id;
    enum lease_state state;
    struct trace trace; /* without workers and meta */
    struct mux_job *job;
    int64_t deadline_us, started_wall_us;
    struct responders responders; /* of a trace with `names` */
    void *result;                 /* the encoded body */
    size_t result_size;
};

RB_HEAD(lease_tree, lease);

enum link_state {
    LINK_NONE, /* no broker has said welcome, or not for long */
    LINK_OPEN,
    LINK_REJECTED, /* wait before the next hello */
};

struct agent {
    struct agent_config config;
    struct agent_sink sink;
    struct mux *mux;
    struct lease_tree leases;
    int64_t lease_count;
    struct timeline timeline;
    struct timeline_entry beat; /* the next heartbeat, or hello */
    enum link_state link;
    int64_t heard_us, heartbeat_us, dead_us;
    struct instant now; /* of the last event; between events only their distance counts */
    char prober[65];
    char version[HOP_WORD_BYTES + 1];
    unsigned families, protocols;
    bool introduced; /* hello can be said: the prober was up once, or in trouble */
    char trouble[SESSION_TROUBLE_BYTES + 1]; /* why no trace can run; empty: none */
    bool draining;
    struct wire_doc doc;
    msgpack_sbuffer out, body;
    struct agent_shell_counters shell;
    int64_t traces_done, bad_messages;
};

RB_PROTOTYPE(lease_tree, lease, link, )

/* False if it cannot be sent now. */
bool agent_tell(struct agent *agent, const struct session_msg *msg);

/* NULL: it has ended. */
struct lease *lease_find(struct agent *agent, int64_t id);

/* A trace that the broker gives, or gets back at once. */
void lease_take(struct agent *agent, const struct session_msg *msg);

/* Ends it with what it has, and sends that. */
void lease_cancel(struct agent *agent, struct lease *lease);

/* What the lease's timer was set for: deadline, end of the wait for names, or the next sending. */
void lease_due(struct agent *agent, struct lease *lease);

/* Sends a finished one's result, and again until the broker has said that it has it. */
void lease_send(struct agent *agent, struct lease *lease);

/* Gives back all that have not ended; those that only wait for names end. */
void lease_return_all(struct agent *agent, const char *reason);

void lease_remove(struct agent *agent, struct lease *lease);

#endif
