/* The store's writer: one thread that commits batches, forgets what is old, and looks after the
 * disk. */
#include "broker/store/store_schema.h"
#include "broker/store/store_state.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <time.h>

#define MIB ((int64_t)1024 * 1024)

/* So much is in the WAL when it is written back: while nothing else is to be done, and anyway. */
#define IDLE_CHECKPOINT_BYTES MIB
#define CHECKPOINT_BYTES (4 * MIB)
#define IDLE_US INT64_C(200000)

/* So long must the WAL be for a warning, at most once in so long. */
#define WAL_WARN_BYTES (256 * MIB)
#define WARN_US INT64_C(60000000)

#define LOOK_US INT64_C(1000000)

/* Old results that go in one step while idle. */
#define FORGET_IDLE 500

/* So many more than keep_results may be there, or a hundredth of it, until the store is idle. */
#define SLACK 50

static void nap(struct store *s, int64_t us) {
    int64_t until_us = store_now_us() + us;
    const struct timespec until = {until_us / 1000000, until_us % 1000000 * 1000};
    (void)pthread_cond_timedwait(&s->to_writer, &s->mutex, &until);
}

static void say_full(struct store *s, const char *why) {
    if (!s->full)
        store_say(s, STORE_FULL, LOG_LEVEL_WARN, "store-full", "store=%s why=\"%s\"", s->path, why);
    s->full = true;
}

static void die(struct store *s, int code) {
    char why[STORE_ERROR_BYTES];
    store_schema_explain(s->path, s->file.db, code, why, sizeof why);
    store_say(s, STORE_DEAD, LOG_LEVEL_ERROR, "store-dead", "code=%d why=\"%s\"", code, why);
}

/* The disk has no room; a quota looks like an error to SQLite. */
static bool is_full(struct store *s, int code) {
    int said = sqlite3_system_errno(s->file.db);
    return (code & 0xff) == SQLITE_FULL || code == SQLITE_IOERR_SHMSIZE ||
           (code == SQLITE_IOERR_WRITE && (said == ENOSPC || said == EDQUOT));
}

/* After a call failed: true if it may be tried again. */
static bool recover(struct store *s, int code) {
    bool busy = (code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED;
    if (!busy && !is_full(s, code)) {
        die(s, code);
        return false;
    }
    if (!busy) {
        say_full(s, "the disk is full");
        if (store_disk_release(&s->disk))
            return true;
    } else {
        store_say(s, STORE_SAY, LOG_LEVEL_WARN, "store-busy",
            "store=%s why=\"another program writes to it\"", s->path);
    }
    (void)pthread_mutex_lock(&s->mutex);
    bool stop = s->stop;
    if (!stop && !busy)
        nap(s, LOOK_US);
    (void)pthread_mutex_unlock(&s->mutex);
    return !stop;
}

/* With batches some go at once, so that not each of them has to touch the pages of the oldest. */
static struct store_retention retention(const struct store *s, bool idle) {
    int64_t keep = s->config.keep_results, slack = keep / 100 < SLACK ? keep / 100 : SLACK;
    int64_t before_us = s->opened_wall_us + store_now_us() - s->opened_us - s->config.keep_us;
    return (struct store_retention){before_us - before_us % 1000000, keep, idle ? 0 : slack};
}

static int64_t wal_bytes(const struct store *s) { return s->file.wal_pages * s->file.page_bytes; }

static void count(struct store *s, int64_t records, int64_t started_us, int64_t forgotten) {
    struct store_counters *c = &s->counters;
    int64_t took_us = store_now_us() - started_us;
    c->deleted += forgotten;
    c->results = s->file.results;
    c->wal_bytes = wal_bytes(s);
    if (records == 0)
        return;
    c->commits++;
    c->records += records;
    histogram_add(&c->commit_times, took_us);
    c->batch_max_records = records > c->batch_max_records ? records : c->batch_max_records;
    c->commit_max_us = took_us > c->commit_max_us ? took_us : c->commit_max_us;
}

/* Commits a batch, however often it must be tried. */
static bool commit(struct store *s, const struct batch *batch, int64_t limit, int64_t *forgotten) {
    const struct store_retention keep = retention(s, batch->count == 0);
    int64_t started_us = store_now_us(), replaced = s->file.replaced;
    int code;
    while ((code = store_file_commit(&s->file, batch, &keep, limit, forgotten)) != SQLITE_OK)
        if (!recover(s, code))
            return false;
    if (batch->count > 0)
        store_lock_set_mark(&s->lock, &s->file.mark);
    if (s->file.replaced > replaced)
        store_say(s, STORE_SAY, LOG_LEVEL_ERROR, "store-replaced",
            "store=%s results=%" PRId64 " why=\"there was another result of the same id\"", s->path,
            s->file.replaced - replaced);
    (void)pthread_mutex_lock(&s->mutex);
    count(s, (int64_t)batch->count, started_us, *forgotten);
    (void)pthread_mutex_unlock(&s->mutex);
    return true;
}

bool store_writer_commit(struct store *s) {
    int64_t forgotten;
    if (!commit(s, &s->given, 2 * (int64_t)s->given.results + SLACK, &forgotten))
        return false;
    (void)pthread_mutex_lock(&s->mutex);
    s->committed = s->handed;
    s->said_committed = false;
    batch_clear(&s->given);
    store_ring(s);
    (void)pthread_cond_signal(&s->to_reader);
    (void)pthread_mutex_unlock(&s->mutex);
    return true;
}

static bool checkpoint(struct store *s) {
    int64_t bytes = wal_bytes(s), now_us = store_now_us();
    int code = store_file_checkpoint(&s->file);
    /* While somebody reads an old state, the rest stays where it is; then not with each batch. */
    s->checkpoint_bytes = bytes + CHECKPOINT_BYTES;
    if (s->file.wal_pages == 0)
        s->checkpoint_bytes = CHECKPOINT_BYTES;
    if (s->file.wal_pages > 0 && bytes > WAL_WARN_BYTES && now_us - s->warned_us > WARN_US) {
        s->warned_us = now_us;
        store_say(s, STORE_SAY, LOG_LEVEL_WARN, "store-wal",
            "store=%s wal_bytes=%" PRId64 " why=\"another program reads an old state of it\"",
            s->path, bytes);
    }
    (void)pthread_mutex_lock(&s->mutex);
    s->counters.checkpoints++;
    (void)pthread_mutex_unlock(&s->mutex);
    if (code == SQLITE_OK || (code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED)
        return true;
    if (is_full(s, code)) {
        say_full(s, "the disk is full");
        (void)store_disk_release(&s->disk);
        return true;
    }
    die(s, code);
    return false;
}

/* Once a second: is the file still there, and is there room? */
static bool look(struct store *s) {
    int moved = 0;
    (void)sqlite3_file_control(s->file.db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (moved) {
        store_say(s, STORE_DEAD, LOG_LEVEL_ERROR, "store-dead",
            "store=%s why=\"it was removed or replaced while this broker had it open\"", s->path);
        return false;
    }
    struct stat st;
    if (stat(s->path, &st) == 0) {
        (void)pthread_mutex_lock(&s->mutex);
        s->counters.file_bytes = st.st_size;
        (void)pthread_mutex_unlock(&s->mutex);
    }
    int64_t free_bytes = store_disk_free_bytes(&s->disk);
    bool reserved = store_disk_reserve(&s->disk);
    if (!reserved)
        say_full(s, "there is no room for the reserve of 64 MiB and 32 MiB more");
    else if (free_bytes < STORE_LOW_BYTES)
        say_full(s, "less than 16 MiB are free on its disk");
    else if (s->full && free_bytes >= STORE_ROOM_BYTES) {
        s->full = false;
        store_say(s, STORE_ROOM, LOG_LEVEL_INFO, "store-room", "store=%s", s->path);
    }
    return true;
}

/* What is done between batches, and when there are none. */
static bool upkeep(struct store *s, bool idle) {
    static const struct batch nothing = {.bytes = NULL};
    int64_t now_us = store_now_us(), forgotten;
    bool looked = now_us - s->looked_us >= LOOK_US;
    if (wal_bytes(s) > (idle ? IDLE_CHECKPOINT_BYTES : s->checkpoint_bytes) && !checkpoint(s))
        return false;
    if (looked) {
        s->looked_us = now_us;
        if (!look(s))
            return false;
    }
    if (!idle || (!looked && !s->forgetting))
        return true;
    if (!commit(s, &nothing, FORGET_IDLE, &forgotten))
        return false;
    s->forgetting = forgotten == FORGET_IDLE;
    return true;
}

/* Waits for a batch, under the mutex; true if it is time for upkeep. */
static bool wait_idle(struct store *s) {
    if (s->forgetting)
        return true;
    int64_t began_us = store_now_us();
    int64_t patience_us = wal_bytes(s) > IDLE_CHECKPOINT_BYTES ? IDLE_US : LOOK_US;
    nap(s, patience_us);
    return s->handed == s->committed && !s->stop && store_now_us() - began_us >= patience_us;
}

void *store_writer_run(void *store) {
    struct store *s = store;
    bool alive = true;
    s->checkpoint_bytes = CHECKPOINT_BYTES;
    (void)pthread_mutex_lock(&s->mutex);
    while (alive) {
        bool work = s->handed > s->committed;
        if (!work && s->stop)
            break;
        if (!work && !wait_idle(s))
            continue;
        (void)pthread_mutex_unlock(&s->mutex);
        alive = (!work || store_writer_commit(s)) && upkeep(s, !work);
        (void)pthread_mutex_lock(&s->mutex);
    }
    s->dead = !alive;
    (void)pthread_cond_signal(&s->to_reader);
    (void)pthread_mutex_unlock(&s->mutex);
    return NULL;
}
