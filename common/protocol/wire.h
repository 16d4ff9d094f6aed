/* wire: msgpack maps, checked against tables of fields.
 *
 * Pure: bytes in, value or error out. Everything that comes from a peer passes wire_doc_read()
 * first, which bounds what a hostile frame can make us allocate, and then a table, which names
 * every field's type and range. The same table encodes, so that both directions agree.
 *
 * msgpack-c packs, but does not read: its reader allocates as many elements as a frame claims to
 * have before it looks at one. With Debian's 4.0.0, five bytes that claim 16 million elements take
 * 400 MB. libmsgpuck was weighed instead. It reads without allocating, but it knows no limits of
 * values or depth, and its decoders trust that the type was looked at: it would replace wire_head.h
 * and neither the limits nor the tables.
 */
#ifndef HOPMQ_WIRE_H
#define HOPMQ_WIRE_H

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WIRE_VERSION 1
#define WIRE_MAX_DEPTH 16

/* Why a message was refused; what docs/protocol.md, section 4, calls `error`. */
struct wire_error {
    const char *code;  /* static string of the table in section 4 */
    char field[80];    /* path of the field, such as traces[3].port, or empty */
    char message[224]; /* one printable line: field, value, limit */
    char reason[17];   /* of `busy`: what is full, a word of the table in section 4; or empty */
    int64_t retry_ms;  /* of `busy`: when to send again; 0: absent */
};

/* Fills *err. The message is FIELD, a colon and the formatted text; field may be empty, or a path
 * that ends with a dot, which is left out. */
void wire_fail(struct wire_error *err, const char *code, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same with code `busy`, a reason and a time. */
void wire_busy(struct wire_error *err, const char *field, const char *reason, int64_t retry_ms,
    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* A decoded message. Its strings point into the bytes that were read; both must outlive its use. */
struct wire_doc {
    msgpack_zone *zone;
    msgpack_object root; /* always a map after wire_doc_read() */
};

/* False if there is no memory. */
bool wire_doc_init(struct wire_doc *doc);
void wire_doc_free(struct wire_doc *doc);

/* Reads exactly one map of at most max_values values, nested at most WIRE_MAX_DEPTH deep.
 * Frees what the last read left in doc. */
bool wire_doc_read(struct wire_doc *doc, const void *data, size_t size, uint32_t max_values,
    struct wire_error *err);

/* What a field holds, and the type of the member that it fills. */
enum wire_kind {
    WIRE_BOOL,   /* bool */
    WIRE_INT,    /* int64_t within min..max; -1: nil, or the first of `choices` if there are any */
    WIRE_TEXT,   /* char[max + 1], NUL-ended: min..max bytes of `allowed`; empty: nil */
    WIRE_CHOICE, /* int: index into `choices` */
    WIRE_VALUE,  /* const msgpack_object *: any value, NULL if absent; the reader looks further */
    WIRE_CUSTOM, /* whatever the functions of `custom` make of it */
};

/* Flags of a field. */
#define WIRE_OPTIONAL 0U
#define WIRE_REQUIRED 1U
#define WIRE_NULLABLE 2U /* nil is allowed; for WIRE_INT and WIRE_TEXT */

/* A field that no other kind fits. The functions are given the whole struct. */
struct wire_custom {
    /* False, with *err filled in, if the value is refused. A key that stands twice calls it twice,
     * and the last value counts. */
    bool (*get)(void *out, const msgpack_object *value, struct wire_error *err);
    void (*put)(msgpack_packer *pk, const void *in);
    bool (*present)(const void *in); /* whether an optional field is written */
};

/* A row of a table; made by the macros below. */
struct wire_field {
    const char *name;
    size_t name_size;
    enum wire_kind kind;
    unsigned flags;
    size_t offset; /* of the member */
    int64_t min, max;
    unsigned allowed;           /* WIRE_ID_CHARS and its like */
    const char *const *choices; /* ended by NULL */
    const struct wire_custom *custom;
};

/* The rows: the key on the wire, the struct and its member, then what is particular to the kind.
 * A member of another type than the kind's does not compile. */
#define WIRE_FIELD_BOOL(key, type, member, flags_)                                                 \
    { WIRE_ROW(key, WIRE_BOOL, flags_), .offset = WIRE_OFFSET(type, member, bool) }
#define WIRE_FIELD_INT(key, type, member, min_, max_, flags_)                                      \
    WIRE_FIELD_INT_OR(key, type, member, min_, max_, NULL, flags_)
/* As WIRE_FIELD_INT, and a word, the first one of `words`, that stands for -1. */
#define WIRE_FIELD_INT_OR(key, type, member, min_, max_, words, flags_)                            \
    {                                                                                              \
        WIRE_ROW(key, WIRE_INT, flags_), .offset = WIRE_OFFSET(type, member, int64_t),             \
                                         .min = (min_), .max = (max_), .choices = (words)          \
    }
/* As many bytes as the member has room for. */
#define WIRE_FIELD_TEXT(key, type, member, min_, allowed_, flags_)                                 \
    {                                                                                              \
        WIRE_ROW(key, WIRE_TEXT, flags_), .offset = offsetof(type, member), .min = (min_),         \
                                          .max = sizeof((type *)0)->member - 1,                    \
                                          .allowed = (allowed_)                                    \
    }
#define WIRE_FIELD_CHOICE(key, type, member, words, flags_)                                        \
    {                                                                                              \
        WIRE_ROW(key, WIRE_CHOICE, flags_), .offset = WIRE_OFFSET(type, member, int),              \
                                            .choices = (words)                                     \
    }
#define WIRE_FIELD_VALUE(key, type, member, flags_)                                                \
    {                                                                                              \
        WIRE_ROW(key, WIRE_VALUE, flags_),                                                         \
            .offset = WIRE_OFFSET(type, member, const msgpack_object *)                            \
    }
#define WIRE_FIELD_CUSTOM(key, custom_, flags_)                                                    \
    { WIRE_ROW(key, WIRE_CUSTOM, flags_), .custom = (custom_) }

#define WIRE_ROW(key, kind_, flags_)                                                               \
    .name = (key), .name_size = sizeof(key) - 1, .kind = (kind_), .flags = (flags_)
/* The offset of a member, which must have the type `of`. cppcheck does not parse _Generic. */
#ifdef __cppcheck__
#define WIRE_OFFSET(type, member, of) offsetof(type, member)
#else
/* NOLINTNEXTLINE(bugprone-macro-parentheses): a type takes no parentheses */
#define WIRE_OFFSET(type, member, of) _Generic(((type *)0)->member, of : offsetof(type, member))
#endif

/* A name that is a constant, and its size, as two arguments of wire_add_text(). */
#define WIRE_NAME(name) (name), sizeof(name) - 1

/* Sets the members of *out for the fields that are in the map. The others stay as they are, so the
 * caller sets defaults first. Keys that the table does not know are ignored. `path` comes
 * before field names in errors ("traces[3]." or ""). */
bool wire_get(const msgpack_object *map, const struct wire_field *fields, size_t count, void *out,
    const char *path, struct wire_error *err);

/* The same, and adds to *unknown the number of pairs whose content nobody has checked: pairs that
 * the table does not know, and pairs whose key came before. */
bool wire_get_known(const msgpack_object *map, const struct wire_field *fields, size_t count,
    void *out, const char *path, uint32_t *unknown, struct wire_error *err);

/* True if a key is the name of the field. */
static inline bool wire_is_name(const msgpack_object *key, const struct wire_field *field) {
    return key->type == MSGPACK_OBJECT_STR && key->via.str.size == field->name_size &&
           key->via.str.ptr[0] == field->name[0] &&
           memcmp(key->via.str.ptr, field->name, field->name_size) == 0;
}

/* How many fields wire_put() will write: the required ones, and those that differ from
 * *defaults, a struct of the same type. */
uint32_t wire_count(
    const struct wire_field *fields, size_t count, const void *in, const void *defaults);

/* Packs key and value of each of them, in the table's order. */
void wire_put(msgpack_packer *pk, const struct wire_field *fields, size_t count, const void *in,
    const void *defaults);

/* The bytes of the value that begins at `data`, its children included; 0 if it does not end within
 * `size`. */
size_t wire_value_size(const void *data, size_t size);

/* True if object is a string that equals text. Inline: most texts are constants. */
static inline bool wire_is(const msgpack_object *object, const char *text) {
    size_t size = strlen(text);
    return object->type == MSGPACK_OBJECT_STR && object->via.str.size == size &&
           memcmp(object->via.str.ptr, text, size) == 0;
}

/* The value of a key in a map, the last one if the key is there twice; NULL if there is none. */
static inline const msgpack_object *wire_find(const msgpack_object *map, const char *key) {
    const msgpack_object *found = NULL;
    if (map->type == MSGPACK_OBJECT_MAP)
        for (uint32_t i = 0; i < map->via.map.size; i++)
            if (wire_is(&map->via.map.ptr[i].key, key))
                found = &map->via.map.ptr[i].val;
    return found;
}

/* The characters of names, ids, streams and host names in docs/protocol.md: one bit for the
 * characters that all of them have, and one for each other character. */
#define WIRE_PRINTABLE 0U    /* UTF-8 without control characters */
#define WIRE_STREAM_CHARS 1U /* A-Za-z0-9_- */
#define WIRE_DOT 2U
#define WIRE_COLON 4U
#define WIRE_SLASH 8U
#define WIRE_HOST_CHARS (WIRE_STREAM_CHARS | WIRE_DOT)
#define WIRE_ID_CHARS (WIRE_HOST_CHARS | WIRE_COLON)

/* True if each of size bytes is allowed. */
bool wire_allowed(const char *text, size_t size, unsigned allowed);

/* True if every reader of msgpack can read the value: map keys are strings, strings are UTF-8, and
 * it nests at most max_depth deep. A value that is passed on unread must be portable. */
bool wire_portable(const msgpack_object *object, int max_depth);

void wire_put_text(msgpack_packer *pk, const char *text);
void wire_put_key_int(msgpack_packer *pk, const char *key, int64_t value);
void wire_put_key_text(msgpack_packer *pk, const char *key, const char *text);

/* The same without a packer. Use them for many short values: calling the packer for each takes
 * longer than encoding it. Each writes its value at `at` and returns the end of the value. A text
 * has at most 255 bytes, and up to two bytes before them. An int takes up to WIRE_INT_BYTES, and
 * may write to all WIRE_INT_BYTES even if it takes fewer. */
#define WIRE_INT_BYTES 9
char *wire_add_int(char *at, int64_t value);
static inline char *wire_add_text(char *at, const char *text, size_t size) {
    if (size > 31)
        *at++ = (char)0xd9;
    *at++ = (char)(size > 31 ? size : 0xa0 | size);
    memcpy(at, text, size);
    return at + size;
}

#endif
