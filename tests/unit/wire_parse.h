/* wire_parse: msgpack from the text of common/protocol/wire_text.h, with blanks where one likes,
 * and with
 *
 *   'ab'x3          the string ababab
 *   [3*'a', 1]      three times 'a', then 1
 *   #dd ffffffff#   these bytes, taken as one value
 */
#ifndef TEST_WIRE_PARSE_H
#define TEST_WIRE_PARSE_H

#include "common/protocol/wire.h"
#include "common/protocol/wire_text.h"
#include "tests/unit/transcript.h"

#include <inttypes.h>

static inline const char *wire_parse_value(msgpack_sbuffer *out, const char *at, unsigned *times);

static inline void wire_parse_wrong(const char *at) {
    fprintf(stderr, "wire_parse: unexpected: %s\n", at);
    abort();
}

static inline const char *wire_parse_space(const char *at) { return at + strspn(at, " \n"); }

static inline unsigned wire_parse_hex(const char **at) {
    char digits[3] = {(*at)[0], (*at)[1], '\0'}, *end;
    unsigned long byte = strtoul(digits, &end, 16);
    if (*end != '\0' || end != digits + 2)
        wire_parse_wrong(*at);
    *at += 2;
    return (unsigned)byte;
}

static inline const char *wire_parse_string(msgpack_packer *pk, const char *at) {
    char body[4096];
    size_t size = 0;
    unsigned long times = 1;
    while (*at != '\'') {
        if (*at == '\0' || size == sizeof body)
            wire_parse_wrong(at);
        if (at[0] == '\\' && at[1] == 'x') {
            at += 2;
            body[size++] = (char)wire_parse_hex(&at);
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
static inline const char *wire_parse_list(
    msgpack_sbuffer *out, const char *at, char end, unsigned *count) {
    *count = 0;
    for (at = wire_parse_space(at); *at != end; at = wire_parse_space(at)) {
        unsigned times;
        at = wire_parse_space(wire_parse_value(out, at, &times));
        *count += times;
        if (*at == ',' || *at == ':')
            at++;
        else if (*at != end)
            wire_parse_wrong(at);
    }
    return at + 1;
}

static inline const char *wire_parse_number(msgpack_packer *pk, const char *at, unsigned *times) {
    char *end;
    unsigned long long value = strtoull(*at == '-' ? at + 1 : at, &end, 10);
    if (end == at)
        wire_parse_wrong(at);
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

static inline const char *wire_parse_nested(
    msgpack_sbuffer *out, msgpack_packer *pk, const char *at) {
    static const char ends[] = "{}[]<>";
    char end = strchr(ends, *at)[1];
    unsigned count;
    msgpack_sbuffer inner;
    msgpack_sbuffer_init(&inner);
    at = wire_parse_list(&inner, at + 1, end, &count);
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

static inline const char *wire_parse_raw(msgpack_sbuffer *out, const char *at) {
    for (at = wire_parse_space(at); *at != '#'; at = wire_parse_space(at)) {
        char byte = (char)wire_parse_hex(&at);
        (void)msgpack_sbuffer_write(out, &byte, 1);
    }
    return at + 1;
}

static inline const char *wire_parse_word(msgpack_packer *pk, const char *at) {
    if (strncmp(at, "true", 4) == 0) {
        msgpack_pack_true(pk);
        return at + 4;
    }
    if (strncmp(at, "false", 5) == 0) {
        msgpack_pack_false(pk);
        return at + 5;
    }
    if (strncmp(at, "null", 4) != 0)
        wire_parse_wrong(at);
    msgpack_pack_nil(pk);
    return at + 4;
}

/* Packs the value at `at` and returns what follows it; *times is 1 or its repetitions. */
static inline const char *wire_parse_value(msgpack_sbuffer *out, const char *at, unsigned *times) {
    msgpack_packer pk;
    msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
    *times = 1;
    if (*at == '\'')
        return wire_parse_string(&pk, at + 1);
    if (*at == '{' || *at == '[' || *at == '<')
        return wire_parse_nested(out, &pk, at);
    if (*at == '#')
        return wire_parse_raw(out, at + 1);
    if (*at != '-' && (*at < '0' || *at > '9'))
        return wire_parse_word(&pk, at);
    unsigned repeat = 0;
    const char *after = wire_parse_number(&pk, at, &repeat);
    if (after[-1] != '*')
        return after;
    const char *end = after;
    for (unsigned i = 0, once; i < repeat; i++)
        end = wire_parse_value(out, after, &once);
    *times = repeat;
    return end;
}

/* Appends the encoding of the text. */
static inline void wire_parse_pack(msgpack_sbuffer *out, const char *text) {
    unsigned times;
    const char *end = wire_parse_space(wire_parse_value(out, wire_parse_space(text), &times));
    if (*end != '\0' || times != 1)
        wire_parse_wrong(end);
}

/* Packs the text and reads it as a message. False, with *err, if that is refused. */
static inline bool wire_parse_read(
    struct wire_doc *doc, msgpack_sbuffer *bytes, const char *text, struct wire_error *err) {
    msgpack_sbuffer_clear(bytes);
    wire_parse_pack(bytes, text);
    return wire_doc_read(doc, bytes->data, bytes->size, 1048576, err);
}

/* ---- to text ---------------------------------------------------------------------------- */

/* Adds the value, however long it is. */
static inline void wire_parse_add(struct transcript *text, const msgpack_object *o) {
    size_t room = 4096;
    char *at = malloc(room);
    while (at != NULL && !wire_text_print(at, room, o)) {
        room *= 2;
        free(at);
        at = malloc(room);
    }
    if (at == NULL)
        abort();
    transcript_add(text, "%s", at);
    free(at);
}

/* `ok`, or code, field and message of the error. */
static inline const char *wire_parse_outcome(bool ok, const struct wire_error *err, char out[400]) {
    if (ok)
        (void)snprintf(out, 400, "ok");
    else
        (void)snprintf(out, 400, "%s [%s] %s", err->code, err->field, err->message);
    return out;
}

#endif
