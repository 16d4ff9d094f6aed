#include "broker/store/store_disk.h"

#include "common/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

void store_disk_init(struct store_disk *disk, const char *path) {
    size_t size = strlen(path) + sizeof "-reserve";
    struct stat st;
    disk->reserve = mem_new(size, 1);
    (void)snprintf(disk->reserve, size, "%s-reserve", path);
    disk->reserved = stat(disk->reserve, &st) == 0 && st.st_size == STORE_RESERVE_BYTES;
}

/* Asks for the directory, because the reserve may not exist. */
int64_t store_disk_free_bytes(const struct store_disk *disk) {
    char directory[4096];
    struct statvfs fs;
    (void)snprintf(directory, sizeof directory, "%s", disk->reserve);
    char *slash = strrchr(directory, '/');
    if (slash != NULL)
        slash[1] = '\0';
    if (statvfs(slash != NULL ? directory : ".", &fs) != 0)
        return INT64_MAX;
    return (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
}

bool store_disk_reserve(struct store_disk *disk) {
    if (disk->reserved)
        return true;
    if (store_disk_free_bytes(disk) < STORE_RESERVE_BYTES + STORE_ROOM_BYTES)
        return false;
    int fd = open(disk->reserve, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return false;
    disk->reserved = posix_fallocate(fd, 0, STORE_RESERVE_BYTES) == 0;
    (void)close(fd);
    if (!disk->reserved)
        (void)unlink(disk->reserve);
    return disk->reserved;
}

bool store_disk_release(struct store_disk *disk) {
    bool was = disk->reserved;
    disk->reserved = false;
    (void)unlink(disk->reserve);
    return was;
}

void store_disk_free(struct store_disk *disk) {
    free(disk->reserve);
    disk->reserve = NULL;
}
