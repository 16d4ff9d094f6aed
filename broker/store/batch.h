/* batch: records one behind the other in one block of memory, so that another thread can be given
 * many of them at once. Pure. */
#ifndef HOPMQ_BATCH_H
#define HOPMQ_BATCH_H

#include "broker/core/records.h"

enum batch_kind { BATCH_TRACE, BATCH_RUN, BATCH_RESULT };

struct batch_record {
    int kind; /* enum batch_kind: which member of the union is set */
    union {
        struct record_trace trace;
        struct record_run run;
        struct record_result result;
    };
};

struct batch {
    char *bytes;
    size_t size, room;
    size_t count;        /* records, results among them */
    size_t results;      /* records that are results */
    size_t result_bytes; /* their result_size in sum; 0 for those without their bytes */
    size_t *traces;      /* where the record of each trace begins */
    size_t trace_count, trace_room;
};

/* These copy the record with all that it points to. Each trace that is added must have the number
 * after that of the one before. If the trace of a run is in this batch, the run is merged into the
 * trace's record. */
void batch_add_trace(struct batch *batch, const struct record_trace *trace);
void batch_add_run(struct batch *batch, const struct record_run *run);
void batch_add_result(struct batch *batch, const struct record_result *result);

/* For a batch of rows that answer a query: true if this row fits too, because it is the first one
 * or because all results together have at most max_bytes. */
bool batch_has_room(const struct batch *rows, const struct record_result *row, size_t max_bytes);

/* Adds a row, without its result if that does not fit. */
void batch_add_row(struct batch *rows, const struct record_result *row, size_t max_bytes);

/* Reads the record at *at and moves *at to the next one; 0 is the first. The record points into the
 * batch. False at the end. */
bool batch_next(const struct batch *batch, size_t *at, struct batch_record *record);

/* Empties the batch. Its memory is kept for the next records if it has at most 1 MiB. */
void batch_clear(struct batch *batch);

void batch_free(struct batch *batch);

#endif
