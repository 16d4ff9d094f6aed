/* store_reads: reads results from the store's file. Shell.
 *
 * Rows that do not match their checksum are left out and counted. */
#ifndef HOPMQ_STORE_READS_H
#define HOPMQ_STORE_READS_H

#include "broker/store/batch.h"

#include <sqlite3.h>

enum reads_sql {
    READS_BEGIN,
    READS_COMMIT,
    READS_ID,
    READS_PARTS,
    READS_AFTER,
    READS_STREAM_ID,
    READS_STREAM,
    READS_OLDEST,
    READS_SEQ,
    READS_STATEMENTS,
};

/* For one thread. */
struct store_reads {
    sqlite3 *db;
    sqlite3_stmt *sql[READS_STATEMENTS];
    int64_t damaged; /* rows left out so far */
};

/* Takes the connection over, also when it fails. Functions here return SQLite's result code. */
int store_reads_init(struct store_reads *reads, sqlite3 *db);
void store_reads_free(struct store_reads *reads);

/* Appends the results that were asked for to the empty batch `rows`, and sets ticket, more and
 * first_seq of the answer. */
int store_reads_answer(struct store_reads *reads, const struct record_read *read,
    struct batch *rows, struct record_answer *answer);

/* Appends the results of the parts of the fanout `id`. */
int store_reads_parts(struct store_reads *reads, const char *id, struct batch *rows);

#endif
