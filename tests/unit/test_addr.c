/* addr: literals in and out, as inet_pton() and inet_ntop() have them. */
#include "tests/unit/check.h"

#include "common/addr.h"
#include "common/decimal.h"
#include "tests/unit/rng.h"

#include <arpa/inet.h>
#include <string.h>

static void expect_as_libc(const char *text) {
    struct addr addr;
    uint8_t bytes[16] = {0};
    int af = inet_pton(AF_INET, text, bytes) == 1    ? 4
             : inet_pton(AF_INET6, text, bytes) == 1 ? 6
                                                     : 0;
    assert_int_equal(addr_parse(&addr, text), af != 0);
    assert_int_equal(addr.af, af);
    assert_memory_equal(addr.bytes, bytes, sizeof bytes); /* zeros where it is none */
}

static void literals(void **state) {
    (void)state;
    static const char *const texts[] = {"", "0.0.0.0", "255.255.255.255", "1.2.3.4", "1.2.3",
        "1.2.3.4.5", "1.2.3.4.", ".1.2.3.4", "1..2.3", "01.2.3.4", "1.2.3.00", "256.1.1.1",
        "1.1.1.256", "1.1.1.999", "1.1.1.2555", "1.1.1.0255", "1.2.3.4 ", " 1.2.3.4", "1.2.3.a",
        "1,2,3,4", "+1.2.3.4", "4294967296.1.1.1", "::", "::1", "2001:db8::1", "::ffff:1.2.3.4",
        "fe80::1%eth0", "1:2:3:4:5:6:7", "host"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        expect_as_libc(texts[i]);
}

static void random_texts(void **state) {
    (void)state;
    static const char chars[] = "0123456789120125.....";
    uint64_t rng = rng_seed("literals");
    for (int run = 0; run < 200000; run++) {
        char text[20];
        size_t size = rng_below(&rng, 16);
        for (size_t i = 0; i < size; i++)
            text[i] = chars[rng_below(&rng, sizeof chars - 1)];
        text[size] = '\0';
        expect_as_libc(text);
    }
}

static void printing(void **state) {
    (void)state;
    uint64_t rng = rng_seed("printing");
    for (int run = 0; run < 20000; run++) {
        struct addr addr = {.af = run % 2 == 0 ? 4 : 6}, again;
        char text[ADDR_TEXT], expected[ADDR_TEXT];
        for (size_t i = 0; i < sizeof addr.bytes; i++)
            addr.bytes[i] = (uint8_t)(rng_below(&rng, 2) * rng_below(&rng, 256));
        (void)inet_ntop(addr.af == 4 ? AF_INET : AF_INET6, addr.bytes, expected, sizeof expected);
        assert_string_equal(addr_print(&addr, text), expected);
        assert_true(addr_parse(&again, text));
        assert_true(addr_equal(&addr, &again));
    }
    char text[ADDR_TEXT];
    assert_string_equal(addr_print(&(struct addr){.af = 0}, text), "");
}

static void numbers(void **state) {
    (void)state;
    char text[DECIMAL_BYTES + 1];
    assert_ptr_equal(decimal_put(text, 0), text + 1);
    assert_string_equal(text, "0");
    assert_ptr_equal(decimal_put(text, UINT64_MAX), text + DECIMAL_BYTES);
    assert_string_equal(text, "18446744073709551615");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals),
        cmocka_unit_test(random_texts),
        cmocka_unit_test(printing),
        cmocka_unit_test(numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
