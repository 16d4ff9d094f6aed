#include "broker/store/store_lock.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define LINE_BYTES 96
#define DIGITS 20
#define FIELDS "mark batch=%020" PRId64 " seq=%020" PRId64 " number=%020" PRId64

static uint32_t sum(const char *line) { return libdeflate_crc32(0, line, strlen(line)); }

static void write_line(const struct store_lock *lock, int line, const char *text) {
    char padded[LINE_BYTES + 1];
    (void)snprintf(padded, sizeof padded, "%-*s\n", LINE_BYTES - 1, text);
    /* If this fails an older mark stays, which may miss a loss but never reports a false one. */
    (void)!pwrite(lock->fd, padded, LINE_BYTES, (off_t)line * LINE_BYTES);
}

/* The pid in the first line, or 0. */
static long holder(const struct store_lock *lock) {
    char line[LINE_BYTES + 1] = "";
    if (pread(lock->fd, line, LINE_BYTES, 0) <= 0 || strncmp(line, "pid ", 4) != 0)
        return 0;
    return strtol(line + 4, NULL, 10);
}

bool store_lock_take(struct store_lock *lock, const char *path, char *error, size_t error_bytes) {
    char name[4096], pid[32];
    (void)snprintf(name, sizeof name, "%s-lock", path);
    lock->fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (lock->fd < 0) {
        (void)snprintf(error, error_bytes,
            "%s: cannot be opened: %s: the directory must exist, and this user must be allowed to "
            "write into it",
            name, strerror(errno));
        return false;
    }
    if (flock(lock->fd, LOCK_EX | LOCK_NB) != 0) {
        (void)snprintf(error, error_bytes,
            "%s: is in use by the broker with pid %ld: end that broker, or give this one another "
            "file",
            path, holder(lock));
        store_lock_free(lock);
        return false;
    }
    (void)snprintf(pid, sizeof pid, "pid %ld", (long)getpid());
    write_line(lock, 0, pid);
    return true;
}

static bool read_mark(const struct store_lock *lock, int line, struct store_mark *mark) {
    char text[LINE_BYTES + 1] = "", again[LINE_BYTES + 1], expected[16];
    if (pread(lock->fd, text, LINE_BYTES, (off_t)line * LINE_BYTES) != LINE_BYTES)
        return false;
    mark->batch = strtoll(text + sizeof "mark batch=" - 1, NULL, 10);
    mark->seq = strtoll(text + sizeof "mark batch= seq=" - 1 + DIGITS, NULL, 10);
    mark->number = strtoll(text + sizeof "mark batch= seq= number=" - 1 + 2 * DIGITS, NULL, 10);
    /* A line that differs from what would be written for these numbers is not a mark. */
    int used = snprintf(again, sizeof again, FIELDS, mark->batch, mark->seq, mark->number);
    (void)snprintf(expected, sizeof expected, " %08" PRIx32, sum(again));
    return strncmp(text, again, (size_t)used) == 0 &&
           strncmp(text + used, expected, strlen(expected)) == 0;
}

struct store_mark store_lock_mark(const struct store_lock *lock) {
    struct store_mark newest = {0, 0, 0}, mark;
    for (int line = 1; line <= 2; line++)
        if (read_mark(lock, line, &mark) && mark.batch > newest.batch)
            newest = mark;
    return newest;
}

void store_lock_set_mark(const struct store_lock *lock, const struct store_mark *mark) {
    char text[LINE_BYTES + 1];
    int used = snprintf(text, sizeof text, FIELDS, mark->batch, mark->seq, mark->number);
    (void)snprintf(text + used, sizeof text - (size_t)used, " %08" PRIx32, sum(text));
    write_line(lock, 1 + (int)(mark->batch % 2), text);
}

void store_lock_free(struct store_lock *lock) {
    if (lock->fd >= 0)
        (void)close(lock->fd);
    lock->fd = -1;
}
