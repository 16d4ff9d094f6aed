/* deferred: requests that wait for the store's answer. Each is handled twice: at first it turns out
 * what memory does not know, then again with the rows. */
#include "broker/core/requests.h"

#include "broker/core/jobs.h"
#include "common/mem.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_READS_MS 200

bool deferred_add(struct core *c, const struct core_peer *peer, const void *bytes, size_t size,
    struct record_read *read, struct wire_error *err) {
    if (c->deferred_count >= CORE_MAX_DEFERRED ||
        c->deferred_bytes + (int64_t)size > CORE_MAX_DEFERRED_BYTES) {
        c->counters.busy++;
        wire_busy(err, "", "reads", RETRY_READS_MS, "too many requests wait for the store");
        return false;
    }
    struct deferred *deferred = mem_new(1, sizeof *deferred + size);
    deferred->ticket = read->ticket = ++c->next_read;
    deferred->mark = c->kept;
    peer_id_set(&deferred->peer, peer);
    deferred->size = size;
    memcpy(deferred->bytes, bytes, size);
    TAILQ_INSERT_TAIL(&c->deferred, deferred, link);
    c->deferred_count++;
    c->deferred_bytes += (int64_t)size;
    c->counters.deferred++;
    c->sink.read(c->sink.context, read);
    return true;
}

static void forget(struct core *c, struct deferred *deferred) {
    TAILQ_REMOVE(&c->deferred, deferred, link);
    c->deferred_count--;
    c->deferred_bytes -= (int64_t)deferred->size;
    free(deferred);
}

/* An id that was asked for twice has two rows, and perhaps no room for the second result: first
 * the one that has it. */
static int compare_rows(const void *a, const void *b) {
    const struct record_result *const *x = a, *const *y = b;
    int order = strcmp((*x)->id, (*y)->id);
    return order != 0 ? order : ((*x)->result == NULL) - ((*y)->result == NULL);
}

void core_answer(struct core *c, const struct record_answer *answer, const struct instant *now) {
    struct deferred *deferred = TAILQ_FIRST(&c->deferred);
    c->now = *now;
    if (deferred == NULL || deferred->ticket != answer->ticket)
        abort(); /* answers come in the order of the questions */
    c->answer = answer;
    c->rows = mem_new(answer->count + 1, sizeof(struct record_result *));
    for (size_t i = 0; i < answer->count; i++)
        c->rows[i] = &answer->rows[i];
    qsort(c->rows, answer->count, sizeof(struct record_result *), compare_rows);
    struct core_peer peer = peer_id_get(&deferred->peer);
    requests_handle(c, &peer, deferred->bytes, deferred->size);
    free(c->rows);
    c->rows = NULL;
    c->answer = NULL;
    forget(c, deferred);
    recent_trim(c);
}

const struct record_result *deferred_row(const struct core *c, const char *id, size_t size) {
    const struct record_result *found = NULL;
    size_t low = 0, high = c->answer != NULL ? c->answer->count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *at = c->rows[middle]->id;
        int order = strncmp(at, id, size);
        if (order == 0 && at[size] == '\0')
            found = c->rows[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return found;
}

void deferred_free_all(struct core *c) {
    struct deferred *deferred;
    /* NOLINTBEGIN(clang-analyzer-unix.Malloc): it does not see that forget() moves the head */
    while ((deferred = TAILQ_FIRST(&c->deferred)) != NULL)
        forget(c, deferred);
    /* NOLINTEND(clang-analyzer-unix.Malloc) */
}
