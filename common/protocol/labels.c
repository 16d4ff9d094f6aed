#include "common/protocol/labels.h"

#include <string.h>

static bool label_text(const msgpack_object *o) {
    return o->type == MSGPACK_OBJECT_STR && o->via.str.size >= 1 &&
           o->via.str.size <= LABEL_BYTES &&
           wire_allowed(o->via.str.ptr, o->via.str.size, WIRE_ID_CHARS);
}

bool labels_check(const msgpack_object *map, const char *field, struct wire_error *err) {
    if (map->type != MSGPACK_OBJECT_MAP || map->via.map.size > LABELS_MAX) {
        wire_fail(err, "bad-request", field, "must be a map of at most %d labels", LABELS_MAX);
        return false;
    }
    for (uint32_t i = 0; i < map->via.map.size; i++)
        if (!label_text(&map->via.map.ptr[i].key) || !label_text(&map->via.map.ptr[i].val)) {
            wire_fail(err, "bad-request", field,
                "a label's name and value must be strings of 1..%d of A-Za-z0-9._:-", LABEL_BYTES);
            return false;
        }
    return true;
}

/* Where a key stands twice, the last one counts. */
static bool stands_again(const msgpack_object *map, uint32_t i) {
    const msgpack_object_str *key = &map->via.map.ptr[i].key.via.str;
    for (uint32_t j = i + 1; j < map->via.map.size; j++) {
        const msgpack_object_str *other = &map->via.map.ptr[j].key.via.str;
        if (other->size == key->size && memcmp(other->ptr, key->ptr, key->size) == 0)
            return true;
    }
    return false;
}

static void copy(char *out, const msgpack_object *text) {
    memcpy(out, text->via.str.ptr, text->via.str.size);
    out[text->via.str.size] = '\0';
}

void labels_get(struct labels *labels, const msgpack_object *map) {
    labels->count = 0;
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        if (stands_again(map, i))
            continue;
        struct label *label = &labels->at[labels->count++];
        copy(label->name, &map->via.map.ptr[i].key);
        copy(label->value, &map->via.map.ptr[i].val);
    }
}

void labels_put(msgpack_packer *pk, const struct labels *labels) {
    msgpack_pack_map(pk, labels->count);
    for (unsigned i = 0; i < labels->count; i++)
        wire_put_key_text(pk, labels->at[i].name, labels->at[i].value);
}

bool labels_add(struct labels *labels, const char *text) {
    const char *equals = strchr(text, '=');
    if (equals == NULL || labels->count == LABELS_MAX)
        return false;
    size_t name = (size_t)(equals - text), value = strlen(equals + 1);
    if (name < 1 || name > LABEL_BYTES || value < 1 || value > LABEL_BYTES ||
        !wire_allowed(text, name, WIRE_ID_CHARS) || !wire_allowed(equals + 1, value, WIRE_ID_CHARS))
        return false;
    struct label *label = &labels->at[labels->count++];
    memcpy(label->name, text, name);
    label->name[name] = '\0';
    memcpy(label->value, equals + 1, value + 1);
    return true;
}

bool labels_fit(const struct labels *have, const msgpack_object *want) {
    if (want == NULL)
        return true;
    for (uint32_t i = 0; i < want->via.map.size; i++) {
        bool found = stands_again(want, i);
        for (unsigned j = 0; j < have->count && !found; j++)
            found = wire_is(&want->via.map.ptr[i].key, have->at[j].name) &&
                    wire_is(&want->via.map.ptr[i].val, have->at[j].value);
        if (!found)
            return false;
    }
    return true;
}
