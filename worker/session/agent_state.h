/* agent_state: what agent.c (the session with a broker) lets lease.c (the traces that it gave us)
 * see; nobody else includes it. agent.c alone writes struct agent, but for `leases`. Pure. */
#ifndef HOPMQ_AGENT_STATE_H
#define HOPMQ_AGENT_STATE_H

#include "worker/session/lease.h"

enum agent_session {
    AGENT_CLOSED,   /* no broker has said welcome, or the one that did fell silent */
    AGENT_OPEN,     /* a broker has said welcome */
    AGENT_REJECTED, /* a broker has said reject: the next hello waits AGENT_REJECTED_US */
};

struct agent {
    struct agent_config config;
    struct agent_sink sink;
    struct mux *mux;
    struct leases leases;
    enum agent_session session;
    int64_t beat_us; /* when the next heartbeat, or hello, is due */
    int64_t heard_us;
    int64_t heartbeat_us, dead_us; /* as the broker said in its welcome */
    struct instant now;            /* of the last event */
    char prober[65];               /* as results show it */
    char version[HOP_WORD_BYTES + 1];
    unsigned families, protocols;
    bool introduced; /* hello can be said: the prober was up once, or in trouble */
    char trouble[SESSION_TROUBLE_BYTES + 1]; /* why no trace can run; empty: none */
    bool draining;
    struct wire_doc doc;
    msgpack_sbuffer out;
    struct agent_counters counters;
};

/* Sends a message to the broker. False if that is not possible now. */
bool agent_tell(struct agent *agent, const struct session_msg *msg);

#endif
