/* wire_doc: the bytes of a message, as objects. */
#include "common/protocol/wire.h"
#include "common/protocol/wire_head.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

static uint64_t big_endian(const uint8_t *at, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

/* The msgpack specification's first bytes from 0xc0 on: the type, and the bytes of the number or
 * size that follows, or of an ext its size. An int is signed, but may be positive. */
static const struct head {
    uint8_t type, bytes, size;
} heads[] = {
    [0xc0 - 0xc0] = {MSGPACK_OBJECT_NIL, 0, 0},
    [0xc2 - 0xc0] = {MSGPACK_OBJECT_BOOLEAN, 0, 0},
    [0xc3 - 0xc0] = {MSGPACK_OBJECT_BOOLEAN, 0, 0},
    [0xc4 - 0xc0] = {MSGPACK_OBJECT_BIN, 1, 0},
    [0xc5 - 0xc0] = {MSGPACK_OBJECT_BIN, 2, 0},
    [0xc6 - 0xc0] = {MSGPACK_OBJECT_BIN, 4, 0},
    [0xc7 - 0xc0] = {MSGPACK_OBJECT_EXT, 1, 0},
    [0xc8 - 0xc0] = {MSGPACK_OBJECT_EXT, 2, 0},
    [0xc9 - 0xc0] = {MSGPACK_OBJECT_EXT, 4, 0},
    [0xca - 0xc0] = {MSGPACK_OBJECT_FLOAT32, 4, 0},
    [0xcb - 0xc0] = {MSGPACK_OBJECT_FLOAT64, 8, 0},
    [0xcc - 0xc0] = {MSGPACK_OBJECT_POSITIVE_INTEGER, 1, 0},
    [0xcd - 0xc0] = {MSGPACK_OBJECT_POSITIVE_INTEGER, 2, 0},
    [0xce - 0xc0] = {MSGPACK_OBJECT_POSITIVE_INTEGER, 4, 0},
    [0xcf - 0xc0] = {MSGPACK_OBJECT_POSITIVE_INTEGER, 8, 0},
    [0xd0 - 0xc0] = {MSGPACK_OBJECT_NEGATIVE_INTEGER, 1, 0},
    [0xd1 - 0xc0] = {MSGPACK_OBJECT_NEGATIVE_INTEGER, 2, 0},
    [0xd2 - 0xc0] = {MSGPACK_OBJECT_NEGATIVE_INTEGER, 4, 0},
    [0xd3 - 0xc0] = {MSGPACK_OBJECT_NEGATIVE_INTEGER, 8, 0},
    [0xd4 - 0xc0] = {MSGPACK_OBJECT_EXT, 0, 1},
    [0xd5 - 0xc0] = {MSGPACK_OBJECT_EXT, 0, 2},
    [0xd6 - 0xc0] = {MSGPACK_OBJECT_EXT, 0, 4},
    [0xd7 - 0xc0] = {MSGPACK_OBJECT_EXT, 0, 8},
    [0xd8 - 0xc0] = {MSGPACK_OBJECT_EXT, 0, 16},
    [0xd9 - 0xc0] = {MSGPACK_OBJECT_STR, 1, 0},
    [0xda - 0xc0] = {MSGPACK_OBJECT_STR, 2, 0},
    [0xdb - 0xc0] = {MSGPACK_OBJECT_STR, 4, 0},
    [0xdc - 0xc0] = {MSGPACK_OBJECT_ARRAY, 2, 0},
    [0xdd - 0xc0] = {MSGPACK_OBJECT_ARRAY, 4, 0},
    [0xde - 0xc0] = {MSGPACK_OBJECT_MAP, 2, 0},
    [0xdf - 0xc0] = {MSGPACK_OBJECT_MAP, 4, 0},
};

static void set_signed(msgpack_object *o, uint64_t bits, unsigned bytes) {
    unsigned unused = 64 - 8 * bytes;
    o->via.i64 = (int64_t)(bits << unused) >> unused;
    if (o->via.i64 >= 0)
        o->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
}

static double real(uint64_t bits, unsigned bytes) {
    uint32_t narrow_bits = (uint32_t)bits;
    float narrow;
    double wide;
    memcpy(&narrow, &narrow_bits, sizeof narrow);
    memcpy(&wide, &bits, sizeof wide);
    return bytes == sizeof narrow ? (double)narrow : wide;
}

uint64_t wire_head_long(msgpack_object *o, const uint8_t *at, size_t left) {
    const struct head *head = &heads[at[0] - 0xc0];
    if (at[0] == 0xc1 || left < 1U + head->bytes)
        return 0;
    uint64_t bytes = 1U + head->bytes, n = head->size + big_endian(at + 1, head->bytes);
    const char *content = (const char *)at + bytes;
    o->type = (msgpack_object_type)head->type;
    switch (o->type) {
    case MSGPACK_OBJECT_NIL:
        return bytes;
    case MSGPACK_OBJECT_BOOLEAN:
        o->via.boolean = at[0] == 0xc3;
        return bytes;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        o->via.u64 = n;
        return bytes;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        set_signed(o, n, head->bytes);
        return bytes;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        o->via.f64 = real(n, head->bytes);
        return bytes;
    case MSGPACK_OBJECT_ARRAY:
        o->via.array = (msgpack_object_array){(uint32_t)n, NULL};
        return bytes;
    case MSGPACK_OBJECT_MAP:
        o->via.map = (msgpack_object_map){(uint32_t)n, NULL};
        return bytes;
    case MSGPACK_OBJECT_STR:
        o->via.str = (msgpack_object_str){(uint32_t)n, content};
        return bytes + n;
    case MSGPACK_OBJECT_BIN:
        o->via.bin = (msgpack_object_bin){(uint32_t)n, content};
        return bytes + n;
    case MSGPACK_OBJECT_EXT:
        if (bytes >= left)
            return 0;
        o->via.ext = (msgpack_object_ext){(int8_t)*content, (uint32_t)n, content + 1};
        return bytes + 1 + n;
    }
    return 0;
}

size_t wire_value_size(const void *data, size_t size) {
    const uint8_t *at = data, *end = at + size;
    msgpack_object value;
    for (uint64_t open = 1; open > 0; open += wire_children(&value) - 1) {
        size_t bytes = wire_head(&value, at, (size_t)(end - at));
        if (bytes == 0)
            return 0;
        at += bytes;
    }
    return size - (size_t)(end - at);
}

bool wire_doc_init(struct wire_doc *doc) {
    memset(doc, 0, sizeof *doc);
    doc->zone = msgpack_zone_new(MSGPACK_ZONE_CHUNK_SIZE);
    return doc->zone != NULL;
}

void wire_doc_free(struct wire_doc *doc) {
    if (doc->zone != NULL)
        msgpack_zone_free(doc->zone);
    doc->zone = NULL;
}

/* A map's keys and values lie in turn, like the elements of an array. */
static_assert(sizeof(msgpack_object_kv) == 2 * sizeof(msgpack_object), "pairs have gaps");

/* Room for the children of an array or map; NULL: no memory. */
static msgpack_object *new_children(msgpack_zone *zone, msgpack_object *o, uint64_t count) {
    msgpack_object *children = msgpack_zone_malloc(zone, (size_t)count * sizeof *children);
    if (o->type == MSGPACK_OBJECT_MAP)
        o->via.map.ptr = (msgpack_object_kv *)(void *)children;
    else
        o->via.array.ptr = children;
    return children;
}

/* Children are counted when their number is read, so that max_values bounds the memory too. */
static bool read_tree(struct wire_doc *doc, const uint8_t *data, size_t size, uint32_t max_values,
    struct wire_error *err) {
    struct {
        msgpack_object *next, *end;
    } outer[WIRE_MAX_DEPTH] = {{NULL, NULL}};
    unsigned depth = 0;
    uint64_t values = 1;
    const uint8_t *at = data, *data_end = data + size;
    msgpack_object *next = &doc->root, *end = next + 1;
    for (;;) {
        while (next == end) {
            if (depth == 0) {
                if (at == data_end)
                    return true;
                wire_fail(
                    err, "bad-request", "", "%zu bytes after the message", (size_t)(data_end - at));
                return false;
            }
            depth--;
            next = outer[depth].next;
            end = outer[depth].end;
        }
        msgpack_object *o = next++;
        size_t bytes = wire_head(o, at, (size_t)(data_end - at));
        if (bytes == 0) {
            wire_fail(err, "bad-request", "", "not a msgpack message: broken at byte %zu",
                (size_t)(at - data));
            return false;
        }
        at += bytes;
        uint64_t children = wire_children(o);
        if (children == 0)
            continue;
        if ((values += children) > max_values) {
            wire_fail(err, "too-large", "", "more than %" PRIu32 " values", max_values);
            return false;
        }
        if (depth == WIRE_MAX_DEPTH) {
            wire_fail(err, "too-large", "", "nested deeper than %d", WIRE_MAX_DEPTH);
            return false;
        }
        outer[depth].next = next;
        outer[depth].end = end;
        depth++;
        next = new_children(doc->zone, o, children);
        if (next == NULL) {
            wire_fail(err, "too-large", "", "no memory for it");
            return false;
        }
        end = next + children;
    }
}

bool wire_doc_read(struct wire_doc *doc, const void *data, size_t size, uint32_t max_values,
    struct wire_error *err) {
    msgpack_zone_clear(doc->zone);
    if (!read_tree(doc, data, size, max_values, err))
        return false;
    if (doc->root.type != MSGPACK_OBJECT_MAP) {
        wire_fail(err, "bad-request", "", "not a map");
        return false;
    }
    return true;
}
