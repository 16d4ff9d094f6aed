#include "broker/outline.h"

#include <string.h>

struct key {
    const char *name;
    size_t size;
    size_t offset;
    bool text;
};

#define TEXT(member)                                                                               \
    { #member, sizeof #member - 1, offsetof(struct outline, member), true }
#define NUMBER(member)                                                                             \
    { #member, sizeof #member - 1, offsetof(struct outline, member), false }

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

static struct outline_text text_of(const msgpack_object *o) {
    if (o == NULL || o->type != MSGPACK_OBJECT_STR)
        return (struct outline_text){NULL, 0};
    return (struct outline_text){o->via.str.ptr, o->via.str.size};
}

static int64_t number_of(const msgpack_object *o) {
    if (o == NULL || o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || o->via.u64 > INT64_MAX)
        return -1;
    return (int64_t)o->via.u64;
}

void outline_read(struct outline *outline, const msgpack_object *map) {
    *outline = (struct outline){
        .accepted_us = -1, .started_us = -1, .finished_us = -1, .run = -1, .probes_sent = -1};
    for (uint32_t i = 0; map->type == MSGPACK_OBJECT_MAP && i < map->via.map.size; i++) {
        const msgpack_object *name = &map->via.map.ptr[i].key, *value = &map->via.map.ptr[i].val;
        if (name->type != MSGPACK_OBJECT_STR)
            continue;
        if (wire_is(name, "error"))
            outline->error = text_of(wire_find(value, "code"));
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            if (name->via.str.size != keys[k].size ||
                memcmp(name->via.str.ptr, keys[k].name, keys[k].size) != 0)
                continue;
            char *member = (char *)outline + keys[k].offset;
            if (keys[k].text)
                *(struct outline_text *)(void *)member = text_of(value);
            else
                *(int64_t *)(void *)member = number_of(value);
            break;
        }
    }
}

/* ---- hops --------------------------------------------------------------------------------- */

#define STRING_BYTES 64 /* longer than any address and any verdict */
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
static char *put_text(char *to, struct outline_text text) {
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

static bool is_key(const msgpack_object *key, const char *name, size_t size) {
    return key->type == MSGPACK_OBJECT_STR && key->via.str.size == size &&
           memcmp(key->via.str.ptr, name, size) == 0;
}

/* The values of these keys, NULL where one is absent. In a map as our programs write it each comes
 * behind the one before. */
static void find(const msgpack_object *map, const struct key *names, size_t count,
    const msgpack_object **values) {
    size_t next = 0;
    for (size_t i = 0; i < count; i++)
        values[i] = NULL;
    for (uint32_t i = 0; map->type == MSGPACK_OBJECT_MAP && i < map->via.map.size; i++)
        for (size_t tried = 0; tried < count; tried++, next = (next + 1) % count)
            if (is_key(&map->via.map.ptr[i].key, names[next].name, names[next].size)) {
                values[next] = &map->via.map.ptr[i].val;
                break;
            }
}

static char *put_probe(char *to, int64_t ttl, const msgpack_object *probe) {
    static const struct key names[] = {
        {.name = "attempt", .size = 7},
        {.name = "addr", .size = 4},
        {.name = "rtt_us", .size = 6},
        {.name = "sent_us", .size = 7},
        {.name = "verdict", .size = 7},
    };
    const msgpack_object *values[5];
    find(probe, names, 5, values);
    *to++ = '[';
    to = put_number(to, ttl);
    *to++ = ',';
    to = put_number(to, number_of(values[0]));
    *to++ = ',';
    to = put_text(to, text_of(values[1]));
    *to++ = ',';
    to = put_number(to, number_of(values[2]));
    *to++ = ',';
    to = put_number(to, number_of(values[3]));
    *to++ = ',';
    to = put_text(to, text_of(values[4]));
    *to++ = ']';
    return to;
}

static const msgpack_object *elements(const msgpack_object *array, uint32_t *count) {
    bool is = array != NULL && array->type == MSGPACK_OBJECT_ARRAY;
    *count = is ? array->via.array.size : 0;
    return is ? array->via.array.ptr : NULL;
}

void outline_hops(msgpack_sbuffer *json, const msgpack_object *map) {
    uint32_t hop_count, probe_count;
    const msgpack_object *hops = elements(wire_find(map, "hops"), &hop_count);
    char text[PROBE_BYTES + 1] = "[";
    char *end = text + 1; /* what comes before the next probe */
    for (uint32_t h = 0; h < hop_count; h++) {
        int64_t ttl = number_of(wire_find(&hops[h], "ttl"));
        const msgpack_object *probes = elements(wire_find(&hops[h], "probes"), &probe_count);
        for (uint32_t p = 0; p < probe_count; p++) {
            end = put_probe(end, ttl, &probes[p]);
            (void)msgpack_sbuffer_write(json, text, (size_t)(end - text));
            text[0] = ',';
            end = text + 1;
        }
    }
    if (text[0] == '[')
        (void)msgpack_sbuffer_write(json, "[", 1);
    (void)msgpack_sbuffer_write(json, "]", 1);
}
