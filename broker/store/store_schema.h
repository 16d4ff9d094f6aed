/* store_schema: opens connections to a store's file, and makes it what this version wants. Shell.
 */
#ifndef HOPMQ_STORE_SCHEMA_H
#define HOPMQ_STORE_SCHEMA_H

#include <sqlite3.h>
#include <stddef.h>

/* Results in a row whose streams are indexed together: few enough that each batch finds the same
 * pages, and enough that a stream is soon looked for in all pieces. It is part of the file: with
 * another number the index of files that are there does not serve, and each question about a stream
 * goes over all results. Who changes it adds a step that makes the index anew. */
#define STORE_PIECE 16384
#define STORE_PIECE_TEXT "16384"

/* A connection for one thread. Closing it leaves the WAL alone: after a failed sync nothing may be
 * synced again, as that would say that all is well. Returns SQLite's code; if that is not
 * SQLITE_OK, *db is NULL and error has one line. */
int store_schema_connect(const char *path, sqlite3 **db, char *error, size_t error_bytes);

/* Brings the file from the version that it is to this one's, each step in a transaction. Returns
 * SQLite's code; if that is not SQLITE_OK, error has one line: the file is newer, none of ours, ...
 */
int store_schema_migrate(sqlite3 *db, const char *path, char *error, size_t error_bytes);

/* What SQLite says is wrong, and what to do, as one line that begins with the path. */
void store_schema_explain(const char *path, sqlite3 *db, int code, char *error, size_t error_bytes);

#endif
