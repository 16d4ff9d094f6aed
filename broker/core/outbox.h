/* outbox: messages that wait until the records that they depend on are on disk. Pure.
 *
 * Each message waits for one batch of records (see store_batch()). Messages leave in the order in
 * which they were put. They lie one behind the other in blocks that are used again, so that a
 * message costs no allocation.
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

/* Copies the message. `batch` must not be smaller than that of the message before. */
void outbox_put(struct outbox *outbox, uint64_t batch, const struct outbox_message *message);

/* Takes the next message if its batch is `committed` or an earlier one. What the message points to
 * lives until outbox_release(), also while others are put. */
bool outbox_take(struct outbox *outbox, uint64_t committed, struct outbox_message *message);

/* No message that was taken is in use any more. */
void outbox_release(struct outbox *outbox);

/* The bytes of the messages that wait, with what the outbox adds to each; 0 if none waits. */
size_t outbox_bytes(const struct outbox *outbox);

/* The memory of its blocks, used or spare. Of what a burst took, OUTBOX_SPARE_BYTES are kept. */
#define OUTBOX_SPARE_BYTES ((size_t)17 * 256 * 1024)
size_t outbox_memory(const struct outbox *outbox);

#endif
