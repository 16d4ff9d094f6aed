#include "sim_delay.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The heap holds what is compared, so that ordering never touches the packets. */
struct entry {
    int64_t due_ns;
    uint64_t order; /* of arrival: breaks ties */
    struct sim_parcel *parcel;
};

struct sim_delay {
    struct entry *heap;
    size_t size, max_packets;
    size_t bytes, max_bytes;
    uint64_t pushed;
};

struct sim_delay *sim_delay_new(size_t max_packets, size_t max_bytes) {
    struct sim_delay *self = calloc(1, sizeof *self);

    if (!self)
        return NULL;
    /* Untouched pages of a large calloc() cost nothing. */
    self->heap = calloc(max_packets, sizeof *self->heap);
    if (!self->heap) {
        free(self);
        return NULL;
    }
    self->max_packets = max_packets;
    self->max_bytes = max_bytes;
    return self;
}

void sim_delay_destroy(struct sim_delay **self_p) {
    struct sim_delay *self = *self_p;

    if (!self)
        return;
    for (size_t i = 0; i < self->size; i++)
        free(self->heap[i].parcel);
    free(self->heap);
    free(self);
    *self_p = NULL;
}

static bool before(const struct entry *a, const struct entry *b) {
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

int sim_delay_push(struct sim_delay *self, int64_t due_ns, const uint8_t *packet, size_t length) {
    struct entry entry = {.due_ns = due_ns, .order = self->pushed};
    size_t at = self->size;

    if (self->size == self->max_packets || length > self->max_bytes - self->bytes)
        return -1;
    entry.parcel = malloc(sizeof *entry.parcel + length);
    if (!entry.parcel)
        return -1;
    entry.parcel->due_ns = due_ns;
    entry.parcel->length = length;
    memcpy(entry.parcel->packet, packet, length);

    while (at > 0 && before(&entry, &self->heap[(at - 1) / 2])) {
        self->heap[at] = self->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    self->heap[at] = entry;
    self->size++;
    self->pushed++;
    self->bytes += length;
    return 0;
}

const struct sim_parcel *sim_delay_peek(const struct sim_delay *self) {
    return self->size > 0 ? self->heap[0].parcel : NULL;
}

void sim_delay_drop(struct sim_delay *self) {
    struct entry last;
    size_t at = 0;

    assert(self->size > 0);
    self->bytes -= self->heap[0].parcel->length;
    free(self->heap[0].parcel);
    last = self->heap[--self->size];
    for (size_t child = 1; child < self->size; child = 2 * at + 1) {
        if (child + 1 < self->size && before(&self->heap[child + 1], &self->heap[child]))
            child++;
        if (before(&last, &self->heap[child]))
            break;
        self->heap[at] = self->heap[child];
        at = child;
    }
    self->heap[at] = last;
}

size_t sim_delay_size(const struct sim_delay *self) { return self->size; }
