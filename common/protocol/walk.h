/* walk: msgpack value by value, without making objects of it. Pure.
 *
 * For what a worker or the broker encoded, in whatever forms, and wire and result have checked. It
 * never fails and never reads past the end: what is broken, or not of the kind that is asked for,
 * reads as absent. Each function passes the next value, whatever it is. */
#ifndef HOPMQ_WALK_H
#define HOPMQ_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct walk {
    const uint8_t *at, *end;
};

struct walk_text {
    const char *at; /* points into the bytes, without NUL; NULL: absent */
    size_t size;
};

struct walk walk_begin(const void *bytes, size_t size);

struct walk_text walk_text(struct walk *walk);

/* 0..INT64_MAX, or -1. */
int64_t walk_number(struct walk *walk);

/* How many entries follow, each a key and a value, or one element; 0 if it is nothing of the kind.
 */
uint32_t walk_map(struct walk *walk);
uint32_t walk_array(struct walk *walk);

void walk_skip(struct walk *walk);

#endif
