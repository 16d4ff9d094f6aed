#include "common/protocol/walk.h"

#include "common/protocol/wire.h"
#include "common/protocol/wire_head.h"

struct walk walk_begin(const void *bytes, size_t size) {
    return (struct walk){bytes, (const uint8_t *)bytes + size};
}

void walk_skip(struct walk *w) {
    size_t size = wire_value_size(w->at, (size_t)(w->end - w->at));
    w->at = size > 0 ? w->at + size : w->end;
}

/* Reads the next value without its children and does not pass it; what is broken reads as nil. */
static inline size_t head(const struct walk *w, msgpack_object *value) {
    size_t bytes = wire_head(value, w->at, (size_t)(w->end - w->at));
    if (bytes == 0)
        value->type = MSGPACK_OBJECT_NIL;
    return bytes;
}

struct walk_text walk_text(struct walk *w) {
    msgpack_object value;
    size_t bytes = head(w, &value);
    if (value.type != MSGPACK_OBJECT_STR) {
        walk_skip(w);
        return (struct walk_text){NULL, 0};
    }
    w->at += bytes;
    return (struct walk_text){value.via.str.ptr, value.via.str.size};
}

int64_t walk_number(struct walk *w) {
    msgpack_object value;
    size_t bytes = head(w, &value);
    if (value.type != MSGPACK_OBJECT_POSITIVE_INTEGER || value.via.u64 > INT64_MAX) {
        walk_skip(w);
        return -1;
    }
    w->at += bytes;
    return (int64_t)value.via.u64;
}

uint32_t walk_map(struct walk *w) {
    msgpack_object value;
    size_t bytes = head(w, &value);
    if (value.type != MSGPACK_OBJECT_MAP) {
        walk_skip(w);
        return 0;
    }
    w->at += bytes;
    return value.via.map.size;
}

uint32_t walk_array(struct walk *w) {
    msgpack_object value;
    size_t bytes = head(w, &value);
    if (value.type != MSGPACK_OBJECT_ARRAY) {
        walk_skip(w);
        return 0;
    }
    w->at += bytes;
    return value.via.array.size;
}
