/* Reads what the last process left, for the core to continue with. It runs in the main thread
 * before the other threads start. */
#include "broker/store/store_schema.h"
#include "broker/store/store_state.h"
#include "broker/store/store_sum.h"

#include "common/mem.h"
#include "common/protocol/wire.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_VALUES 10000 /* msgpack values in a trace */

/* The key of a trace that has parts. For a trace that has these bytes elsewhere, parts are looked
 * up and none are found. */
#define FANOUT                                                                                     \
    "\xa6"                                                                                         \
    "fanout"

struct load {
    struct store *store;
    const struct store_loader *loader;
    struct wire_doc doc;
    struct batch wholes; /* ids of traces that may be fanouts, each as the worker of a run */
    int64_t *damaged;    /* numbers */
    size_t damaged_count;
    int code;
};

static sqlite3_stmt *prepare(struct load *l, const char *sql) {
    sqlite3_stmt *s = NULL;
    if (l->code == SQLITE_OK)
        l->code = sqlite3_prepare_v2(l->store->file.db, sql, -1, &s, NULL);
    return s;
}

static bool load_step(struct load *l, sqlite3_stmt *s) {
    if (l->code != SQLITE_OK)
        return false;
    int code = sqlite3_step(s);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        l->code = code;
    return code == SQLITE_ROW;
}

static const char *text(sqlite3_stmt *s, int column) {
    const unsigned char *got = sqlite3_column_text(s, column);
    return got != NULL ? (const char *)got : "";
}

static void load_streams(struct load *l) {
    sqlite3_stmt *s = prepare(l, "SELECT name, seq FROM streams ORDER BY id");
    while (load_step(l, s))
        l->loader->stream(l->loader->context, text(s, 0), sqlite3_column_int64(s, 1));
    (void)sqlite3_finalize(s);
}

static bool is_good(struct load *l, const struct record_trace *t, int64_t sum, int64_t run_sum) {
    struct wire_error err;
    return t->trace != NULL && sum == store_sum_trace(t) && run_sum == store_sum_run(&t->run) &&
           wire_doc_read(&l->doc, t->trace, t->trace_size, MAX_VALUES, &err);
}

static void load_traces(struct load *l) {
    sqlite3_stmt *s =
        prepare(l, "SELECT number, id, client, accepted_us, lease, worker, run, returns,"
                   " cancelling, sum, run_sum, trace FROM unfinished ORDER BY number");
    while (load_step(l, s)) {
        const struct record_trace trace = {
            .number = sqlite3_column_int64(s, 0),
            .id = text(s, 1),
            .submitter = text(s, 2),
            .accepted_us = sqlite3_column_int64(s, 3),
            .trace = sqlite3_column_blob(s, 11),
            .trace_size = (size_t)sqlite3_column_bytes(s, 11),
            .run = {sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 4), text(s, 5),
                sqlite3_column_int64(s, 6), sqlite3_column_int64(s, 7),
                sqlite3_column_int(s, 8) != 0},
        };
        if (!is_good(l, &trace, sqlite3_column_int64(s, 9), sqlite3_column_int64(s, 10))) {
            l->damaged = mem_grow(l->damaged, l->damaged_count + 1, sizeof *l->damaged);
            l->damaged[l->damaged_count++] = trace.number;
            log_event(LOG_LEVEL_ERROR, "store-damaged",
                "store=%s number=%" PRId64 " id=%s why=\"the row does not match its checksum; the "
                "trace is not run, and its row is moved to the table damaged\"",
                l->store->path, trace.number, trace.id);
            continue;
        }
        if (memmem(trace.trace, trace.trace_size, FANOUT, sizeof FANOUT - 1) != NULL)
            batch_add_run(&l->wholes, &(struct record_run){.worker = trace.id});
        l->loader->trace(l->loader->context, &trace);
    }
    (void)sqlite3_finalize(s);
}

static void load_parts(struct load *l) {
    struct batch_record whole, part;
    struct batch rows = {.bytes = NULL};
    for (size_t at = 0; l->code == SQLITE_OK && batch_next(&l->wholes, &at, &whole);) {
        l->code = store_reads_parts(&l->store->reads, whole.run.worker, &rows);
        for (size_t row = 0; batch_next(&rows, &row, &part);)
            l->loader->member(l->loader->context, &part.result);
        batch_clear(&rows);
    }
    batch_free(&rows);
}

static int exec(struct store *s, const char *sql) {
    return sqlite3_exec(s->file.db, sql, NULL, NULL, NULL);
}

/* Moves damaged traces to a table of their own, where people can look at them and the next start
 * does not find them again. */
static void move_damaged(struct load *l) {
    if (l->code != SQLITE_OK || l->damaged_count == 0)
        return;
    l->code = exec(l->store, "BEGIN IMMEDIATE");
    sqlite3_stmt *copy = prepare(l, "INSERT INTO damaged SELECT ?2, 'unfinished', number, id,"
                                    " trace, NULL FROM unfinished WHERE number = ?1");
    sqlite3_stmt *drop = prepare(l, "DELETE FROM unfinished WHERE number = ?1");
    for (size_t i = 0; l->code == SQLITE_OK && i < l->damaged_count; i++) {
        (void)sqlite3_bind_int64(copy, 1, l->damaged[i]);
        (void)sqlite3_bind_int64(copy, 2, l->store->opened_wall_us);
        (void)sqlite3_bind_int64(drop, 1, l->damaged[i]);
        (void)load_step(l, copy);
        (void)load_step(l, drop);
        (void)sqlite3_reset(copy);
        (void)sqlite3_reset(drop);
    }
    (void)sqlite3_finalize(copy);
    (void)sqlite3_finalize(drop);
    if (l->code == SQLITE_OK)
        l->code = exec(l->store, "COMMIT");
    l->store->counters.damaged += (int64_t)l->damaged_count;
}

bool store_load(
    struct store *store, const struct store_loader *loader, char error[STORE_ERROR_BYTES]) {
    if (store->memory != NULL)
        return true;
    struct load load = {.store = store, .loader = loader};
    load.code = wire_doc_init(&load.doc) ? SQLITE_OK : SQLITE_NOMEM;
    load_streams(&load);
    load_traces(&load);
    load_parts(&load);
    move_damaged(&load);
    wire_doc_free(&load.doc);
    batch_free(&load.wholes);
    free(load.damaged);
    if (load.code != SQLITE_OK) {
        store_schema_explain(store->path, store->file.db, load.code, error, STORE_ERROR_BYTES);
        return false;
    }
    store_start_threads(store);
    return true;
}
