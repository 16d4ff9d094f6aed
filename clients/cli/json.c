#include "clients/cli/json.h"

#include "common/mem.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *hex_string(const char *bytes, size_t size) {
    static const char digits[] = "0123456789abcdef";
    char *hex = mem_new(2 * size + 1, 1);
    for (size_t i = 0; i < size; i++) {
        hex[2 * i] = digits[(unsigned char)bytes[i] >> 4];
        hex[2 * i + 1] = digits[(unsigned char)bytes[i] & 15];
    }
    json_t *string = json_stringn(hex, 2 * size);
    free(hex);
    return string;
}

/* A msgpack string may hold anything; what is not UTF-8 loses the bytes that are not ASCII. */
static json_t *string(const char *bytes, size_t size) {
    json_t *made = json_stringn(bytes, size);
    if (made != NULL)
        return made;
    char *ascii = mem_copy(bytes, size);
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)ascii[i] > 0x7e)
            ascii[i] = '?';
    made = json_stringn(ascii, size);
    free(ascii);
    return made;
}

static json_t *convert(const msgpack_object *value, const char *without);

static json_t *convert_array(const msgpack_object_array *from) {
    json_t *array = json_array();
    for (uint32_t i = 0; i < from->size; i++)
        (void)json_array_append_new(array, convert(&from->ptr[i], NULL));
    return array;
}

static json_t *convert_key(const msgpack_object *key) {
    json_t *value = convert(key, NULL);
    if (json_is_string(value))
        return value;
    char *dump = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(value);
    value = json_string(dump != NULL ? dump : "?");
    free(dump);
    return value;
}

static json_t *convert_map(const msgpack_object_map *from, const char *without) {
    json_t *object = json_object();
    for (uint32_t i = 0; i < from->size; i++) {
        if (without != NULL && wire_is(&from->ptr[i].key, without))
            continue;
        json_t *key = convert_key(&from->ptr[i].key);
        (void)json_object_setn_new(object, json_string_value(key), json_string_length(key),
            convert(&from->ptr[i].val, NULL));
        json_decref(key);
    }
    return object;
}

static json_t *convert(const msgpack_object *value, const char *without) {
    json_t *made = NULL;
    switch (value->type) {
    case MSGPACK_OBJECT_NIL:
        break;
    case MSGPACK_OBJECT_BOOLEAN:
        made = json_boolean(value->via.boolean);
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        made = value->via.u64 <= INT64_MAX ? json_integer((json_int_t)value->via.u64)
                                           : json_real((double)value->via.u64);
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        made = json_integer(value->via.i64);
        break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        made = json_real(value->via.f64);
        break;
    case MSGPACK_OBJECT_STR:
        made = string(value->via.str.ptr, value->via.str.size);
        break;
    case MSGPACK_OBJECT_ARRAY:
        made = convert_array(&value->via.array);
        break;
    case MSGPACK_OBJECT_MAP:
        made = convert_map(&value->via.map, without);
        break;
    case MSGPACK_OBJECT_BIN:
        made = hex_string(value->via.bin.ptr, value->via.bin.size);
        break;
    case MSGPACK_OBJECT_EXT:
        made = hex_string(value->via.ext.ptr, value->via.ext.size);
        break;
    }
    /* Not a number and infinity have no JSON. */
    return made != NULL ? made : json_null();
}

void json_line(struct text *text, const msgpack_object *value, const char *without) {
    json_t *made = convert(value, without);
    char *line = json_dumps(
        made, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    text_add_raw(text, line != NULL ? line : "null", line != NULL ? strlen(line) : 4);
    text_end(text);
    free(line);
    json_decref(made);
}
