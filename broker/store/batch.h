/* batch: records one behind the other in one piece of memory, so that a thread can be given many
 * of them at once. Pure. */
#ifndef HOPMQ_BATCH_H
#define HOPMQ_BATCH_H

#include "broker/core/records.h"

enum batch_kind { BATCH_TRACE, BATCH_RUN, BATCH_RESULT };

struct batch_record {
    int kind; /* enum batch_kind, which of these it is */
    union {
        struct record_trace trace;
        struct record_run run;
        struct record_result result;
    };
};

struct batch {
    char *bytes;
    size_t size, room;
    size_t count, results; /* records, and those of them that are results */
    size_t result_bytes;   /* sum of result_size of the results that are in it */
    size_t *traces;        /* where each record of a trace begins */
    size_t trace_count, trace_room;
};

/* Copies of what the records point to. Numbers of traces grow by one; a run of a trace that is in
 * the batch is one record with it. */
void batch_add_trace(struct batch *batch, const struct record_trace *trace);
void batch_add_run(struct batch *batch, const struct record_run *run);
void batch_add_result(struct batch *batch, const struct record_result *result);

/* True if a batch of rows that answer a question takes this one too: it is the first one, or the
 * results stay within max_bytes. */
bool batch_has_room(const struct batch *rows, const struct record_result *row, size_t max_bytes);

/* Adds a row, without its result if there is no room. */
void batch_add_row(struct batch *rows, const struct record_result *row, size_t max_bytes);

/* The record at *at, 0 being the first; moves *at behind it. It points into the batch. */
bool batch_next(const struct batch *batch, size_t *at, struct batch_record *record);

/* Empties it; memory is kept for the next records unless it is much. */
void batch_clear(struct batch *batch);

void batch_free(struct batch *batch);

#endif
