#include "common/wire.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fail(
    struct wire_error *err, const char *code, const char *field, const char *format, va_list args) {
    err->code = code;
    err->reason[0] = '\0';
    err->retry_ms = 0;
    size_t length = strlen(field);
    if (length > 0 && field[length - 1] == '.')
        length--; /* a path, of the map itself */
    (void)snprintf(err->field, sizeof err->field, "%.*s", (int)length, field);
    int used = 0;
    if (field[0] != '\0')
        used = snprintf(err->message, sizeof err->message, "%s: ", err->field);
    (void)vsnprintf(err->message + used, sizeof err->message - (size_t)used, format, args);
    for (char *c = err->message; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
            *c = '?';
}

void wire_fail(
    struct wire_error *err, const char *code, const char *field, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fail(err, code, field, format, args);
    va_end(args);
}

void wire_busy(struct wire_error *err, const char *field, const char *reason, int64_t retry_ms,
    const char *format, ...) {
    va_list args;
    va_start(args, format);
    fail(err, "busy", field, format, args);
    va_end(args);
    (void)snprintf(err->reason, sizeof err->reason, "%s", reason);
    err->retry_ms = retry_ms;
}

/* ---- reading ---------------------------------------------------------------------------- */

static uint64_t big_endian(const uint8_t *at, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

/* One value, without the children that come behind it. */
struct value {
    msgpack_object object;
    uint64_t bytes; /* with its own content */
    uint64_t children;
};

/* The msgpack specification's first bytes from 0xc0 on: the type, and the bytes of the number or
 * size that follows, or of an ext its size. An int is signed, but may be positive. */
static const struct head {
    uint8_t type, bytes, size;
} heads[] = {
    [0xc0 - 0xc0] = {MSGPACK_OBJECT_NIL, 0, 0},
    [0xc2 - 0xc0] = {MSGPACK_OBJECT_BOOLEAN, 0, 0},
    [0xc3 - 0xc0] = {MSGPACK_OBJECT_BOOLEAN, 0, 0},
    [0xc4 - 0xc0] = {MSGPACK_OBJECT_BIN, 1, 0},
    [0xc5 - 0xc0] = {MSGPACK_OBJECT_BIN, 2, 0},
    [0xc6 - 0xc0] = {MSGPACK_OBJECT_BIN, 4, 0},
    [0xc7 - 0xc0] = {MSGPACK_OBJECT_EXT, 1, 0},
    [0xc8 - 0xc0] = {MSGPACK_OBJECT_EXT, 2, 0},
    [0xc9 - 0xc0] = {MSGPACK_OBJECT_EXT, 4, 0},
    [0xca - 0xc0] = {MSGPACK_OBJECT_FLOAT32, 4, 0},
    [0xcb - 0xc0] = {MSGPACK_OBJECT_FLOAT64, 8, 0},
    [0xcc - 0xc0] = {MSGPACK_OBJECT_POSITIVE_INTEGER, 1, 0},
    [0xcd - 0xc0] = {MSGPACK_OBJECT_POSITIVE_INTEGER, 2, 0},
    [0xce - 0xc0] = {MSGPACK_OBJECT_POSITIVE_INTEGER, 4, 0},
    [0xcf - 0xc0] = {MSGPACK_OBJECT_POSITIVE_INTEGER, 8, 0},
    [0xd0 - 0xc0] = {MSGPACK_OBJECT_NEGATIVE_INTEGER, 1, 0},
    [0xd1 - 0xc0] = {MSGPACK_OBJECT_NEGATIVE_INTEGER, 2, 0},
    [0xd2 - 0xc0] = {MSGPACK_OBJECT_NEGATIVE_INTEGER, 4, 0},
    [0xd3 - 0xc0] = {MSGPACK_OBJECT_NEGATIVE_INTEGER, 8, 0},
    [0xd4 - 0xc0] = {MSGPACK_OBJECT_EXT, 0, 1},
    [0xd5 - 0xc0] = {MSGPACK_OBJECT_EXT, 0, 2},
    [0xd6 - 0xc0] = {MSGPACK_OBJECT_EXT, 0, 4},
    [0xd7 - 0xc0] = {MSGPACK_OBJECT_EXT, 0, 8},
    [0xd8 - 0xc0] = {MSGPACK_OBJECT_EXT, 0, 16},
    [0xd9 - 0xc0] = {MSGPACK_OBJECT_STR, 1, 0},
    [0xda - 0xc0] = {MSGPACK_OBJECT_STR, 2, 0},
    [0xdb - 0xc0] = {MSGPACK_OBJECT_STR, 4, 0},
    [0xdc - 0xc0] = {MSGPACK_OBJECT_ARRAY, 2, 0},
    [0xdd - 0xc0] = {MSGPACK_OBJECT_ARRAY, 4, 0},
    [0xde - 0xc0] = {MSGPACK_OBJECT_MAP, 2, 0},
    [0xdf - 0xc0] = {MSGPACK_OBJECT_MAP, 4, 0},
};

static void set_signed(msgpack_object *o, uint64_t bits, unsigned bytes) {
    unsigned unused = 64 - 8 * bytes;
    o->via.i64 = (int64_t)(bits << unused) >> unused;
    if (o->via.i64 >= 0)
        o->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
}

static double real(uint64_t bits, unsigned bytes) {
    uint32_t narrow_bits = (uint32_t)bits;
    float narrow;
    double wide;
    memcpy(&narrow, &narrow_bits, sizeof narrow);
    memcpy(&wide, &bits, sizeof wide);
    return bytes == sizeof narrow ? (double)narrow : wide;
}

/* What its content is; v->bytes are those before it, n the number or size that they hold. */
static bool read_content(
    struct value *v, const uint8_t *at, size_t left, uint64_t n, unsigned number_bytes) {
    msgpack_object *o = &v->object;
    const char *content = (const char *)at + v->bytes;
    switch (o->type) {
    case MSGPACK_OBJECT_NIL:
        break;
    case MSGPACK_OBJECT_BOOLEAN:
        o->via.boolean = at[0] == 0xc3;
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        o->via.u64 = n;
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        set_signed(o, n, number_bytes);
        break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        o->via.f64 = real(n, number_bytes);
        break;
    case MSGPACK_OBJECT_STR:
        o->via.str = (msgpack_object_str){(uint32_t)n, content};
        v->bytes += n;
        break;
    case MSGPACK_OBJECT_BIN:
        o->via.bin = (msgpack_object_bin){(uint32_t)n, content};
        v->bytes += n;
        break;
    case MSGPACK_OBJECT_EXT:
        if (v->bytes >= left)
            return false;
        o->via.ext = (msgpack_object_ext){(int8_t)*content, (uint32_t)n, content + 1};
        v->bytes += 1 + n;
        break;
    case MSGPACK_OBJECT_ARRAY:
        o->via.array = (msgpack_object_array){(uint32_t)n, NULL};
        v->children = n;
        break;
    case MSGPACK_OBJECT_MAP:
        o->via.map = (msgpack_object_map){(uint32_t)n, NULL};
        v->children = 2 * n;
        break;
    }
    return v->bytes <= left && v->children <= left - v->bytes;
}

/* False if it is none, or claims more bytes or children than there are bytes left: what no
 * memory may be asked for. */
static bool read_value(struct value *v, const uint8_t *at, size_t left) {
    uint8_t first = at[0];
    unsigned number_bytes = 0;
    uint64_t n = first;
    v->bytes = 1;
    v->children = 0;
    if (first <= 0x7f) {
        v->object.type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    } else if (first <= 0x8f) {
        v->object.type = MSGPACK_OBJECT_MAP;
        n &= 0x0f;
    } else if (first <= 0x9f) {
        v->object.type = MSGPACK_OBJECT_ARRAY;
        n &= 0x0f;
    } else if (first <= 0xbf) {
        v->object.type = MSGPACK_OBJECT_STR;
        n &= 0x1f;
    } else if (first >= 0xe0) {
        v->object.type = MSGPACK_OBJECT_NEGATIVE_INTEGER;
        number_bytes = 1;
    } else {
        const struct head *head = &heads[first - 0xc0];
        number_bytes = head->bytes;
        if (first == 0xc1 || left < 1 + number_bytes)
            return false;
        v->object.type = (msgpack_object_type)head->type;
        v->bytes += number_bytes;
        n = head->size + big_endian(at + 1, number_bytes);
    }
    return read_content(v, at, left, n, number_bytes);
}

size_t wire_value_size(const void *data, size_t size) {
    const uint8_t *at = data;
    size_t off = 0;
    for (uint64_t open = 1; open > 0; open--) {
        struct value v;
        if (off >= size || !read_value(&v, at + off, size - off))
            return 0;
        off += (size_t)v.bytes;
        open += v.children;
    }
    return off;
}

bool wire_doc_init(struct wire_doc *doc) {
    memset(doc, 0, sizeof *doc);
    doc->zone = msgpack_zone_new(MSGPACK_ZONE_CHUNK_SIZE);
    return doc->zone != NULL;
}

void wire_doc_free(struct wire_doc *doc) {
    if (doc->zone != NULL)
        msgpack_zone_free(doc->zone);
    doc->zone = NULL;
}

/* A map's keys and values lie in turn. */
static_assert(sizeof(msgpack_object_kv) == 2 * sizeof(msgpack_object), "pairs have gaps");

/* Room for the children of an array or map; NULL: no memory. */
static msgpack_object *new_children(msgpack_zone *zone, const struct value *v, msgpack_object *o) {
    msgpack_object *children = msgpack_zone_malloc(zone, (size_t)v->children * sizeof *children);
    if (o->type == MSGPACK_OBJECT_MAP)
        o->via.map.ptr = (msgpack_object_kv *)(void *)children;
    else
        o->via.array.ptr = children;
    return children;
}

/* Children count when they are claimed, so that max_values bounds the memory too. */
static bool read_tree(struct wire_doc *doc, const uint8_t *data, size_t size, uint32_t max_values,
    struct wire_error *err) {
    struct {
        msgpack_object *next, *end;
    } open[WIRE_MAX_DEPTH + 1] = {{&doc->root, &doc->root + 1}};
    unsigned depth = 0;
    uint64_t values = 1;
    size_t off = 0;
    for (;;) {
        while (open[depth].next == open[depth].end) {
            if (depth == 0) {
                if (off == size)
                    return true;
                wire_fail(err, "bad-request", "", "%zu bytes after the message", size - off);
                return false;
            }
            depth--;
        }
        struct value v;
        if (off >= size || !read_value(&v, data + off, size - off)) {
            wire_fail(err, "bad-request", "", "not a msgpack message: broken at byte %zu", off);
            return false;
        }
        off += (size_t)v.bytes;
        msgpack_object *o = open[depth].next++;
        *o = v.object;
        if (v.children == 0)
            continue;
        if ((values += v.children) > max_values) {
            wire_fail(err, "too-large", "", "more than %" PRIu32 " values", max_values);
            return false;
        }
        if (depth == WIRE_MAX_DEPTH) {
            wire_fail(err, "too-large", "", "nested deeper than %d", WIRE_MAX_DEPTH);
            return false;
        }
        msgpack_object *children = new_children(doc->zone, &v, o);
        if (children == NULL) {
            wire_fail(err, "too-large", "", "no memory for it");
            return false;
        }
        open[++depth].next = children;
        open[depth].end = children + v.children;
    }
}

bool wire_doc_read(struct wire_doc *doc, const void *data, size_t size, uint32_t max_values,
    struct wire_error *err) {
    msgpack_zone_clear(doc->zone);
    if (!read_tree(doc, data, size, max_values, err))
        return false;
    if (doc->root.type != MSGPACK_OBJECT_MAP) {
        wire_fail(err, "bad-request", "", "not a map");
        return false;
    }
    return true;
}

/* ---- fields ----------------------------------------------------------------------------- */

/* RFC 3629, section 4: the well-formed sequences by their first two bytes. */
static bool is_utf8(const char *text, size_t size) {
    const unsigned char *at = (const unsigned char *)text, *end = at + size;
    while (at < end) {
        unsigned char first = *at++;
        if (first < 0x80)
            continue;
        int follow = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
        unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        if (first < 0xc2 || first > 0xf4 || end - at < follow)
            return false;
        for (; follow > 0; follow--, at++, low = 0x80, high = 0xbf)
            if (*at < low || *at > high)
                return false;
    }
    return true;
}

bool wire_allowed(const char *text, size_t size, const char *allowed) {
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (allowed != NULL ? c == '\0' || strchr(allowed, c) == NULL : c < 0x20 || c == 0x7f)
            return false;
    }
    return allowed != NULL || is_utf8(text, size);
}

bool wire_portable(const msgpack_object *o, int max_depth) {
    if (o->type == MSGPACK_OBJECT_STR)
        return is_utf8(o->via.str.ptr, o->via.str.size);
    if (o->type != MSGPACK_OBJECT_ARRAY && o->type != MSGPACK_OBJECT_MAP)
        return true;
    if (max_depth == 0)
        return false;
    if (o->type == MSGPACK_OBJECT_ARRAY) {
        for (uint32_t i = 0; i < o->via.array.size; i++)
            if (!wire_portable(&o->via.array.ptr[i], max_depth - 1))
                return false;
        return true;
    }
    for (uint32_t i = 0; i < o->via.map.size; i++) {
        const msgpack_object_kv *pair = &o->via.map.ptr[i];
        if (pair->key.type != MSGPACK_OBJECT_STR || !wire_portable(&pair->key, 0) ||
            !wire_portable(&pair->val, max_depth - 1))
            return false;
    }
    return true;
}

bool wire_is(const msgpack_object *object, const char *text) {
    if (object->type != MSGPACK_OBJECT_STR)
        return false;
    uint32_t size = object->via.str.size;
    const char *at = object->via.str.ptr;
    for (uint32_t i = 0; i < size; i++)
        if (at[i] != text[i] || at[i] == '\0')
            return false;
    return text[size] == '\0';
}

const msgpack_object *wire_find(const msgpack_object *map, const char *key) {
    const msgpack_object *found = NULL;
    if (map->type == MSGPACK_OBJECT_MAP)
        for (uint32_t i = 0; i < map->via.map.size; i++)
            if (wire_is(&map->via.map.ptr[i].key, key))
                found = &map->via.map.ptr[i].val;
    return found;
}

struct field_error {
    struct wire_error *err;
    const char *path;
    const struct wire_field *field;
};

static bool refuse(const struct field_error *at, const char *text) {
    char name[sizeof at->err->field];
    (void)snprintf(name, sizeof name, "%s%s", at->path, at->field->name);
    wire_fail(at->err, "bad-request", name, "%s", text);
    return false;
}

static bool get_int(const msgpack_object *value, int64_t *out, const struct field_error *at) {
    const struct wire_field *f = at->field;
    char text[128];
    if (f->nullable && value->type == MSGPACK_OBJECT_NIL) {
        *out = -1;
        return true;
    }
    if (f->choices != NULL && wire_is(value, f->choices[0])) {
        *out = -1;
        return true;
    }
    if (value->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
        if (value->via.u64 >= (uint64_t)f->min && value->via.u64 <= (uint64_t)f->max) {
            *out = (int64_t)value->via.u64;
            return true;
        }
        (void)snprintf(text, sizeof text, "%" PRIu64 ": must be %" PRId64 "..%" PRId64,
            value->via.u64, f->min, f->max);
    } else if (value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
        (void)snprintf(text, sizeof text, "%" PRId64 ": must be %" PRId64 "..%" PRId64,
            value->via.i64, f->min, f->max);
    } else {
        (void)snprintf(text, sizeof text, "must be an integer of %" PRId64 "..%" PRId64 "%s%s",
            f->min, f->max, f->choices != NULL ? ", or " : "",
            f->choices != NULL ? f->choices[0] : "");
    }
    return refuse(at, text);
}

static bool get_text(const msgpack_object *value, char *out, const struct field_error *at) {
    const struct wire_field *f = at->field;
    char text[160];
    if (f->nullable && value->type == MSGPACK_OBJECT_NIL) {
        out[0] = '\0';
        return true;
    }
    if (value->type != MSGPACK_OBJECT_STR) {
        (void)snprintf(text, sizeof text, "must be a string of %" PRId64 "..%" PRId64 " bytes",
            f->min, f->max);
        return refuse(at, text);
    }
    size_t size = value->via.str.size;
    if (size < (size_t)f->min || size > (size_t)f->max) {
        (void)snprintf(
            text, sizeof text, "%zu bytes: must be %" PRId64 "..%" PRId64, size, f->min, f->max);
        return refuse(at, text);
    }
    if (!wire_allowed(value->via.str.ptr, size, f->allowed)) {
        (void)snprintf(text, sizeof text, "%.*s: a character that is not allowed here",
            (int)(size > 64 ? 64 : size), value->via.str.ptr);
        return refuse(at, text);
    }
    memcpy(out, value->via.str.ptr, size);
    out[size] = '\0';
    return true;
}

static bool get_choice(const msgpack_object *value, int *out, const struct field_error *at) {
    char text[192] = "";
    for (int i = 0; at->field->choices[i] != NULL; i++)
        if (wire_is(value, at->field->choices[i])) {
            *out = i;
            return true;
        }
    size_t used = 0;
    if (value->type == MSGPACK_OBJECT_STR)
        used = (size_t)snprintf(text, sizeof text,
            "%.*s: ", (int)(value->via.str.size > 32 ? 32 : value->via.str.size),
            value->via.str.ptr);
    used += (size_t)snprintf(text + used, sizeof text - used, "must be one of");
    for (int i = 0; at->field->choices[i] != NULL && used < sizeof text; i++)
        used += (size_t)snprintf(
            text + used, sizeof text - used, "%s %s", i > 0 ? "," : "", at->field->choices[i]);
    return refuse(at, text);
}

static bool get_one(const msgpack_object *value, void *member, const struct field_error *at) {
    switch (at->field->kind) {
    case WIRE_BOOL:
        if (value->type != MSGPACK_OBJECT_BOOLEAN)
            return refuse(at, "must be true or false");
        *(bool *)member = value->via.boolean;
        return true;
    case WIRE_INT:
        return get_int(value, member, at);
    case WIRE_TEXT:
        return get_text(value, member, at);
    case WIRE_CHOICE:
        return get_choice(value, member, at);
    case WIRE_VALUE:
        *(const msgpack_object **)member = value;
        return true;
    }
    return false;
}

bool wire_get(const msgpack_object *map, const struct wire_field *fields, size_t count, void *out,
    const char *path, struct wire_error *err) {
    if (map->type != MSGPACK_OBJECT_MAP) {
        wire_fail(err, "bad-request", path, "must be a map");
        return false;
    }
    uint64_t seen = 0;
    size_t next = 0; /* our own encoders write in table order, so look there first */
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object *key = &map->via.map.ptr[i].key;
        for (size_t tried = 0; tried < count; tried++, next++) {
            if (next >= count)
                next = 0;
            if (!wire_is(key, fields[next].name))
                continue;
            struct field_error at = {err, path, &fields[next]};
            if (!get_one(&map->via.map.ptr[i].val, (char *)out + fields[next].offset, &at))
                return false;
            seen |= UINT64_C(1) << next;
            break;
        }
    }
    for (size_t i = 0; i < count; i++)
        if (fields[i].required && (seen >> i & 1) == 0) {
            struct field_error at = {err, path, &fields[i]};
            return refuse(&at, "is missing");
        }
    return true;
}

static bool differs(const struct wire_field *f, const void *in, const void *defaults) {
    const char *a = (const char *)in + f->offset;
    const char *b = (const char *)defaults + f->offset;
    switch (f->kind) {
    case WIRE_BOOL:
        return *(const bool *)a != *(const bool *)b;
    case WIRE_INT:
        return *(const int64_t *)a != *(const int64_t *)b;
    case WIRE_TEXT:
        return strcmp(a, b) != 0;
    case WIRE_CHOICE:
        return *(const int *)a != *(const int *)b;
    case WIRE_VALUE:
        return *(const msgpack_object *const *)a != NULL;
    }
    return false;
}

uint32_t wire_count(
    const struct wire_field *fields, size_t count, const void *in, const void *defaults) {
    uint32_t written = 0;
    for (size_t i = 0; i < count; i++)
        if (fields[i].required || differs(&fields[i], in, defaults))
            written++;
    return written;
}

static void put_one(msgpack_packer *pk, const struct wire_field *f, const void *member) {
    switch (f->kind) {
    case WIRE_BOOL:
        if (*(const bool *)member)
            msgpack_pack_true(pk);
        else
            msgpack_pack_false(pk);
        break;
    case WIRE_INT:
        if (f->nullable && *(const int64_t *)member < 0)
            msgpack_pack_nil(pk);
        else if (f->choices != NULL && *(const int64_t *)member < 0)
            wire_put_text(pk, f->choices[0]);
        else
            msgpack_pack_int64(pk, *(const int64_t *)member);
        break;
    case WIRE_TEXT:
        if (f->nullable && *(const char *)member == '\0')
            msgpack_pack_nil(pk);
        else
            wire_put_text(pk, member);
        break;
    case WIRE_CHOICE:
        wire_put_text(pk, f->choices[*(const int *)member]);
        break;
    case WIRE_VALUE:
        if (*(const msgpack_object *const *)member != NULL)
            msgpack_pack_object(pk, **(const msgpack_object *const *)member);
        else
            msgpack_pack_nil(pk);
        break;
    }
}

void wire_put(msgpack_packer *pk, const struct wire_field *fields, size_t count, const void *in,
    const void *defaults) {
    for (size_t i = 0; i < count; i++)
        if (fields[i].required || differs(&fields[i], in, defaults)) {
            wire_put_text(pk, fields[i].name);
            put_one(pk, &fields[i], (const char *)in + fields[i].offset);
        }
}

void wire_put_text(msgpack_packer *pk, const char *text) {
    size_t size = strlen(text);
    msgpack_pack_str(pk, size);
    msgpack_pack_str_body(pk, text, size);
}

void wire_put_key_int(msgpack_packer *pk, const char *key, int64_t value) {
    wire_put_text(pk, key);
    msgpack_pack_int64(pk, value);
}

void wire_put_key_text(msgpack_packer *pk, const char *key, const char *text) {
    wire_put_text(pk, key);
    wire_put_text(pk, text);
}
