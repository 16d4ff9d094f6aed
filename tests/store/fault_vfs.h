/* fault_vfs: a disk below SQLite that fails at a chosen write or sync. */
#ifndef TEST_FAULT_VFS_H
#define TEST_FAULT_VFS_H

#include <stdbool.h>
#include <stdint.h>

enum fault_kind {
    FAULT_NONE,
    FAULT_FULL,        /* the write finds no room */
    FAULT_FULL_SHORT,  /* the same, after part of it was written */
    FAULT_FULL_ALL,    /* the write and all later ones find no room */
    FAULT_QUOTA,       /* the write fails with EDQUOT, which SQLite calls an error of the disk */
    FAULT_ERROR,       /* the write fails with EIO */
    FAULT_ERROR_SHORT, /* the same, after part of it was written */
    FAULT_SYNC,        /* the sync fails, and all that follows */
    FAULT_KILL,        /* half of the write is done, and nothing after it */
    FAULT_POWER,       /* the same, and all that was not synced is lost */
};

/* Makes it the default VFS; false if SQLite has none to build on. */
bool fault_vfs_register(void);

/* From now on the at-th write, or with FAULT_SYNC the at-th sync, has this fault; 1 is the next. */
void fault_vfs_set(enum fault_kind kind, int64_t at);

/* What happened since fault_vfs_set(). */
int64_t fault_vfs_writes(void);
int64_t fault_vfs_syncs(void);
bool fault_vfs_happened(void);

#endif
