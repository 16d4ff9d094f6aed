/* store: where traces and results are kept: an SQLite file, or memory. Shell.
 *
 * Records go into an open batch. store_flush() hands it to the store's thread, which commits it
 * with one sync; what the core said because of these records may leave the process only after
 * that. So nobody has ever seen what a crash takes back. docs/store.md describes the file.
 */
#ifndef HOPMQ_STORE_H
#define HOPMQ_STORE_H

#include "broker/core/records.h"
#include "common/histogram.h"

#define STORE_ERROR_BYTES 512

/* The store takes so much that is not yet committed; past it the broker accepts no traces. */
#define STORE_MAX_PENDING_BYTES ((size_t)32 * 1024 * 1024)

struct store;

struct store_config {
    const char *path;     /* NULL: in memory */
    int64_t keep_us;      /* results are kept so long, */
    int64_t keep_results; /* and at most so many */
};

/* What the last process on the same store left; all 0 in a new one. */
struct store_start {
    int64_t epoch;  /* of this start: microseconds since 1970, more than that of any start before */
    int64_t origin; /* the epoch in which seq began to count */
    int64_t seq, number;
};

/* Opens or makes the file and migrates it. NULL with one line in `error` that names file, cause and
 * what to do: in use by another broker, newer than this program, damaged, no rights, ... */
struct store *store_open(
    const struct store_config *config, int64_t wall_us, char error[STORE_ERROR_BYTES]);

struct store_start store_start(const struct store *store);

/* What there is to go on with, each function called for each of them, in the order: streams,
 * traces by number, and the results of those parts of a fanout whose whole has none. */
struct store_loader {
    void *context;
    void (*stream)(void *context, const char *name, int64_t seq);
    void (*trace)(void *context, const struct record_trace *trace);
    void (*member)(void *context, const struct record_result *result);
};

bool store_load(
    struct store *store, const struct store_loader *loader, char error[STORE_ERROR_BYTES]);

/* Records for the open batch. */
void store_trace(struct store *store, const struct record_trace *trace);
void store_run(struct store *store, const struct record_run *run);
void store_result(struct store *store, const struct record_result *result);

/* Answered by an event, after all before it has been committed. */
void store_read(struct store *store, const struct record_read *read);

/* The batch that must be committed before what the core says now may leave: the open one if it
 * has records, else the last that was handed over. They count from 1; 0: none. */
uint64_t store_batch(const struct store *store);

/* The last batch that is committed. */
uint64_t store_committed(const struct store *store);

/* Hands the open batch over if the thread is free. Call it before waiting for events. */
void store_flush(struct store *store);

enum store_event_kind {
    STORE_COMMITTED, /* store_committed() has grown */
    STORE_ANSWER,
    STORE_FULL, /* no traces can be accepted: the disk is full; `why` tells */
    STORE_ROOM, /* they can again */
    STORE_DEAD, /* a write or sync failed: the process must end now; `why` tells */
};

struct store_event {
    int kind; /* enum store_event_kind */
    struct record_answer answer;
    char why[STORE_ERROR_BYTES]; /* pairs, as they were logged */
};

/* Readable when there are events. */
int store_fd(const struct store *store);

/* Takes the next event; what it points to lives until the next call. */
bool store_next(struct store *store, struct store_event *event);

/* Bytes of records that are not committed yet. */
size_t store_pending_bytes(const struct store *store);

/* X(name, help text): each is a member, and hopmq_store_NAME_total on the metrics page. */
#define STORE_COUNTERS(X)                                                                          \
    X(deleted, "Results deleted because of their age or number.")                                  \
    X(damaged, "Rows whose checksum did not match.")                                               \
    X(checkpoints, "Times that the write-ahead log was written back into the file.")

/* The same for hopmq_store_NAME, values that may fall. */
#define STORE_GAUGES(X)                                                                            \
    X(batch_max_records, "Records in the largest commit.")                                         \
    X(results, "Results in the store.")                                                            \
    X(file_bytes, "Size of the store's file.")                                                     \
    X(wal_bytes, "Size of what the write-ahead log holds and the file does not.")

struct store_counters {
    int64_t commits, records;      /* batches committed, and the records in them */
    struct histogram commit_times; /* one entry for each commit */
    int64_t commit_max_us;
    int64_t reads, read_us; /* queries answered, and the time that took in sum */
#define X(name, help) int64_t name;
    STORE_COUNTERS(X)
    STORE_GAUGES(X)
#undef X
};

void store_counters(struct store *store, struct store_counters *counters);

/* Commits what is open, ends the threads, closes the file. */
void store_close(struct store **store);

#endif
