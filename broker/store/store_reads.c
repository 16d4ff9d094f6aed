#include "broker/store/store_reads.h"

#include "broker/store/store_schema.h"
#include "broker/store/store_sum.h"
#include "common/order.h"

#include <string.h>

#define ROWS                                                                                       \
    "SELECT finished.seq, finished.id, name, stream_seq, number, counted_us, sum, trace, result"   \
    " FROM finished JOIN streams ON streams.id = finished.stream WHERE "

static const char *const statements[READS_STATEMENTS] = {
    [READS_BEGIN] = "BEGIN",
    [READS_COMMIT] = "COMMIT",
    [READS_ID] = ROWS "finished.id = ?1",
    /* Ids that begin with "ID/": '0' is the character after '/'. */
    [READS_PARTS] = ROWS "finished.id > ?1 || '/' AND finished.id < ?1 || '0'",
    [READS_AFTER] = ROWS "finished.seq > ?1 ORDER BY finished.seq",
    [READS_STREAM_ID] = "SELECT id FROM streams WHERE name = ?1",
    [READS_STREAM] = ROWS "finished.seq / " STORE_PIECE_TEXT " = ?3 AND finished.stream = ?2"
                          " AND finished.seq > ?1 ORDER BY finished.seq",
    [READS_OLDEST] = "SELECT min(seq) FROM finished HAVING min(seq) IS NOT NULL",
    [READS_SEQ] = "SELECT seq FROM meta",
};

static const char *text(sqlite3_stmt *s, int column) {
    const unsigned char *got = sqlite3_column_text(s, column);
    return got != NULL ? (const char *)got : "";
}

/* Reads the current row of the statement; false if it is damaged. It is valid until the next
 * step. */
static bool get_row(struct store_reads *r, sqlite3_stmt *s, struct record_result *row) {
    row->seq = sqlite3_column_int64(s, 0);
    row->id = text(s, 1);
    row->stream = text(s, 2);
    row->stream_seq = sqlite3_column_int64(s, 3);
    row->number = sqlite3_column_int64(s, 4);
    row->finished_us = sqlite3_column_int64(s, 5);
    row->trace = sqlite3_column_blob(s, 7);
    row->trace_size = (size_t)sqlite3_column_bytes(s, 7);
    row->result = sqlite3_column_blob(s, 8);
    row->result_size = (size_t)sqlite3_column_bytes(s, 8);
    if (row->trace != NULL && row->result != NULL &&
        sqlite3_column_int64(s, 6) == store_sum_result(row))
        return true;
    r->damaged++;
    return false;
}

/* True if there is a row; at the end of the rows *code is SQLITE_DONE. */
static bool reads_step(sqlite3_stmt *s, int *code) {
    *code = sqlite3_step(s);
    return *code == SQLITE_ROW;
}

/* Resets the statement after a loop that ended with `code`, and returns what its caller returns. */
static int done(sqlite3_stmt *s, int code) {
    (void)sqlite3_reset(s);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int read_ids(struct store_reads *r, const struct record_read *read, struct batch *rows) {
    sqlite3_stmt *s = r->sql[READS_ID];
    struct record_result row;
    int code = SQLITE_OK;
    for (size_t i = 0; i < read->id_count && code == SQLITE_OK; i++) {
        (void)sqlite3_bind_text(s, 1, read->ids[i], -1, SQLITE_STATIC);
        if (reads_step(s, &code) && get_row(r, s, &row))
            batch_add_row(rows, &row, read->max_bytes);
        code = done(s, code);
    }
    return code;
}

static int read_number(struct store_reads *r, enum reads_sql which, int64_t *value) {
    sqlite3_stmt *s = r->sql[which];
    int code;
    bool is = reads_step(s, &code);
    if (is)
        *value = sqlite3_column_int64(s, 0);
    return done(s, code);
}

static int read_first_seq(struct store_reads *r, int64_t *seq) {
    int code = read_number(r, READS_SEQ, seq);
    (*seq)++;
    return code == SQLITE_OK ? read_number(r, READS_OLDEST, seq) : code;
}

/* The pieces of STORE_PIECE results in which a stream is looked for. */
struct pieces {
    int64_t next, last;
};

/* Like reads_step(), for a statement that is run once for each piece. */
static bool step_pieces(sqlite3_stmt *s, struct pieces *pieces, int *code) {
    while (!reads_step(s, code)) {
        if (*code != SQLITE_DONE || pieces->next > pieces->last)
            return false;
        (void)sqlite3_reset(s);
        (void)sqlite3_bind_int64(s, 3, pieces->next++);
    }
    return true;
}

static int look_for_stream(struct store_reads *r, const struct record_read *read, int64_t first_seq,
    struct pieces *pieces) {
    int64_t stream = 0, seq = 0;
    (void)sqlite3_bind_text(r->sql[READS_STREAM_ID], 1, read->stream, -1, SQLITE_STATIC);
    int code = read_number(r, READS_STREAM_ID, &stream);
    if (code == SQLITE_OK)
        code = read_number(r, READS_SEQ, &seq);
    pieces->next = order_max(read->after, first_seq) / STORE_PIECE;
    pieces->last = stream > 0 ? seq / STORE_PIECE : -1;
    (void)sqlite3_bind_int64(r->sql[READS_STREAM], 2, stream);
    (void)sqlite3_bind_int64(r->sql[READS_STREAM], 3, -1);
    return code;
}

/* Reads rows up to the first damaged one. The next query begins with that row: it skips it and
 * reports it as lost by a first_seq after it. */
static int read_after(struct store_reads *r, const struct record_read *read, struct batch *rows,
    struct record_answer *answer) {
    sqlite3_stmt *s = r->sql[read->stream == NULL ? READS_AFTER : READS_STREAM];
    struct pieces pieces = {0, -1};
    struct record_result row;
    int64_t damaged_seq = 0;
    int code = read_first_seq(r, &answer->first_seq);
    if (code == SQLITE_OK && read->stream != NULL)
        code = look_for_stream(r, read, answer->first_seq, &pieces);
    if (code != SQLITE_OK)
        return code;
    (void)sqlite3_bind_int64(s, 1, read->after);
    while (step_pieces(s, &pieces, &code)) {
        bool good = get_row(r, s, &row);
        if (!good && rows->count == 0) {
            damaged_seq = row.seq;
            continue;
        }
        answer->more = !good || (int64_t)rows->count == read->limit ||
                       !batch_has_room(rows, &row, read->max_bytes);
        if (answer->more)
            break;
        batch_add_result(rows, &row);
    }
    if (answer->first_seq <= damaged_seq)
        answer->first_seq = damaged_seq + 1;
    return done(s, code);
}

int store_reads_answer(struct store_reads *r, const struct record_read *read, struct batch *rows,
    struct record_answer *answer) {
    int64_t nothing;
    *answer = (struct record_answer){.ticket = read->ticket};
    int code = read_number(r, READS_BEGIN, &nothing);
    if (code == SQLITE_OK)
        code =
            read->query == RECORD_IDS ? read_ids(r, read, rows) : read_after(r, read, rows, answer);
    if (sqlite3_get_autocommit(r->db) == 0)
        (void)read_number(r, READS_COMMIT, &nothing);
    return code;
}

int store_reads_parts(struct store_reads *r, const char *id, struct batch *rows) {
    sqlite3_stmt *s = r->sql[READS_PARTS];
    struct record_result row;
    int code;
    (void)sqlite3_bind_text(s, 1, id, -1, SQLITE_STATIC);
    while (reads_step(s, &code))
        if (get_row(r, s, &row))
            batch_add_result(rows, &row);
    return done(s, code);
}

int store_reads_init(struct store_reads *r, sqlite3 *db) {
    int code = SQLITE_OK;
    *r = (struct store_reads){.db = db};
    for (int i = 0; i < READS_STATEMENTS && code == SQLITE_OK; i++)
        code =
            sqlite3_prepare_v3(db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &r->sql[i], NULL);
    return code;
}

void store_reads_free(struct store_reads *r) {
    for (int i = 0; i < READS_STATEMENTS; i++)
        (void)sqlite3_finalize(r->sql[i]);
    (void)sqlite3_close(r->db);
    *r = (struct store_reads){.db = NULL};
}
