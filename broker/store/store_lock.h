/* store_lock: the small file PATH-lock, which keeps a second broker away and remembers how far the
 * store has come. Shell.
 *
 * It is a text of three lines: `pid N` and two marks. After each commit the older mark is
 * overwritten, without a sync. A crash of the machine may lose the last marks, and a mark that was
 * torn does not match its checksum. But a mark that is ahead of the store's file proves that the
 * file has lost commits. */
#ifndef HOPMQ_STORE_LOCK_H
#define HOPMQ_STORE_LOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How far a store has come: the number of batches since it was created, and the last seq and number
 * in them. */
struct store_mark {
    int64_t batch, seq, number;
};

struct store_lock {
    int fd;
};

/* Creates PATH-lock and locks it; the lock ends with the process. False with one line in error. */
bool store_lock_take(struct store_lock *lock, const char *path, char *error, size_t error_bytes);

/* The newest mark in the file; all zero if it has none. */
struct store_mark store_lock_mark(const struct store_lock *lock);

void store_lock_set_mark(const struct store_lock *lock, const struct store_mark *mark);

void store_lock_free(struct store_lock *lock);

#endif
