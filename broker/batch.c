#include "broker/batch.h"

#include "common/mem.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_BYTES ((size_t)1024 * 1024)

/* What stands before the bytes of a record; the pointers in it are those of who gave it. */
struct entry {
    size_t size; /* of the whole */
    struct batch_record record;
};

static size_t text_size(const char *text) { return strlen(text) + 1; }

static char *put(char *at, const void *bytes, size_t size) {
    if (size > 0)
        memcpy(at, bytes, size);
    return at + size;
}

/* Room for the entry and `bytes` behind it, where the caller puts them. */
static char *add(struct batch *b, const struct batch_record *record, size_t bytes) {
    struct entry entry = {.record = *record};
    const size_t align = alignof(struct entry) - 1;
    entry.size = (sizeof entry + bytes + align) & ~align;
    if (b->room - b->size < entry.size) {
        b->room = b->room * 2 > b->size + entry.size ? b->room * 2 : b->size + entry.size;
        b->bytes = mem_grow(b->bytes, b->room, 1);
    }
    char *at = put(b->bytes + b->size, &entry, sizeof entry);
    b->size += entry.size;
    b->count++;
    return at;
}

void batch_add_trace(struct batch *batch, const struct record_trace *trace) {
    const struct batch_record record = {.kind = BATCH_TRACE, .trace = *trace};
    size_t id = text_size(trace->id), client = text_size(trace->client);
    size_t worker = text_size(trace->run.worker);
    char *at = add(batch, &record, id + client + worker + trace->trace_size);
    at = put(at, trace->id, id);
    at = put(at, trace->client, client);
    at = put(at, trace->run.worker, worker);
    (void)put(at, trace->trace, trace->trace_size);
}

void batch_add_run(struct batch *batch, const struct record_run *run) {
    const struct batch_record record = {.kind = BATCH_RUN, .run = *run};
    size_t worker = text_size(run->worker);
    (void)put(add(batch, &record, worker), run->worker, worker);
}

void batch_add_result(struct batch *batch, const struct record_result *result) {
    const struct batch_record record = {.kind = BATCH_RESULT, .result = *result};
    size_t id = text_size(result->id), stream = text_size(result->stream);
    size_t bytes = result->result != NULL ? result->result_size : 0;
    char *at = add(batch, &record, id + stream + result->trace_size + bytes);
    at = put(at, result->id, id);
    at = put(at, result->stream, stream);
    at = put(at, result->trace, result->trace_size);
    (void)put(at, result->result, bytes);
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

bool batch_next(const struct batch *batch, size_t *at, struct batch_record *record) {
    struct entry entry;
    if (*at >= batch->size)
        return false;
    memcpy(&entry, batch->bytes + *at, sizeof entry);
    const char *bytes = batch->bytes + *at + sizeof entry;
    *at += entry.size;
    *record = entry.record;
    switch (record->kind) {
    case BATCH_TRACE:
        record->trace.id = take_text(&bytes);
        record->trace.client = take_text(&bytes);
        record->trace.run.worker = take_text(&bytes);
        record->trace.trace = bytes;
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
    batch->size = batch->count = batch->results = batch->result_bytes = 0;
}

void batch_free(struct batch *batch) {
    free(batch->bytes);
    *batch = (struct batch){.bytes = NULL};
}
