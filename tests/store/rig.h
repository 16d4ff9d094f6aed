/* rig: a store under test, and a workload whose state after each batch is known. */
#ifndef TEST_STORE_RIG_H
#define TEST_STORE_RIG_H

#include "broker/store/store.h"

#define RIG_BATCHES 12
#define RIG_KEEP 8 /* results */
#define RIG_TEXT_BYTES 16384
#define RIG_WALL_US INT64_C(1700000000000000)

/* Unfinished traces and results as the store gave them back, one in a line. */
struct rig_state {
    size_t size;
    char text[RIG_TEXT_BYTES];
};

struct rig {
    struct store *store;
    struct store_start start;
    struct rig_state loaded;
    char error[STORE_ERROR_BYTES]; /* why it could not be opened, or why it died */
    bool dead, full;
};

/* Opens the store and loads what it holds; false with the cause in `error`. */
bool rig_open(struct rig *rig, const char *path, int64_t keep_us, int64_t keep_results);

void rig_close(struct rig *rig);

/* Adds records of the traces `from` to `to`; the seq of a result is the number of its trace. */
void rig_accept(struct rig *rig, int64_t from, int64_t to);
void rig_start(struct rig *rig, int64_t from, int64_t to);
void rig_finish(struct rig *rig, int64_t from, int64_t to);

/* Adds a result of the trace `number` with this seq. */
void rig_finish_as(struct rig *rig, int64_t number, int64_t seq);

/* Flushes and waits for the commit; false if the store is dead. */
bool rig_commit(struct rig *rig);

/* Asks and waits for the answer, whose rows are valid until the next call. False if none came. */
bool rig_ask(struct rig *rig, const struct record_read *read, struct record_answer *answer);

/* Handles what has happened, or what happens first within `ms` milliseconds. */
void rig_wait(struct rig *rig, int ms);

/* Adds the records of one batch of the workload; 1 is the first. */
void rig_work(struct rig *rig, int batch);

/* The state after batches 1 to `batches` of the workload. */
void rig_expect(struct rig_state *state, int batches);

/* Appends the results that the store holds to what was loaded. */
bool rig_read_all(struct rig *rig);

#endif
