/* wire: what of a frame is taken, and with which words the rest is refused. */
#include "tests/unit/check.h"

#include "common/protocol/request.h"
#include "common/protocol/result.h"
#include "common/protocol/wire.h"
#include "tests/unit/rng.h"
#include "tests/unit/wire_parse.h"

#include <stdlib.h>
#include <string.h>

struct fixture {
    struct wire_doc doc;
    msgpack_sbuffer bytes;
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    if (f == NULL || !wire_doc_init(&f->doc))
        return -1;
    msgpack_sbuffer_init(&f->bytes);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    wire_doc_free(&f->doc);
    msgpack_sbuffer_destroy(&f->bytes);
    free(f);
    return 0;
}

/* Reads a copy that ends where the message ends, so that a sanitizer sees a read beyond it. */
static bool read_exact(struct wire_doc *doc, const void *data, size_t size, uint32_t max_values,
    struct wire_error *err) {
    void *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, data, size);
    bool ok = wire_doc_read(doc, copy, size, max_values, err);
    free(copy);
    return ok;
}

static void expect_frame(struct fixture *f, const char *text, const char *expected) {
    struct wire_error err;
    char got[400];
    msgpack_sbuffer_clear(&f->bytes);
    wire_parse_pack(&f->bytes, text);
    bool ok = read_exact(&f->doc, f->bytes.data, f->bytes.size, 1000, &err);
    assert_string_equal(wire_parse_outcome(ok, &err, got), expected);
}

/* ---- frames ----------------------------------------------------------------------------- */

#define BROKEN(at) "bad-request [] not a msgpack message: broken at byte " #at

static void frames(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"{}", "ok"},
        {"{'a': 1}", "ok"},
        {"#de 0000#", "ok"},
        {"#df 00000000#", "ok"},
        {"##", BROKEN(0)},
        {"#c1#", BROKEN(0)},
        {"#81 a1 61 c1#", BROKEN(3)},
        {"null", "bad-request [] not a map"},
        {"1", "bad-request [] not a map"},
        {"'a'", "bad-request [] not a map"},
        {"[{}]", "bad-request [] not a map"},
        {"#80 80#", "bad-request [] 1 bytes after the message"},
        {"#80 c1 c1#", "bad-request [] 2 bytes after the message"},
        {"#81 c0#", BROKEN(0)},
        {"#81 a1 61#", BROKEN(3)},
        {"#82 a1 61 01 a1#", BROKEN(4)},
        /* heads that are cut off */
        {"#de#", BROKEN(0)},
        {"#de 00#", BROKEN(0)},
        {"#df 000000#", BROKEN(0)},
        {"#81 c0 d9#", BROKEN(2)},
        {"#81 c0 da 00#", BROKEN(2)},
        {"#81 c0 db 000000#", BROKEN(2)},
        {"#81 c0 c4#", BROKEN(2)},
        {"#81 c0 c7 00#", BROKEN(2)},
        {"#81 c0 cf 00000000000000#", BROKEN(2)},
        {"#81 c0 ca 000000#", BROKEN(2)},
        {"#81 c0 d8 00#", BROKEN(2)},
        {"#81 c0 a2 61#", BROKEN(2)},
        /* lengths that nothing stands behind: no memory may be asked for */
        {"#df ffffffff#", BROKEN(0)},
        {"#df 7fffffff c0 c0#", BROKEN(0)},
        {"#81 c0 dd ffffffff#", BROKEN(2)},
        {"#81 c0 dc ffff#", BROKEN(2)},
        {"#81 c0 db ffffffff#", BROKEN(2)},
        {"#81 c0 c6 ffffffff#", BROKEN(2)},
        {"#81 c0 c9 ffffffff 00#", BROKEN(2)},
        {"#81 c0 dd 00000002 c0#", BROKEN(2)},
        /* every kind of value */
        {"#81 c0 c2#", "ok"},
        {"#81 c0 c3#", "ok"},
        {"#81 c0 ca 00000000#", "ok"},
        {"#81 c0 cb 0000000000000000#", "ok"},
        {"#81 c0 cc 00#", "ok"},
        {"#81 c0 cd 0000#", "ok"},
        {"#81 c0 ce 00000000#", "ok"},
        {"#81 c0 cf 0000000000000000#", "ok"},
        {"#81 c0 d0 00#", "ok"},
        {"#81 c0 d1 0000#", "ok"},
        {"#81 c0 d2 00000000#", "ok"},
        {"#81 c0 d3 0000000000000000#", "ok"},
        {"#81 c0 e0#", "ok"},
        {"#81 c0 d4 00 00#", "ok"},
        {"#81 c0 d5 00 0000#", "ok"},
        {"#81 c0 d6 00 00000000#", "ok"},
        {"#81 c0 d7 00 0000000000000000#", "ok"},
        {"#81 c0 d8 00 00000000000000000000000000000000#", "ok"},
        {"#81 c0 c7 01 00 00#", "ok"},
        {"#81 c0 c7 00 00#", "ok"},
        {"#81 c0 c8 0001 00 00#", "ok"},
        {"#81 c0 c9 00000001 00 00#", "ok"},
        {"#81 c0 c4 00#", "ok"},
        {"#81 c0 c5 0001 00#", "ok"},
        {"#81 c0 c6 00000001 00#", "ok"},
        {"#81 c0 d9 00#", "ok"},
        {"#81 c0 da 0001 61#", "ok"},
        {"#81 c0 db 00000001 61#", "ok"},
        {"#81 c0 dc 0001 c0#", "ok"},
        {"#81 c0 dd 00000001 c0#", "ok"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_frame(f, cases[i].text, cases[i].expected);
}

static void nesting(void **state) {
    struct fixture *f = *state;
    /* the map is the first level */
    expect_frame(f, "{'a': [[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}", "ok");
    expect_frame(f, "{'a': [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", "ok");
    expect_frame(
        f, "{'a': [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}", "too-large [] nested deeper than 16");
    expect_frame(f,
        "{'a': {1: {1: {1: {1: {1: {1: {1: {1: {1: {1: {1: {1: {1: {1: {1: {1: 1"
        "}}}}}}}}}}}}}}}}}",
        "too-large [] nested deeper than 16");
    /* as keys */
    expect_frame(f, "{[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]: 1}", "too-large [] nested deeper than 16");
}

static void a_bomb_of_nested_heads_asks_for_no_memory(void **state) {
    struct fixture *f = *state;
    unsigned char bomb[150];
    struct wire_error err;
    for (size_t i = 0; i < sizeof bomb; i += 5)
        memcpy(bomb + i, "\xdd\x04\x00\x00\x00", 5);
    assert_false(read_exact(&f->doc, bomb, sizeof bomb, 1000, &err));
    assert_string_equal(err.message, "not a msgpack message: broken at byte 0");
    bomb[0] = 0x81;
    memcpy(bomb + 1, "\xc0\xdd\x00\x00\x00\x40", 6); /* 64 elements, which might just be there */
    assert_false(read_exact(&f->doc, bomb, sizeof bomb, 1000, &err));
}

static void number_of_values(void **state) {
    struct fixture *f = *state;
    /* the map, the key, the array and its elements */
    expect_frame(f, "{'a': [997*null]}", "ok");
    expect_frame(f, "{'a': [998*null]}", "too-large [] more than 1000 values");
}

/* Every beginning of a message is refused, and no byte behind it is read. */
static void truncation(void **state) {
    struct fixture *f = *state;
    struct wire_error err;
    wire_parse_pack(&f->bytes,
        "{'v': 1, 'a': [1, 300, 70000, -5, 'x', 'y'x40, <{'b': 1}>, 1.5], 'c': {1: 2},"
        "'d': #c7 01 00 00#, 'e': #dc 0001 c0#, 'f': 'z'x300}");
    for (size_t size = 0; size < f->bytes.size; size++)
        assert_false(read_exact(&f->doc, f->bytes.data, size, 1000, &err));
    assert_true(read_exact(&f->doc, f->bytes.data, f->bytes.size, 1000, &err));
}

/* Whatever the bytes: an answer, no crash; and what is accepted is within its limits. */
static void garbage(void **state) {
    struct fixture *f = *state;
    uint64_t rng = rng_seed("garbage");
    unsigned accepted = 0;
    for (int run = 0; run < 20000; run++) {
        unsigned char bytes[64];
        struct wire_error err;
        size_t size = rng_below(&rng, sizeof bytes);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (unsigned char)rng_below(&rng, 256);
        if (size > 0)
            bytes[0] = (unsigned char)(0x80 | (bytes[0] & 3));
        accepted += read_exact(&f->doc, bytes, size, 20, &err);
    }
    assert_true(accepted > 0);
}

/* What is read is what msgpack-c reads: a value of each first byte, with all lengths behind it. */
static void another_reader_finds_the_same(void **state) {
    struct fixture *f = *state;
    uint64_t rng = rng_seed("another reader");
    unsigned accepted[256] = {0};
    msgpack_unpacked theirs;
    msgpack_unpacked_init(&theirs);
    for (int run = 0; run < 256 * 200; run++) {
        unsigned char bytes[64] = {0x81, 0xa1, 'a', (unsigned char)(run % 256)};
        struct wire_error err;
        size_t size = 4 + rng_below(&rng, 40), off = 0;
        for (size_t i = 4; i < size; i++) {
            bytes[i] = (unsigned char)(rng_below(&rng, 5) > 0 ? 0 : rng_below(&rng, 256));
            if ((bytes[i] & 0x7f) == 0x7f)
                bytes[i] = 0; /* no NaN, which equals nothing */
        }
        for (size_t end = 4; end <= size; end++) {
            if (!wire_doc_read(&f->doc, bytes, end, 64, &err))
                continue;
            accepted[bytes[3]]++;
            off = 0;
            assert_int_equal(msgpack_unpack_next(&theirs, (const char *)bytes, end, &off),
                MSGPACK_UNPACK_SUCCESS);
            assert_int_equal(off, end);
            assert_true(msgpack_object_equal(f->doc.root, theirs.data));
        }
    }
    msgpack_unpacked_destroy(&theirs);
    for (unsigned first = 0; first < 256; first++)
        assert_int_equal(accepted[first] > 0, first != 0xc1);
}

static void a_document_is_read_again_and_again(void **state) {
    struct fixture *f = *state;
    struct wire_error err;
    assert_true(wire_parse_read(&f->doc, &f->bytes, "{'a': [100*1]}", &err));
    assert_non_null(wire_find(&f->doc.root, "a"));
    assert_false(wire_parse_read(&f->doc, &f->bytes, "null", &err));
    assert_true(wire_parse_read(&f->doc, &f->bytes, "{'b': [100*2]}", &err));
    assert_null(wire_find(&f->doc.root, "a"));
    assert_non_null(wire_find(&f->doc.root, "b"));
}

/* ---- fields ----------------------------------------------------------------------------- */

struct sample {
    bool flag;
    int64_t number, maybe;
    char name[5], any[9], perhaps[5];
    int colour;
    const msgpack_object *value;
};

static const char *const colours[] = {"red", "green", NULL};

static const struct wire_field fields[] = {
    WIRE_FIELD_TEXT("name", struct sample, name, 2, WIRE_STREAM_CHARS, WIRE_REQUIRED),
    WIRE_FIELD_BOOL("flag", struct sample, flag, WIRE_OPTIONAL),
    WIRE_FIELD_INT("number", struct sample, number, 5, 300, WIRE_OPTIONAL),
    WIRE_FIELD_INT("maybe", struct sample, maybe, 0, INT64_MAX, WIRE_NULLABLE),
    WIRE_FIELD_TEXT("any", struct sample, any, 0, WIRE_PRINTABLE, WIRE_OPTIONAL),
    WIRE_FIELD_TEXT("perhaps", struct sample, perhaps, 1, WIRE_PRINTABLE, WIRE_NULLABLE),
    WIRE_FIELD_CHOICE("colour", struct sample, colour, colours, WIRE_OPTIONAL),
    WIRE_FIELD_VALUE("value", struct sample, value, WIRE_OPTIONAL),
};

#define FIELDS (sizeof fields / sizeof fields[0])

static const struct sample plain = {.number = 7};

static void expect_sample(struct fixture *f, const char *text, const char *expected) {
    struct wire_error err;
    struct sample sample = plain;
    char got[400];
    assert_true(wire_parse_read(&f->doc, &f->bytes, text, &err));
    bool ok = wire_get(&f->doc.root, fields, FIELDS, &sample, "at[3].", &err);
    assert_string_equal(wire_parse_outcome(ok, &err, got), expected);
}

#define WRONG(field, text) "bad-request [at[3]." field "] at[3]." field ": " text

static void ranges(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"{'name': 'ab'}", "ok"},
        {"{'name': 'abca'}", "ok"},
        {"{}", WRONG("name", "is missing")},
        {"{'flag': true}", WRONG("name", "is missing")},
        {"{'name': 'a'}", WRONG("name", "1 bytes: must be 2..4")},
        {"{'name': 'abcab'}", WRONG("name", "5 bytes: must be 2..4")},
        {"{'name': 'ab.'}", WRONG("name", "ab.: a character that is not allowed here")},
        {"{'name': 'ab\\x00'}", WRONG("name", "ab: a character that is not allowed here")},
        {"{'name': 7}", WRONG("name", "must be a string of 2..4 bytes")},
        {"{'name': null}", WRONG("name", "must be a string of 2..4 bytes")},
        {"{'name': <1>}", WRONG("name", "must be a string of 2..4 bytes")},
        {"{'name': 'ab', 'flag': 1}", WRONG("flag", "must be true or false")},
        {"{'name': 'ab', 'flag': null}", WRONG("flag", "must be true or false")},
        {"{'name': 'ab', 'number': 5}", "ok"},
        {"{'name': 'ab', 'number': 300}", "ok"},
        {"{'name': 'ab', 'number': 4}", WRONG("number", "4: must be 5..300")},
        {"{'name': 'ab', 'number': 301}", WRONG("number", "301: must be 5..300")},
        {"{'name': 'ab', 'number': -1}", WRONG("number", "-1: must be 5..300")},
        {"{'name': 'ab', 'number': 18446744073709551615}",
            WRONG("number", "18446744073709551615: must be 5..300")},
        {"{'name': 'ab', 'number': -9223372036854775808}",
            WRONG("number", "-9223372036854775808: must be 5..300")},
        {"{'name': 'ab', 'number': 7.0}", WRONG("number", "must be an integer of 5..300")},
        {"{'name': 'ab', 'number': '7'}", WRONG("number", "must be an integer of 5..300")},
        {"{'name': 'ab', 'number': null}", WRONG("number", "must be an integer of 5..300")},
        /* any integer form */
        {"{'name': 'ab', 'number': #cf 0000000000000007#}", "ok"},
        {"{'name': 'ab', 'number': #d3 0000000000000007#}", "ok"},
        {"{'name': 'ab', 'number': #d0 07#}", "ok"},
        {"{'name': 'ab', 'number': #d3 ffffffffffffffff#}", WRONG("number", "-1: must be 5..300")},
        {"{'name': 'ab', 'maybe': null}", "ok"},
        {"{'name': 'ab', 'maybe': 9223372036854775807}", "ok"},
        {"{'name': 'ab', 'maybe': 9223372036854775808}",
            WRONG("maybe", "9223372036854775808: must be 0..9223372036854775807")},
        {"{'name': 'ab', 'maybe': -1}", WRONG("maybe", "-1: must be 0..9223372036854775807")},
        {"{'name': 'ab', 'any': ''}", "ok"},
        {"{'name': 'ab', 'any': 'a b~\\xc3\\xa9'}", "ok"},
        {"{'name': 'ab', 'any': 'a\\x1f'}",
            WRONG("any", "a?: a character that is not allowed here")},
        {"{'name': 'ab', 'any': 'a\\x7f'}",
            WRONG("any", "a?: a character that is not allowed here")},
        {"{'name': 'ab', 'any': '\\x00'}", WRONG("any", ": a character that is not allowed here")},
        {"{'name': 'ab', 'any': 'x'x9}", WRONG("any", "9 bytes: must be 0..8")},
        {"{'name': 'ab', 'perhaps': null}", "ok"},
        {"{'name': 'ab', 'perhaps': ''}", WRONG("perhaps", "0 bytes: must be 1..4")},
        {"{'name': 'ab', 'colour': 'green'}", "ok"},
        {"{'name': 'ab', 'colour': 'gree'}", WRONG("colour", "gree: must be one of red, green")},
        {"{'name': 'ab', 'colour': 'x'x50}",
            WRONG("colour", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: must be one of red, green")},
        {"{'name': 'ab', 'colour': 1}", WRONG("colour", "must be one of red, green")},
        {"{'name': 'ab', 'value': {[1]: null}}", "ok"},
        /* unknown keys, and keys that are no strings */
        {"{'name': 'ab', 'nam': 1, 'names': 1, '': 1}", "ok"},
        {"{1: 2, null: 3, [1]: 4, {}: 5, <1>: 6, 'name': 'ab', true: 7, 1.5: 8}", "ok"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_sample(f, cases[i].text, cases[i].expected);
}

static void values_arrive(void **state) {
    struct fixture *f = *state;
    struct wire_error err;
    struct sample s = plain;
    assert_true(wire_parse_read(&f->doc, &f->bytes,
        "{'value': 3, 'colour': 'green', 'perhaps': 'xy', 'any': 'caf\\xc3\\xa9', 'maybe': null,"
        "'number': 300, 'flag': true, 'name': 'abc'}",
        &err));
    assert_true(wire_get(&f->doc.root, fields, FIELDS, &s, "", &err));
    assert_string_equal(s.name, "abc");
    assert_true(s.flag);
    assert_int_equal(s.number, 300);
    assert_int_equal(s.maybe, -1);
    assert_string_equal(s.any, "caf\xc3\xa9");
    assert_string_equal(s.perhaps, "xy");
    assert_int_equal(s.colour, 1);
    assert_int_equal(s.value->via.u64, 3);
}

static void absent_fields_stay(void **state) {
    struct fixture *f = *state;
    struct wire_error err;
    struct sample s = {.number = 7, .any = "keep"};
    assert_true(wire_parse_read(&f->doc, &f->bytes, "{'name': 'ab', 'perhaps': null}", &err));
    assert_true(wire_get(&f->doc.root, fields, FIELDS, &s, "", &err));
    assert_int_equal(s.number, 7);
    assert_string_equal(s.any, "keep");
    assert_string_equal(s.perhaps, "");
    assert_null(s.value);
}

static void the_last_of_two_equal_keys_counts(void **state) {
    struct fixture *f = *state;
    struct wire_error err;
    struct sample s = plain;
    assert_true(wire_parse_read(&f->doc, &f->bytes,
        "{'name': 'ab', 'number': 9, 'number': 11, 'value': 1, 'name': 'cc', 'value': 2}", &err));
    assert_true(wire_get(&f->doc.root, fields, FIELDS, &s, "", &err));
    assert_string_equal(s.name, "cc");
    assert_int_equal(s.number, 11);
    assert_int_equal(s.value->via.u64, 2);
    assert_int_equal(wire_find(&f->doc.root, "number")->via.u64, 11);
}

static void a_field_of_something_else_than_a_map(void **state) {
    struct fixture *f = *state;
    struct wire_error err;
    struct sample s = plain;
    assert_true(wire_parse_read(&f->doc, &f->bytes, "{'traces': [1]}", &err));
    const msgpack_object *one = &wire_find(&f->doc.root, "traces")->via.array.ptr[0];
    assert_false(wire_get(one, fields, FIELDS, &s, "", &err));
    assert_string_equal(err.message, "must be a map");
    assert_null(wire_find(one, "name"));
}

/* `traces[0].` is how field names begin; the map itself is `traces[0]`. */
static void the_path_of_a_map_ends_without_a_dot(void **state) {
    struct fixture *f = *state;
    struct wire_error err;
    struct sample s = plain;
    assert_true(wire_parse_read(&f->doc, &f->bytes, "{'traces': [1]}", &err));
    const msgpack_object *one = &wire_find(&f->doc.root, "traces")->via.array.ptr[0];
    assert_false(wire_get(one, fields, FIELDS, &s, "traces[0].", &err));
    assert_string_equal(err.field, "traces[0]");
    assert_string_equal(err.message, "traces[0]: must be a map");
}

static void expect_put(struct fixture *f, const struct sample *sample, const char *expected) {
    struct wire_error err;
    struct transcript text = {0};
    msgpack_packer pk;
    msgpack_sbuffer_clear(&f->bytes);
    msgpack_packer_init(&pk, &f->bytes, msgpack_sbuffer_write);
    msgpack_pack_map(&pk, wire_count(fields, FIELDS, sample, &plain));
    wire_put(&pk, fields, FIELDS, sample, &plain);
    assert_true(wire_doc_read(&f->doc, f->bytes.data, f->bytes.size, 1000, &err));
    wire_parse_add(&text, &f->doc.root);
    assert_true(transcript_is(&text, expected));
    transcript_free(&text);
}

static void writing_leaves_out_what_is_default(void **state) {
    struct fixture *f = *state;
    msgpack_object nine = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = 9};
    expect_put(f, &plain, "{'name':''}");
    expect_put(f, &(struct sample){.name = "ab", .number = 7}, "{'name':'ab'}");
    expect_put(f,
        &(struct sample){.name = "ab",
            .number = 8,
            .flag = true,
            .maybe = -1,
            .any = "x",
            .perhaps = "y",
            .colour = 1,
            .value = &nine},
        "{'name':'ab','flag':true,'number':8,'maybe':null,'any':'x','perhaps':'y',"
        "'colour':'green','value':9}");
}

/* Encodes the number in this many bytes, whether UTF-8 allows that length or not. */
static void encode(uint32_t code, int bytes, char out[4]) {
    static const unsigned char leads[] = {0x00, 0xc0, 0xe0, 0xf0};
    for (int i = bytes - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(leads[bytes - 1] | code);
}

/* RFC 3629: each code point in its shortest form, no surrogates, nothing above U+10FFFF. */
static void utf8(void **state) {
    (void)state;
    static const uint32_t edges[] = {0x20, 0x7e, 0x80, 0x7ff, 0x800, 0xfff, 0x1000, 0xcfff, 0xd000,
        0xd7ff, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe000, 0xffff, 0x10000, 0x3ffff, 0x40000, 0xfffff,
        0x100000, 0x10ffff, 0x110000, 0x13ffff, 0x140000, 0x1fffff};
    static const uint32_t ends[] = {0x7f, 0x7ff, 0xffff, 0x1fffff};
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++)
        for (int bytes = 1; bytes <= 4; bytes++) {
            char text[4];
            uint32_t code = edges[i];
            if (code > ends[bytes - 1])
                continue;
            bool shortest = bytes == 1 || code > ends[bytes - 2];
            bool is = shortest && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
            encode(code, bytes, text);
            if (wire_allowed(text, (size_t)bytes, WIRE_PRINTABLE) != is)
                fail_msg("U+%04X in %d bytes", code, bytes);
            if (!is)
                continue;
            for (int cut = 1; cut < bytes; cut++)
                assert_false(wire_allowed(text, (size_t)cut, WIRE_PRINTABLE));
            for (int at = 1; at < bytes; at++) {
                char right = text[at];
                text[at] = 0x7e;
                assert_false(wire_allowed(text, (size_t)bytes, WIRE_PRINTABLE));
                text[at] = (char)0xc0;
                assert_false(wire_allowed(text, (size_t)bytes, WIRE_PRINTABLE));
                text[at] = right;
            }
        }
    for (int lead = 0x80; lead <= 0xff; lead++) {
        const char text[] = {(char)lead, (char)0x90, (char)0x90, (char)0x90};
        bool is = lead >= 0xf0 && lead <= 0xf3;
        assert_int_equal(wire_allowed(text, 4, WIRE_PRINTABLE), is);
    }
}

/* Bytes are looked at in groups: each byte, at each place of texts around a group's size. */
static void printable_texts(void **state) {
    (void)state;
    char text[18];
    for (size_t size = 1; size <= sizeof text; size++)
        for (size_t at = 0; at < size; at++)
            for (int byte = 0; byte <= 0xff; byte++) {
                memset(text, 'x', sizeof text);
                text[at] = (char)byte;
                assert_int_equal(wire_allowed(text, size, 0), byte >= 0x20 && byte < 0x7f);
            }
}

#define WORD_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

static void characters(void **state) {
    (void)state;
    static const struct {
        unsigned allowed;
        const char *all;
    } cases[] = {
        {WIRE_STREAM_CHARS, WORD_CHARS},
        {WIRE_HOST_CHARS, WORD_CHARS "."},
        {WIRE_ID_CHARS, WORD_CHARS ".:"},
        {RESULT_ID_CHARS, WORD_CHARS ".:/"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(wire_allowed("", 0, cases[i].allowed));
        for (int byte = 0; byte <= 0xff; byte++) {
            const char text[] = {'x', (char)byte, 'x'};
            bool is = memchr(cases[i].all, byte, strlen(cases[i].all)) != NULL;
            assert_int_equal(wire_allowed(text, 3, cases[i].allowed), is);
            assert_int_equal(wire_allowed(text + 1, 1, cases[i].allowed), is);
        }
    }
}

/* ---- errors ----------------------------------------------------------------------------- */

static void messages_are_one_printable_line(void **state) {
    (void)state;
    struct wire_error err;
    char long_field[200], long_text[400];
    memset(long_field, 'f', sizeof long_field);
    long_field[sizeof long_field - 1] = '\0';
    memset(long_text, 't', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    wire_fail(&err, "busy", "", "%s", "a\nb\tc\x1b[0m\xc3\xa9\x7f");
    assert_string_equal(err.message, "a?b?c?[0m???");
    assert_string_equal(err.field, "");
    wire_fail(&err, "busy", long_field, "%s", long_text);
    assert_int_equal(strlen(err.field), sizeof err.field - 1);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
}

static void expect_error(const struct wire_error *error, const char *expected) {
    struct wire_doc doc;
    struct wire_error err;
    struct transcript text = {0};
    msgpack_sbuffer out;
    msgpack_packer pk;
    assert_true(wire_doc_init(&doc));
    msgpack_sbuffer_init(&out);
    msgpack_packer_init(&pk, &out, msgpack_sbuffer_write);
    request_put_error(&pk, NULL, error);
    assert_true(wire_doc_read(&doc, out.data, out.size, 100, &err));
    wire_parse_add(&text, &doc.root);
    assert_true(transcript_is(&text, expected));
    transcript_free(&text);
    msgpack_sbuffer_destroy(&out);
    wire_doc_free(&doc);
}

static void busy_has_a_reason_and_a_time(void **state) {
    (void)state;
    struct wire_error err;
    wire_busy(&err, "queue", "queue", 1500, "%d: full", 7);
    expect_error(&err, "{'v':1,'op':'error','code':'busy','message':'queue: 7: full',"
                       "'field':'queue','reason':'queue','retry_ms':1500}");
    wire_busy(&err, "", "draining", 0, "goes");
    expect_error(&err, "{'v':1,'op':'error','code':'busy','message':'goes','reason':'draining'}");
    wire_busy(&err, "", "a-reason-that-is-too-long", 1, "x");
    assert_string_equal(err.reason, "a-reason-that-is");
    wire_fail(&err, "conflict", "", "no"); /* nothing of the last one stays */
    expect_error(&err, "{'v':1,'op':'error','code':'conflict','message':'no'}");
}

/* ---- sizes ------------------------------------------------------------------------------ */

static void sizes_of_values(void **state) {
    struct fixture *f = *state;
    static const char *const values[] = {"{}", "1", "null", "'abc'",
        "{'a': [1, {'b': 'x'x300}], 'c': 2}", "[20*{'k': 70000}]", "#c1#"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        msgpack_sbuffer_clear(&f->bytes);
        wire_parse_pack(&f->bytes, values[i]);
        size_t whole = f->bytes.size;
        wire_parse_pack(&f->bytes, "7"); /* what comes behind does not count */
        bool broken = values[i][0] == '#';
        assert_int_equal(wire_value_size(f->bytes.data, f->bytes.size), broken ? 0 : whole);
        for (size_t cut = 0; cut < whole; cut++) {
            void *copy = malloc(cut > 0 ? cut : 1);
            assert_non_null(copy);
            memcpy(copy, f->bytes.data, cut);
            assert_int_equal(wire_value_size(copy, cut), 0);
            free(copy);
        }
    }
}

/* ---- requests --------------------------------------------------------------------------- */

static void expect_request(struct fixture *f, const char *text, const char *expected) {
    struct wire_error err;
    struct request request;
    char got[400];
    assert_true(wire_parse_read(&f->doc, &f->bytes, text, &err));
    bool ok = request_get(&request, &f->doc.root, &err);
    assert_string_equal(wire_parse_outcome(ok, &err, got), expected);
}

#define OPS "trace, submit, status, fetch, replay, cancel, stats, ping"
#define REQ "bad-request [req] req: must be an integer or a string of up to 64 bytes"
#define ID(i)                                                                                      \
    "bad-request [ids[" #i "]] ids[" #i "]: must be a string of 1..64 of A-Za-z0-9._:-, or two "   \
    "such with / between"

static void requests(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"{'v': 1, 'op': 'ping'}", "ok"},
        {"{'v': 1, 'op': 'stats', 'req': 'x'x64}", "ok"},
        {"{'v': 1, 'op': 'trace', 'req': -5}", "ok"},
        {"{'op': 'ping'}", "unsupported-version [v] v: must be the integer 1"},
        {"{'v': 0, 'op': 'ping'}", "unsupported-version [v] v: 0: this broker speaks 1"},
        {"{'v': 2, 'op': 'ping'}", "unsupported-version [v] v: 2: this broker speaks 1"},
        {"{'v': 1, 'op': 'ping', 'req': 'x'x65}", REQ},
        {"{'v': 1, 'op': 'ping', 'req': null}", REQ},
        {"{'v': 1, 'op': 'ping', 'req': 1.5}", REQ},
        {"{'v': 1, 'op': 'ping', 'req': [1]}", REQ},
        {"{'v': 1}", "bad-request [op] op: is missing"},
        {"{'v': 1, 'op': 'pong'}", "bad-request [op] op: pong: must be one of " OPS},
        {"{'v': 1, 'op': 7}", "bad-request [op] op: must be one of " OPS},
        {"{'v': 1, 'op': 'submit'}", "bad-request [traces] traces: is missing"},
        {"{'v': 1, 'op': 'submit', 'traces': {}}", "bad-request [traces] traces: must be an array"},
        {"{'v': 1, 'op': 'submit', 'traces': []}",
            "bad-request [traces] traces: 0 elements: must be 1..1000"},
        {"{'v': 1, 'op': 'submit', 'traces': [1000*{}]}", "ok"},
        {"{'v': 1, 'op': 'submit', 'traces': [1001*{}]}",
            "bad-request [traces] traces: 1001 elements: must be 1..1000"},
        {"{'v': 1, 'op': 'submit', 'traces': [{}], 'notify': 1}",
            "bad-request [notify] notify: must be true or false"},
        {"{'v': 1, 'op': 'status'}", "bad-request [ids] ids: is missing"},
        {"{'v': 1, 'op': 'fetch', 'ids': []}",
            "bad-request [ids] ids: 0 elements: must be 1..1000"},
        {"{'v': 1, 'op': 'cancel', 'ids': 'one'}", "bad-request [ids] ids: must be an array"},
        {"{'v': 1, 'op': 'cancel', 'ids': [1000*'one']}", "ok"},
        {"{'v': 1, 'op': 'cancel', 'ids': [1001*'one']}",
            "bad-request [ids] ids: 1001 elements: must be 1..1000"},
        {"{'v': 1, 'op': 'cancel', 'ids': ['x'x64, 'A.z_9:-']}", "ok"},
        {"{'v': 1, 'op': 'cancel', 'ids': ['x'x65]}", ID(0)},
        {"{'v': 1, 'op': 'cancel', 'ids': ['a', '']}", ID(1)},
        {"{'v': 1, 'op': 'cancel', 'ids': ['a', 'b', 'c d']}", ID(2)},
        {"{'v': 1, 'op': 'cancel', 'ids': [7]}", ID(0)},
        {"{'v': 1, 'op': 'cancel', 'ids': [1000*'a', 7]}",
            "bad-request [ids] ids: 1001 elements: must be 1..1000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_request(f, cases[i].text, cases[i].expected);
}

/* So that the error can carry it. */
static void replays(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *more, *expected;
    } cases[] = {
        {"", "bad-request [after] after: is missing"},
        {", 'after': 0", "ok"},
        {", 'after': 9223372036854775807", "ok"},
        {", 'after': -1", "bad-request [after] after: -1: must be 0..9223372036854775807"},
        {", 'after': 1, 'limit': 1", "ok"},
        {", 'after': 1, 'limit': 0", "bad-request [limit] limit: 0: must be 1..1000"},
        {", 'after': 1, 'limit': 1001", "bad-request [limit] limit: 1001: must be 1..1000"},
        {", 'after': 1, 'stream': 'x'x64", "ok"},
        {", 'after': 1, 'stream': ''", "bad-request [stream] stream: 0 bytes: must be 1..64"},
        {", 'after': 1, 'stream': 'a.b'",
            "bad-request [stream] stream: a.b: a character that is not allowed here"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[200];
        (void)snprintf(text, sizeof text, "{'v': 1, 'op': 'replay'%s}", cases[i].more);
        expect_request(f, text, cases[i].expected);
    }
    struct wire_error err;
    struct request request;
    assert_true(wire_parse_read(&f->doc, &f->bytes, "{'v': 1, 'op': 'replay', 'after': 5}", &err));
    assert_true(request_get(&request, &f->doc.root, &err));
    assert_int_equal(request.after, 5);
    assert_int_equal(request.limit, 1000);
    assert_string_equal(request.stream, "");
    /* what it knows alone is nothing to others */
    expect_request(f, "{'v': 1, 'op': 'ping', 'after': 'x', 'limit': 0}", "ok");
}

static void a_word_may_stand_for_a_number(void **state) {
    struct fixture *f = *state;
    static const char *const words[] = {"all", NULL};
    struct numbered {
        int64_t n;
    };
    static const struct wire_field field =
        WIRE_FIELD_INT_OR("n", struct numbered, n, 1, 9, words, WIRE_OPTIONAL);
    static const struct {
        const char *value, *expected;
        int64_t number;
    } cases[] = {
        {"'all'", "ok", -1},
        {"9", "ok", 9},
        {"10", "bad-request [n] n: 10: must be 1..9", 0},
        {"-1", "bad-request [n] n: -1: must be 1..9", 0},
        {"'All'", "bad-request [n] n: must be an integer of 1..9, or all", 0},
        {"null", "bad-request [n] n: must be an integer of 1..9, or all", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wire_error err;
        char text[60], got[400];
        int64_t number = 0;
        (void)snprintf(text, sizeof text, "{'n': %s}", cases[i].value);
        assert_true(wire_parse_read(&f->doc, &f->bytes, text, &err));
        bool ok = wire_get(&f->doc.root, &field, 1, &number, "", &err);
        assert_string_equal(wire_parse_outcome(ok, &err, got), cases[i].expected);
        assert_int_equal(number, cases[i].number);
        if (!ok)
            continue;
        msgpack_sbuffer out;
        msgpack_packer pk;
        int64_t none = 0;
        msgpack_sbuffer_init(&out);
        msgpack_packer_init(&pk, &out, msgpack_sbuffer_write);
        msgpack_pack_map(&pk, wire_count(&field, 1, &number, &none));
        wire_put(&pk, &field, 1, &number, &none);
        assert_int_equal(out.size, f->bytes.size);
        assert_memory_equal(out.data, f->bytes.data, out.size);
        msgpack_sbuffer_destroy(&out);
    }
}

/* Around every border between two encodings. */
static void ints_are_as_the_library_packs_them(void **state) {
    (void)state;
    for (int bit = 0; bit < 63; bit++)
        for (int64_t near = -2; near <= 2; near++)
            for (int sign = -1; sign <= 1; sign += 2) {
                int64_t value = sign * (INT64_C(1) << bit) + near;
                char bytes[WIRE_INT_BYTES];
                msgpack_sbuffer out;
                msgpack_packer pk;
                msgpack_sbuffer_init(&out);
                msgpack_packer_init(&pk, &out, msgpack_sbuffer_write);
                msgpack_pack_int64(&pk, value);
                assert_int_equal(wire_add_int(bytes, value) - bytes, out.size);
                assert_memory_equal(bytes, out.data, out.size);
                msgpack_sbuffer_destroy(&out);
            }
}

static void texts_are_as_the_library_packs_them(void **state) {
    (void)state;
    char text[255], bytes[2 + sizeof text];
    memset(text, 'x', sizeof text);
    for (size_t size = 0; size <= sizeof text; size++) {
        msgpack_sbuffer out;
        msgpack_packer pk;
        msgpack_sbuffer_init(&out);
        msgpack_packer_init(&pk, &out, msgpack_sbuffer_write);
        msgpack_pack_str(&pk, size);
        msgpack_pack_str_body(&pk, text, size);
        assert_int_equal(wire_add_text(bytes, text, size) - bytes, out.size);
        assert_memory_equal(bytes, out.data, out.size);
        msgpack_sbuffer_destroy(&out);
    }
}

static void req_is_known_of_a_request_that_failed(void **state) {
    struct fixture *f = *state;
    static const char *const texts[] = {
        "{'v': 3, 'op': 'ping', 'req': 5}",
        "{'op': 'ping', 'req': 5}",
        "{'v': 1, 'op': 'what', 'req': 5}",
        "{'v': 1, 'op': 'submit', 'req': 5}",
        "{'v': 1, 'op': 'cancel', 'ids': 1, 'req': 5}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct wire_error err;
        struct request request;
        assert_true(wire_parse_read(&f->doc, &f->bytes, texts[i], &err));
        assert_false(request_get(&request, &f->doc.root, &err));
        assert_non_null(request.req);
        assert_int_equal(request.req->via.u64, 5);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(frames),
        TEST(nesting),
        TEST(a_bomb_of_nested_heads_asks_for_no_memory),
        TEST(number_of_values),
        TEST(truncation),
        TEST(garbage),
        TEST(another_reader_finds_the_same),
        TEST(a_document_is_read_again_and_again),
        TEST(ranges),
        TEST(values_arrive),
        TEST(absent_fields_stay),
        TEST(the_last_of_two_equal_keys_counts),
        TEST(a_field_of_something_else_than_a_map),
        TEST(the_path_of_a_map_ends_without_a_dot),
        TEST(writing_leaves_out_what_is_default),
        TEST(utf8),
        TEST(printable_texts),
        TEST(characters),
        TEST(messages_are_one_printable_line),
        TEST(busy_has_a_reason_and_a_time),
        TEST(sizes_of_values),
        TEST(a_word_may_stand_for_a_number),
        TEST(ints_are_as_the_library_packs_them),
        TEST(texts_are_as_the_library_packs_them),
        TEST(requests),
        TEST(replays),
        TEST(req_is_known_of_a_request_that_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
