#include "broker/store/store_full.h"
#include "broker/store/store_schema.h"
#include "broker/store/store_state.h"

#include "common/logfmt.h"
#include "common/mem.h"
#include "common/order.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

int64_t store_now_us(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- opening ------------------------------------------------------------------------------ */

/* If the mark in the lock file is ahead of the store's file, the store has lost commits. Logs how
 * much, and sets *mark so that seq and number continue after the lost ones. True if something was
 * lost. */
static bool compare_with_mark(struct store *s, struct store_mark *mark) {
    const struct store_mark said = store_lock_mark(&s->lock);
    *mark = s->file.mark;
    if (said.batch <= mark->batch)
        return false;
    log_event(LOG_LEVEL_ERROR, "store-lost",
        "store=%s batches=%" PRId64 " results=%" PRId64 " traces=%" PRId64
        " why=\"the file is older than its lock file says: a copy was put back, or the disk lost "
        "what was written; clients see a new origin, and seq continues after %" PRId64 "\"",
        s->path, said.batch - mark->batch, said.seq > mark->seq ? said.seq - mark->seq : 0,
        said.number > mark->number ? said.number - mark->number : 0, said.seq);
    mark->batch = said.batch;
    mark->seq = order_max(said.seq, mark->seq);
    mark->number = order_max(said.number, mark->number);
    return true;
}

static int read_start(struct store *s) {
    sqlite3_stmt *q;
    int code = sqlite3_prepare_v2(s->file.db,
        "SELECT (SELECT max(epoch) FROM starts), (SELECT origin FROM meta)", -1, &q, NULL);
    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(q);
    s->start.epoch = sqlite3_column_int64(q, 0) + 1;
    s->start.origin = sqlite3_column_int64(q, 1);
    (void)sqlite3_finalize(q);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

/* Records this start in the file. */
static int write_start(struct store *s, const struct store_mark *mark) {
    char sql[512];
    (void)snprintf(sql, sizeof sql,
        "BEGIN IMMEDIATE;"
        "INSERT INTO starts VALUES(%" PRId64 ", %" PRId64 ", '" HOPMQ_VERSION "');"
        "INSERT OR REPLACE INTO meta VALUES(1, %" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64 ");"
        "COMMIT",
        s->start.epoch, s->start.origin, mark->batch, mark->seq, mark->number, s->start.origin);
    int code = sqlite3_exec(s->file.db, sql, NULL, NULL, NULL);
    if (code != SQLITE_OK)
        (void)sqlite3_exec(s->file.db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

static int store_begin(struct store *s) {
    struct store_mark mark;
    bool lost = compare_with_mark(s, &mark);
    int code = read_start(s);
    if (code != SQLITE_OK)
        return code;
    if (s->start.epoch < s->opened_wall_us)
        s->start.epoch = s->opened_wall_us;
    if (s->start.origin == 0 || lost)
        s->start.origin = s->start.epoch;
    s->start.seq = mark.seq;
    s->start.number = mark.number;
    s->file.mark = mark;
    return write_start(s, &mark);
}

static void close_file(struct store *s) {
    store_reads_free(&s->reads);
    store_file_free(&s->file);
}

/* After a failure close_file() frees what was opened. */
static int open_file(struct store *s, char *error) {
    sqlite3 *db;
    int code = store_schema_connect(s->path, &db, error, STORE_ERROR_BYTES);
    if (code != SQLITE_OK)
        return code;
    s->file.db = db;
    code = store_schema_migrate(db, s->path, error, STORE_ERROR_BYTES);
    if (code != SQLITE_OK)
        return code;
    code = store_file_init(&s->file, db);
    if (code == SQLITE_OK)
        code = store_begin(s);
    if (code != SQLITE_OK) {
        store_schema_explain(s->path, db, code, error, STORE_ERROR_BYTES);
        return code;
    }
    code = store_schema_connect(s->path, &db, error, STORE_ERROR_BYTES);
    if (code != SQLITE_OK)
        return code;
    code = store_reads_init(&s->reads, db);
    if (code != SQLITE_OK)
        store_schema_explain(s->path, db, code, error, STORE_ERROR_BYTES);
    return code;
}

/* A broker can start on a full disk: it gives its reserve up. Which errno a write failed with is
 * not known any more when the connection is closed, so that each failed write counts as a full
 * disk. */
static bool open_all(struct store *s, char *error) {
    if (!store_lock_take(&s->lock, s->path, error, STORE_ERROR_BYTES))
        return false;
    store_disk_init(&s->disk, s->path);
    int code = open_file(s, error);
    if (store_full_is(code, ENOSPC) && store_disk_release(&s->disk)) {
        close_file(s);
        code = open_file(s, error);
    }
    if (code == SQLITE_OK)
        (void)store_disk_reserve(&s->disk);
    return code == SQLITE_OK;
}

static void init_threads(struct store *s) {
    pthread_condattr_t monotonic;
    (void)pthread_mutex_init(&s->mutex, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->to_writer, &monotonic);
    (void)pthread_cond_init(&s->to_reader, NULL);
    (void)pthread_condattr_destroy(&monotonic);
}

struct store *store_open(
    const struct store_config *config, int64_t wall_us, char error[STORE_ERROR_BYTES]) {
    struct store *s = mem_new(1, sizeof *s);
    s->config = *config;
    s->opened_wall_us = wall_us;
    s->opened_us = store_now_us();
    s->said_committed = true;
    s->lock.fd = -1;
    STAILQ_INIT(&s->news);
    STAILQ_INIT(&s->questions);
    init_threads(s);
    s->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->event_fd < 0) {
        (void)snprintf(error, STORE_ERROR_BYTES,
            "the store: no file descriptor is left; raise the limit (ulimit -n, LimitNOFILE=)");
        store_close(&s);
        return NULL;
    }
    if (config->path == NULL) {
        s->memory = store_memory_new(config->keep_results > 0 ? config->keep_results : 1);
        s->start = (struct store_start){.epoch = wall_us, .origin = wall_us};
        return s;
    }
    /* The lock file is named after the path, so that a symbolic link must lead to the same name. */
    s->path = realpath(config->path, NULL);
    if (s->path == NULL)
        s->path = mem_copy(config->path, strlen(config->path) + 1);
    if (!open_all(s, error))
        store_close(&s);
    return s;
}

struct store_start store_start(const struct store *store) {
    return store->start;
}

/* The threads block all signals: those are handled by the main thread. */
void store_start_threads(struct store *s) {
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&s->writer, NULL, store_writer_run, s) != 0 ||
        pthread_create(&s->reader, NULL, store_reader_run, s) != 0)
        abort(); /* as mem.h does when memory is used up */
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    s->running = true;
}

/* ---- batches ------------------------------------------------------------------------------ */

void store_trace(struct store *s, const struct record_trace *trace) {
    batch_add_trace(&s->open, trace);
}

void store_run(struct store *s, const struct record_run *run) { batch_add_run(&s->open, run); }

void store_result(struct store *s, const struct record_result *result) {
    batch_add_result(&s->open, result);
}

static bool is_busy(struct store *s) {
    (void)pthread_mutex_lock(&s->mutex);
    bool busy = s->handed > s->committed;
    (void)pthread_mutex_unlock(&s->mutex);
    return busy;
}

/* Moves the open batch into memory, where it counts as committed at once. */
static void keep_in_memory(struct store *s) {
    struct batch_record record;
    for (size_t at = 0; batch_next(&s->open, &at, &record);)
        if (record.kind == BATCH_RESULT)
            store_memory_add(s->memory, &record.result);
    s->counters.commits++;
    s->counters.records += (int64_t)s->open.count;
    batch_clear(&s->open);
    s->committed = ++s->handed;
}

void store_flush(struct store *s) {
    if (s->open.count == 0)
        return;
    if (s->memory != NULL) {
        keep_in_memory(s);
        return;
    }
    if (is_busy(s))
        return;
    (void)pthread_mutex_lock(&s->mutex);
    struct batch empty = s->given;
    s->given = s->open;
    s->open = empty;
    s->handed++;
    (void)pthread_cond_signal(&s->to_writer);
    (void)pthread_mutex_unlock(&s->mutex);
}

uint64_t store_batch(const struct store *s) { return s->handed + (s->open.count > 0); }

uint64_t store_committed(const struct store *store) {
    struct store *s = (struct store *)store;
    (void)pthread_mutex_lock(&s->mutex);
    uint64_t committed = s->committed;
    (void)pthread_mutex_unlock(&s->mutex);
    return committed;
}

size_t store_pending_bytes(const struct store *store) {
    struct store *s = (struct store *)store;
    (void)pthread_mutex_lock(&s->mutex);
    size_t bytes = s->open.size + s->given.size;
    (void)pthread_mutex_unlock(&s->mutex);
    return bytes;
}

/* ---- questions ---------------------------------------------------------------------------- */

void store_read(struct store *s, const struct record_read *read) {
    if (s->memory != NULL) {
        struct store_news *news = mem_new(1, sizeof *news);
        if (s->open.count > 0)
            keep_in_memory(s);
        news->kind = STORE_ANSWER;
        store_memory_read(s->memory, read, &news->rows, &news->answer);
        s->counters.reads++;
        store_tell(s, news);
        return;
    }
    struct store_question *question = store_question_new(read, store_batch(s));
    (void)pthread_mutex_lock(&s->mutex);
    STAILQ_INSERT_TAIL(&s->questions, question, link);
    (void)pthread_cond_signal(&s->to_reader);
    (void)pthread_mutex_unlock(&s->mutex);
}

/* ---- events ------------------------------------------------------------------------------- */

void store_ring(struct store *s) {
    const uint64_t one = 1;
    (void)!write(s->event_fd, &one, sizeof one);
}

void store_tell(struct store *s, struct store_news *news) {
    (void)pthread_mutex_lock(&s->mutex);
    STAILQ_INSERT_TAIL(&s->news, news, link);
    store_ring(s);
    (void)pthread_mutex_unlock(&s->mutex);
}

void store_say(
    struct store *s, int kind, enum log_level level, const char *event, const char *format, ...) {
    struct store_news *news = mem_new(1, sizeof *news);
    va_list args;
    news->kind = kind;
    news->level = level;
    news->event = event;
    va_start(args, format);
    (void)logfmt_vprint(news->why, sizeof news->why, format, args);
    va_end(args);
    store_tell(s, news);
}

int store_fd(const struct store *store) { return store->event_fd; }

static void news_free(struct store *s) {
    if (s->taken != NULL)
        batch_free(&s->taken->rows);
    free(s->taken);
    free(s->taken_rows);
    s->taken = NULL;
    s->taken_rows = NULL;
}

/* A commit is reported before other events, because an answer may depend on it. */
static struct store_news *take_news(struct store *s, bool *committed) {
    uint64_t rings;
    (void)pthread_mutex_lock(&s->mutex);
    *committed = !s->said_committed;
    s->said_committed = true;
    struct store_news *news = *committed ? NULL : STAILQ_FIRST(&s->news);
    if (news != NULL)
        STAILQ_REMOVE_HEAD(&s->news, link);
    else if (!*committed)
        (void)!read(s->event_fd, &rings, sizeof rings);
    (void)pthread_mutex_unlock(&s->mutex);
    return news;
}

static const struct record_result *answer_rows(struct store *s, const struct batch *rows) {
    struct batch_record record;
    size_t row = 0;
    s->taken_rows = mem_new(rows->count, sizeof *s->taken_rows);
    for (size_t at = 0; batch_next(rows, &at, &record);)
        s->taken_rows[row++] = record.result;
    return s->taken_rows;
}

bool store_next(struct store *s, struct store_event *event) {
    bool committed;
    do {
        news_free(s);
        s->taken = take_news(s, &committed);
        if (s->taken != NULL && s->taken->event != NULL)
            log_pairs(s->taken->level, s->taken->event, s->taken->why);
    } while (s->taken != NULL && s->taken->kind == STORE_SAY);
    if (s->taken == NULL) {
        event->kind = STORE_COMMITTED;
        return committed;
    }
    event->kind = s->taken->kind;
    (void)snprintf(event->why, sizeof event->why, "%s", s->taken->why);
    event->answer = s->taken->answer;
    event->answer.count = s->taken->rows.count;
    event->answer.rows = answer_rows(s, &s->taken->rows);
    return true;
}

void store_counters(struct store *s, struct store_counters *counters) {
    (void)pthread_mutex_lock(&s->mutex);
    *counters = s->counters;
    (void)pthread_mutex_unlock(&s->mutex);
    if (s->memory != NULL)
        counters->results = store_memory_count(s->memory);
}

/* ---- closing ------------------------------------------------------------------------------ */

static void stop_threads(struct store *s) {
    (void)pthread_mutex_lock(&s->mutex);
    s->stop = true;
    (void)pthread_cond_signal(&s->to_writer);
    (void)pthread_cond_signal(&s->to_reader);
    (void)pthread_mutex_unlock(&s->mutex);
    (void)pthread_join(s->writer, NULL);
    (void)pthread_join(s->reader, NULL);
    if (!s->dead && s->open.count > 0) {
        store_flush(s);
        s->dead = !store_writer_commit(s);
    }
}

void store_close(struct store **store) {
    struct store *s = *store;
    struct store_event event;
    if (s == NULL)
        return;
    if (s->running)
        stop_threads(s);
    while (store_next(s, &event))
        continue;
    /* After an orderly end the WAL is written back, and one file is left. */
    if (s->running && !s->dead)
        (void)sqlite3_db_config(s->file.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    close_file(s);
    store_disk_free(&s->disk);
    store_lock_free(&s->lock);
    while (!STAILQ_EMPTY(&s->questions)) {
        struct store_question *q = STAILQ_FIRST(&s->questions);
        STAILQ_REMOVE_HEAD(&s->questions, link);
        store_question_free(q);
    }
    store_memory_destroy(&s->memory);
    batch_free(&s->open);
    batch_free(&s->given);
    if (s->event_fd >= 0)
        (void)close(s->event_fd);
    (void)pthread_cond_destroy(&s->to_writer);
    (void)pthread_cond_destroy(&s->to_reader);
    (void)pthread_mutex_destroy(&s->mutex);
    free(s->path);
    free(s);
    *store = NULL;
}
