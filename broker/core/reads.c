/* reads: requests that wait for the store's answer. Each is handled twice: at first it turns out
 * what memory does not know, then again with the rows. */
#include "broker/core/requests.h"

#include "broker/core/jobs.h"
#include "common/mem.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_READS_MS 200

bool reads_park(struct core *c, const struct core_peer *peer, const void *bytes, size_t size,
    struct record_read *read, struct wire_error *err) {
    if (c->parked_count >= CORE_MAX_READS ||
        c->parked_bytes + (int64_t)size > CORE_MAX_READ_BYTES) {
        c->counters.busy++;
        wire_busy(err, "", "reads", RETRY_READS_MS, "too many requests wait for the store");
        return false;
    }
    struct parked *parked = mem_new(1, sizeof *parked + size);
    parked->ticket = read->ticket = ++c->next_read;
    parked->mark = c->kept;
    peer_id_set(&parked->peer, peer);
    parked->size = size;
    memcpy(parked->bytes, bytes, size);
    TAILQ_INSERT_TAIL(&c->parked, parked, link);
    c->parked_count++;
    c->parked_bytes += (int64_t)size;
    c->counters.reads++;
    c->sink.read(c->sink.context, read);
    return true;
}

static void forget(struct core *c, struct parked *parked) {
    TAILQ_REMOVE(&c->parked, parked, link);
    c->parked_count--;
    c->parked_bytes -= (int64_t)parked->size;
    free(parked);
}

/* An id that was asked for twice has two rows, and perhaps no room for the second result: first
 * the one that has it. */
static int compare_rows(const void *a, const void *b) {
    const struct record_result *const *x = a, *const *y = b;
    int order = strcmp((*x)->id, (*y)->id);
    return order != 0 ? order : ((*x)->result == NULL) - ((*y)->result == NULL);
}

void core_answer(struct core *c, const struct record_answer *answer, const struct core_time *now) {
    struct parked *parked = TAILQ_FIRST(&c->parked);
    c->now = *now;
    if (parked == NULL || parked->ticket != answer->ticket)
        abort(); /* answers come in the order of the questions */
    c->answer = answer;
    c->rows = mem_new(answer->count + 1, sizeof(struct record_result *));
    for (size_t i = 0; i < answer->count; i++)
        c->rows[i] = &answer->rows[i];
    qsort(c->rows, answer->count, sizeof(struct record_result *), compare_rows);
    struct core_peer peer = peer_id_get(&parked->peer);
    requests_handle(c, &peer, parked->bytes, parked->size);
    free(c->rows);
    c->rows = NULL;
    c->answer = NULL;
    forget(c, parked);
    recent_trim(c);
}

const struct record_result *reads_row(const struct core *c, const char *id, size_t size) {
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

void reads_free_all(struct core *c) {
    struct parked *parked;
    /* NOLINTBEGIN(clang-analyzer-unix.Malloc): it does not see that forget() moves the head */
    while ((parked = TAILQ_FIRST(&c->parked)) != NULL)
        forget(c, parked);
    /* NOLINTEND(clang-analyzer-unix.Malloc) */
}
