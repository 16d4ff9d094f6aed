#include "broker/store/columns.h"

#include <string.h>

struct key {
    const char *name;
    size_t size;
    size_t offset;
    bool text;
};

#define TEXT(member)                                                                               \
    { #member, sizeof #member - 1, offsetof(struct columns, member), true }
#define NUMBER(member)                                                                             \
    { #member, sizeof #member - 1, offsetof(struct columns, member), false }

static const struct key keys[] = {
    TEXT(target),
    TEXT(stream),
    TEXT(dst),
    TEXT(src),
    TEXT(protocol),
    TEXT(worker),
    TEXT(stop),
    NUMBER(accepted_us),
    NUMBER(started_us),
    NUMBER(finished_us),
    NUMBER(run),
    NUMBER(probes_sent),
};

#define KEYS (sizeof keys / sizeof keys[0])

/* Compares with a literal, whose size the compiler knows: it makes no call. */
#define IS(text, literal)                                                                          \
    ((text).size == sizeof(literal) - 1 && memcmp((text).at, (literal), sizeof(literal) - 1) == 0)

/* ---- hops --------------------------------------------------------------------------------- */

#define STRING_BYTES 64 /* no address and no verdict is longer */
#define PROBE_BYTES (4 * 20 + 2 * (2 * STRING_BYTES + 2) + 7)

static char *put_bytes(char *to, const char *bytes, size_t size) {
    memcpy(to, bytes, size);
    return to + size;
}

static char *put_null(char *to) {
    static const char null[4] = {'n', 'u', 'l', 'l'};
    return put_bytes(to, null, sizeof null);
}

static char *put_number(char *to, int64_t value) {
    char digits[20];
    size_t at = sizeof digits;
    if (value < 0)
        return put_null(to);
    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    return put_bytes(to, digits + at, sizeof digits - at);
}

/* Strings of a result have no control characters; see wire_allowed(). */
static char *put_text(char *to, struct wire_string text) {
    if (text.at == NULL || text.size > STRING_BYTES)
        return put_null(to);
    *to++ = '"';
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] == '"' || text.at[i] == '\\')
            *to++ = '\\';
        *to++ = text.at[i];
    }
    *to++ = '"';
    return to;
}

struct probe {
    int64_t attempt, rtt_us, sent_us;
    struct wire_string addr, verdict;
};

static struct probe read_probe(struct wire_cursor *cursor) {
    struct probe p = {-1, -1, -1, {NULL, 0}, {NULL, 0}};
    for (uint32_t left = wire_cursor_map(cursor); left > 0; left--) {
        struct wire_string key = wire_cursor_text(cursor);
        if (IS(key, "attempt"))
            p.attempt = wire_cursor_number(cursor);
        else if (IS(key, "addr"))
            p.addr = wire_cursor_text(cursor);
        else if (IS(key, "rtt_us"))
            p.rtt_us = wire_cursor_number(cursor);
        else if (IS(key, "sent_us"))
            p.sent_us = wire_cursor_number(cursor);
        else if (IS(key, "verdict"))
            p.verdict = wire_cursor_text(cursor);
        else
            wire_cursor_skip(cursor);
    }
    return p;
}

static void put_probes(msgpack_sbuffer *json, int64_t ttl, struct wire_cursor *cursor) {
    char text[PROBE_BYTES];
    for (uint32_t left = wire_cursor_array(cursor); left > 0; left--) {
        const struct probe p = read_probe(cursor);
        char *to = text;
        *to++ = json->size == 0 ? '[' : ',';
        *to++ = '[';
        to = put_number(to, ttl);
        *to++ = ',';
        to = put_number(to, p.attempt);
        *to++ = ',';
        to = put_text(to, p.addr);
        *to++ = ',';
        to = put_number(to, p.rtt_us);
        *to++ = ',';
        to = put_number(to, p.sent_us);
        *to++ = ',';
        to = put_text(to, p.verdict);
        *to++ = ']';
        (void)msgpack_sbuffer_write(json, text, (size_t)(to - text));
    }
}

/* Writes the probes when they are met, and writes them again if the ttl turns out to be another
 * one: it may come after the probes, and of a key that occurs twice the last value counts. */
static void put_hop(msgpack_sbuffer *json, struct wire_cursor *cursor) {
    struct wire_cursor probes = wire_cursor_begin(cursor->at, 0);
    const size_t before = json->size;
    int64_t ttl = -1, put_ttl = -1;
    for (uint32_t left = wire_cursor_map(cursor); left > 0; left--) {
        struct wire_string key = wire_cursor_text(cursor);
        if (IS(key, "ttl")) {
            ttl = wire_cursor_number(cursor);
        } else if (IS(key, "probes")) {
            probes = *cursor;
            put_ttl = ttl;
            json->size = before;
            put_probes(json, ttl, cursor);
        } else {
            wire_cursor_skip(cursor);
        }
    }
    if (put_ttl != ttl) {
        json->size = before;
        put_probes(json, ttl, &probes);
    }
}

/* If a result has the key "hops" twice, the last value counts. */
static void put_hops(msgpack_sbuffer *json, struct wire_cursor *cursor) {
    msgpack_sbuffer_clear(json);
    for (uint32_t left = wire_cursor_array(cursor); left > 0; left--)
        put_hop(json, cursor);
}

/* ---- columns ------------------------------------------------------------------------------ */

static struct wire_string read_code(struct wire_cursor *cursor) {
    struct wire_string code = {NULL, 0};
    for (uint32_t left = wire_cursor_map(cursor); left > 0; left--) {
        struct wire_string key = wire_cursor_text(cursor);
        if (IS(key, "code"))
            code = wire_cursor_text(cursor);
        else
            wire_cursor_skip(cursor);
    }
    return code;
}

/* Reads the value of the entry with this name, which comes next. */
static void read_entry(
    struct columns *columns, struct wire_string name, struct wire_cursor *cursor) {
    for (size_t k = 0; k < KEYS; k++) {
        if (name.size != keys[k].size || memcmp(name.at, keys[k].name, name.size) != 0)
            continue;
        void *member = (char *)columns + keys[k].offset;
        if (keys[k].text)
            *(struct wire_string *)member = wire_cursor_text(cursor);
        else
            *(int64_t *)member = wire_cursor_number(cursor);
        return;
    }
    wire_cursor_skip(cursor);
}

/* json may be NULL: probes are skipped then. */
static void read_map(struct columns *columns, msgpack_sbuffer *json, struct wire_cursor cursor) {
    *columns = (struct columns){
        .accepted_us = -1, .started_us = -1, .finished_us = -1, .run = -1, .probes_sent = -1};
    for (uint32_t left = wire_cursor_map(&cursor); left > 0; left--) {
        struct wire_string name = wire_cursor_text(&cursor);
        if (IS(name, "error"))
            columns->error = read_code(&cursor);
        else if (json != NULL && IS(name, "hops"))
            put_hops(json, &cursor);
        else
            read_entry(columns, name, &cursor);
    }
}

void columns_read(struct columns *columns, const void *bytes, size_t size) {
    read_map(columns, NULL, wire_cursor_begin(bytes, size));
}

void columns_read_result(
    struct columns *columns, msgpack_sbuffer *json, const void *bytes, size_t size) {
    msgpack_sbuffer_clear(json);
    read_map(columns, json, wire_cursor_begin(bytes, size));
    if (json->size == 0)
        (void)msgpack_sbuffer_write(json, "[", 1);
    (void)msgpack_sbuffer_write(json, "]", 1);
}
