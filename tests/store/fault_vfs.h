/* fault_vfs: a disk that fails when it is told to, under SQLite. */
#ifndef TEST_FAULT_VFS_H
#define TEST_FAULT_VFS_H

#include <stdbool.h>
#include <stdint.h>

enum fault_kind {
    FAULT_NONE,
    FAULT_FULL,        /* this write finds no room */
    FAULT_FULL_SHORT,  /* the same, after a part of it was written */
    FAULT_FULL_ALL,    /* this write and all after it find no room */
    FAULT_QUOTA,       /* this write fails with EDQUOT, which SQLite calls an error of the disk */
    FAULT_ERROR,       /* this write fails */
    FAULT_ERROR_SHORT, /* the same, after a part of it was written */
    FAULT_SYNC,        /* this sync fails; counted in syncs */
    FAULT_KILL,        /* this write is cut short, and nothing comes after it */
    FAULT_POWER,       /* the same, and what was not synced is lost */
};

/* Makes it the default. */
bool fault_vfs_register(void);

/* From now on: the at-th write (or sync), from 1, has this fault. */
void fault_vfs_set(enum fault_kind kind, int64_t at);

/* Since then. */
int64_t fault_vfs_writes(void);
int64_t fault_vfs_syncs(void);
bool fault_vfs_happened(void);

#endif
