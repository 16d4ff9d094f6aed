/* submission_state: what submission.c (what is sent) and submission_answer.c (what comes back)
 * share; for them alone. */
#ifndef HOPMQ_CLIENT_SUBMISSION_STATE_H
#define HOPMQ_CLIENT_SUBMISSION_STATE_H

#include "clients/cli/submission.h"

struct submission_batch {
    int64_t req; /* 0: free */
    int64_t sent_us;
    struct submission_item_list items;
};

struct submission {
    struct trace trace;
    struct submission_events events;
    char prefix[SUBMISSION_PREFIX_BYTES];
    bool notify, cancelled, gave_up;
    uint32_t chance;
    uint64_t made;
    int64_t last_req;
    size_t items, pending_count, waiting_count;
    struct submission_item_list pending, waiting; /* waiting in the order of due_us */
    struct submission_item_list
        held;            /* those with a summary, linked by by_held; they are in other lists too */
    struct wire_doc doc; /* such a summary, decoded */
    struct submission_item_tree ids;
    struct submission_item
        *cancel_next; /* the next item of `waiting` to be cancelled; if `cancelled` */
    struct submission_batch batches[SUBMISSION_BATCHES];
    int64_t busy_timeout_us, busy_since_us, backoff_us, hold_until_us;
    int64_t retry_ms; /* the longest time that the answer at hand names; 0: none */
};

/* Takes the item out of the tree; it is in no list. */
void submission_free(struct submission *submission, struct submission_item *item);

/* Ends an item whose result has come. */
void submission_end(
    struct submission *submission, struct submission_item *item, const msgpack_object *result);

/* ---- submission_parts ---- */

/* True if the item's result is a summary that lists results which have not come. They will be asked
 * for, and the item ends later. */
bool submission_hold(
    struct submission *submission, struct submission_item *item, const msgpack_object *result);

/* Ends an item with the summary that is held. */
void submission_let_go(struct submission *submission, struct submission_item *item);

bool submission_poll_held(struct submission *submission, int64_t now_us, msgpack_sbuffer *out);
int64_t submission_next_held(const struct submission *submission);

/* The results in the answer to a fetch were passed on. */
void submission_fetched(struct submission *submission, int64_t req, const msgpack_object *root);

#endif
