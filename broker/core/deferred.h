/* deferred: requests that wait for the store. Pure.
 *
 * Each is handled twice: at first it turns out what memory does not know, then again with the rows
 * that the store has answered. */
#ifndef HOPMQ_DEFERRED_H
#define HOPMQ_DEFERRED_H

#include "broker/core/types.h"
#include "common/protocol/wire.h"

struct deferred {
    TAILQ_ENTRY(deferred) link;
    uint64_t ticket;
    int64_t records; /* output.records when it was asked */
    struct peer_id peer;
    size_t size;
    unsigned char bytes[];
};

struct deferred_requests {
    TAILQ_HEAD(deferred_list, deferred) waiting; /* the oldest first */
    int64_t count, bytes;
    uint64_t last_ticket;
    const struct record_answer *answer; /* while the oldest is handled again; else NULL */
    const struct record_result **rows;  /* those of `answer`, by id */
};

void deferred_init(struct core *core);

/* Keeps the request until the store has answered; false with *err, and counted, if too many wait.
 * Sets read->ticket. */
bool deferred_add(struct core *core, const struct core_peer *peer, const void *bytes, size_t size,
    struct record_read *read, struct wire_error *err);

/* The request that this answer is for, which must be the oldest: deferred_row() knows the answer
 * until deferred_end(), which forgets the request. */
const struct deferred *deferred_begin(struct core *core, const struct record_answer *answer);
void deferred_end(struct core *core);

/* The row of an id in the answer that is being handled; NULL: there is none. */
const struct record_result *deferred_row(const struct core *core, const char *id, size_t size);

/* output.records when the oldest question was asked; INT64_MAX if none waits. */
int64_t deferred_oldest_records(const struct core *core);
void deferred_free_all(struct core *core);

#endif
