#include "broker/store/store_schema.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* "hopm": marks the file as a store of hopmq; see PRAGMA application_id. */
#define APPLICATION_ID 0x686f706d
#define BUSY_MS 2000

/* These settings are the connection's; only journal_mode and page_size are the file's.
 * synchronous=FULL: a commit is on the disk when it returns. secure_delete, which Debian turns on,
 * would overwrite each deleted row with zeros. The page cache has 4 MiB. */
static const char setup[] = "PRAGMA page_size=8192;"
                            "PRAGMA journal_mode=WAL;"
                            "PRAGMA synchronous=FULL;"
                            "PRAGMA temp_store=MEMORY;"
                            "PRAGMA secure_delete=OFF;"
                            "PRAGMA cache_size=-4096;"
                            "PRAGMA wal_autocheckpoint=0;"
                            "PRAGMA journal_size_limit=67108864;";

/* A column of microseconds as readable time. */
#define TIME(column) "strftime('%Y-%m-%dT%H:%M:%fZ', " column " / 1e6, 'unixepoch')"

/* Each step brings the file from one version to the next. The file's user_version is the number of
 * steps it has seen. A step is never changed; new ones are added at the end. */
static const char *const steps[] = {
    /* 1: the tables. Columns that are read without the rest come before the long ones. */
    "CREATE TABLE meta(one INTEGER PRIMARY KEY CHECK(one = 1), batch INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, number INTEGER NOT NULL, origin INTEGER NOT NULL);"
    "CREATE TABLE starts(epoch INTEGER PRIMARY KEY, origin INTEGER NOT NULL, program TEXT);"
    "CREATE TABLE streams(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " seq INTEGER NOT NULL);"
    "CREATE TABLE unfinished(number INTEGER PRIMARY KEY, id TEXT NOT NULL, client TEXT NOT NULL,"
    " accepted_us INTEGER NOT NULL, target TEXT, stream TEXT, sum INTEGER NOT NULL,"
    " lease INTEGER NOT NULL, worker TEXT NOT NULL, run INTEGER NOT NULL,"
    " returns INTEGER NOT NULL, cancelling INTEGER NOT NULL, run_sum INTEGER NOT NULL,"
    " trace BLOB NOT NULL);"
    "CREATE TABLE finished(seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
    " stream INTEGER NOT NULL REFERENCES streams(id), stream_seq INTEGER NOT NULL,"
    " number INTEGER NOT NULL, counted_us INTEGER NOT NULL, sum INTEGER NOT NULL,"
    " target TEXT, dst TEXT, src TEXT, protocol TEXT, worker TEXT, run INTEGER, stop TEXT,"
    " error TEXT, accepted_us INTEGER, started_us INTEGER, finished_us INTEGER,"
    " probes_sent INTEGER, hops TEXT NOT NULL, trace BLOB NOT NULL, result BLOB NOT NULL);"
    "CREATE INDEX finished_stream ON finished(stream);"
    "CREATE TABLE damaged(found_us INTEGER NOT NULL, what TEXT NOT NULL, number INTEGER,"
    " id, trace, result);",
    /* 2: the views for people; docs/store.md promises their names. */
    /* clang-format off */
    "CREATE VIEW traces AS"
    " SELECT number, id, CASE worker WHEN '' THEN 'queued' ELSE 'running' END AS state, target,"
    " stream, client, NULLIF(worker, '') AS worker, run, " TIME("accepted_us") " AS accepted,"
    " accepted_us, NULL AS seq, NULL AS stop"
    " FROM unfinished UNION ALL"
    " SELECT number, finished.id, 'done', target, streams.name, NULL, worker, run,"
    " " TIME("accepted_us") ", accepted_us, finished.seq, stop"
    " FROM finished JOIN streams ON streams.id = finished.stream;"

    "CREATE VIEW results AS"
    " SELECT finished.seq, finished.id, streams.name AS stream, stream_seq, target, dst, src,"
    " protocol, worker, run, stop, error, " TIME("started_us") " AS started,"
    " " TIME("finished_us") " AS finished,"
    " json_extract(hops, '$[#-1][0]') - json_extract(hops, '$[0][0]') + 1 AS hops,"
    " probes_sent, accepted_us, started_us, finished_us"
    " FROM finished JOIN streams ON streams.id = finished.stream;"

    "CREATE VIEW hops AS"
    " SELECT finished.seq, finished.id, target, json_extract(probe.value, '$[0]') AS ttl,"
    " json_extract(probe.value, '$[1]') AS attempt, json_extract(probe.value, '$[2]') AS addr,"
    " json_extract(probe.value, '$[3]') AS rtt_us, json_extract(probe.value, '$[4]') AS sent_us,"
    " json_extract(probe.value, '$[5]') AS verdict"
    " FROM finished, json_each(finished.hops) AS probe;",
    /* clang-format on */
    /* 3: the index of a stream's results has a piece for each 16384 (STORE_PIECE) results. New
     * results are in the last piece and deleted ones in the first, however many streams there
     * are. */
    ("DROP INDEX finished_stream;"
     "CREATE INDEX finished_stream ON finished(seq / 16384, stream);"),
};

#define VERSION ((int)(sizeof steps / sizeof steps[0]))

void store_schema_explain(
    const char *path, sqlite3 *db, int code, char *error, size_t error_bytes) {
    const char *said = db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(code);
    const char *advice = "";
    switch (code & 0xff) {
    case SQLITE_NOTADB:
        said = "is not a store of hopmq";
        advice = ": give --store another path";
        break;
    case SQLITE_CORRUPT:
        said = "is damaged";
        advice =
            ": move it away and start with a new one, or restore a copy; docs/store.md says how "
            "to recover what can be read";
        break;
    case SQLITE_FULL:
        said = "the disk is full";
        advice = ": delete something from it";
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        said = "another program has locked it";
        advice = ": end that program";
        break;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        advice = ": this user must be allowed to write the file and its directory";
        break;
    default:
        break;
    }
    (void)snprintf(error, error_bytes, "%s: %s%s", path, said, advice);
}

int store_schema_connect(const char *path, sqlite3 **db, char *error, size_t error_bytes) {
    *db = NULL;
    const int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int code = sqlite3_open_v2(path, db, flags, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_busy_timeout(*db, BUSY_MS);
    if (code == SQLITE_OK)
        code = sqlite3_db_config(*db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(*db, setup, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        return code;
    store_schema_explain(path, *db, code, error, error_bytes);
    (void)sqlite3_close(*db);
    *db = NULL;
    return code;
}

static int read_number(sqlite3 *db, const char *sql, int *value) {
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *value = sqlite3_column_int(statement, 0);
    (void)sqlite3_finalize(statement);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

static int migrate_step(sqlite3 *db, int version) {
    char pragmas[96];
    (void)snprintf(pragmas, sizeof pragmas,
        "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT", APPLICATION_ID, version + 1);
    int code = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(db, steps[version], NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(db, pragmas, NULL, NULL, NULL);
    return code;
}

int store_schema_migrate(sqlite3 *db, const char *path, char *error, size_t error_bytes) {
    int version = 0, application = 0, tables = 0;
    int code = read_number(db, "PRAGMA user_version", &version);
    if (code == SQLITE_OK)
        code = read_number(db, "PRAGMA application_id", &application);
    if (code == SQLITE_OK)
        code = read_number(db, "SELECT count(*) FROM sqlite_schema", &tables);
    if (code == SQLITE_OK && application != APPLICATION_ID && (application != 0 || tables > 0))
        code = SQLITE_NOTADB;
    if (code == SQLITE_OK && version > VERSION) {
        (void)snprintf(error, error_bytes,
            "%s: has version %d, but this program knows versions up to %d only: run a newer "
            "hopmq-broker, or give --store another path",
            path, version, VERSION);
        return SQLITE_MISMATCH;
    }
    for (; code == SQLITE_OK && version < VERSION; version++)
        code = migrate_step(db, version);
    if (code != SQLITE_OK)
        store_schema_explain(path, db, code, error, error_bytes);
    return code;
}
