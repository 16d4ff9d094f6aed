/* store_file: what the writer does to the store's file: it commits batches, deletes old results and
 * writes the WAL back. Shell.
 *
 * For one thread. Functions that return a code return SQLite's result code. After a failure the
 * file is as it was before the call. */
#ifndef HOPMQ_STORE_FILE_H
#define HOPMQ_STORE_FILE_H

#include "broker/store/batch.h"
#include "broker/store/columns.h"
#include "broker/store/store_lock.h"
#include "broker/store/upkeep.h"

#include <sqlite3.h>

enum store_sql {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_META,
    SQL_TRACE,
    SQL_RUN,
    SQL_END,
    SQL_RESULT,
    SQL_DELETE_ID,
    SQL_STREAM,
    SQL_STREAM_NEW,
    SQL_STREAM_SEQ,
    SQL_OLDEST,
    SQL_DELETE_OLD,
    SQL_STATEMENTS,
};

struct store_file {
    sqlite3 *db;
    sqlite3_stmt *sql[SQL_STATEMENTS];
    msgpack_sbuffer json;
    struct store_mark mark; /* of the last commit */
    int64_t results;        /* in the file */
    int64_t wal_pages;      /* pages in the WAL; 0 if all are in the file proper */
    int64_t page_bytes;
    /* The stream of the last result. Its seq is written when another stream follows. */
    struct {
        char name[65];
        int64_t id, seq;
    } stream;
};

/* What a commit did beside keeping the batch. */
struct store_commit {
    int64_t deleted;  /* old results */
    int64_t replaced; /* results whose id another result had, which was deleted */
};

/* Takes the connection over, also when it fails: store_file_free() closes it. */
int store_file_init(struct store_file *file, sqlite3 *db);
void store_file_free(struct store_file *file);

/* Commits the records of the batch, and deletes at most `limit` old results. Sets *done if it
 * succeeds. */
int store_file_commit(struct store_file *file, const struct batch *batch,
    const struct upkeep_retention *retention, int64_t limit, struct store_commit *done);

/* Writes the WAL back into the file proper, except for pages that somebody's older state needs. */
int store_file_checkpoint(struct store_file *file);

/* The errno of the last write that failed, by where it went: a commit writes into the WAL, a
 * checkpoint into the file proper. sqlite3_system_errno() does not have it after a failed COMMIT
 * (SQLite 3.40.1). */
enum store_part { STORE_PART_WAL, STORE_PART_FILE };

int store_file_write_errno(const struct store_file *file, enum store_part part);

#endif
