/* ptr: questions, and true and hostile answers. */
#include "tests/unit/check.h"

#include "worker/session/ptr.h"

#include <arpa/nameser.h>
#include <stdlib.h>
#include <string.h>

static void questions(void **state) {
    (void)state;
    static const struct {
        const char *addr, *expected;
    } cases[] = {
        {"192.0.2.1", "1.2.0.192.in-addr.arpa"},
        {"255.255.255.254", "254.255.255.255.in-addr.arpa"},
        {"2001:db8::567:89ab", /* the example of RFC 3596, section 2.5, is of this form */
            "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct addr addr;
        char text[PTR_QUESTION_BYTES];
        assert_true(addr_parse(&addr, cases[i].addr));
        ptr_question(&addr, text);
        assert_string_equal(text, cases[i].expected);
    }
}

/* ---- answers ---------------------------------------------------------------------------- */

struct message {
    unsigned char bytes[4096];
    size_t size;
};

static void add(struct message *m, const void *bytes, size_t size) {
    assert_true(m->size + size <= sizeof m->bytes);
    memcpy(m->bytes + m->size, bytes, size);
    m->size += size;
}

static void add16(struct message *m, unsigned value) {
    const unsigned char bytes[] = {(unsigned char)(value >> 8), (unsigned char)value};
    add(m, bytes, 2);
}

/* A head with the question x. PTR? at byte 12. */
static struct message reply(unsigned answers) {
    struct message m = {.size = 0};
    add(&m, "\x12\x34\x81\x80\x00\x01", 6);
    add16(&m, answers);
    add(&m, "\x00\x00\x00\x00\x01x\x00\x00\x0c\x00\x01", 11);
    return m;
}

/* A record of x. */
static void add_record(
    struct message *m, unsigned type, uint32_t ttl_s, const void *data, size_t size) {
    add(m, "\xc0\x0c", 2);
    add16(m, type);
    add16(m, ns_c_in);
    add16(m, ttl_s >> 16);
    add16(m, ttl_s & 0xffff);
    add16(m, (unsigned)size);
    add(m, data, size);
}

static enum names_outcome outcome(const struct message *m, const char *name, uint32_t ttl_s) {
    char got[RESULT_NAME_BYTES + 1];
    uint32_t got_ttl_s;
    unsigned char *exact =
        malloc(m->size > 0 ? m->size : 1); /* so that a sanitizer sees an overread */
    assert_non_null(exact);
    memcpy(exact, m->bytes, m->size);
    enum names_outcome found = ptr_read(exact, m->size, got, &got_ttl_s);
    free(exact);
    assert_string_equal(got, name);
    assert_int_equal(got_ttl_s, ttl_s);
    return found;
}

#define NAME                                                                                       \
    "\x02gw\x07"                                                                                   \
    "example\x00"

static void a_name(void **state) {
    (void)state;
    struct message m = reply(1);
    add_record(&m, ns_t_ptr, 300, NAME, sizeof NAME - 1);
    assert_int_equal(outcome(&m, "gw.example", 300), NAMES_NAMED);
}

static void the_first_of_several(void **state) {
    (void)state;
    struct message m = reply(3);
    add_record(&m, ns_t_txt, 900, "\x01t", 2);
    add_record(&m, ns_t_ptr, 700, NAME, sizeof NAME - 1);
    add_record(&m, ns_t_ptr, 1, "\x05other\x00", 7);
    assert_int_equal(outcome(&m, "gw.example", 700), NAMES_NAMED);
}

/* RFC 2317: the alias may change before the name does. */
static void behind_an_alias(void **state) {
    (void)state;
    struct message m = reply(2);
    add_record(&m, ns_t_cname, 20,
        "\x03"
        "0/5\x01x\x00",
        7);
    add_record(&m, ns_t_ptr, 300, NAME, sizeof NAME - 1);
    assert_int_equal(outcome(&m, "gw.example", 20), NAMES_NAMED);
}

static void no_name(void **state) {
    (void)state;
    struct message m = reply(0);
    assert_int_equal(outcome(&m, "", 0), NAMES_NONE);
    m = reply(1);
    add_record(&m, ns_t_cname, 20, "\x01y\x00", 3);
    assert_int_equal(outcome(&m, "", 0), NAMES_NONE);
    m = reply(1);
    add_record(&m, ns_t_ptr, 300, NAME, sizeof NAME - 1);
    m.bytes[24] = ns_c_chaos;
    assert_int_equal(outcome(&m, "", 0), NAMES_NONE);
}

static void names_that_are_none(void **state) {
    (void)state;
    static const struct {
        const char *data;
        size_t size;
    } cases[] = {
#define DATA(text) {text, sizeof text - 1}
        DATA("\x00"), /* the root */
        DATA("\x04"
             "a\x1b[2\x00"), /* what steers a terminal */
        DATA("\x03"
             "a b\x00"),
        DATA("\x03"
             "a\x00"
             "b\x00"),
        DATA("\x03"
             "a.b\x00"), /* a dot that is none */
        DATA("\x02\xc3\xa9\x00"),
        DATA("\x01*\x00"),
        DATA("\x03"
             "192\x01"
             "0\x01"
             "2\x01"
             "1\x00"),    /* would pass for an address */
        DATA("\xc0\x1f"), /* points to itself */
        DATA("\x01"
             "a\xc0\x1f"), /* goes round */
        DATA("\xff\xff"),  /* points behind the end */
        DATA("\x3f"
             "a\x00"), /* runs over the end */
        DATA("\x41"
             "a\x00"), /* a label of no known kind */
        DATA(""),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct message m = reply(1);
        add_record(&m, ns_t_ptr, 300, cases[i].data, cases[i].size);
        if (outcome(&m, "", 0) != NAMES_REFUSED)
            fail_msg("case %zu was taken", i);
    }
}

/* 253 characters is what DNS can hold: 255 bytes with a length before each label and at the end. */
static void the_longest_name(void **state) {
    (void)state;
    for (unsigned last = 61; last <= 62; last++) {
        struct message m = reply(1);
        unsigned char data[300];
        size_t size = 0;
        char name[300] = "";
        for (int i = 0; i < 4; i++) {
            unsigned label = i < 3 ? 63 : last;
            data[size++] = (unsigned char)label;
            memset(data + size, 'a', label);
            size += label;
            (void)snprintf(name + strlen(name), sizeof name - strlen(name), "%s%.*s",
                i > 0 ? "." : "", (int)label, (const char *)data + size - label);
        }
        data[size++] = 0;
        add_record(&m, ns_t_ptr, 5, data, size);
        if (last == 61)
            assert_int_equal(outcome(&m, name, 5), NAMES_NAMED);
        else
            assert_int_equal(outcome(&m, "", 0), NAMES_REFUSED);
    }
}

/* Cut anywhere, it is refused, or its records are there as far as they go. */
static void cut_and_changed(void **state) {
    (void)state;
    struct message m = reply(1);
    add_record(&m, ns_t_ptr, 300, NAME, sizeof NAME - 1);
    for (size_t size = 0; size < m.size; size++) {
        struct message cut = m;
        cut.size = size;
        assert_int_equal(outcome(&cut, "", 0), NAMES_REFUSED);
    }
    struct message more = m;
    more.bytes[7] = 2; /* says that it has more records than it has */
    assert_int_equal(outcome(&more, "", 0), NAMES_REFUSED);
    char name[RESULT_NAME_BYTES + 1];
    uint32_t ttl_s;
    assert_int_equal(ptr_read(m.bytes, (size_t)NS_MAXMSG + 1, name, &ttl_s), NAMES_REFUSED);
    for (size_t i = 0; i < m.size * 8; i++) { /* only that nothing breaks */
        struct message changed = m;
        changed.bytes[i / 8] ^= (unsigned char)(1U << i % 8);
        enum names_outcome found = ptr_read(changed.bytes, changed.size, name, &ttl_s);
        assert_true((found == NAMES_NAMED) == result_is_name(name, strlen(name)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions),
        cmocka_unit_test(a_name),
        cmocka_unit_test(the_first_of_several),
        cmocka_unit_test(behind_an_alias),
        cmocka_unit_test(no_name),
        cmocka_unit_test(names_that_are_none),
        cmocka_unit_test(the_longest_name),
        cmocka_unit_test(cut_and_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
