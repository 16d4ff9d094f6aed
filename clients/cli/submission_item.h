/* submission_item: one trace that a client submits, and what came of it. Pure. */
#ifndef HOPMQ_CLIENT_SUBMISSION_ITEM_H
#define HOPMQ_CLIENT_SUBMISSION_ITEM_H

#include "common/protocol/request.h"
#include "common/protocol/trace.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

enum submission_item_state {
    SUBMISSION_ITEM_PENDING, /* not sent, or to be sent again */
    SUBMISSION_ITEM_SENT,    /* in a message without an answer */
    SUBMISSION_ITEM_DONE,    /* the result came before the answer */
    SUBMISSION_ITEM_WAITING, /* accepted, its result is to come */
};

/* One trace. */
struct submission_item {
    TAILQ_ENTRY(submission_item) link;
    RB_ENTRY(submission_item) node;
    enum submission_item_state state;
    unsigned line;  /* of the input file; 0: command line */
    int64_t due_us; /* SUBMISSION_ITEM_WAITING: when its result is given up */
    bool fetched;   /* its result is late and was asked for */
    int64_t *parts; /* of a fanout: the seqs of the results of parts that came */
    size_t part_count;
    TAILQ_ENTRY(submission_item) by_held;
    bool held;               /* its summary waits for results of parts: */
    msgpack_sbuffer summary; /* encoded */
    int64_t fetch_req;       /* that they were asked for with; 0: to be asked for */
    int64_t held_until_us;   /* once they were asked for */
    void *data;              /* the caller's */
    char id[TRACE_ID_BYTES + 1];
    char target[];
};

TAILQ_HEAD(submission_item_list, submission_item);
RB_HEAD(submission_item_tree, submission_item); /* by id */

/* A pending item, not yet in a list or tree. */
struct submission_item *submission_item_new(const char *target, const char *id, unsigned line);
void submission_item_free(struct submission_item *item);

/* False if the id is there already. */
bool submission_item_insert(struct submission_item_tree *tree, struct submission_item *item);
void submission_item_remove(struct submission_item_tree *tree, struct submission_item *item);

/* The item that a message from the broker names in its `id`; NULL if there is none. *part tells
 * that the message is about one part of it. */
struct submission_item *submission_item_find(
    struct submission_item_tree *tree, const msgpack_object *message, bool *part);

/* The result of a part with this seq came; false if it came before. */
bool submission_item_add_part(struct submission_item *item, int64_t seq);
bool submission_item_has_part(const struct submission_item *item, int64_t seq);

/* Packs the item's trace: the fields of `common`, its target and its id. */
void submission_item_put_trace(
    msgpack_packer *pk, const struct submission_item *item, const struct trace *common);

#endif
