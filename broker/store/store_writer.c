/* The store's writer: the thread that commits batches. Between batches and while there are none it
 * does upkeep, as upkeep.h says when; what it does about a full disk is in store_full.c. */
#include "broker/store/store_full.h"
#include "broker/store/store_schema.h"
#include "broker/store/store_state.h"

#include "common/order.h"

#include <inttypes.h>
#include <sys/stat.h>
#include <time.h>

static void nap(struct store *s, int64_t us) {
    int64_t until_us = store_now_us() + us;
    const struct timespec until = {until_us / 1000000, until_us % 1000000 * 1000};
    (void)pthread_cond_timedwait(&s->to_writer, &s->mutex, &until);
}

static void die(struct store *s, int code) {
    char why[STORE_ERROR_BYTES];
    store_schema_explain(s->path, s->file.db, code, why, sizeof why);
    store_say(s, STORE_DEAD, LOG_LEVEL_ERROR, "store-dead", "code=%d why=\"%s\"", code, why);
}

static bool is_busy(int code) {
    return (code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED;
}

static bool is_full(const struct store *s, int code, enum store_part part) {
    return store_full_is(code, store_file_write_errno(&s->file, part));
}

/* After a commit failed: true if it is to be tried again, which it is again when the store is
 * being closed.
 * SQLite has already waited for another program before it says "busy". */
static bool recover(struct store *s, int code) {
    bool full = is_full(s, code, STORE_PART_WAL);
    if (full && store_full_write_failed(s))
        return true;
    if (is_busy(code)) {
        store_say(s, STORE_SAY, LOG_LEVEL_WARN, "store-busy",
            "store=%s why=\"another program writes to it\"", s->path);
    } else if (!full) {
        die(s, code);
        return false;
    }
    (void)pthread_mutex_lock(&s->mutex);
    bool stop = s->stop;
    if (!stop && full)
        nap(s, UPKEEP_LOOK_US);
    (void)pthread_mutex_unlock(&s->mutex);
    return !stop;
}

static int64_t wall_us(const struct store *s) {
    return s->opened_wall_us + store_now_us() - s->opened_us;
}

static int64_t wal_bytes(const struct store *s) { return s->file.wal_pages * s->file.page_bytes; }

static void count(struct store *s, int64_t records, int64_t started_us, int64_t deleted) {
    struct store_counters *c = &s->counters;
    int64_t took_us = store_now_us() - started_us;
    c->deleted += deleted;
    c->results = s->file.results;
    c->wal_bytes = wal_bytes(s);
    if (records == 0)
        return;
    c->commits++;
    c->records += records;
    histogram_add(&c->commit_times, took_us);
    c->batch_max_records = order_max(c->batch_max_records, records);
    c->commit_max_us = order_max(c->commit_max_us, took_us);
}

/* Commits a batch and deletes up to `limit` old results with it; tries again until it succeeds, the
 * store is closed or it dies. */
static bool commit(struct store *s, const struct batch *batch, int64_t limit, int64_t *deleted) {
    const struct upkeep_retention keep =
        upkeep_retention(s->config.keep_us, s->config.keep_results, batch->count == 0, wall_us(s));
    int64_t started_us = store_now_us();
    struct store_commit done;
    int code;
    while ((code = store_file_commit(&s->file, batch, &keep, limit, &done)) != SQLITE_OK)
        if (!recover(s, code))
            return false;
    if (batch->count > 0)
        store_lock_set_mark(&s->lock, &s->file.mark);
    if (done.replaced > 0)
        store_say(s, STORE_SAY, LOG_LEVEL_ERROR, "store-replaced",
            "store=%s results=%" PRId64 " why=\"there was another result of the same id\"", s->path,
            done.replaced);
    (void)pthread_mutex_lock(&s->mutex);
    count(s, (int64_t)batch->count, started_us, done.deleted);
    (void)pthread_mutex_unlock(&s->mutex);
    *deleted = done.deleted;
    return true;
}

bool store_writer_commit(struct store *s) {
    int64_t deleted;
    if (!commit(s, &s->given, upkeep_delete_with_batch((int64_t)s->given.results), &deleted))
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
    int64_t bytes = wal_bytes(s);
    int code = store_file_checkpoint(&s->file);
    if (upkeep_checkpointed(&s->upkeep, bytes, wal_bytes(s), store_now_us()))
        store_say(s, STORE_SAY, LOG_LEVEL_WARN, "store-wal",
            "store=%s wal_bytes=%" PRId64 " why=\"another program reads an old state of it\"",
            s->path, bytes);
    (void)pthread_mutex_lock(&s->mutex);
    s->counters.checkpoints++;
    s->counters.wal_bytes = wal_bytes(s);
    (void)pthread_mutex_unlock(&s->mutex);
    if (code == SQLITE_OK || is_busy(code))
        return true;
    if (is_full(s, code, STORE_PART_FILE)) {
        (void)store_full_write_failed(s);
        return true;
    }
    die(s, code);
    return false;
}

/* Whether the file is still where it was opened, how large it is, and whether its disk has room.
 * False if the store is dead. */
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
    store_full_look(s);
    return true;
}

static bool upkeep(struct store *s, bool idle) {
    static const struct batch nothing = {.bytes = NULL};
    struct upkeep *u = &s->upkeep;
    int64_t deleted;
    if (upkeep_wants_checkpoint(u, idle, wal_bytes(s)) && !checkpoint(s))
        return false;
    bool looked = upkeep_look(u, store_now_us());
    if (looked && !look(s))
        return false;
    if (!upkeep_wants_delete(u, idle, looked))
        return true;
    if (!commit(s, &nothing, UPKEEP_DELETE_IDLE, &deleted))
        return false;
    upkeep_deleted(u, deleted);
    return true;
}

/* Waits for a batch, under the mutex; true if none came and it is time for upkeep. */
static bool wait_idle(struct store *s) {
    int64_t began_us = store_now_us(), patience_us = upkeep_wait_us(&s->upkeep, wal_bytes(s));
    if (patience_us > 0)
        nap(s, patience_us);
    return s->handed == s->committed && !s->stop && store_now_us() - began_us >= patience_us;
}

void *store_writer_run(void *store) {
    struct store *s = store;
    bool alive = true;
    upkeep_init(&s->upkeep, store_now_us());
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
