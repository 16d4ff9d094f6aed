/* worker: a worker's session as the broker knows it, found by peer and by name. Pure. */
#ifndef HOPMQ_WORKER_H
#define HOPMQ_WORKER_H

#include "broker/core/types.h"
#include "common/addr.h"
#include "common/protocol/labels.h"

struct worker {
    struct timeline_entry timer; /* it is lost if nothing is heard until then */
    RB_ENTRY(worker) by_peer;    /* unless absent */
    RB_ENTRY(worker) by_name;
    struct peer_id peer;
    char name[SESSION_NAME_BYTES + 1], prober[65];
    char trouble[SESSION_TROUBLE_BYTES + 1]; /* why it can run no trace; empty: it can */
    struct labels labels;
    unsigned families, flows, protocols; /* sets, as session_msg has them */
    struct addr *sources;                /* the addresses that it has */
    size_t source_count;                 /* 0: it may have any */
    int64_t capacity, running;           /* traces */
    struct job_list jobs;                /* that it holds leases of */
    int64_t heard_us;
    int64_t contested_us; /* when its name was last taken over or fought for; 0: never */
    uint64_t heartbeats;  /* messages that listed its leases */
    bool draining, lost;
    bool absent;   /* held leases before the restart, and has not said hello since */
    bool unsent;   /* a message did not reach it: give it nothing until it sends something */
    bool gone;     /* the reason was that its connection is gone */
    bool paused;   /* handed a trace back: give it nothing until its next heartbeat */
    bool reserved; /* for a quarantined trace: give it nothing else */
    void *stats;   /* the encoded map of its last heartbeat */
    size_t stats_size;

    /* What matching.c knows of it. */
    LIST_HEAD(, match) matches; /* with the requirements that it fits */
    bool serving;               /* its matches count as served */
    bool free;                  /* its matches are among the free ones of their requirements */
    int64_t sorted_running, sorted_capacity; /* by which they are sorted there */
};

RB_HEAD(worker_peer_tree, worker);
RB_HEAD(worker_name_tree, worker);

struct workers {
    struct worker_peer_tree by_peer; /* without those that are absent */
    struct worker_name_tree by_name;
    struct timeline timers;
    int64_t count; /* without those that are absent */
};

/* For RB_FOREACH over core->workers.by_name; worker.c generates the functions. */
RB_PROTOTYPE(worker_name_tree, worker, by_name, )

void workers_init(struct core *core);
void workers_free_all(struct core *core);
struct worker *worker_find(struct core *core, const struct core_peer *peer);
struct worker *worker_find_name(struct core *core, const char *name);

/* Makes a worker that can be found by its peer, and with worker_add_name() by its name. No other
 * one may have that name then. */
struct worker *worker_new(struct core *core, const struct core_peer *peer, const char *name);
void worker_add_name(struct core *core, struct worker *worker);

/* Makes a worker that is absent: it can be found by its name only. */
struct worker *worker_new_absent(struct core *core, const char *name);

/* Nobody finds it any more; it is `lost`. */
void worker_remove(struct core *core, struct worker *worker);
void worker_free(struct worker *worker);

void worker_set_timer(struct core *core, struct worker *worker, int64_t due_us);

/* The next worker whose timer is due; NULL if none is. */
struct worker *worker_due(struct core *core);

/* When that will be; TIMELINE_NEVER: never. */
int64_t worker_next_due(struct core *core);

/* True if it takes traces, unless it is busy. */
bool worker_serves(const struct worker *worker);

/* True if it can be given traces as soon as it has room. */
bool worker_takes(const struct worker *worker);

/* An order of all workers by the share of their capacity that is in use. */
int worker_compare_load(const struct worker *a, const struct worker *b);

/* The same, by sorted_running and sorted_capacity. */
int worker_compare_sorted_load(const struct worker *a, const struct worker *b);

#endif
