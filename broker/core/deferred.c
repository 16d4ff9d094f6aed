#include "broker/core/deferred.h"

#include "broker/core/state.h"
#include "common/mem.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_READS_MS 200

void deferred_init(struct core *c) { TAILQ_INIT(&c->deferred.waiting); }

bool deferred_add(struct core *c, const struct core_peer *peer, const void *bytes, size_t size,
    struct record_read *read, struct wire_error *err) {
    if (c->deferred.count >= CORE_MAX_DEFERRED ||
        c->deferred.bytes + (int64_t)size > CORE_MAX_DEFERRED_BYTES) {
        c->counters.busy++;
        wire_busy(err, "", "reads", RETRY_READS_MS, "too many requests wait for the store");
        return false;
    }
    struct deferred *deferred = mem_new(1, sizeof *deferred + size);
    deferred->ticket = read->ticket = ++c->deferred.last_ticket;
    deferred->records = c->output.records;
    peer_id_set(&deferred->peer, peer);
    deferred->size = size;
    memcpy(deferred->bytes, bytes, size);
    TAILQ_INSERT_TAIL(&c->deferred.waiting, deferred, link);
    c->deferred.count++;
    c->deferred.bytes += (int64_t)size;
    c->counters.deferred++;
    output_read(c, read);
    return true;
}

static void deferred_forget(struct core *c, struct deferred *deferred) {
    TAILQ_REMOVE(&c->deferred.waiting, deferred, link);
    c->deferred.count--;
    c->deferred.bytes -= (int64_t)deferred->size;
    free(deferred);
}

/* By id. An id that was asked for twice has two rows, of which the second may lack the result: the
 * one with the result comes first. */
static int compare_rows(const void *a, const void *b) {
    const struct record_result *const *x = a, *const *y = b;
    int order = strcmp((*x)->id, (*y)->id);
    return order != 0 ? order : ((*x)->result == NULL) - ((*y)->result == NULL);
}

const struct deferred *deferred_begin(struct core *c, const struct record_answer *answer) {
    const struct deferred *oldest = TAILQ_FIRST(&c->deferred.waiting);
    if (oldest == NULL || oldest->ticket != answer->ticket)
        abort(); /* answers come in the order of the questions */
    c->deferred.answer = answer;
    c->deferred.rows = mem_new(answer->count + 1, sizeof(struct record_result *));
    for (size_t i = 0; i < answer->count; i++)
        c->deferred.rows[i] = &answer->rows[i];
    qsort(c->deferred.rows, answer->count, sizeof(struct record_result *), compare_rows);
    return oldest;
}

void deferred_end(struct core *c) {
    free(c->deferred.rows);
    c->deferred.rows = NULL;
    c->deferred.answer = NULL;
    deferred_forget(c, TAILQ_FIRST(&c->deferred.waiting));
}

int64_t deferred_oldest_records(const struct core *c) {
    const struct deferred *oldest = TAILQ_FIRST(&c->deferred.waiting);
    return oldest != NULL ? oldest->records : INT64_MAX;
}

const struct record_result *deferred_row(const struct core *c, const char *id, size_t size) {
    const struct record_result *found = NULL;
    size_t low = 0, high = c->deferred.answer != NULL ? c->deferred.answer->count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *at = c->deferred.rows[middle]->id;
        int order = strncmp(at, id, size);
        if (order == 0 && at[size] == '\0')
            found = c->deferred.rows[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return found;
}

void deferred_free_all(struct core *c) {
    struct deferred *deferred;
    /* NOLINTBEGIN(clang-analyzer-unix.Malloc): it does not see that deferred_forget() moves the
     * head */
    while ((deferred = TAILQ_FIRST(&c->deferred.waiting)) != NULL)
        deferred_forget(c, deferred);
    /* NOLINTEND(clang-analyzer-unix.Malloc) */
}
