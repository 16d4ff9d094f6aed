/* delivery: carries out what the core asks for: it keeps records and sends messages. Shell.
 *
 * Records go to the store at once. A message waits in the outbox until the records that it tells of
 * are on disk. */
#ifndef HOPMQ_DELIVERY_H
#define HOPMQ_DELIVERY_H

#include "broker/core/core.h"
#include "broker/core/outbox.h"
#include "broker/listeners.h"
#include "broker/publisher.h"
#include "broker/store/store.h"

/* The daemon sets the pointers and disk_full. */
struct delivery {
    struct core *core;
    struct store *store;
    struct outbox *outbox;
    struct outbox_message *to_workers; /* the messages being sent, sorted by worker */
    size_t room;                       /* messages that to_workers has room for */
    struct listeners *listeners;
    struct publisher publisher;
    bool disk_full;
    const char *refusal;  /* reason for refusing traces; NULL while they are accepted */
    uint64_t committed;   /* the last batch seen committed */
    int64_t committed_us; /* when that was, or when no message waited for the next batch */
    uint64_t delivered;   /* messages that waited for this batch have been sent */
    uint64_t marked;      /* once this batch is committed ... */
    int64_t marked_seq;   /* ... so are all results up to this seq */
    int64_t dropped[2];   /* messages dropped, by enum core_side, that the core does not know of */
};

struct core_sink delivery_sink(struct delivery *delivery);

/* To be called after each event of the core: hands records to the store, sends the messages that
 * may leave, and tells the core which could not be sent. */
void delivery_settle(struct delivery *delivery);

/* To be called before each message of a client: has the core accept new traces while the disk keeps
 * up and has room, and refuse them as `busy` otherwise (reason `disk` or `store`). */
void delivery_admit(struct delivery *delivery);

#endif
