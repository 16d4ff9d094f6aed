/* agent_state: struct agent, which agent.c (the session with a broker) writes, except for `leases`,
 * and which lease.c (the traces that the broker gave) reads. Nobody else includes it. Pure. */
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
    bool introduced; /* hello was said, since the prober was up once or is in trouble */
    char trouble[SESSION_TROUBLE_BYTES + 1]; /* why no trace can run; empty if traces can */
    bool draining;
    struct wire_doc doc;
    msgpack_sbuffer out;
    struct agent_counters counters;
};

/* Sends a message to the broker. False if that is not possible now. */
bool agent_tell(struct agent *agent, const struct session_msg *msg);

#endif
