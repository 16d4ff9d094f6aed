#include "common/protocol/wire.h"

#include <endian.h>
#include <inttypes.h>
#include <limits.h>
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

/* ---- fields ----------------------------------------------------------------------------- */

#define EIGHT(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Most texts are ASCII, so this looks at eight bytes at a time. */
static bool is_ascii(const char *text, size_t size) {
    uint64_t bits = 0, eight;
    size_t at = 0;
    for (; at + sizeof eight <= size; at += sizeof eight) {
        memcpy(&eight, text + at, sizeof eight);
        bits |= eight;
    }
    for (; at < size; at++)
        bits |= (unsigned char)text[at];
    return (bits & EIGHT(0x80)) == 0;
}

/* RFC 3629, section 4: the well-formed sequences by their first two bytes. */
static bool is_utf8(const char *text, size_t size) {
    const unsigned char *at = (const unsigned char *)text, *end = at + size;
    if (is_ascii(text, size))
        return true;
    while (at < end) {
        unsigned char first = *at++;
        int follow = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
        unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        if ((first >= 0x80 && first < 0xc2) || first > 0xf4 || end - at < follow)
            return false;
        for (; follow > 0; follow--, at++, low = 0x80, high = 0xbf)
            if (*at < low || *at > high)
                return false;
    }
    return true;
}

/* Most texts are printable ASCII. This looks at eight bytes at a time, at the last ones perhaps
 * twice. In the two sums, the highest bit of an ASCII byte tells whether the byte is 0x7f, and
 * whether it is at least 0x20. */
static bool is_printable_ascii(const char *text, size_t size) {
    uint64_t wrong = 0, eight;
    if (size < sizeof eight)
        return false;
    for (size_t at = 0; at < size; at += sizeof eight) {
        memcpy(&eight, text + (at + sizeof eight <= size ? at : size - sizeof eight), sizeof eight);
        wrong |= eight | (eight + EIGHT(0x01)) | ~(eight + EIGHT(0x60));
    }
    return (wrong & EIGHT(0x80)) == 0;
}

static bool is_printable(const char *text, size_t size) {
    if (is_printable_ascii(text, size))
        return true;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return is_utf8(text, size);
}

/* The bit of each character that any of WIRE_ID_CHARS and its like allows. */
#define S WIRE_STREAM_CHARS
#define TEN S, S, S, S, S, S, S, S, S, S
#define LETTERS TEN, TEN, S, S, S, S, S, S
static const uint8_t char_bits[UCHAR_MAX + 1] = {
    ['-'] = S,
    ['.'] = WIRE_DOT,
    ['/'] = WIRE_SLASH,
    ['0'] = TEN,
    [':'] = WIRE_COLON,
    ['A'] = LETTERS,
    ['_'] = S,
    ['a'] = LETTERS,
};
#undef S
#undef TEN
#undef LETTERS

bool wire_allowed(const char *text, size_t size, unsigned allowed) {
    if (allowed == 0)
        return is_printable(text, size);
    for (size_t i = 0; i < size; i++)
        if ((char_bits[(unsigned char)text[i]] & allowed) == 0)
            return false;
    return true;
}

static bool portable_string(const msgpack_object *o) {
    return o->type == MSGPACK_OBJECT_STR && is_utf8(o->via.str.ptr, o->via.str.size);
}

bool wire_portable(const msgpack_object *o, int max_depth) {
    if (o->type == MSGPACK_OBJECT_STR)
        return portable_string(o);
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
    for (uint32_t i = 0; i < o->via.map.size; i++)
        if (!portable_string(&o->via.map.ptr[i].key) ||
            !wire_portable(&o->via.map.ptr[i].val, max_depth - 1))
            return false;
    return true;
}

struct field_error {
    struct wire_error *err;
    const char *path;
    const struct wire_field *field;
};

static bool wire_refuse(const struct field_error *at, const char *text) {
    char name[sizeof at->err->field];
    (void)snprintf(name, sizeof name, "%s%s", at->path, at->field->name);
    wire_fail(at->err, "bad-request", name, "%s", text);
    return false;
}

static bool get_int(const msgpack_object *value, int64_t *out, const struct field_error *at) {
    const struct wire_field *f = at->field;
    char text[128];
    if ((f->flags & WIRE_NULLABLE) != 0 && value->type == MSGPACK_OBJECT_NIL) {
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
    return wire_refuse(at, text);
}

static bool get_text(const msgpack_object *value, char *out, const struct field_error *at) {
    const struct wire_field *f = at->field;
    char text[160];
    if ((f->flags & WIRE_NULLABLE) != 0 && value->type == MSGPACK_OBJECT_NIL) {
        out[0] = '\0';
        return true;
    }
    if (value->type != MSGPACK_OBJECT_STR) {
        (void)snprintf(text, sizeof text, "must be a string of %" PRId64 "..%" PRId64 " bytes",
            f->min, f->max);
        return wire_refuse(at, text);
    }
    size_t size = value->via.str.size;
    if (size < (size_t)f->min || size > (size_t)f->max) {
        (void)snprintf(
            text, sizeof text, "%zu bytes: must be %" PRId64 "..%" PRId64, size, f->min, f->max);
        return wire_refuse(at, text);
    }
    if (!wire_allowed(value->via.str.ptr, size, f->allowed)) {
        (void)snprintf(text, sizeof text, "%.*s: a character that is not allowed here",
            (int)(size > 64 ? 64 : size), value->via.str.ptr);
        return wire_refuse(at, text);
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
    return wire_refuse(at, text);
}

static bool get_one(const msgpack_object *value, void *out, const struct field_error *at) {
    void *member = (char *)out + at->field->offset;
    switch (at->field->kind) {
    case WIRE_BOOL:
        if (value->type != MSGPACK_OBJECT_BOOLEAN)
            return wire_refuse(at, "must be true or false");
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
    case WIRE_CUSTOM:
        return at->field->custom->get(out, value, at->err);
    }
    return false;
}

bool wire_get_known(const msgpack_object *map, const struct wire_field *fields, size_t count,
    void *out, const char *path, uint32_t *unknown, struct wire_error *err) {
    if (map->type != MSGPACK_OBJECT_MAP) {
        wire_fail(err, "bad-request", path, "must be a map");
        return false;
    }
    struct field_error at = {.err = err, .path = path};
    uint64_t seen = 0;
    size_t next = 0; /* our own encoders write in the table's order, so this key is tried first */
    *unknown += map->via.map.size;
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object *key = &map->via.map.ptr[i].key;
        for (size_t tried = 0; tried < count; tried++, next++) {
            if (next >= count)
                next = 0;
            if (!wire_is_name(key, &fields[next]))
                continue;
            at.field = &fields[next];
            if (!get_one(&map->via.map.ptr[i].val, out, &at))
                return false;
            *unknown -= (seen >> next & 1) == 0;
            seen |= UINT64_C(1) << next;
            break;
        }
    }
    for (size_t i = 0; i < count; i++)
        if ((fields[i].flags & WIRE_REQUIRED) != 0 && (seen >> i & 1) == 0) {
            at.field = &fields[i];
            return wire_refuse(&at, "is missing");
        }
    return true;
}

bool wire_get(const msgpack_object *map, const struct wire_field *fields, size_t count, void *out,
    const char *path, struct wire_error *err) {
    uint32_t unknown = 0;
    return wire_get_known(map, fields, count, out, path, &unknown, err);
}

/* Writes the shortest form: 0xcc (unsigned) or 0xd0 (signed), plus 0 to 3 for 1, 2, 4 or 8 bytes.
 */
char *wire_add_int(char *at, int64_t value) {
    if (value >= -32 && value <= INT8_MAX) {
        *at = (char)value;
        return at + 1;
    }
    int size = value < 0 ? (value < INT8_MIN) + (value < INT16_MIN) + (value < INT32_MIN)
                         : (value > UINT8_MAX) + (value > UINT16_MAX) + (value > UINT32_MAX);
    uint64_t bytes = htobe64((uint64_t)value << (64 - (8 << size)));
    *at++ = (char)((value < 0 ? 0xd0 : 0xcc) + size);
    memcpy(at, &bytes, sizeof bytes);
    return at + (1 << size);
}

/* Most texts are short: their head and bytes are written at once. */
static void put_str(msgpack_packer *pk, const char *text, size_t size) {
    char head_and_text[1 + 31];
    if (size < sizeof head_and_text) {
        char *end = wire_add_text(head_and_text, text, size);
        (void)pk->callback(pk->data, head_and_text, (size_t)(end - head_and_text));
        return;
    }
    msgpack_pack_str(pk, size);
    msgpack_pack_str_body(pk, text, size);
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
    case WIRE_CUSTOM:
        return f->custom->present != NULL && f->custom->present(in);
    }
    return false;
}

uint32_t wire_count(
    const struct wire_field *fields, size_t count, const void *in, const void *defaults) {
    uint32_t written = 0;
    for (size_t i = 0; i < count; i++)
        if ((fields[i].flags & WIRE_REQUIRED) != 0 || differs(&fields[i], in, defaults))
            written++;
    return written;
}

static void put_one(msgpack_packer *pk, const struct wire_field *f, const void *in) {
    const void *member = (const char *)in + f->offset;
    switch (f->kind) {
    case WIRE_BOOL:
        if (*(const bool *)member)
            msgpack_pack_true(pk);
        else
            msgpack_pack_false(pk);
        break;
    case WIRE_INT:
        if ((f->flags & WIRE_NULLABLE) != 0 && *(const int64_t *)member < 0)
            msgpack_pack_nil(pk);
        else if (f->choices != NULL && *(const int64_t *)member < 0)
            wire_put_text(pk, f->choices[0]);
        else
            msgpack_pack_int64(pk, *(const int64_t *)member);
        break;
    case WIRE_TEXT:
        if ((f->flags & WIRE_NULLABLE) != 0 && *(const char *)member == '\0')
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
    case WIRE_CUSTOM:
        f->custom->put(pk, in);
        break;
    }
}

void wire_put(msgpack_packer *pk, const struct wire_field *fields, size_t count, const void *in,
    const void *defaults) {
    for (size_t i = 0; i < count; i++)
        if ((fields[i].flags & WIRE_REQUIRED) != 0 || differs(&fields[i], in, defaults)) {
            put_str(pk, fields[i].name, fields[i].name_size);
            put_one(pk, &fields[i], in);
        }
}

void wire_put_text(msgpack_packer *pk, const char *text) { put_str(pk, text, strlen(text)); }

void wire_put_key_int(msgpack_packer *pk, const char *key, int64_t value) {
    wire_put_text(pk, key);
    msgpack_pack_int64(pk, value);
}

void wire_put_key_text(msgpack_packer *pk, const char *key, const char *text) {
    wire_put_text(pk, key);
    wire_put_text(pk, text);
}
