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

static void put(msgpack_sbuffer *json, const char *bytes, size_t size) {
    (void)msgpack_sbuffer_write(json, bytes, size);
}

static void put_number(msgpack_sbuffer *json, int64_t value) {
    char digits[20];
    size_t at = sizeof digits;
    if (value < 0) {
        put(json, "null", 4);
        return;
    }
    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    put(json, digits + at, sizeof digits - at);
}

/* Strings of a result have no control characters; see wire_allowed(). */
static void put_text(msgpack_sbuffer *json, struct outline_text text) {
    if (text.at == NULL) {
        put(json, "null", 4);
        return;
    }
    put(json, "\"", 1);
    for (size_t i = 0, done = 0; i <= text.size; i++) {
        if (i < text.size && text.at[i] != '"' && text.at[i] != '\\')
            continue;
        put(json, text.at + done, i - done);
        if (i < text.size)
            put(json, "\\", 1);
        done = i;
    }
    put(json, "\"", 1);
}

static void put_probe(msgpack_sbuffer *json, int64_t ttl, const msgpack_object *probe) {
    put(json, "[", 1);
    put_number(json, ttl);
    put(json, ",", 1);
    put_number(json, number_of(wire_find(probe, "attempt")));
    put(json, ",", 1);
    put_text(json, text_of(wire_find(probe, "addr")));
    put(json, ",", 1);
    put_number(json, number_of(wire_find(probe, "rtt_us")));
    put(json, ",", 1);
    put_number(json, number_of(wire_find(probe, "sent_us")));
    put(json, ",", 1);
    put_text(json, text_of(wire_find(probe, "verdict")));
    put(json, "]", 1);
}

static const msgpack_object *elements(const msgpack_object *array, uint32_t *count) {
    bool is = array != NULL && array->type == MSGPACK_OBJECT_ARRAY;
    *count = is ? array->via.array.size : 0;
    return is ? array->via.array.ptr : NULL;
}

void outline_hops(msgpack_sbuffer *json, const msgpack_object *map) {
    uint32_t hop_count, probe_count;
    const msgpack_object *hops = elements(wire_find(map, "hops"), &hop_count);
    bool first = true;
    put(json, "[", 1);
    for (uint32_t h = 0; h < hop_count; h++) {
        int64_t ttl = number_of(wire_find(&hops[h], "ttl"));
        const msgpack_object *probes = elements(wire_find(&hops[h], "probes"), &probe_count);
        for (uint32_t p = 0; p < probe_count; p++) {
            if (!first)
                put(json, ",", 1);
            first = false;
            put_probe(json, ttl, &probes[p]);
        }
    }
    put(json, "]", 1);
}
