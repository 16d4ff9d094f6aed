/* store_disk: the free room on the store's disk, and a file that holds some of it in reserve.
 * Shell. What happens when the disk is full is in store_full.h. */
#ifndef HOPMQ_STORE_DISK_H
#define HOPMQ_STORE_DISK_H

#include <stdbool.h>
#include <stdint.h>

/* Size of PATH-reserve. When the disk is full this file is deleted, so that running traces can
 * still end. It is twice STORE_MAX_PENDING_BYTES, because each record may be written to the WAL and
 * to the file. */
#define STORE_RESERVE_BYTES ((int64_t)64 * 1024 * 1024)

/* Free bytes beside the reserve: below STORE_LOW_BYTES no traces are accepted, from
 * STORE_ROOM_BYTES on they are accepted again. */
#define STORE_LOW_BYTES ((int64_t)16 * 1024 * 1024)
#define STORE_ROOM_BYTES ((int64_t)32 * 1024 * 1024)

struct store_disk {
    char *reserve; /* path of the reserve */
    bool reserved; /* the reserve is there in full size */
};

void store_disk_init(struct store_disk *disk, const char *path);

/* Free bytes on the disk; INT64_MAX if the system does not tell. */
int64_t store_disk_free_bytes(const struct store_disk *disk);

/* Makes the reserve if there is room for it and for STORE_ROOM_BYTES more. True if it is there. */
bool store_disk_reserve(struct store_disk *disk);

/* Deletes the reserve; false if there was none. */
bool store_disk_release(struct store_disk *disk);

void store_disk_free(struct store_disk *disk);

#endif
