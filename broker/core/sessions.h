/* sessions: workers come, tell how they are, and go. Pure. */
#ifndef HOPMQ_SESSIONS_H
#define HOPMQ_SESSIONS_H

#include "broker/core/state.h"
#include "common/addr.h"
#include "common/protocol/labels.h"

struct worker {
    struct timeline_entry timer; /* dead, if nothing is heard until then */
    RB_ENTRY(worker) by_peer;
    RB_ENTRY(worker) by_name;
    struct peer_id peer;
    char name[SESSION_NAME_BYTES + 1], prober[65];
    char trouble[SESSION_TROUBLE_BYTES + 1]; /* why it can run no trace; empty: it can */
    struct labels labels;
    unsigned families, flows, protocols;
    struct addr *sources; /* the addresses that it has */
    size_t source_count;  /* 0: it may have any */
    int64_t capacity, running;
    struct job_list jobs;
    LIST_HEAD(, match) matches; /* to the requirements that it fits */
    int64_t heard_us;
    int64_t contested_us; /* when its name was last taken over or fought for; 0: never */
    uint64_t heartbeats;
    bool draining, lost;
    bool serving; /* its matches count it as such */
    bool free;    /* its matches are among the free ones of their requirements */
    bool absent;  /* held leases before the restart, and has not said hello since */
    bool unsent;  /* a message did not reach it: give it nothing until it sends something */
    bool gone;    /* that was because its connection is */
    bool paused;  /* handed a trace back: give it nothing until its next heartbeat */
    void *stats;  /* the encoded map of its last heartbeat */
    size_t stats_size;
};

/* Used outside the module that generates it. */
RB_PROTOTYPE(worker_name_tree, worker, by_name, )

void sessions_message(
    struct core *core, const struct core_peer *peer, const struct session_msg *msg);
void sessions_due(struct core *core, struct worker *worker);
void sessions_lost(struct core *core, struct worker *worker, const char *why);
struct worker *sessions_find(struct core *core, const struct core_peer *peer);

/* Holds what a worker of this name had before the restart, until it comes back. */
struct worker *sessions_absent(struct core *core, const char *name);
void sessions_undelivered(
    struct core *core, struct worker *worker, const struct session_msg *msg, enum core_sent sent);
void sessions_free_all(struct core *core);

/* Before and after running, capacity, draining, trouble or full change. */
void sessions_unload(struct core *core, struct worker *worker);
void sessions_load(struct core *core, struct worker *worker);

/* Counts and logs a message that does not fit. */
void sessions_bad(struct core *core, const struct worker *worker, const char *message);

/* True if it takes traces, unless it is busy. */
bool sessions_serves(const struct worker *worker);

/* True if it can be given some now, as soon as it has room. */
bool sessions_takes(const struct worker *worker);

/* After it handed a trace back: it would do the same with the next one at once. */
void sessions_pause(struct core *core, struct worker *worker);

/* An order of all workers by the share of their capacity that is in use. */
int sessions_compare_load(const struct worker *a, const struct worker *b);

void sessions_put_stats(struct core *core, msgpack_packer *pk);

#endif
