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
    struct submission_item_list held; /* those with a summary, by by_held, wherever else they are */
    struct wire_doc doc;              /* such a summary, decoded */
    struct submission_item_tree ids;
    struct submission_item *cancel_next; /* of those waiting; with `cancelled` only */
    struct submission_batch batches[SUBMISSION_BATCHES];
    int64_t busy_timeout_us, busy_since_us, backoff_us, hold_until_us;
    int64_t retry_ms; /* the longest that the answer at hand asks for; 0: it does not say */
};

/* Takes the item out of the tree; it is in no list. */
void submission_free(struct submission *submission, struct submission_item *item);

/* Its result is here. */
void submission_end(
    struct submission *submission, struct submission_item *item, const msgpack_object *result);

/* ---- submission_parts ---- */

/* True if the item's result, a summary, lists some that are not here: they will be asked for, and
 * the item ends later. */
bool submission_hold(
    struct submission *submission, struct submission_item *item, const msgpack_object *result);

/* Ends an item with the summary that is held. */
void submission_let_go(struct submission *submission, struct submission_item *item);

bool submission_poll_held(struct submission *submission, int64_t now_us, msgpack_sbuffer *out);
int64_t submission_next_held(const struct submission *submission);

/* The `results` that answer a fetch were given out. */
void submission_fetched(struct submission *submission, int64_t req, const msgpack_object *root);

#endif
