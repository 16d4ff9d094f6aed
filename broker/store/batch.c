#include "broker/store/batch.h"

#include "common/mem.h"

#include <stdlib.h>
#include <string.h>

#define KEEP_BYTES ((size_t)1024 * 1024)

/* Stands before the bytes of a record. The pointers in `record` are those of the caller who added
 * it; batch_next() sets them. */
struct entry {
    size_t size;     /* of the entry and the bytes behind it */
    size_t run_at;   /* of a trace: where its last run is; 0 if none was added */
    bool with_trace; /* of a run: it is read with the record of its trace */
    struct batch_record record;
};

static size_t text_size(const char *text) { return strlen(text) + 1; }

static char *put_bytes(char *at, const void *bytes, size_t size) {
    if (size > 0)
        memcpy(at, bytes, size);
    return at + size;
}

/* Adds an entry with room for `bytes` bytes behind it; returns where the caller puts them. */
static char *batch_add_entry(struct batch *b, const struct batch_record *record, size_t bytes) {
    struct entry entry = {.record = *record};
    entry.size = sizeof entry + bytes;
    if (b->room - b->size < entry.size) {
        b->room = b->room * 2 > b->size + entry.size ? b->room * 2 : b->size + entry.size;
        b->bytes = mem_grow(b->bytes, b->room, 1);
    }
    char *at = put_bytes(b->bytes + b->size, &entry, sizeof entry);
    b->size += entry.size;
    b->count++;
    return at;
}

static struct entry entry_at(const struct batch *b, size_t at) {
    struct entry entry;
    memcpy(&entry, b->bytes + at, sizeof entry);
    return entry;
}

void batch_add_trace(struct batch *batch, const struct record_trace *trace) {
    if (batch->trace_count == batch->trace_room) {
        batch->trace_room = batch->trace_room * 2 + 64;
        batch->traces = mem_grow(batch->traces, batch->trace_room, sizeof *batch->traces);
    }
    batch->traces[batch->trace_count++] = batch->size;
    const struct batch_record record = {.kind = BATCH_TRACE, .trace = *trace};
    size_t id = text_size(trace->id), submitter = text_size(trace->submitter);
    size_t worker = text_size(trace->run.worker);
    char *at = batch_add_entry(batch, &record, id + submitter + worker + trace->trace_size);
    at = put_bytes(at, trace->id, id);
    at = put_bytes(at, trace->submitter, submitter);
    at = put_bytes(at, trace->run.worker, worker);
    (void)put_bytes(at, trace->trace, trace->trace_size);
}

/* Makes the run at `run_at` part of its trace's record if the batch has that. */
static void join_trace(struct batch *b, int64_t number, size_t run_at) {
    if (b->trace_count == 0)
        return;
    int64_t nth = number - entry_at(b, b->traces[0]).record.trace.number;
    if (nth < 0 || nth >= (int64_t)b->trace_count)
        return;
    struct entry trace = entry_at(b, b->traces[nth]), run = entry_at(b, run_at);
    if (trace.record.trace.number != number)
        return;
    trace.run_at = run_at;
    run.with_trace = true;
    memcpy(b->bytes + b->traces[nth], &trace, sizeof trace);
    memcpy(b->bytes + run_at, &run, sizeof run);
}

void batch_add_run(struct batch *batch, const struct record_run *run) {
    const struct batch_record record = {.kind = BATCH_RUN, .run = *run};
    size_t worker = text_size(run->worker), at = batch->size;
    (void)put_bytes(batch_add_entry(batch, &record, worker), run->worker, worker);
    join_trace(batch, run->number, at);
}

void batch_add_result(struct batch *batch, const struct record_result *result) {
    const struct batch_record record = {.kind = BATCH_RESULT, .result = *result};
    size_t id = text_size(result->id), stream = text_size(result->stream);
    size_t bytes = result->result != NULL ? result->result_size : 0;
    char *at = batch_add_entry(batch, &record, id + stream + result->trace_size + bytes);
    at = put_bytes(at, result->id, id);
    at = put_bytes(at, result->stream, stream);
    at = put_bytes(at, result->trace, result->trace_size);
    (void)put_bytes(at, result->result, bytes);
    batch->results++;
    batch->result_bytes += bytes;
}

bool batch_has_room(const struct batch *rows, const struct record_result *row, size_t max_bytes) {
    return rows->result_bytes == 0 ||
           (rows->result_bytes <= max_bytes && row->result_size <= max_bytes - rows->result_bytes);
}

void batch_add_row(struct batch *rows, const struct record_result *row, size_t max_bytes) {
    struct record_result bare = *row;
    if (!batch_has_room(rows, row, max_bytes))
        bare.result = NULL;
    batch_add_result(rows, &bare);
}

static const char *take_text(const char **at) {
    const char *text = *at;
    *at += text_size(text);
    return text;
}

static struct record_run run_at(const struct batch *batch, size_t at) {
    struct record_run run = entry_at(batch, at).record.run;
    run.worker = batch->bytes + at + sizeof(struct entry);
    return run;
}

bool batch_next(const struct batch *batch, size_t *at, struct batch_record *record) {
    struct entry entry;
    const char *bytes;
    do {
        if (*at >= batch->size)
            return false;
        entry = entry_at(batch, *at);
        bytes = batch->bytes + *at + sizeof entry;
        *at += entry.size;
    } while (entry.with_trace);
    *record = entry.record;
    switch (record->kind) {
    case BATCH_TRACE:
        record->trace.id = take_text(&bytes);
        record->trace.submitter = take_text(&bytes);
        record->trace.run.worker = take_text(&bytes);
        record->trace.trace = bytes;
        if (entry.run_at > 0)
            record->trace.run = run_at(batch, entry.run_at);
        break;
    case BATCH_RUN:
        record->run.worker = take_text(&bytes);
        break;
    default:
        record->result.id = take_text(&bytes);
        record->result.stream = take_text(&bytes);
        record->result.trace = bytes;
        if (record->result.result != NULL)
            record->result.result = bytes + record->result.trace_size;
        break;
    }
    return true;
}

void batch_clear(struct batch *batch) {
    if (batch->room > KEEP_BYTES)
        batch_free(batch);
    batch->size = batch->count = batch->results = batch->result_bytes = batch->trace_count = 0;
}

void batch_free(struct batch *batch) {
    free(batch->bytes);
    free(batch->traces);
    *batch = (struct batch){.bytes = NULL};
}
