/* notation: msgpack from and to a text like JSON with single quotes, so that a test shows a
 * message as one readable line.
 *
 *   {'a': [1, -2, true, null, 1.5]}   as JSON; keys may be any value
 *   'ab'x3                            the string ababab; \xHH and \' are escapes
 *   <{'a': 1}>                        a bin that holds the encoding
 *   [3*'a', 1]                        three times 'a', then 1
 *   #dd ffffffff#                     these bytes, taken as one value
 */
#ifndef TEST_NOTATION_H
#define TEST_NOTATION_H

#include "common/wire.h"
#include "tests/unit/text.h"

#include <inttypes.h>

static inline const char *note_value(msgpack_sbuffer *out, const char *at, unsigned *times);

static inline void note_wrong(const char *at) {
    fprintf(stderr, "notation: unexpected: %s\n", at);
    abort();
}

static inline const char *note_space(const char *at) { return at + strspn(at, " \n"); }

static inline unsigned note_hex(const char **at) {
    char digits[3] = {(*at)[0], (*at)[1], '\0'}, *end;
    unsigned long byte = strtoul(digits, &end, 16);
    if (*end != '\0' || end != digits + 2)
        note_wrong(*at);
    *at += 2;
    return (unsigned)byte;
}

static inline const char *note_string(msgpack_packer *pk, const char *at) {
    char body[4096];
    size_t size = 0;
    unsigned long times = 1;
    while (*at != '\'') {
        if (*at == '\0' || size == sizeof body)
            note_wrong(at);
        if (at[0] == '\\' && at[1] == 'x') {
            at += 2;
            body[size++] = (char)note_hex(&at);
            continue;
        }
        at += at[0] == '\\';
        body[size++] = *at++;
    }
    at++;
    if (*at == 'x')
        times = strtoul(at + 1, (char **)&at, 10);
    msgpack_pack_str(pk, size * times);
    for (unsigned long i = 0; i < times; i++)
        msgpack_pack_str_body(pk, body, size);
    return at;
}

/* Elements up to `end`; their number, repetitions included, goes to *count. */
static inline const char *note_list(
    msgpack_sbuffer *out, const char *at, char end, unsigned *count) {
    *count = 0;
    for (at = note_space(at); *at != end; at = note_space(at)) {
        unsigned times;
        at = note_space(note_value(out, at, &times));
        *count += times;
        if (*at == ',' || *at == ':')
            at++;
        else if (*at != end)
            note_wrong(at);
    }
    return at + 1;
}

static inline const char *note_number(msgpack_packer *pk, const char *at, unsigned *times) {
    char *end;
    unsigned long long value = strtoull(*at == '-' ? at + 1 : at, &end, 10);
    if (end == at)
        note_wrong(at);
    if (*end == '*') {
        *times = (unsigned)value;
        return end + 1;
    }
    if (*end == '.')
        msgpack_pack_double(pk, strtod(at, &end));
    else if (*at == '-')
        msgpack_pack_int64(pk, (int64_t)(0 - value));
    else
        msgpack_pack_uint64(pk, value);
    return end;
}

static inline const char *note_nested(msgpack_sbuffer *out, msgpack_packer *pk, const char *at) {
    static const char ends[] = "{}[]<>";
    char end = strchr(ends, *at)[1];
    unsigned count;
    msgpack_sbuffer inner;
    msgpack_sbuffer_init(&inner);
    at = note_list(&inner, at + 1, end, &count);
    if (end == '}')
        msgpack_pack_map(pk, count / 2);
    else if (end == ']')
        msgpack_pack_array(pk, count);
    else
        msgpack_pack_bin(pk, inner.size);
    if (inner.size > 0)
        (void)msgpack_sbuffer_write(out, inner.data, inner.size);
    msgpack_sbuffer_destroy(&inner);
    return at;
}

static inline const char *note_raw(msgpack_sbuffer *out, const char *at) {
    for (at = note_space(at); *at != '#'; at = note_space(at)) {
        char byte = (char)note_hex(&at);
        (void)msgpack_sbuffer_write(out, &byte, 1);
    }
    return at + 1;
}

static inline const char *note_word(msgpack_packer *pk, const char *at) {
    if (strncmp(at, "true", 4) == 0) {
        msgpack_pack_true(pk);
        return at + 4;
    }
    if (strncmp(at, "false", 5) == 0) {
        msgpack_pack_false(pk);
        return at + 5;
    }
    if (strncmp(at, "null", 4) != 0)
        note_wrong(at);
    msgpack_pack_nil(pk);
    return at + 4;
}

/* Packs the value at `at` and returns what follows it; *times is 1 or its repetitions. */
static inline const char *note_value(msgpack_sbuffer *out, const char *at, unsigned *times) {
    msgpack_packer pk;
    msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
    *times = 1;
    if (*at == '\'')
        return note_string(&pk, at + 1);
    if (*at == '{' || *at == '[' || *at == '<')
        return note_nested(out, &pk, at);
    if (*at == '#')
        return note_raw(out, at + 1);
    if (*at != '-' && (*at < '0' || *at > '9'))
        return note_word(&pk, at);
    unsigned repeat = 0;
    const char *after = note_number(&pk, at, &repeat);
    if (after[-1] != '*')
        return after;
    const char *end = after;
    for (unsigned i = 0, once; i < repeat; i++)
        end = note_value(out, after, &once);
    *times = repeat;
    return end;
}

/* Appends the encoding of the text. */
static inline void note_pack(msgpack_sbuffer *out, const char *text) {
    unsigned times;
    const char *end = note_space(note_value(out, note_space(text), &times));
    if (*end != '\0' || times != 1)
        note_wrong(end);
}

/* Packs the text and reads it as a message. False, with *err, if that is refused. */
static inline bool note_read(
    struct wire_doc *doc, msgpack_sbuffer *bytes, const char *text, struct wire_error *err) {
    msgpack_sbuffer_clear(bytes);
    note_pack(bytes, text);
    return wire_doc_read(doc, bytes->data, bytes->size, 1048576, err);
}

/* ---- to text ---------------------------------------------------------------------------- */

static inline void note_print(struct text *text, const msgpack_object *o);

static inline void note_print_text(struct text *text, const char *at, size_t size) {
    text_add(text, "'");
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)at[i] < 0x20 || (unsigned char)at[i] >= 0x7f)
            text_add(text, "\\x%02x", (unsigned char)at[i]);
        else
            text_add(text, "%s%c", at[i] == '\'' || at[i] == '\\' ? "\\" : "", at[i]);
    text_add(text, "'");
}

static inline void note_print_bin(struct text *text, const msgpack_object *o) {
    struct wire_doc doc;
    struct wire_error err;
    if (!wire_doc_init(&doc))
        abort();
    text_add(text, "<");
    if (wire_doc_read(&doc, o->via.bin.ptr, o->via.bin.size, 1048576, &err))
        note_print(text, &doc.root);
    else
        text_add(text, "%u bytes", o->via.bin.size);
    text_add(text, ">");
    wire_doc_free(&doc);
}

static inline void note_print(struct text *text, const msgpack_object *o) {
    switch (o->type) {
    case MSGPACK_OBJECT_NIL:
        text_add(text, "null");
        break;
    case MSGPACK_OBJECT_BOOLEAN:
        text_add(text, o->via.boolean ? "true" : "false");
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        text_add(text, "%" PRIu64, o->via.u64);
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        text_add(text, "%" PRId64, o->via.i64);
        break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        text_add(text, "%g", o->via.f64);
        break;
    case MSGPACK_OBJECT_STR:
        note_print_text(text, o->via.str.ptr, o->via.str.size);
        break;
    case MSGPACK_OBJECT_BIN:
        note_print_bin(text, o);
        break;
    case MSGPACK_OBJECT_EXT:
        text_add(text, "ext %u", o->via.ext.size);
        break;
    case MSGPACK_OBJECT_ARRAY:
        text_add(text, "[");
        for (uint32_t i = 0; i < o->via.array.size; i++) {
            text_add(text, i > 0 ? "," : "");
            note_print(text, &o->via.array.ptr[i]);
        }
        text_add(text, "]");
        break;
    case MSGPACK_OBJECT_MAP:
        text_add(text, "{");
        for (uint32_t i = 0; i < o->via.map.size; i++) {
            text_add(text, i > 0 ? "," : "");
            note_print(text, &o->via.map.ptr[i].key);
            text_add(text, ":");
            note_print(text, &o->via.map.ptr[i].val);
        }
        text_add(text, "}");
        break;
    }
}

/* `ok`, or code, field and message of the error. */
static inline const char *note_outcome(bool ok, const struct wire_error *err, char out[400]) {
    if (ok)
        (void)snprintf(out, 400, "ok");
    else
        (void)snprintf(out, 400, "%s [%s] %s", err->code, err->field, err->message);
    return out;
}

#endif
