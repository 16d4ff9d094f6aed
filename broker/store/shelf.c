#include "broker/store/shelf.h"

#include "common/mem.h"
#include "common/tail.h"

#include <bsd/sys/tree.h>
#include <stdlib.h>
#include <string.h>

/* One block of memory: behind it is what the result points to, but for the stream's name. */
struct kept {
    struct record_result result;
    struct stream *stream;
    RB_ENTRY(kept) by_id, by_seq, by_stream;
    char bytes[];
};

RB_HEAD(shelf_stream, kept);

/* It lives while there are results of it. */
struct stream {
    RB_ENTRY(stream) by_name;
    struct shelf_stream kept;
    struct kept *last; /* of it */
    char name[];
};

static int compare_id(const struct kept *a, const struct kept *b) {
    return strcmp(a->result.id, b->result.id);
}

static int compare_seq(const struct kept *a, const struct kept *b) {
    return a->result.seq < b->result.seq ? -1 : a->result.seq > b->result.seq;
}

static int compare_name(const struct stream *a, const struct stream *b) {
    return strcmp(a->name, b->name);
}

RB_HEAD(shelf_ids, kept);
RB_HEAD(shelf_seqs, kept);
RB_HEAD(shelf_streams, stream);
RB_PROTOTYPE(shelf_ids, kept, by_id, compare_id)
RB_PROTOTYPE(shelf_seqs, kept, by_seq, compare_seq)
RB_PROTOTYPE(shelf_stream, kept, by_stream, compare_seq)
RB_PROTOTYPE(shelf_streams, stream, by_name, compare_name)
RB_GENERATE(shelf_ids, kept, by_id, compare_id)
RB_GENERATE(shelf_seqs, kept, by_seq, compare_seq)
RB_GENERATE(shelf_stream, kept, by_stream, compare_seq)
RB_GENERATE(shelf_streams, stream, by_name, compare_name)
TAIL_GENERATE(shelf_seqs, kept, by_seq, compare_seq)
TAIL_GENERATE(shelf_stream, kept, by_stream, compare_seq)

struct shelf {
    int64_t keep, count, last_seq;
    struct shelf_ids ids;
    struct shelf_seqs seqs;
    struct kept *last; /* of them */
    struct shelf_streams streams;
};

struct shelf *shelf_new(int64_t keep) {
    struct shelf *shelf = mem_new(1, sizeof *shelf);
    shelf->keep = keep;
    return shelf;
}

static void forget(struct shelf *shelf, struct kept *kept) {
    struct stream *stream = kept->stream;
    (void)RB_REMOVE(shelf_ids, &shelf->ids, kept);
    shelf_seqs_tail_remove(&shelf->seqs, &shelf->last, kept);
    shelf_stream_tail_remove(&stream->kept, &stream->last, kept);
    if (RB_EMPTY(&stream->kept)) {
        (void)RB_REMOVE(shelf_streams, &shelf->streams, stream);
        free(stream);
    }
    free(kept);
    shelf->count--;
}

void shelf_destroy(struct shelf **shelf) {
    if (*shelf == NULL)
        return;
    while (!RB_EMPTY(&(*shelf)->seqs))
        forget(*shelf, RB_MIN(shelf_seqs, &(*shelf)->seqs));
    free(*shelf);
    *shelf = NULL;
}

static struct stream *find_stream(struct shelf *shelf, const char *name) {
    struct stream *at = RB_ROOT(&shelf->streams);
    int order;
    while (at != NULL && (order = strcmp(name, at->name)) != 0)
        at = order < 0 ? RB_LEFT(at, by_name) : RB_RIGHT(at, by_name);
    return at;
}

static struct stream *get_stream(struct shelf *shelf, const char *name) {
    struct stream *stream = find_stream(shelf, name);
    if (stream != NULL)
        return stream;
    size_t size = strlen(name) + 1;
    stream = mem_new(1, sizeof *stream + size);
    memcpy(stream->name, name, size);
    (void)RB_INSERT(shelf_streams, &shelf->streams, stream);
    return stream;
}

static struct kept *copy(const struct record_result *r, struct stream *stream) {
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

void shelf_add(struct shelf *shelf, const struct record_result *result) {
    struct stream *stream = get_stream(shelf, result->stream);
    struct kept *kept = copy(result, stream), *same;
    (void)shelf_stream_tail_insert(&stream->kept, &stream->last, kept);
    (void)shelf_seqs_tail_insert(&shelf->seqs, &shelf->last, kept);
    while ((same = RB_INSERT(shelf_ids, &shelf->ids, kept)) != NULL)
        forget(shelf, same);
    shelf->last_seq = result->seq;
    if (++shelf->count > shelf->keep)
        forget(shelf, RB_MIN(shelf_seqs, &shelf->seqs));
}

int64_t shelf_count(const struct shelf *shelf) { return shelf->count; }

static void read_ids(struct shelf *shelf, const struct record_read *read, struct batch *rows) {
    for (size_t i = 0; i < read->id_count; i++) {
        struct kept key = {.result = {.id = read->ids[i]}};
        const struct kept *kept = RB_FIND(shelf_ids, &shelf->ids, &key);
        if (kept != NULL)
            batch_add_row(rows, &kept->result, read->max_bytes);
    }
}

static struct kept *first_after(struct shelf *shelf, const struct record_read *read) {
    struct kept key = {.result = {.seq = read->after + 1}};
    if (read->stream == NULL)
        return RB_NFIND(shelf_seqs, &shelf->seqs, &key);
    struct stream *stream = find_stream(shelf, read->stream);
    return stream != NULL ? RB_NFIND(shelf_stream, &stream->kept, &key) : NULL;
}

static struct kept *next(const struct record_read *read, struct kept *kept) {
    return read->stream == NULL ? RB_NEXT(shelf_seqs, , kept) : RB_NEXT(shelf_stream, , kept);
}

static void read_after(struct shelf *shelf, const struct record_read *read, struct batch *rows,
    struct record_answer *answer) {
    struct kept *oldest = RB_MIN(shelf_seqs, &shelf->seqs);
    struct kept *kept = read->after < INT64_MAX ? first_after(shelf, read) : NULL;
    answer->first_seq = oldest != NULL ? oldest->result.seq : shelf->last_seq + 1;
    for (; kept != NULL; kept = next(read, kept)) {
        answer->more = (int64_t)rows->count == read->limit ||
                       !batch_has_room(rows, &kept->result, read->max_bytes);
        if (answer->more)
            return;
        batch_add_result(rows, &kept->result);
    }
}

void shelf_read(struct shelf *shelf, const struct record_read *read, struct batch *rows,
    struct record_answer *answer) {
    *answer = (struct record_answer){.ticket = read->ticket};
    if (read->query == RECORD_IDS)
        read_ids(shelf, read, rows);
    else
        read_after(shelf, read, rows, answer);
}
