/* store_schema: opens connections to a store's file, and brings the file to this version. Shell. */
#ifndef HOPMQ_STORE_SCHEMA_H
#define HOPMQ_STORE_SCHEMA_H

#include <sqlite3.h>
#include <stddef.h>

/* The index of streams has a piece for each STORE_PIECE results in a row. It is small enough that
 * the batches of a while write into the same pages, and large enough that the reader looks into few
 * pieces. The number is part of the file: with another one, existing files lack a usable index and
 * every query about a stream scans all results. Whoever changes it must add a step that builds the
 * index again. */
#define STORE_PIECE 16384
#define STORE_PIECE_TEXT "16384"

/* Opens a connection for one thread. Closing it does not write the WAL back: after a failed sync
 * nothing may be synced again, because that could report success. Returns SQLite's result code; if
 * it is not SQLITE_OK, *db is NULL and error has one line. */
int store_schema_connect(const char *path, sqlite3 **db, char *error, size_t error_bytes);

/* Brings the file from its version to this program's, each step in a transaction. Returns SQLite's
 * result code; if it is not SQLITE_OK, error has one line: the file is newer, it is not a store,
 * and so on. */
int store_schema_migrate(sqlite3 *db, const char *path, char *error, size_t error_bytes);

/* Writes one line: the path, what is wrong according to SQLite, and what to do. */
void store_schema_explain(const char *path, sqlite3 *db, int code, char *error, size_t error_bytes);

#endif
