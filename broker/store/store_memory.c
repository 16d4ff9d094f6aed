#include "broker/store/store_memory.h"

#include "common/mem.h"
#include "common/order.h"
#include "common/tree_append.h"

#include <bsd/sys/tree.h>
#include <stdlib.h>
#include <string.h>

/* A result, in one block of memory with what it points to; the name of its stream is the stream's.
 */
struct kept {
    struct record_result result;
    struct memory_stream *stream;
    RB_ENTRY(kept) by_id, by_seq, by_stream;
    char bytes[];
};

RB_HEAD(stream_results, kept);

/* A stream exists while it has results. */
struct memory_stream {
    RB_ENTRY(memory_stream) by_name;
    struct stream_results kept;
    struct kept *last; /* in `kept` */
    char name[];
};

static int compare_id(const struct kept *a, const struct kept *b) {
    return strcmp(a->result.id, b->result.id);
}

static int compare_seq(const struct kept *a, const struct kept *b) {
    return order_compare(a->result.seq, b->result.seq);
}

static int compare_name(const struct memory_stream *a, const struct memory_stream *b) {
    return strcmp(a->name, b->name);
}

RB_HEAD(memory_ids, kept);
RB_HEAD(memory_seqs, kept);
RB_HEAD(memory_streams, memory_stream);
RB_PROTOTYPE(memory_ids, kept, by_id, compare_id)
RB_PROTOTYPE(memory_seqs, kept, by_seq, compare_seq)
RB_PROTOTYPE(stream_results, kept, by_stream, compare_seq)
RB_PROTOTYPE(memory_streams, memory_stream, by_name, compare_name)
RB_GENERATE(memory_ids, kept, by_id, compare_id)
RB_GENERATE(memory_seqs, kept, by_seq, compare_seq)
RB_GENERATE(stream_results, kept, by_stream, compare_seq)
RB_GENERATE(memory_streams, memory_stream, by_name, compare_name)
ORDER_FIND_TEXT(memory_streams, memory_stream, by_name, name)
TREE_APPEND_GENERATE(memory_seqs, kept, by_seq, compare_seq)
TREE_APPEND_GENERATE(stream_results, kept, by_stream, compare_seq)

struct store_memory {
    int64_t keep, count;
    struct memory_ids ids;
    struct memory_seqs seqs;
    struct kept *last; /* in `seqs` */
    struct memory_streams streams;
};

struct store_memory *store_memory_new(int64_t keep) {
    struct store_memory *memory = mem_new(1, sizeof *memory);
    memory->keep = keep;
    return memory;
}

static void memory_forget(struct store_memory *memory, struct kept *kept) {
    struct memory_stream *stream = kept->stream;
    (void)RB_REMOVE(memory_ids, &memory->ids, kept);
    memory_seqs_remove(&memory->seqs, &memory->last, kept);
    stream_results_remove(&stream->kept, &stream->last, kept);
    if (RB_EMPTY(&stream->kept)) {
        (void)RB_REMOVE(memory_streams, &memory->streams, stream);
        free(stream);
    }
    free(kept);
    memory->count--;
}

void store_memory_destroy(struct store_memory **memory) {
    if (*memory == NULL)
        return;
    while (!RB_EMPTY(&(*memory)->seqs))
        memory_forget(*memory, RB_MIN(memory_seqs, &(*memory)->seqs));
    free(*memory);
    *memory = NULL;
}

static struct memory_stream *get_stream(struct store_memory *memory, const char *name) {
    struct memory_stream *stream = memory_streams_find(&memory->streams, name);
    if (stream != NULL)
        return stream;
    size_t size = strlen(name) + 1;
    stream = mem_new(1, sizeof *stream + size);
    memcpy(stream->name, name, size);
    (void)RB_INSERT(memory_streams, &memory->streams, stream);
    return stream;
}

static struct kept *copy(const struct record_result *r, struct memory_stream *stream) {
    size_t id = strlen(r->id) + 1;
    struct kept *kept = mem_grow(NULL, 1, sizeof *kept + id + r->trace_size + r->result_size);
    char *at = kept->bytes;
    kept->stream = stream;
    kept->result = *r;
    kept->result.stream = stream->name;
    kept->result.id = memcpy(at, r->id, id);
    kept->result.trace = memcpy(at += id, r->trace, r->trace_size);
    kept->result.result = memcpy(at + r->trace_size, r->result, r->result_size);
    return kept;
}

void store_memory_add(struct store_memory *memory, const struct record_result *result) {
    struct memory_stream *stream = get_stream(memory, result->stream);
    struct kept *kept = copy(result, stream), *same;
    (void)stream_results_insert(&stream->kept, &stream->last, kept);
    (void)memory_seqs_insert(&memory->seqs, &memory->last, kept);
    while ((same = RB_INSERT(memory_ids, &memory->ids, kept)) != NULL)
        memory_forget(memory, same);
    if (++memory->count > memory->keep)
        memory_forget(memory, RB_MIN(memory_seqs, &memory->seqs));
}

int64_t store_memory_count(const struct store_memory *memory) { return memory->count; }

static void read_ids(
    struct store_memory *memory, const struct record_read *read, struct batch *rows) {
    for (size_t i = 0; i < read->id_count; i++) {
        struct kept key = {.result = {.id = read->ids[i]}};
        const struct kept *kept = RB_FIND(memory_ids, &memory->ids, &key);
        if (kept != NULL)
            batch_add_row(rows, &kept->result, read->max_bytes);
    }
}

static struct kept *first_after(struct store_memory *memory, const struct record_read *read) {
    struct kept key = {.result = {.seq = read->after + 1}};
    if (read->stream == NULL)
        return RB_NFIND(memory_seqs, &memory->seqs, &key);
    struct memory_stream *stream = memory_streams_find(&memory->streams, read->stream);
    return stream != NULL ? RB_NFIND(stream_results, &stream->kept, &key) : NULL;
}

static struct kept *next_kept(const struct record_read *read, struct kept *kept) {
    return read->stream == NULL ? RB_NEXT(memory_seqs, , kept) : RB_NEXT(stream_results, , kept);
}

static void read_after(struct store_memory *memory, const struct record_read *read,
    struct batch *rows, struct record_answer *answer) {
    struct kept *oldest = RB_MIN(memory_seqs, &memory->seqs);
    struct kept *kept = read->after < INT64_MAX ? first_after(memory, read) : NULL;
    answer->first_seq = oldest != NULL ? oldest->result.seq : 1;
    for (; kept != NULL; kept = next_kept(read, kept)) {
        answer->more = (int64_t)rows->count == read->limit ||
                       !batch_has_room(rows, &kept->result, read->max_bytes);
        if (answer->more)
            return;
        batch_add_result(rows, &kept->result);
    }
}

void store_memory_read(struct store_memory *memory, const struct record_read *read,
    struct batch *rows, struct record_answer *answer) {
    *answer = (struct record_answer){.ticket = read->ticket};
    if (read->query == RECORD_IDS)
        read_ids(memory, read, rows);
    else
        read_after(memory, read, rows, answer);
}
