#include "broker/store/store_file.h"

#include "broker/store/store_sum.h"
#include "common/order.h"

#include <stdio.h>
#include <string.h>

static const char *const statements[SQL_STATEMENTS] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_META] = "UPDATE meta SET batch = ?1, seq = ?2, number = ?3",
    [SQL_TRACE] = "INSERT INTO unfinished(number, id, client, accepted_us, target, stream, sum,"
                  " lease, worker, run, returns, cancelling, run_sum, trace)"
                  " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [SQL_RUN] = "UPDATE unfinished SET lease = ?8, worker = ?9, run = ?10, returns = ?11,"
                " cancelling = ?12, run_sum = ?13 WHERE number = ?1",
    [SQL_END] = "DELETE FROM unfinished WHERE number = ?1",
    [SQL_RESULT] =
        "INSERT INTO finished(seq, id, stream, stream_seq, number, counted_us, sum, target, dst,"
        " src, protocol, worker, run, stop, error, accepted_us, started_us, finished_us,"
        " probes_sent, hops, trace, result) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"
        " ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
    [SQL_DELETE_ID] = "DELETE FROM finished WHERE id = ?1",
    [SQL_STREAM] = "SELECT id FROM streams WHERE name = ?1",
    [SQL_STREAM_NEW] = "INSERT INTO streams(name, seq) VALUES(?1, 0) RETURNING id",
    [SQL_STREAM_SEQ] = "UPDATE streams SET seq = ?2 WHERE id = ?1",
    [SQL_OLDEST] = "SELECT seq, counted_us FROM finished ORDER BY seq LIMIT ?1",
    [SQL_DELETE_OLD] = "DELETE FROM finished WHERE seq <= ?1",
};

/* Runs a statement whose rows, if any, are not needed. */
static int run(struct store_file *f, enum store_sql which) {
    int code = sqlite3_step(f->sql[which]);
    (void)sqlite3_reset(f->sql[which]);
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

static void bind_text(sqlite3_stmt *s, int at, const char *text) {
    (void)sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
}

/* Binds NULL if the text is absent. */
static void bind_shown(sqlite3_stmt *s, int at, struct wire_string text) {
    if (text.at != NULL)
        (void)sqlite3_bind_text(s, at, text.at, (int)text.size, SQLITE_STATIC);
    else
        (void)sqlite3_bind_null(s, at);
}

/* Binds NULL if the number is negative, which means absent. */
static void bind_number(sqlite3_stmt *s, int at, int64_t value) {
    if (value >= 0)
        (void)sqlite3_bind_int64(s, at, value);
    else
        (void)sqlite3_bind_null(s, at);
}

static void bind_blob(sqlite3_stmt *s, int at, const void *bytes, size_t size) {
    (void)sqlite3_bind_blob64(s, at, size > 0 ? bytes : "", size, SQLITE_STATIC);
}

/* ---- records ------------------------------------------------------------------------------ */

static void bind_run(sqlite3_stmt *s, const struct record_run *run) {
    (void)sqlite3_bind_int64(s, 1, run->number);
    (void)sqlite3_bind_int64(s, 8, run->lease);
    bind_text(s, 9, run->worker);
    (void)sqlite3_bind_int64(s, 10, run->run);
    (void)sqlite3_bind_int64(s, 11, run->returns);
    (void)sqlite3_bind_int(s, 12, run->cancelling);
    (void)sqlite3_bind_int64(s, 13, store_sum_run(run));
}

static int keep_trace(struct store_file *f, const struct record_trace *trace) {
    sqlite3_stmt *s = f->sql[SQL_TRACE];
    struct record_run first = trace->run;
    struct columns o;
    first.number = trace->number;
    columns_read(&o, trace->trace, trace->trace_size);
    bind_run(s, &first);
    bind_text(s, 2, trace->id);
    bind_text(s, 3, trace->submitter);
    (void)sqlite3_bind_int64(s, 4, trace->accepted_us);
    bind_shown(s, 5, o.target);
    bind_shown(s, 6, o.stream);
    (void)sqlite3_bind_int64(s, 7, store_sum_trace(trace));
    bind_blob(s, 14, trace->trace, trace->trace_size);
    return run(f, SQL_TRACE);
}

static int keep_run(struct store_file *f, const struct record_run *record) {
    bind_run(f->sql[SQL_RUN], record);
    return run(f, SQL_RUN);
}

static int write_stream(struct store_file *f) {
    if (f->stream.id == 0)
        return SQLITE_OK;
    (void)sqlite3_bind_int64(f->sql[SQL_STREAM_SEQ], 1, f->stream.id);
    (void)sqlite3_bind_int64(f->sql[SQL_STREAM_SEQ], 2, f->stream.seq);
    return run(f, SQL_STREAM_SEQ);
}

static int stream_id(struct store_file *f, enum store_sql which, const char *name) {
    sqlite3_stmt *s = f->sql[which];
    bind_text(s, 1, name);
    int code = sqlite3_step(s);
    if (code == SQLITE_ROW)
        f->stream.id = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    return code;
}

static int use_stream(struct store_file *f, const char *name, int64_t seq) {
    if (f->stream.id == 0 || strcmp(f->stream.name, name) != 0) {
        int code = write_stream(f);
        if (code != SQLITE_OK)
            return code;
        (void)snprintf(f->stream.name, sizeof f->stream.name, "%s", name);
        f->stream.id = 0;
        code = stream_id(f, SQL_STREAM, name);
        if (code == SQLITE_DONE)
            code = stream_id(f, SQL_STREAM_NEW, name);
        if (code != SQLITE_ROW)
            return code;
    }
    f->stream.seq = seq;
    return SQLITE_OK;
}

static int insert_result(
    struct store_file *f, const struct record_result *result, struct store_commit *done) {
    int code = run(f, SQL_RESULT);
    if (code != SQLITE_CONSTRAINT_UNIQUE)
        return code;
    bind_text(f->sql[SQL_DELETE_ID], 1, result->id);
    code = run(f, SQL_DELETE_ID);
    if (code != SQLITE_OK)
        return code;
    done->replaced++;
    return run(f, SQL_RESULT);
}

static int keep_result(
    struct store_file *f, const struct record_result *result, struct store_commit *done) {
    sqlite3_stmt *s = f->sql[SQL_RESULT];
    struct columns o;
    int code = use_stream(f, result->stream, result->stream_seq);
    if (code != SQLITE_OK)
        return code;
    columns_read_result(&o, &f->json, result->result, result->result_size);
    (void)sqlite3_bind_int64(s, 1, result->seq);
    bind_text(s, 2, result->id);
    (void)sqlite3_bind_int64(s, 3, f->stream.id);
    (void)sqlite3_bind_int64(s, 4, result->stream_seq);
    (void)sqlite3_bind_int64(s, 5, result->number);
    (void)sqlite3_bind_int64(s, 6, result->finished_us);
    (void)sqlite3_bind_int64(s, 7, store_sum_result(result));
    const struct wire_string texts[] = {o.target, o.dst, o.src, o.protocol, o.worker};
    for (int i = 0; i < 5; i++)
        bind_shown(s, 8 + i, texts[i]);
    bind_number(s, 13, o.run);
    bind_shown(s, 14, o.stop);
    bind_shown(s, 15, o.error);
    bind_number(s, 16, o.accepted_us);
    bind_number(s, 17, o.started_us);
    bind_number(s, 18, o.finished_us);
    bind_number(s, 19, o.probes_sent);
    (void)sqlite3_bind_text(s, 20, f->json.data, (int)f->json.size, SQLITE_STATIC);
    bind_blob(s, 21, result->trace, result->trace_size);
    bind_blob(s, 22, result->result, result->result_size);
    code = insert_result(f, result, done);
    if (code != SQLITE_OK)
        return code;
    (void)sqlite3_bind_int64(f->sql[SQL_END], 1, result->number);
    return run(f, SQL_END);
}

/* ---- retention ---------------------------------------------------------------------------- */

/* Finds the seq up to which old results are to be deleted, and how many these are, when `added`
 * results come. The newest result always stays. */
static int find_old(struct store_file *f, const struct upkeep_retention *retention, int64_t added,
    int64_t limit, int64_t *seq, int64_t *count) {
    sqlite3_stmt *s = f->sql[SQL_OLDEST];
    int64_t most = order_min(added > 0 ? f->results : f->results - 1, limit);
    int64_t over = f->results + added - retention->keep;
    int code = SQLITE_DONE;
    over = over > retention->slack ? over : 0;
    *count = 0;
    (void)sqlite3_bind_int64(s, 1, most);
    while (most > 0 && (code = sqlite3_step(s)) == SQLITE_ROW) {
        if (*count >= over && sqlite3_column_int64(s, 1) >= retention->before_us)
            break;
        *seq = sqlite3_column_int64(s, 0);
        (*count)++;
    }
    (void)sqlite3_reset(s);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int delete_old(struct store_file *f, const struct upkeep_retention *retention, int64_t added,
    int64_t limit, int64_t *deleted) {
    int64_t seq = 0;
    int code = find_old(f, retention, added, limit, &seq, deleted);
    if (code != SQLITE_OK || *deleted == 0)
        return code;
    (void)sqlite3_bind_int64(f->sql[SQL_DELETE_OLD], 1, seq);
    return run(f, SQL_DELETE_OLD);
}

/* ---- batches ------------------------------------------------------------------------------ */

static int file_keep(struct store_file *f, const struct batch *batch, struct store_mark *mark,
    struct store_commit *done) {
    struct batch_record record;
    int code = SQLITE_OK;
    f->stream.id = 0;
    for (size_t at = 0; code == SQLITE_OK && batch_next(batch, &at, &record);) {
        switch (record.kind) {
        case BATCH_TRACE:
            if (record.trace.number > mark->number)
                mark->number = record.trace.number;
            code = keep_trace(f, &record.trace);
            break;
        case BATCH_RUN:
            code = keep_run(f, &record.run);
            break;
        default:
            mark->seq = record.result.seq;
            code = keep_result(f, &record.result, done);
            break;
        }
    }
    return code == SQLITE_OK ? write_stream(f) : code;
}

static int write_mark(struct store_file *f, const struct store_mark *mark) {
    sqlite3_stmt *s = f->sql[SQL_META];
    (void)sqlite3_bind_int64(s, 1, mark->batch);
    (void)sqlite3_bind_int64(s, 2, mark->seq);
    (void)sqlite3_bind_int64(s, 3, mark->number);
    return run(f, SQL_META);
}

int store_file_commit(struct store_file *f, const struct batch *batch,
    const struct upkeep_retention *retention, int64_t limit, struct store_commit *done) {
    struct store_mark mark = f->mark;
    int64_t added = (int64_t)batch->results;
    *done = (struct store_commit){0, 0};
    int code = run(f, SQL_BEGIN);
    if (code != SQLITE_OK)
        return code;
    /* Old results are deleted first, so that the new rows use their pages, which are then written
     * once. */
    code = delete_old(f, retention, added, limit, &done->deleted);
    if (code == SQLITE_OK)
        code = file_keep(f, batch, &mark, done);
    if (code == SQLITE_OK && batch->count > 0) {
        mark.batch++;
        code = write_mark(f, &mark);
    }
    if (code == SQLITE_OK)
        code = run(f, SQL_COMMIT);
    if (code != SQLITE_OK) {
        if (sqlite3_get_autocommit(f->db) == 0)
            (void)run(f, SQL_ROLLBACK);
        return code;
    }
    f->mark = mark;
    f->results += added - done->deleted - done->replaced;
    return SQLITE_OK;
}

int store_file_checkpoint(struct store_file *f) {
    int in_wal = 0, done = 0;
    int code = sqlite3_wal_checkpoint_v2(f->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_wal, &done);
    if (code == SQLITE_OK && in_wal == done)
        f->wal_pages = 0;
    return code;
}

int store_file_write_errno(const struct store_file *f, enum store_part part) {
    sqlite3_file *file = NULL;
    int error = 0;
    (void)sqlite3_file_control(f->db, "main",
        part == STORE_PART_WAL ? SQLITE_FCNTL_JOURNAL_POINTER : SQLITE_FCNTL_FILE_POINTER, &file);
    if (file != NULL && file->pMethods != NULL)
        (void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error);
    return error;
}

/* ---- life --------------------------------------------------------------------------------- */

static int committed(void *context, sqlite3 *db, const char *name, int pages) {
    struct store_file *f = context;
    (void)db;
    (void)name;
    f->wal_pages = pages;
    return SQLITE_OK;
}

static int64_t file_number(struct store_file *f, const char *sql, int *code) {
    sqlite3_stmt *s;
    int64_t value = 0;
    if (*code != SQLITE_OK || (*code = sqlite3_prepare_v2(f->db, sql, -1, &s, NULL)) != SQLITE_OK)
        return 0;
    *code = sqlite3_step(s);
    if (*code == SQLITE_ROW)
        value = sqlite3_column_int64(s, 0);
    if (*code == SQLITE_ROW || *code == SQLITE_DONE)
        *code = SQLITE_OK;
    (void)sqlite3_finalize(s);
    return value;
}

int store_file_init(struct store_file *f, sqlite3 *db) {
    int code = SQLITE_OK;
    *f = (struct store_file){.db = db};
    msgpack_sbuffer_init(&f->json);
    for (int i = 0; i < SQL_STATEMENTS && code == SQLITE_OK; i++)
        code =
            sqlite3_prepare_v3(db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &f->sql[i], NULL);
    f->mark.batch = file_number(f, "SELECT batch FROM meta", &code);
    f->mark.seq = file_number(f, "SELECT seq FROM meta", &code);
    f->mark.number = file_number(f, "SELECT number FROM meta", &code);
    f->results = file_number(f, "SELECT count(*) FROM finished", &code);
    f->page_bytes = file_number(f, "PRAGMA page_size", &code);
    (void)sqlite3_wal_hook(db, committed, f);
    return code;
}

void store_file_free(struct store_file *f) {
    for (int i = 0; i < SQL_STATEMENTS; i++)
        (void)sqlite3_finalize(f->sql[i]);
    (void)sqlite3_close(f->db);
    msgpack_sbuffer_destroy(&f->json);
    *f = (struct store_file){.db = NULL};
}
