#include "common/protocol/wire_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CUT "..."

/* How deep encodings inside encodings are shown. The protocol nests one. */
#define MAX_NESTED 2

#define MAX_VALUES 1048576

struct note {
    char *at;
    size_t used, room; /* room leaves space for CUT and the NUL */
    int nested;
    bool cut;
};

static void wire_text_put(struct note *n, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void wire_text_put(struct note *n, const char *format, ...) {
    char piece[32];
    va_list args;
    va_start(args, format);
    size_t size = (size_t)vsnprintf(piece, sizeof piece, format, args);
    va_end(args);
    if (n->cut || n->used + size > n->room) {
        n->cut = true;
        return;
    }
    memcpy(n->at + n->used, piece, size);
    n->used += size;
}

static void put_value(struct note *n, const msgpack_object *o);

static void put_text(struct note *n, const char *at, size_t size) {
    wire_text_put(n, "'");
    for (size_t i = 0; i < size && !n->cut; i++)
        if ((unsigned char)at[i] < 0x20 || (unsigned char)at[i] >= 0x7f)
            wire_text_put(n, "\\x%02x", (unsigned char)at[i]);
        else
            wire_text_put(n, "%s%c", at[i] == '\'' || at[i] == '\\' ? "\\" : "", at[i]);
    wire_text_put(n, "'");
}

static void put_bin(struct note *n, const msgpack_object *o) {
    struct wire_doc doc;
    struct wire_error err;
    if (!wire_doc_init(&doc))
        abort();
    n->nested++;
    wire_text_put(n, "<");
    if (n->nested <= MAX_NESTED &&
        wire_doc_read(&doc, o->via.bin.ptr, o->via.bin.size, MAX_VALUES, &err))
        put_value(n, &doc.root);
    else
        wire_text_put(n, "%u bytes", o->via.bin.size);
    wire_text_put(n, ">");
    n->nested--;
    wire_doc_free(&doc);
}

static void put_value(struct note *n, const msgpack_object *o) {
    switch (o->type) {
    case MSGPACK_OBJECT_NIL:
        wire_text_put(n, "null");
        break;
    case MSGPACK_OBJECT_BOOLEAN:
        wire_text_put(n, "%s", o->via.boolean ? "true" : "false");
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        wire_text_put(n, "%" PRIu64, o->via.u64);
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        wire_text_put(n, "%" PRId64, o->via.i64);
        break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        wire_text_put(n, "%g", o->via.f64);
        break;
    case MSGPACK_OBJECT_STR:
        put_text(n, o->via.str.ptr, o->via.str.size);
        break;
    case MSGPACK_OBJECT_BIN:
        put_bin(n, o);
        break;
    case MSGPACK_OBJECT_EXT:
        wire_text_put(n, "ext %u", o->via.ext.size);
        break;
    case MSGPACK_OBJECT_ARRAY:
        wire_text_put(n, "[");
        for (uint32_t i = 0; i < o->via.array.size && !n->cut; i++) {
            wire_text_put(n, "%s", i > 0 ? "," : "");
            put_value(n, &o->via.array.ptr[i]);
        }
        wire_text_put(n, "]");
        break;
    case MSGPACK_OBJECT_MAP:
        wire_text_put(n, "{");
        for (uint32_t i = 0; i < o->via.map.size && !n->cut; i++) {
            wire_text_put(n, "%s", i > 0 ? "," : "");
            put_value(n, &o->via.map.ptr[i].key);
            wire_text_put(n, ":");
            put_value(n, &o->via.map.ptr[i].val);
        }
        wire_text_put(n, "}");
        break;
    }
}

static struct note begin(char *out, size_t size) {
    return (struct note){.at = out, .room = size - sizeof CUT};
}

static bool end(struct note *n) {
    (void)snprintf(n->at + n->used, sizeof CUT, "%s", n->cut ? CUT : "");
    return !n->cut;
}

bool wire_text_print(char *out, size_t size, const msgpack_object *value) {
    struct note n = begin(out, size);
    put_value(&n, value);
    return end(&n);
}

bool wire_text_message(char *out, size_t size, const void *bytes, size_t count) {
    const unsigned char *at = bytes;
    struct note n = begin(out, size);
    struct wire_doc doc;
    struct wire_error err;
    if (!wire_doc_init(&doc))
        abort();
    if (wire_doc_read(&doc, bytes, count, MAX_VALUES, &err)) {
        put_value(&n, &doc.root);
    } else {
        wire_text_put(&n, "#");
        for (size_t i = 0; i < count && !n.cut; i++)
            wire_text_put(&n, "%s%02x", i > 0 ? " " : "", at[i]);
        wire_text_put(&n, "#");
    }
    wire_doc_free(&doc);
    return end(&n);
}
