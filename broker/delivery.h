/* delivery: what the core says and keeps, carried out. Shell.
 *
 * Records go to the store at once, messages leave when the records that they tell of are on disk.
 */
#ifndef HOPMQ_DELIVERY_H
#define HOPMQ_DELIVERY_H

#include "broker/core/core.h"
#include "broker/core/outbox.h"
#include "broker/listeners.h"
#include "broker/publisher.h"
#include "broker/store/store.h"

/* The daemon fills in the pointers, and says when the disk is full. */
struct delivery {
    struct core *core;
    struct store *store;
    struct outbox *outbox;
    struct outbox_message *to_workers; /* while they are sent */
    size_t room;                       /* of it */
    struct listeners *listeners;
    struct publisher publisher;
    bool disk_full;
    const char *refusal;  /* why no traces are taken; NULL: they are */
    uint64_t committed;   /* the last batch, */
    int64_t committed_us; /* and when it was seen, or when nothing waited for the next */
    uint64_t delivered;   /* what waited for this batch has left */
    uint64_t marked;      /* when this batch is committed, */
    int64_t marked_seq;   /* all results up to this one are */
    int64_t dropped[2];   /* messages to either side, not counted yet */
};

struct core_sink delivery_sink(struct delivery *delivery);

/* After each event of the core: hands records to the store, sends what may leave, tells the core
 * what could not be sent. */
void delivery_settle(struct delivery *delivery);

/* Before each message of a client: new traces are taken while the disk keeps up, and has room. */
void delivery_admit(struct delivery *delivery);

#endif
