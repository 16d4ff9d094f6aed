#include "common/protocol/wire_cursor.h"

#include "common/protocol/wire.h"
#include "common/protocol/wire_head.h"

struct wire_cursor wire_cursor_begin(const void *bytes, size_t size) {
    return (struct wire_cursor){bytes, (const uint8_t *)bytes + size};
}

void wire_cursor_skip(struct wire_cursor *cursor) {
    size_t size = wire_value_size(cursor->at, (size_t)(cursor->end - cursor->at));
    cursor->at = size > 0 ? cursor->at + size : cursor->end;
}

/* Reads the next value without its children and without moving. A broken value reads as nil. */
static inline size_t head(const struct wire_cursor *cursor, msgpack_object *value) {
    size_t bytes = wire_head(value, cursor->at, (size_t)(cursor->end - cursor->at));
    if (bytes == 0)
        value->type = MSGPACK_OBJECT_NIL;
    return bytes;
}

struct wire_string wire_cursor_text(struct wire_cursor *cursor) {
    msgpack_object value;
    size_t bytes = head(cursor, &value);
    if (value.type != MSGPACK_OBJECT_STR) {
        wire_cursor_skip(cursor);
        return (struct wire_string){NULL, 0};
    }
    cursor->at += bytes;
    return (struct wire_string){value.via.str.ptr, value.via.str.size};
}

int64_t wire_cursor_number(struct wire_cursor *cursor) {
    msgpack_object value;
    size_t bytes = head(cursor, &value);
    if (value.type != MSGPACK_OBJECT_POSITIVE_INTEGER || value.via.u64 > INT64_MAX) {
        wire_cursor_skip(cursor);
        return -1;
    }
    cursor->at += bytes;
    return (int64_t)value.via.u64;
}

uint32_t wire_cursor_map(struct wire_cursor *cursor) {
    uint32_t pairs;
    size_t bytes = wire_map_head(cursor->at, (size_t)(cursor->end - cursor->at), &pairs);
    if (bytes > 0)
        cursor->at += bytes;
    else
        wire_cursor_skip(cursor);
    return pairs;
}

uint32_t wire_cursor_array(struct wire_cursor *cursor) {
    msgpack_object value;
    size_t bytes = head(cursor, &value);
    if (value.type != MSGPACK_OBJECT_ARRAY) {
        wire_cursor_skip(cursor);
        return 0;
    }
    cursor->at += bytes;
    return value.via.array.size;
}
