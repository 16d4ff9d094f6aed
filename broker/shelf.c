#include "broker/shelf.h"

#include "common/mem.h"

#include <bsd/sys/tree.h>
#include <stdlib.h>
#include <string.h>

/* One block of memory: behind it is what the result points to. */
struct kept {
    struct record_result result;
    RB_ENTRY(kept) by_id, by_seq, by_stream;
    char bytes[];
};

static int compare_id(const struct kept *a, const struct kept *b) {
    return strcmp(a->result.id, b->result.id);
}

static int compare_seq(const struct kept *a, const struct kept *b) {
    return a->result.seq < b->result.seq ? -1 : a->result.seq > b->result.seq;
}

static int compare_stream(const struct kept *a, const struct kept *b) {
    int order = strcmp(a->result.stream, b->result.stream);
    return order != 0 ? order : compare_seq(a, b);
}

RB_HEAD(shelf_ids, kept);
RB_HEAD(shelf_seqs, kept);
RB_HEAD(shelf_streams, kept);
RB_PROTOTYPE(shelf_ids, kept, by_id, compare_id)
RB_PROTOTYPE(shelf_seqs, kept, by_seq, compare_seq)
RB_PROTOTYPE(shelf_streams, kept, by_stream, compare_stream)
RB_GENERATE(shelf_ids, kept, by_id, compare_id)
RB_GENERATE(shelf_seqs, kept, by_seq, compare_seq)
RB_GENERATE(shelf_streams, kept, by_stream, compare_stream)

struct shelf {
    int64_t keep, count, last_seq;
    struct shelf_ids ids;
    struct shelf_seqs seqs;
    struct shelf_streams streams;
};

struct shelf *shelf_new(int64_t keep) {
    struct shelf *shelf = mem_new(1, sizeof *shelf);
    shelf->keep = keep;
    return shelf;
}

static void forget(struct shelf *shelf, struct kept *kept) {
    (void)RB_REMOVE(shelf_ids, &shelf->ids, kept);
    (void)RB_REMOVE(shelf_seqs, &shelf->seqs, kept);
    (void)RB_REMOVE(shelf_streams, &shelf->streams, kept);
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

static struct kept *copy(const struct record_result *r) {
    size_t id = strlen(r->id) + 1, stream = strlen(r->stream) + 1;
    struct kept *kept =
        mem_grow(NULL, 1, sizeof *kept + id + stream + r->trace_size + r->result_size);
    char *at = kept->bytes;
    kept->result = *r;
    kept->result.id = memcpy(at, r->id, id);
    kept->result.stream = memcpy(at += id, r->stream, stream);
    kept->result.trace = memcpy(at += stream, r->trace, r->trace_size);
    kept->result.result = memcpy(at + r->trace_size, r->result, r->result_size);
    return kept;
}

void shelf_add(struct shelf *shelf, const struct record_result *result) {
    struct kept *kept = copy(result), *same;
    while ((same = RB_INSERT(shelf_ids, &shelf->ids, kept)) != NULL)
        forget(shelf, same);
    (void)RB_INSERT(shelf_seqs, &shelf->seqs, kept);
    (void)RB_INSERT(shelf_streams, &shelf->streams, kept);
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
    struct kept key = {.result = {.seq = read->after + 1, .stream = read->stream}};
    return read->stream == NULL ? RB_NFIND(shelf_seqs, &shelf->seqs, &key)
                                : RB_NFIND(shelf_streams, &shelf->streams, &key);
}

static struct kept *next(const struct record_read *read, struct kept *kept) {
    return read->stream == NULL ? RB_NEXT(shelf_seqs, , kept) : RB_NEXT(shelf_streams, , kept);
}

static void read_after(struct shelf *shelf, const struct record_read *read, struct batch *rows,
    struct record_answer *answer) {
    struct kept *oldest = RB_MIN(shelf_seqs, &shelf->seqs);
    struct kept *kept = read->after < INT64_MAX ? first_after(shelf, read) : NULL;
    answer->first_seq = oldest != NULL ? oldest->result.seq : shelf->last_seq + 1;
    for (; kept != NULL; kept = next(read, kept)) {
        if (read->stream != NULL && strcmp(kept->result.stream, read->stream) != 0)
            return;
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
