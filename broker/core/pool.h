/* pool: what traces ask of a worker, and the workers that fit. A demand is matched with all
 * workers when it is new, and a worker with all demands when it is: after that, what fits is known
 * to both, and nobody looks at the others. Pure. */
#ifndef HOPMQ_POOL_H
#define HOPMQ_POOL_H

#include "broker/core/state.h"
#include "common/addr.h"
#include "common/protocol/trace.h"

/* What a trace asks of its worker beside labels. Bytes only: it is compared as such. */
struct need {
    uint8_t family;   /* 4, 6, 0: any */
    uint8_t protocol; /* enum trace_protocol */
    bool flow;        /* it must keep flows, of that family */
    struct addr source;
    char worker[SESSION_NAME_BYTES + 1]; /* only this one, zeros behind; empty: any */
};

/* The traces that ask the same of a worker. It lives while one of them has not ended, and a while
 * after. */
struct demand {
    RB_ENTRY(demand) by_key;
    TAILQ_ENTRY(demand) link;         /* of those with a trace queued, or of those without lanes */
    TAILQ_ENTRY(demand) ready_link;   /* while ready */
    TAILQ_ENTRY(demand) suspect_link; /* while it has suspects */
    RB_HEAD(suspect_tree, job) suspects; /* queued too, but not in their lanes; see ward.c */
    int64_t suspect_count;
    LIST_HEAD(, edge) edges;       /* to the workers that fit */
    RB_HEAD(edge_tree, edge) free; /* those of workers that can take a trace, by load */
    int64_t serving; /* workers that fit and take traces, or will when they have room */
    uint32_t visits; /* how often the first of them came */
    bool ready;      /* a trace is queued and a worker free */
    int64_t lanes, queued;
    RB_HEAD(turn_tree, lane) turns[PRIORITIES];
    struct need need;
    struct wire_doc doc;          /* the labels, decoded */
    const msgpack_object *labels; /* NULL: none */
    size_t key_size;
    const unsigned char *key; /* need, and the encoded labels; behind it in one block */
};

/* Finds or makes the demand of a trace; NULL if there are too many, but not where it is for one
 * worker only. It stays until the next call unless a lane holds it. */
struct demand *pool_demand(
    struct core *core, const struct trace *trace, const char *worker); /* NULL: any */

/* The same, however many there are: of a trace that was accepted before a restart. */
struct demand *pool_demand_again(struct core *core, const struct trace *trace, const char *worker);

/* A lane is made for it, or is gone. */
void pool_hold(struct core *core, struct demand *demand);
void pool_drop(struct core *core, struct demand *demand);

/* Finds out whether it is ready, after its queue or its free workers changed. */
void pool_settle(struct core *core, struct demand *demand);

/* The worker's capabilities are new: finds the demands that it fits. Call pool_leave() before. */
void pool_meet(struct core *core, struct worker *worker);

/* It is no more. Call pool_leave() before. */
void pool_part(struct core *core, struct worker *worker);

/* It can take a trace. Its load must not change until pool_leave(). */
void pool_enter(struct core *core, struct worker *worker);
void pool_leave(struct core *core, struct worker *worker);

/* Whether it is one that serves: takes traces, unless it is busy. */
void pool_serve(struct worker *worker, bool serves);

/* The least loaded worker that can take a trace of this demand; NULL if there is none. */
struct worker *pool_first(struct demand *demand);

/* The least loaded worker that serves this demand and reads its messages, busy or not; NULL if
 * there is none. */
struct worker *pool_least(const struct demand *demand);

/* The workers that could serve it, busy or not, at most `most`: the least loaded ones. */
size_t pool_fitting(const struct demand *demand, struct worker **workers, size_t most);

/* True if some worker, busy or not, serves the demand. */
bool pool_servable(const struct demand *demand);

/* What a worker must have, in words for people. */
#define POOL_WANTS_BYTES 160
void pool_wants(const struct demand *demand, char *text, size_t room);

/* True if one did at any time since the job was accepted, or restored. */
bool pool_was_servable(const struct job *job);

void pool_free_all(struct core *core);

#endif
