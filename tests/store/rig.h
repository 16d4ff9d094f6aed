/* rig: a store under test, with a workload whose state after each batch is known. */
#ifndef TEST_STORE_RIG_H
#define TEST_STORE_RIG_H

#include "broker/store/store.h"

#define RIG_BATCHES 12
#define RIG_KEEP 8 /* results */
#define RIG_TEXT_BYTES 16384
#define RIG_WALL_US INT64_C(1700000000000000)

/* The unfinished traces and the results, one a line, as the store gave them back. */
struct rig_state {
    size_t size;
    char text[RIG_TEXT_BYTES];
};

struct rig {
    struct store *store;
    struct store_start start;
    struct rig_state loaded;
    char error[STORE_ERROR_BYTES]; /* of opening, or of a store that died */
    bool dead, full;
};

/* Opens and loads; false with the reason in error. */
bool rig_open(struct rig *rig, const char *path, int64_t keep_us, int64_t keep_results);

void rig_close(struct rig *rig);

/* Records of number `from` to `to`, which are also their seq. */
void rig_accept(struct rig *rig, int64_t from, int64_t to);
void rig_start(struct rig *rig, int64_t from, int64_t to);
void rig_finish(struct rig *rig, int64_t from, int64_t to);

/* A result of the trace `number` under this seq. */
void rig_finish_as(struct rig *rig, int64_t number, int64_t seq);

/* Flushes, and waits until it is committed; false if the store is dead. */
bool rig_commit(struct rig *rig);

/* Waits for the answer; its rows live until the next call. False if there is none. */
bool rig_ask(struct rig *rig, const struct record_read *read, struct record_answer *answer);

/* Handles what has happened, or what happens first within `ms` milliseconds. */
void rig_wait(struct rig *rig, int ms);

/* Batch `batch` of the workload, from 1. */
void rig_work(struct rig *rig, int batch);

/* The state after batches 1 to `batches` of the workload. */
void rig_expect(struct rig_state *state, int batches);

/* Adds the results that are kept to what was loaded. */
bool rig_read_all(struct rig *rig);

#endif
