/* submission_state: what submission.c (what is sent) and submission_answer.c (what comes back)
 * share; for them alone. */
#ifndef HOPMQ_CLIENT_SUBMISSION_STATE_H
#define HOPMQ_CLIENT_SUBMISSION_STATE_H

#include "clients/submission.h"

struct batch {
    int64_t req; /* 0: free */
    int64_t sent_us;
    struct item_list items;
};

struct submission {
    struct trace trace;
    struct submission_events events;
    char prefix[SUBMISSION_PREFIX_BYTES];
    bool notify, cancelled, gave_up;
    uint64_t made;
    int64_t last_req;
    size_t items, pending_count, waiting_count;
    struct item_list pending, waiting; /* waiting in the order of due_us */
    struct item_tree ids;
    struct item *cancel_next; /* of those waiting; with `cancelled` only */
    struct batch batches[SUBMISSION_BATCHES];
    int64_t busy_timeout_us, busy_since_us, backoff_us, hold_until_us;
};

/* Takes the item out of the tree; it is in no list. */
void submission_free(struct submission *submission, struct item *item);

#endif
