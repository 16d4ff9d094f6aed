/* wire_cursor: msgpack value by value, without making objects of it. Pure.
 *
 * It is for bytes that wire and result have checked, in whatever form a worker or the broker
 * encoded them. It never fails and never reads beyond the end: a value that is broken, or not of
 * the kind that is asked for, reads as absent. Each function moves behind the next value, whatever
 * it is. */
#ifndef HOPMQ_WIRE_CURSOR_H
#define HOPMQ_WIRE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire_cursor {
    const uint8_t *at, *end;
};

struct wire_string {
    const char *at; /* points into the bytes, without NUL; NULL: absent */
    size_t size;
};

struct wire_cursor wire_cursor_begin(const void *bytes, size_t size);

struct wire_string wire_cursor_text(struct wire_cursor *cursor);

/* 0..INT64_MAX, or -1. */
int64_t wire_cursor_number(struct wire_cursor *cursor);

/* Moves into a map or an array, and returns the number of pairs or elements that follow; 0, and
 * behind the value, if it is none. */
uint32_t wire_cursor_map(struct wire_cursor *cursor);
uint32_t wire_cursor_array(struct wire_cursor *cursor);

void wire_cursor_skip(struct wire_cursor *cursor);

#endif
