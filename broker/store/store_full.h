/* store_full: what happens when the store's disk is full. Shell.
 *
 * A full disk ends no broker and loses no record:
 *
 *   1. Once a second the writer calls store_full_look(). With less than STORE_LOW_BYTES free, or
 *      without a reserve (store_disk.h), the event STORE_FULL tells the broker to accept no more
 *      traces: delivery_admit() has the core answer `busy` with the reason `disk`. What was
 *      accepted goes on, and its results are kept.
 *   2. A write that finds no room is given to store_full_write_failed(). It deletes the reserve,
 *      and the writer tries the same batch again at once.
 *   3. When the reserve is used up too, the writer tries the batch again every UPKEEP_LOOK_US until
 *      there is room. Meanwhile records and messages wait in memory, within the bounds of
 *      STORE_MAX_PENDING_BYTES and the outbox.
 *   4. When the reserve can be made again and STORE_ROOM_BYTES are free, STORE_ROOM tells the
 *      broker to accept traces.
 *
 * Only the writer's thread calls these. */
#ifndef HOPMQ_STORE_FULL_H
#define HOPMQ_STORE_FULL_H

#include <stdbool.h>

struct store;

/* Whether SQLite's result code, with the errno of the write that failed, says that there is no
 * room. SQLite calls a quota that is used up (EDQUOT) an error of the disk. */
bool store_full_is(int code, int write_errno);

/* Says STORE_FULL and deletes the reserve; true if there was one, and a write may succeed now. */
bool store_full_write_failed(struct store *store);

/* Says STORE_FULL or STORE_ROOM if that has changed. */
void store_full_look(struct store *store);

#endif
