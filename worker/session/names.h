/* names: host names of the addresses that answer, from a cache or by asking a name server. Pure.
 *
 * However many traces want a name, it is asked for once, and only so many questions are out at a
 * time. A name server that does not keep up costs names, never a trace.
 */
#ifndef HOPMQ_WORKER_NAMES_H
#define HOPMQ_WORKER_NAMES_H

#include "common/addr.h"
#include "common/protocol/result.h"

/* Questions that are out at a time. */
#define NAMES_ASKED 64

/* Names that are wanted at a time, each by each trace; what is over it gets no name. */
#define NAMES_WANTED 131072

/* What waits for its question for so long gets no name: those who want it have ended, or will. */
#define NAMES_QUEUE_US 5000000

/* How many answers are kept, and how long: a name for the time to live that the name server gives,
 * within bounds. */
#define NAMES_ROOM 16384
#define NAMES_MIN_S 1
#define NAMES_MAX_S 86400
#define NAMES_NONE_S 60   /* there is no name */
#define NAMES_FAILED_S 10 /* the name server did not answer, or would not */

struct names;

enum names_outcome {
    NAMES_NAMED,
    NAMES_NONE,
    NAMES_REFUSED, /* a name that may not be passed on */
    NAMES_FAILED,
};

/* Both are called from inside functions of names. named() must not call back. */
struct names_sink {
    void *context;
    /* Ask for the name of an address, and say what came with names_answer(), now or later. */
    void (*ask)(void *context, const struct addr *addr);
    /* The one answer to a names_want(); the name is empty if there is none. */
    void (*named)(void *owner, int64_t lease, const struct addr *addr, const char *name);
};

struct names_counters {
    int64_t cached; /* answers held now, those included that there is no name */
    int64_t queries, failures, refused;
};

struct names *names_new(const struct names_sink *sink);

/* Calls nobody: who waits for a name gets none. */
void names_destroy(struct names **names);

/* sink.named() brings the name, before this returns if it is known. */
void names_want(
    struct names *names, void *owner, int64_t lease, const struct addr *addr, int64_t now_us);

/* The answer to sink.ask: what it was, a name if it is one, and its time to live. */
void names_answer(struct names *names, const struct addr *addr, enum names_outcome outcome,
    const char *name, uint32_t ttl_s, int64_t now_us);

/* What is due, and when next. */
void names_tick(struct names *names, int64_t now_us);
int64_t names_next(const struct names *names);

struct names_counters names_counters(const struct names *names);

#endif
