/* store_disk: room on the disk, and a file that keeps some of it for a bad day. Shell. */
#ifndef HOPMQ_STORE_DISK_H
#define HOPMQ_STORE_DISK_H

#include <stdbool.h>
#include <stdint.h>

/* What is set aside in PATH-reserve: when the disk is full, it is given up, so that what runs can
 * still end. Twice what the store takes without having committed it: each record may be written
 * once to the WAL and once to the file. */
#define STORE_RESERVE_BYTES ((int64_t)64 * 1024 * 1024)

/* Beyond the reserve: below the first no traces are accepted, above the second they are again. */
#define STORE_LOW_BYTES ((int64_t)16 * 1024 * 1024)
#define STORE_ROOM_BYTES ((int64_t)32 * 1024 * 1024)

struct store_disk {
    char *reserve; /* its path */
    bool reserved;
};

void store_disk_init(struct store_disk *disk, const char *path);

/* Bytes that are free; INT64_MAX if the system does not say. */
int64_t store_disk_free_bytes(const struct store_disk *disk);

/* Makes the reserve if there is room for it and STORE_ROOM_BYTES. True if it is there. */
bool store_disk_reserve(struct store_disk *disk);

/* Gives the reserve up; false if there was none. */
bool store_disk_release(struct store_disk *disk);

void store_disk_free(struct store_disk *disk);

#endif
