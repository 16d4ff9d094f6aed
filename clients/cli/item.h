/* item: one trace that a client submits, and the requests that name traces. Pure. */
#ifndef HOPMQ_CLIENT_ITEM_H
#define HOPMQ_CLIENT_ITEM_H

#include "common/protocol/request.h"
#include "common/protocol/trace.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

enum item_state {
    ITEM_PENDING, /* not sent, or to be sent again */
    ITEM_SENT,    /* in a message without an answer */
    ITEM_DONE,    /* the result came before the answer */
    ITEM_WAITING, /* accepted, its result is to come */
};

/* One trace. */
struct item {
    TAILQ_ENTRY(item) link;
    RB_ENTRY(item) node;
    enum item_state state;
    unsigned line;  /* of the input file; 0: command line */
    int64_t due_us; /* ITEM_WAITING: when its result is given up */
    bool fetched;   /* its result was asked for, since it is late */
    int64_t *parts; /* of a fanout: the seqs of the results of parts that came */
    size_t part_count;
    TAILQ_ENTRY(item) by_held;
    bool held;               /* its summary waits for results of parts: */
    msgpack_sbuffer summary; /* encoded */
    int64_t fetch_req;       /* that they were asked for with; 0: to be asked for */
    int64_t held_until_us;   /* once they were asked for */
    void *data;              /* the caller's */
    char id[TRACE_ID_BYTES + 1];
    char target[];
};

TAILQ_HEAD(item_list, item);
RB_HEAD(item_tree, item); /* by id */

/* A pending item, not yet in a list or tree. */
struct item *item_new(const char *target, const char *id, unsigned line);
void item_free(struct item *item);

/* False if the id is there already. */
bool item_insert(struct item_tree *tree, struct item *item);
void item_remove(struct item_tree *tree, struct item *item);

/* The item that a message from the broker names in its `id`; NULL if there is none. *part tells
 * that the message is about one part of it. */
struct item *item_find(struct item_tree *tree, const msgpack_object *message, bool *part);

/* The result of a part with this seq came; false if it came before. */
bool item_add_part(struct item *item, int64_t seq);
bool item_has_part(const struct item *item, int64_t seq);

/* Packs the item's trace: the fields of `common`, its target and its id. */
void item_put_trace(msgpack_packer *pk, const struct item *item, const struct trace *common);

/* Packs a whole `submit` around traces that are packed already. */
void item_put_submit(
    msgpack_sbuffer *out, int64_t req, bool notify, const msgpack_sbuffer *traces, uint32_t count);

/* Packs a whole `fetch`, `cancel` or `status`. */
void item_put_ids(
    msgpack_sbuffer *out, const char *op, int64_t req, const char *const *ids, uint32_t count);

#endif
