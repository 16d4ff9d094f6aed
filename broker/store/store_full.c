#include "broker/store/store_full.h"

#include "broker/store/store_state.h"

#include <errno.h>
#include <stdio.h>

bool store_full_is(int code, int write_errno) {
    return (code & 0xff) == SQLITE_FULL || code == SQLITE_IOERR_SHMSIZE ||
           (code == SQLITE_IOERR_WRITE && (write_errno == ENOSPC || write_errno == EDQUOT));
}

#define MIB (1024 * 1024)

static void say_full(struct store *s, const char *why) {
    if (!s->full)
        store_say(s, STORE_FULL, LOG_LEVEL_WARN, "store-full", "store=%s why=\"%s\"", s->path, why);
    s->full = true;
}

bool store_full_write_failed(struct store *s) {
    say_full(s, "the disk is full");
    return store_disk_release(&s->disk);
}

void store_full_look(struct store *s) {
    char why[80];
    int64_t free_bytes = store_disk_free_bytes(&s->disk);
    if (!store_disk_reserve(&s->disk)) {
        (void)snprintf(why, sizeof why,
            "its disk has no room for the reserve of %d MiB and %d MiB more",
            (int)(STORE_RESERVE_BYTES / MIB), (int)(STORE_ROOM_BYTES / MIB));
        say_full(s, why);
    } else if (free_bytes < STORE_LOW_BYTES) {
        (void)snprintf(
            why, sizeof why, "less than %d MiB are free on its disk", (int)(STORE_LOW_BYTES / MIB));
        say_full(s, why);
    } else if (s->full && free_bytes >= STORE_ROOM_BYTES) {
        s->full = false;
        store_say(s, STORE_ROOM, LOG_LEVEL_INFO, "store-room", "store=%s", s->path);
    }
}
