/* wire_head: one value of msgpack, without its children. Pure.
 *
 * wire_doc_read() and wire_cursor read every message with it. It is inline because a message has
 * hundreds of values, most of them short.
 */
#ifndef HOPMQ_WIRE_HEAD_H
#define HOPMQ_WIRE_HEAD_H

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The same as wire_head_any() for a value whose first byte is 0xc0..0xdf. Returns 0 if its head
 * does not end within what is left. */
uint64_t wire_head_long(msgpack_object *o, const uint8_t *at, size_t left);

/* Reads a value of any type without its children. Returns its bytes, which may be more than are
 * left. */
static inline uint64_t wire_head_any(msgpack_object *o, const uint8_t *at, size_t left) {
    uint8_t first = at[0];
    if (first <= 0x7f) {
        o->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
        o->via.u64 = first;
    } else if (first <= 0x8f) {
        o->type = MSGPACK_OBJECT_MAP;
        o->via.map = (msgpack_object_map){first & 0x0fU, NULL};
    } else if (first <= 0x9f) {
        o->type = MSGPACK_OBJECT_ARRAY;
        o->via.array = (msgpack_object_array){first & 0x0fU, NULL};
    } else if (first <= 0xbf) {
        o->type = MSGPACK_OBJECT_STR;
        o->via.str = (msgpack_object_str){first & 0x1fU, (const char *)at + 1};
        return 1 + (first & 0x1fU);
    } else if (first >= 0xe0) {
        o->type = MSGPACK_OBJECT_NEGATIVE_INTEGER;
        o->via.i64 = (int64_t)first - 0x100;
    } else {
        return wire_head_long(o, at, left);
    }
    return 1;
}

static inline uint64_t wire_children(const msgpack_object *o) {
    return o->type == MSGPACK_OBJECT_MAP     ? 2 * (uint64_t)o->via.map.size
           : o->type == MSGPACK_OBJECT_ARRAY ? o->via.array.size
                                             : 0;
}

/* Reads the value that begins there, without its children: an array or map has their number only.
 * Returns the bytes read, a string's content included; 0 if it does not end within what is left, or
 * if fewer bytes follow than it has children. */
static inline size_t wire_head(msgpack_object *o, const uint8_t *at, size_t left) {
    uint64_t bytes = left > 0 ? wire_head_any(o, at, left) : 0;
    return bytes > 0 && bytes <= left && wire_children(o) <= left - bytes ? (size_t)bytes : 0;
}

/* The same for a map: sets *pairs to their number, and returns 0 also if it is no map. */
static inline size_t wire_map_head(const void *at, size_t left, uint32_t *pairs) {
    msgpack_object map;
    size_t bytes = wire_head(&map, at, left);
    bool is_map = bytes > 0 && map.type == MSGPACK_OBJECT_MAP;
    *pairs = is_map ? map.via.map.size : 0;
    return is_map ? bytes : 0;
}

#endif
