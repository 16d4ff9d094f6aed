/* outbox: messages that may leave when what they tell of is on disk. Pure.
 *
 * A message waits for its batch of records (store_batch()). Order is kept. Messages lie one behind
 * the other in blocks that are used again: no allocation a message.
 */
#ifndef HOPMQ_OUTBOX_H
#define HOPMQ_OUTBOX_H

#include "broker/core/core.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outbox;

enum outbox_kind { OUTBOX_CLIENT, OUTBOX_WORKER, OUTBOX_PUBLISH };

struct outbox_message {
    int kind;              /* enum outbox_kind */
    struct core_peer peer; /* of CLIENT and WORKER */
    const char *topic;     /* of PUBLISH */
    const void *bytes;
    size_t size;
};

struct outbox *outbox_new(void);
void outbox_destroy(struct outbox **outbox);

/* Copies the message; batches never get smaller. */
void outbox_put(struct outbox *outbox, uint64_t batch, const struct outbox_message *message);

/* The next message, if its batch is `committed` or an earlier one. What it points to lives until
 * outbox_release(); messages may be put meanwhile. */
bool outbox_take(struct outbox *outbox, uint64_t committed, struct outbox_message *message);

/* What was taken is in use no more. */
void outbox_release(struct outbox *outbox);

/* What the messages that wait take, their heads included; 0: none waits. */
size_t outbox_bytes(const struct outbox *outbox);

/* The memory that it holds, used or spare: after a burst at most OUTBOX_SPARE_BYTES more than what
 * messages take. */
#define OUTBOX_SPARE_BYTES ((size_t)17 * 256 * 1024)
size_t outbox_memory(const struct outbox *outbox);

#endif
