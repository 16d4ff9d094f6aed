#include "broker/core/streams.h"

#include "broker/core/state.h"
#include "common/mem.h"
#include "common/order.h"
#include "common/protocol/request.h"

#include <stdlib.h>
#include <string.h>

static int compare(const struct stream *a, const struct stream *b) {
    return strcmp(a->name, b->name);
}

RB_PROTOTYPE(stream_tree, stream, by_name, compare)
RB_GENERATE(stream_tree, stream, by_name, compare)
ORDER_FIND_TEXT(stream_tree, stream, by_name, name)

void streams_init(struct core *c) {
    RB_INIT(&c->streams.by_name);
    TAILQ_INIT(&c->streams.active);
    c->streams.seq = c->config.seq;
}

struct stream *streams_get(struct core *c, const char *name) {
    struct stream *stream = stream_tree_find(&c->streams.by_name, name);
    if (stream != NULL || c->streams.count >= CORE_MAX_STREAMS)
        return stream;
    size_t size = strlen(name) + 1;
    stream = mem_new(1, sizeof *stream + size);
    memcpy(stream->name, name, size);
    (void)RB_INSERT(stream_tree, &c->streams.by_name, stream);
    c->streams.count++;
    return stream;
}

bool streams_full(struct core *c, const char *name) {
    return c->streams.count >= CORE_MAX_STREAMS &&
           stream_tree_find(&c->streams.by_name, name) == NULL;
}

void streams_count(struct core *c, struct stream *stream) {
    c->streams.seq++;
    stream->seq++;
    stream->last_result_us = c->now.mono_us;
    if (stream->active)
        TAILQ_REMOVE(&c->streams.active, stream, active_link);
    stream->active = true;
    TAILQ_INSERT_HEAD(&c->streams.active, stream, active_link);
}

void streams_restore(struct core *c, const char *name, int64_t seq) {
    struct stream *stream = streams_get(c, name);
    if (stream != NULL)
        stream->seq = seq;
}

static void retire(struct core *c) {
    struct stream *last;
    while ((last = TAILQ_LAST(&c->streams.active, active_list)) != NULL &&
           c->now.mono_us - last->last_result_us > CORE_ACTIVE_US) {
        TAILQ_REMOVE(&c->streams.active, last, active_link);
        last->active = false;
    }
}

void streams_alive(struct core *c) {
    msgpack_packer pk;
    struct stream *stream;
    retire(c);
    uint32_t count = 0;
    TAILQ_FOREACH(stream, &c->streams.active, active_link)
    if (++count == CORE_MAX_ALIVE_STREAMS)
        break;
    output_packer(&pk, &c->scratch.out);
    request_put_head(&pk, "alive", NULL, 4);
    wire_put_key_int(&pk, "epoch", c->config.epoch);
    wire_put_key_int(&pk, "origin", c->config.origin);
    wire_put_key_int(&pk, "seq", c->streams.seq);
    wire_put_text(&pk, "streams");
    msgpack_pack_map(&pk, count);
    TAILQ_FOREACH(stream, &c->streams.active, active_link) {
        if (count-- == 0)
            break;
        wire_put_key_int(&pk, stream->name, stream->seq);
    }
    output_publish(c, "alive.", c->scratch.out.data, c->scratch.out.size);
}

void streams_free_all(struct core *c) {
    struct stream *stream;
    /* NOLINTBEGIN(clang-analyzer-unix.Malloc): it does not see that RB_REMOVE moves the root */
    while ((stream = RB_ROOT(&c->streams.by_name)) != NULL) {
        (void)RB_REMOVE(stream_tree, &c->streams.by_name, stream);
        free(stream);
    }
    /* NOLINTEND(clang-analyzer-unix.Malloc) */
}
