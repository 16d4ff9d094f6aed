/* store: where traces and results are kept: an SQLite file, or memory. Shell.
 *
 * Records go into an open batch. store_flush() hands the batch to the store's thread, which commits
 * it with one sync. Messages that tell of these records may leave the process only after that, so
 * that a crash loses nothing that anybody has seen. docs/store.md describes the file.
 */
#ifndef HOPMQ_STORE_H
#define HOPMQ_STORE_H

#include "broker/core/records.h"
#include "common/histogram.h"

#define STORE_ERROR_BYTES 512

/* When records of this size wait for their commit, the broker accepts no more traces. */
#define STORE_MAX_PENDING_BYTES ((size_t)32 * 1024 * 1024)

struct store;

struct store_config {
    const char *path;     /* NULL: in memory */
    int64_t keep_us;      /* age at which results are deleted from the file */
    int64_t keep_results; /* number of results above which the oldest are deleted */
};

/* What the last process on the same store left; seq and number are 0 in a new store. */
struct store_start {
    int64_t epoch;  /* of this start, microseconds since 1970; greater than at any start before */
    int64_t origin; /* the epoch in which seq began to count */
    int64_t seq, number; /* of the last result and of the last trace */
};

/* Opens the file, creates it if it is missing, and brings it to this version. NULL with one line in
 * `error` that names the file, the cause and what to do: another broker has it open, it is newer
 * than this program, it is damaged, or this user may not write it. */
struct store *store_open(
    const struct store_config *config, int64_t wall_us, char error[STORE_ERROR_BYTES]);

struct store_start store_start(const struct store *store);

/* Receives what the last process left: first the streams, then the traces without a result by their
 * number, then the results of parts of those traces that are fanouts. */
struct store_loader {
    void *context;
    void (*stream)(void *context, const char *name, int64_t seq);
    void (*trace)(void *context, const struct record_trace *trace);
    void (*member)(void *context, const struct record_result *result);
};

bool store_load(
    struct store *store, const struct store_loader *loader, char error[STORE_ERROR_BYTES]);

/* These add a record to the open batch. */
void store_trace(struct store *store, const struct record_trace *trace);
void store_run(struct store *store, const struct record_run *run);
void store_result(struct store *store, const struct record_result *result);

/* Asks for results. STORE_ANSWER comes after all records added before have been committed. */
void store_read(struct store *store, const struct record_read *read);

/* The number of the batch that must be committed before a message about the records so far may
 * leave: the open batch if it has records, else the last one that was handed over. Batches count
 * from 1; 0 means that there was none. */
uint64_t store_batch(const struct store *store);

/* The number of the last batch that is committed. */
uint64_t store_committed(const struct store *store);

/* Hands the open batch to the store's thread if that is free. Call it before waiting for events. */
void store_flush(struct store *store);

enum store_event_kind {
    STORE_COMMITTED, /* store_committed() has grown */
    STORE_ANSWER,
    STORE_FULL, /* the disk is full: accept no traces; see store_full.h */
    STORE_ROOM, /* the disk has room again: traces can be accepted */
    STORE_DEAD, /* a write or sync failed: the process must end now; `why` has the cause */
};

struct store_event {
    int kind; /* enum store_event_kind */
    struct record_answer answer;
    char why[STORE_ERROR_BYTES]; /* logfmt pairs, as they were logged */
};

/* A descriptor that is readable when there are events. */
int store_fd(const struct store *store);

/* Takes the next event; false if there is none. What it points to is valid until the next call. */
bool store_next(struct store *store, struct store_event *event);

/* Bytes of the records that are not committed yet. */
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

/* Commits the open batch, ends the threads and closes the file. */
void store_close(struct store **store);

#endif
