#include "broker/core/outbox.h"

#include "common/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)256 * 1024)
#define SPARE_BLOCKS (OUTBOX_SPARE_BYTES / BLOCK_BYTES - 1) /* beside the one in use */

/* What lies before each message. Behind it are the peer's id or the topic with its NUL, then the
 * bytes. */
struct head {
    uint64_t batch;
    size_t size;
    uint32_t name_size; /* of id or topic */
    int socket;
    int kind;
    bool enveloped;
};

struct block {
    struct block *next;
    size_t room; /* of `at` */
    size_t put, taken;
    char at[];
};

struct outbox {
    struct block *first; /* the oldest block with a message that may be in use */
    struct block *at;    /* the next message is taken from it */
    struct block *last;  /* the next message is put into it */
    struct block *spare;
    unsigned spares;
    size_t bytes;
    uint64_t batch; /* of the last message that was put */
};

static struct block *block_new(size_t room) {
    struct block *block = mem_grow(NULL, 1, sizeof *block + room);
    block->room = room;
    block->put = block->taken = 0;
    block->next = NULL;
    return block;
}

struct outbox *outbox_new(void) {
    struct outbox *o = mem_new(1, sizeof *o);
    o->first = o->at = o->last = block_new(BLOCK_BYTES);
    return o;
}

static void free_all(struct block *block) {
    while (block != NULL) {
        struct block *next = block->next;
        free(block);
        block = next;
    }
}

void outbox_destroy(struct outbox **outbox) {
    if (*outbox == NULL)
        return;
    free_all((*outbox)->first);
    free_all((*outbox)->spare);
    free(*outbox);
    *outbox = NULL;
}

/* The block that a message of this size goes into. */
static struct block *block_for(struct outbox *o, size_t bytes) {
    if (o->last->room - o->last->put >= bytes)
        return o->last;
    struct block *block = o->spare;
    if (block == NULL || bytes > BLOCK_BYTES) {
        block = block_new(bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES);
    } else {
        o->spare = block->next;
        o->spares--;
        block->next = NULL;
    }
    o->last = o->last->next = block;
    return block;
}

static void block_free(struct outbox *o, struct block *block) {
    if (block->room > BLOCK_BYTES || o->spares == SPARE_BLOCKS) {
        free(block);
        return;
    }
    block->put = block->taken = 0;
    block->next = o->spare;
    o->spare = block;
    o->spares++;
}

void outbox_put(struct outbox *o, uint64_t batch, const struct outbox_message *m) {
    bool publish = m->kind == OUTBOX_PUBLISH;
    const void *name = publish ? m->topic : m->peer.id;
    size_t name_size = publish ? strlen(m->topic) + 1 : m->peer.size;
    size_t bytes = sizeof(struct head) + name_size + m->size;
    assert(batch >= o->batch);
    o->batch = batch;
    struct block *block = block_for(o, bytes);
    const struct head head = {
        batch, m->size, (uint32_t)name_size, m->peer.socket, m->kind, m->peer.enveloped};
    char *at = block->at + block->put;
    memcpy(at, &head, sizeof head);
    memcpy(at + sizeof head, name, name_size);
    memcpy(at + sizeof head + name_size, m->bytes, m->size);
    block->put += bytes;
    o->bytes += bytes;
}

void outbox_release(struct outbox *o) {
    while (o->first != o->at) {
        struct block *used = o->first;
        o->first = used->next;
        block_free(o, used);
    }
    if (o->at->taken == o->at->put)
        o->at->put = o->at->taken = 0;
}

/* The block that the next message is in; NULL if there is none. */
static struct block *next_block(struct outbox *o) {
    while (o->at->taken == o->at->put && o->at->next != NULL)
        o->at = o->at->next;
    return o->at->taken < o->at->put ? o->at : NULL;
}

bool outbox_take(struct outbox *o, uint64_t committed, struct outbox_message *m) {
    struct block *block = next_block(o);
    if (block == NULL)
        return false;
    struct head head;
    const char *at = block->at + block->taken, *name = at + sizeof head;
    memcpy(&head, at, sizeof head);
    if (head.batch > committed)
        return false;
    bool publish = head.kind == OUTBOX_PUBLISH;
    *m = (struct outbox_message){
        .kind = head.kind, .bytes = name + head.name_size, .size = head.size};
    if (publish)
        m->topic = name;
    else
        m->peer = (struct core_peer){name, head.name_size, head.socket, head.enveloped};
    size_t bytes = sizeof head + head.name_size + head.size;
    block->taken += bytes;
    o->bytes -= bytes;
    return true;
}

static size_t memory(const struct block *block) {
    size_t bytes = 0;
    for (; block != NULL; block = block->next)
        bytes += block->room;
    return bytes;
}

size_t outbox_memory(const struct outbox *o) { return memory(o->first) + memory(o->spare); }

size_t outbox_bytes(const struct outbox *o) { return o->bytes; }
