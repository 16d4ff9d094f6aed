/* store_lock: the small file beside a store's file that keeps a second broker away and remembers
 * how far the store had come. Shell.
 *
 * It is a text of three lines: `pid N`, and two marks, written in turn after each commit without a
 * sync. So a crash of the machine may lose the last ones, and what it tears does not fit its sum;
 * but a mark that is ahead of the store says that the store has lost what it had committed. */
#ifndef HOPMQ_STORE_LOCK_H
#define HOPMQ_STORE_LOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How far a store has come: batches of all times, and the last seq and number in them. */
struct store_mark {
    int64_t batch, seq, number;
};

struct store_lock {
    int fd;
};

/* Makes PATH-lock and locks it; the lock ends with the process. False with one line in error. */
bool store_lock_take(struct store_lock *lock, const char *path, char *error, size_t error_bytes);

/* The newest mark in the file; zeros if it has none. */
struct store_mark store_lock_mark(const struct store_lock *lock);

void store_lock_set_mark(const struct store_lock *lock, const struct store_mark *mark);

void store_lock_free(struct store_lock *lock);

#endif
