#include "common/walk.h"

#include "common/wire.h"

struct walk walk_begin(const void *bytes, size_t size) {
    return (struct walk){bytes, (const uint8_t *)bytes + size};
}

void walk_skip(struct walk *w) {
    size_t size = wire_value_size(w->at, (size_t)(w->end - w->at));
    w->at = size > 0 ? w->at + size : w->end;
}

/* The number of so many bytes behind the first one; false if they are not there. */
static bool behind(const struct walk *w, size_t bytes, uint64_t *number) {
    if ((size_t)(w->end - w->at) <= bytes)
        return false;
    *number = 0;
    for (size_t i = 1; i <= bytes; i++)
        *number = *number << 8 | w->at[i];
    return true;
}

struct walk_text walk_text(struct walk *w) {
    uint8_t first = w->at < w->end ? *w->at : 0;
    size_t length_bytes = first >= 0xd9 && first <= 0xdb ? (size_t)1 << (first - 0xd9) : 0;
    uint64_t size = first & 0x1f;
    bool is = (first & 0xe0) == 0xa0 || (length_bytes > 0 && behind(w, length_bytes, &size));
    if (!is || size >= (size_t)(w->end - w->at) - length_bytes) {
        walk_skip(w);
        return (struct walk_text){NULL, 0};
    }
    const struct walk_text text = {(const char *)w->at + 1 + length_bytes, (size_t)size};
    w->at += 1 + length_bytes + size;
    return text;
}

int64_t walk_number(struct walk *w) {
    uint8_t first = w->at < w->end ? *w->at : 0xff;
    if (first <= 0x7f) {
        w->at++;
        return first;
    }
    /* cc..cf are unsigned, d0..d3 signed, each of 1, 2, 4 or 8 bytes. */
    size_t bytes = first >= 0xcc && first <= 0xd3 ? (size_t)1 << (first & 3) : 0;
    uint64_t number, limit = UINT64_C(1) << (first >= 0xd0 && bytes > 0 ? 8 * bytes - 1 : 63);
    if (bytes == 0 || !behind(w, bytes, &number) || number >= limit) {
        walk_skip(w);
        return -1;
    }
    w->at += 1 + bytes;
    return (int64_t)number;
}

/* Of a container whose short heads are those from `small` on, 16 of them, and whose others are
 * `large`, with 2 bytes of length, and the next one, with 4. */
static uint32_t container(struct walk *w, uint8_t small, uint8_t large) {
    uint8_t first = w->at < w->end ? *w->at : 0xc0;
    size_t length_bytes = first == large ? 2 : first == large + 1 ? 4 : 0;
    uint64_t count = first & 0x0f;
    bool is = (first & 0xf0) == small || (length_bytes > 0 && behind(w, length_bytes, &count));
    if (!is || count >= (size_t)(w->end - w->at)) {
        walk_skip(w);
        return 0;
    }
    w->at += 1 + length_bytes;
    return (uint32_t)count;
}

uint32_t walk_map(struct walk *w) { return container(w, 0x80, 0xde); }

uint32_t walk_array(struct walk *w) { return container(w, 0x90, 0xdc); }
