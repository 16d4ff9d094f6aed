/* matching: what traces require of a worker, and the workers that fit. Pure.
 *
 * A new requirement is matched against all workers, a worker with new capabilities against all
 * requirements. The matches are kept, so that dispatch never searches. */
#ifndef HOPMQ_MATCHING_H
#define HOPMQ_MATCHING_H

#include "broker/core/types.h"
#include "common/addr.h"
#include "common/protocol/trace.h"
#include "common/protocol/wire.h"

/* What a trace asks of its worker beside labels. Bytes only: it is compared as such. */
struct need {
    uint8_t family;   /* 4, 6, 0: any */
    uint8_t protocol; /* enum trace_protocol */
    bool flow;        /* it must keep flows, of that family */
    struct addr source;
    char worker[SESSION_NAME_BYTES + 1]; /* only this one, zeros behind; empty: any */
};

RB_HEAD(quarantined_tree, job);
RB_HEAD(match_tree, match);
RB_HEAD(virtual_time_tree, subqueue);

/* The traces that ask the same of a worker. It lives while one of them has not ended, and as one of
 * CORE_IDLE_REQUIREMENTS after that. */
struct requirement {
    RB_ENTRY(requirement) by_key;
    TAILQ_ENTRY(requirement) link;       /* of fairqueue.waiting, or of matching.idle */
    TAILQ_ENTRY(requirement) ready_link; /* while ready */
    TAILQ_ENTRY(requirement) quarantine_link;
    struct quarantined_tree quarantined; /* queued for a reserved worker; see quarantine.c */
    int64_t quarantined_count;
    LIST_HEAD(, match) matches; /* with the workers that fit */
    struct match_tree free;     /* those of workers that can take a trace, by load */
    int64_t serving;            /* workers that fit and take traces, or will when they have room */
    uint32_t served_periods;    /* counts the times that `serving` rose from 0 */
    bool ready;                 /* a trace is queued and a worker free */
    int64_t subqueues;
    int64_t queued;                               /* traces, in subqueues */
    struct virtual_time_tree by_time[PRIORITIES]; /* subqueues with a trace queued */
    struct need need;
    struct wire_doc doc;          /* the labels, decoded */
    const msgpack_object *labels; /* NULL: none */
    size_t key_size;
    const unsigned char *key; /* need, and the encoded labels; behind it in one block */
};

RB_HEAD(requirement_tree, requirement);

struct matching {
    struct requirement_tree requirements;
    struct requirement_list ready; /* with a trace queued and a worker free */
    struct requirement_list idle;  /* without subqueues, the longest first */
    int64_t requirement_count;     /* without those for one worker only */
    int64_t idle_count, match_count;
};

void matching_init(struct core *core);

/* Finds or makes the requirement of a trace, for the worker of this name only, or any if it is
 * NULL. It stays until the next call unless a subqueue holds it. NULL if there are too many: but
 * those without labels and source, and those for one worker only, are always made. */
struct requirement *matching_requirement(
    struct core *core, const struct trace *trace, const char *worker);

/* The same without a bound: of a trace that was accepted before a restart. */
struct requirement *matching_requirement_unbounded(
    struct core *core, const struct trace *trace, const char *worker);

/* A subqueue is made for it, or is gone. */
void matching_hold(struct core *core, struct requirement *requirement);
void matching_release(struct core *core, struct requirement *requirement);

/* Finds out whether it is ready, after its queue changed. */
void matching_update_ready(struct core *core, struct requirement *requirement);

/* The worker's capabilities are new: finds the requirements that it fits. matching_update() must
 * follow. */
void matching_add_worker(struct core *core, struct worker *worker);

/* The worker fits none any more. */
void matching_remove_worker(struct core *core, struct worker *worker);

/* To be called after the load or the state of a worker changed: what worker_serves(),
 * worker_takes() and worker_compare_load() read, and `reserved`. */
void matching_update(struct core *core, struct worker *worker);

/* The least loaded worker that can take a trace of this requirement; NULL if there is none. */
struct worker *matching_least_loaded_free(struct requirement *requirement);

/* The least loaded worker that takes traces of this requirement, busy or not; NULL if there is
 * none. */
struct worker *matching_least_loaded(const struct requirement *requirement);

/* Writes the workers that serve it, busy or not, at most `most`: the least loaded ones. Returns
 * their number. */
size_t matching_workers(
    const struct requirement *requirement, struct worker **workers, size_t most);

/* True if some worker, busy or not, serves the requirement. */
bool matching_is_served(const struct requirement *requirement);

/* A job has just got its requirement: matching_was_served() begins. */
void matching_watch(struct job *job);

/* True if some worker served the requirement of the job at any time since matching_watch(). */
bool matching_was_served(const struct job *job);

/* What a worker must have, in words for people. */
#define MATCHING_TEXT_BYTES 160
void matching_describe(const struct requirement *requirement, char *text, size_t room);

void matching_free_all(struct core *core);

#endif
