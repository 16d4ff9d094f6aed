/* matching: what traces ask of a worker, and the workers that fit. A requirement is matched with
 * all workers when it is new, and a worker with all requirements when it is: after that, what fits
 * is known to both, and nobody looks at the others. Pure. */
#ifndef HOPMQ_MATCHING_H
#define HOPMQ_MATCHING_H

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
struct requirement {
    RB_ENTRY(requirement) by_key;
    TAILQ_ENTRY(requirement) link; /* of those with a trace queued, or of those without subqueues */
    TAILQ_ENTRY(requirement) ready_link;      /* while ready */
    TAILQ_ENTRY(requirement) quarantine_link; /* while it has such traces */
    RB_HEAD(quarantined_tree, job)
    quarantined; /* queued too, but not in their subqueues; see quarantine.c */
    int64_t quarantined_count;
    LIST_HEAD(, match) matches;      /* to the workers that fit */
    RB_HEAD(match_tree, match) free; /* those of workers that can take a trace, by load */
    int64_t serving;         /* workers that fit and take traces, or will when they have room */
    uint32_t served_periods; /* how often the first of them came */
    bool ready;              /* a trace is queued and a worker free */
    int64_t subqueues, queued;
    RB_HEAD(virtual_time_tree, subqueue) by_time[PRIORITIES];
    struct need need;
    struct wire_doc doc;          /* the labels, decoded */
    const msgpack_object *labels; /* NULL: none */
    size_t key_size;
    const unsigned char *key; /* need, and the encoded labels; behind it in one block */
};

/* Finds or makes the requirement of a trace; NULL if there are too many, but not where it is for
 * one worker only. It stays until the next call unless a subqueue holds it. */
struct requirement *matching_requirement(
    struct core *core, const struct trace *trace, const char *worker); /* NULL: any */

/* The same, however many there are: of a trace that was accepted before a restart. */
struct requirement *matching_requirement_unbounded(
    struct core *core, const struct trace *trace, const char *worker);

/* A subqueue is made for it, or is gone. */
void matching_hold(struct core *core, struct requirement *requirement);
void matching_release(struct core *core, struct requirement *requirement);

/* Finds out whether it is ready, after its queue or its free workers changed. */
void matching_update_ready(struct core *core, struct requirement *requirement);

/* The worker's capabilities are new: finds the requirements that it fits. Call
 * matching_worker_busy() before. */
void matching_add_worker(struct core *core, struct worker *worker);

/* It is no more. Call matching_worker_busy() before. */
void matching_remove_worker(struct core *core, struct worker *worker);

/* It can take a trace. Its load must not change until matching_worker_busy(). */
void matching_worker_free(struct core *core, struct worker *worker);
void matching_worker_busy(struct core *core, struct worker *worker);

/* Whether it is one that serves: takes traces, unless it is busy. */
void matching_set_serving(struct worker *worker, bool serves);

/* The least loaded worker that can take a trace of this requirement; NULL if there is none. */
struct worker *matching_least_loaded_free(struct requirement *requirement);

/* The least loaded worker that serves this requirement and reads its messages, busy or not; NULL if
 * there is none. */
struct worker *matching_least_loaded(const struct requirement *requirement);

/* The workers that could serve it, busy or not, at most `most`: the least loaded ones. */
size_t matching_workers(
    const struct requirement *requirement, struct worker **workers, size_t most);

/* True if some worker, busy or not, serves the requirement. */
bool matching_is_served(const struct requirement *requirement);

/* What a worker must have, in words for people. */
#define MATCHING_TEXT_BYTES 160
void matching_describe(const struct requirement *requirement, char *text, size_t room);

/* True if one did at any time since the job was accepted, or restored. */
bool matching_was_served(const struct job *job);

void matching_free_all(struct core *core);

#endif
