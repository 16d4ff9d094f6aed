#include "tests/store/fault_vfs.h"

#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a write that is not synced yet has overwritten. */
struct undo {
    struct undo *next;
    sqlite3_int64 offset, size_before;
    int size;
    unsigned char bytes[];
};

struct file {
    sqlite3_file base;
    struct undo *undo;
    struct file *next; /* in open_files */
    sqlite3_file *real;
    int write_errno; /* of the last write that failed */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static sqlite3_vfs vfs;
static sqlite3_io_methods methods;
static struct file *open_files;
static struct {
    enum fault_kind kind;
    int64_t at, writes, syncs;
    bool happened, dead;
} fault;

/* The store's reserve takes no room here, because it is made hundreds of times. */
int posix_fallocate(int fd, off_t offset, off_t size) {
    return ftruncate(fd, offset + size) == 0 ? 0 : errno;
}

static sqlite3_vfs *real_vfs(void) { return vfs.pAppData; }

static struct file *file_of(sqlite3_file *file) { return (struct file *)(void *)file; }

static sqlite3_file *real_of(sqlite3_file *file) { return file_of(file)->real; }

/* ---- what is not yet on the disk ---------------------------------------------------------- */

static void remember(struct file *f, sqlite3_int64 offset, int size) {
    struct undo *u = mem_new(1, sizeof *u + (size_t)size);
    u->offset = offset;
    u->size = size;
    (void)f->real->pMethods->xFileSize(f->real, &u->size_before);
    (void)f->real->pMethods->xRead(f->real, u->bytes, size, offset);
    u->next = f->undo;
    f->undo = u;
}

static void drop_undo(struct file *f, bool take_back) {
    while (f->undo != NULL) {
        struct undo *u = f->undo;
        sqlite3_int64 kept = u->size_before - u->offset;
        f->undo = u->next;
        if (take_back && kept > 0)
            (void)f->real->pMethods->xWrite(
                f->real, u->bytes, kept < u->size ? (int)kept : u->size, u->offset);
        if (take_back)
            (void)f->real->pMethods->xTruncate(f->real, u->size_before);
        free(u);
    }
}

static void cut_power(void) {
    for (struct file *f = open_files; f != NULL; f = f->next)
        drop_undo(f, true);
}

/* ---- files -------------------------------------------------------------------------------- */

static int faulty_write(struct file *f, const void *bytes, int size, sqlite3_int64 offset) {
    bool full =
        fault.kind == FAULT_FULL || fault.kind == FAULT_FULL_SHORT || fault.kind == FAULT_FULL_ALL;
    bool part = fault.kind == FAULT_FULL_SHORT || fault.kind == FAULT_ERROR_SHORT ||
                fault.kind == FAULT_KILL || fault.kind == FAULT_POWER;
    f->write_errno = fault.kind == FAULT_QUOTA ? EDQUOT : EIO;
    fault.happened = true;
    fault.dead = fault.kind == FAULT_KILL || fault.kind == FAULT_POWER;
    if (part)
        (void)f->real->pMethods->xWrite(f->real, bytes, size / 2, offset);
    if (fault.kind == FAULT_POWER)
        cut_power();
    return full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int vfs_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset) {
    struct file *f = file_of(file);
    int code = SQLITE_IOERR_WRITE;
    (void)pthread_mutex_lock(&mutex);
    fault.writes++;
    if (!fault.dead) {
        if (fault.kind == FAULT_POWER)
            remember(f, offset, size);
        bool fails = fault.kind == FAULT_FULL_ALL
                         ? fault.writes >= fault.at
                         : fault.writes == fault.at && fault.kind != FAULT_SYNC;
        code = fails ? faulty_write(f, bytes, size, offset)
                     : f->real->pMethods->xWrite(f->real, bytes, size, offset);
    }
    (void)pthread_mutex_unlock(&mutex);
    return code;
}

static int vfs_truncate(sqlite3_file *file, sqlite3_int64 size) {
    struct file *f = file_of(file);
    sqlite3_int64 before = 0;
    int code = SQLITE_IOERR_TRUNCATE;
    (void)pthread_mutex_lock(&mutex);
    (void)f->real->pMethods->xFileSize(f->real, &before);
    if (!fault.dead) {
        if (fault.kind == FAULT_POWER && before > size)
            remember(f, size, (int)(before - size));
        code = f->real->pMethods->xTruncate(f->real, size);
    }
    (void)pthread_mutex_unlock(&mutex);
    return code;
}

static int vfs_sync(sqlite3_file *file, int flags) {
    int code = SQLITE_IOERR_FSYNC;
    (void)pthread_mutex_lock(&mutex);
    fault.syncs++;
    if (fault.kind == FAULT_SYNC && fault.syncs == fault.at) {
        fault.happened = true;
        fault.dead = true;
    }
    if (!fault.dead) {
        drop_undo(file_of(file), false);
        code = real_of(file)->pMethods->xSync(real_of(file), flags);
    }
    (void)pthread_mutex_unlock(&mutex);
    return code;
}

static int vfs_close(sqlite3_file *file) {
    struct file *f = file_of(file), **at = &open_files;
    (void)pthread_mutex_lock(&mutex);
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    drop_undo(f, false);
    (void)pthread_mutex_unlock(&mutex);
    return f->real->pMethods->xClose(f->real);
}

#define PASS(name, ...) return real_of(file)->pMethods->name(real_of(file), __VA_ARGS__)

static int vfs_read(sqlite3_file *file, void *to, int size, sqlite3_int64 offset) {
    PASS(xRead, to, size, offset);
}
static int vfs_size(sqlite3_file *file, sqlite3_int64 *size) { PASS(xFileSize, size); }
static int vfs_lock(sqlite3_file *file, int lock) { PASS(xLock, lock); }
static int vfs_unlock(sqlite3_file *file, int lock) { PASS(xUnlock, lock); }
static int vfs_reserved(sqlite3_file *file, int *out) { PASS(xCheckReservedLock, out); }
static int vfs_control(sqlite3_file *file, int op, void *arg) {
    if (op != SQLITE_FCNTL_LAST_ERRNO)
        PASS(xFileControl, op, arg);
    *(int *)arg = file_of(file)->write_errno;
    return SQLITE_OK;
}
static int vfs_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out) {
    PASS(xShmMap, page, size, extend, out);
}
static int vfs_shm_lock(sqlite3_file *file, int offset, int count, int flags) {
    PASS(xShmLock, offset, count, flags);
}
static int vfs_shm_unmap(sqlite3_file *file, int drop) { PASS(xShmUnmap, drop); }
static int vfs_sector(sqlite3_file *file) {
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}
static int vfs_device(sqlite3_file *file) {
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}
static void vfs_shm_barrier(sqlite3_file *file) {
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int vfs_open(
    sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags, int *out_flags) {
    struct file *f = file_of(file);
    (void)self;
    memset(f, 0, sizeof *f);
    f->real = (sqlite3_file *)(void *)(f + 1);
    int code = real_vfs()->xOpen(real_vfs(), name, f->real, flags, out_flags);
    if (f->real->pMethods != NULL) {
        f->base.pMethods = &methods;
        (void)pthread_mutex_lock(&mutex);
        f->next = open_files;
        open_files = f;
        (void)pthread_mutex_unlock(&mutex);
    }
    return code;
}

/* A process that was killed deletes no files. */
static int vfs_delete(sqlite3_vfs *self, const char *name, int sync) {
    (void)self;
    return fault.dead ? SQLITE_IOERR_DELETE : real_vfs()->xDelete(real_vfs(), name, sync);
}

bool fault_vfs_register(void) {
    sqlite3_vfs *real = sqlite3_vfs_find("unix");
    if (real == NULL)
        return false;
    vfs = *real;
    vfs.zName = "fault";
    vfs.pNext = NULL;
    vfs.pAppData = real;
    vfs.szOsFile = (int)sizeof(struct file) + real->szOsFile;
    vfs.xOpen = vfs_open;
    vfs.xDelete = vfs_delete;
    methods = (sqlite3_io_methods){.iVersion = 2,
        .xClose = vfs_close,
        .xRead = vfs_read,
        .xWrite = vfs_write,
        .xTruncate = vfs_truncate,
        .xSync = vfs_sync,
        .xFileSize = vfs_size,
        .xLock = vfs_lock,
        .xUnlock = vfs_unlock,
        .xCheckReservedLock = vfs_reserved,
        .xFileControl = vfs_control,
        .xSectorSize = vfs_sector,
        .xDeviceCharacteristics = vfs_device,
        .xShmMap = vfs_shm_map,
        .xShmLock = vfs_shm_lock,
        .xShmBarrier = vfs_shm_barrier,
        .xShmUnmap = vfs_shm_unmap};
    return sqlite3_vfs_register(&vfs, 1) == SQLITE_OK;
}

void fault_vfs_set(enum fault_kind kind, int64_t at) {
    (void)pthread_mutex_lock(&mutex);
    memset(&fault, 0, sizeof fault);
    fault.kind = kind;
    fault.at = at;
    (void)pthread_mutex_unlock(&mutex);
}

int64_t fault_vfs_writes(void) {
    (void)pthread_mutex_lock(&mutex);
    int64_t writes = fault.writes;
    (void)pthread_mutex_unlock(&mutex);
    return writes;
}

int64_t fault_vfs_syncs(void) { return fault.syncs; }
bool fault_vfs_happened(void) { return fault.happened; }
