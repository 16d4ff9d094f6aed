/* names: host names of the addresses that answer, from a cache or from a name server. Pure.
 *
 * A name that several traces want is asked for once, and at most NAMES_ASKED questions are out at a
 * time. If name servers do not keep up, traces lose names, but do not wait.
 */
#ifndef HOPMQ_WORKER_NAMES_H
#define HOPMQ_WORKER_NAMES_H

#include "common/addr.h"
#include "common/protocol/result.h"

/* How many questions may be out at a time. */
#define NAMES_ASKED 64

/* How many names may be wanted at a time, counted once for each trace. What is wanted beyond that
 * gets no name. */
#define NAMES_WANTED 131072

/* A name whose question could not be asked within NAMES_QUEUE_US is given up: the traces that want
 * it have ended, or are about to. */
#define NAMES_QUEUE_US 5000000

/* How many answers are kept. A name is kept for the time to live that the name server gave, but
 * from NAMES_MIN_S to NAMES_MAX_S. */
#define NAMES_ROOM 16384
#define NAMES_MIN_S 1
#define NAMES_MAX_S 86400
#define NAMES_NONE_S 60   /* the answer that there is no name */
#define NAMES_FAILED_S 10 /* no answer, or an error */

struct names;

enum names_outcome {
    NAMES_NAMED,
    NAMES_NONE,    /* the address has no name */
    NAMES_REFUSED, /* the answer is no host name, and may not be passed on */
    NAMES_FAILED,  /* no answer came, or an error */
};

/* Functions of this module call both. named() must not call a function of this module. */
struct names_sink {
    void *context;
    /* Asks a name server for the name of an address. names_answer() brings the answer, during this
     * call or later. */
    void (*ask)(void *context, const struct addr *addr);
    /* Answers one names_want(); the name is empty if there is none. */
    void (*named)(void *owner, int64_t lease, const struct addr *addr, const char *name);
};

struct names_counters {
    int64_t cached; /* answers that are held now, also that there is no name */
    int64_t queries, failures, refused;
};

struct names *names_new(const struct names_sink *sink);

/* Calls nobody, not even those who wait for a name. */
void names_destroy(struct names **names);

/* sink.named() brings the name: before this returns if the cache has it. */
void names_want(
    struct names *names, void *owner, int64_t lease, const struct addr *addr, int64_t now_us);

/* The answer to sink.ask(). `name` and ttl_s count only with NAMES_NAMED. */
void names_answer(struct names *names, const struct addr *addr, enum names_outcome outcome,
    const char *name, uint32_t ttl_s, int64_t now_us);

/* Does what is due, and says when it wants to be called next. */
void names_tick(struct names *names, int64_t now_us);
int64_t names_next(const struct names *names);

struct names_counters names_counters(const struct names *names);

#endif
