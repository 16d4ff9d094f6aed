/* addr and decimal: text as the C library has it. */
#include "tests/unit/check.h"

#include "common/addr.h"
#include "common/decimal.h"
#include "tests/unit/rng.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void expect_same(const struct addr *addr) {
    char text[ADDR_TEXT], expected[ADDR_TEXT];
    struct addr again;
    assert_non_null(
        inet_ntop(addr->af == 4 ? AF_INET : AF_INET6, addr->bytes, expected, sizeof expected));
    memset(text, 'x', sizeof text);
    assert_ptr_equal(addr_print(addr, text), text);
    assert_string_equal(text, expected);
    assert_true(addr_parse(&again, text));
    assert_true(addr_equal(&again, addr));
}

static void addresses(void **state) {
    (void)state;
    uint64_t rng = rng_seed("addresses");
    struct addr addr = {.af = 4};
    for (int i = 0; i < 256; i++) {
        addr.bytes[i % 4] = (uint8_t)i;
        expect_same(&addr);
    }
    for (int i = 0; i < 10000; i++) {
        memset(&addr, 0, sizeof addr);
        addr.af = i % 2 == 0 ? 4 : 6;
        for (int at = 0; at < (addr.af == 4 ? 4 : 16); at++)
            addr.bytes[at] = (uint8_t)(rng_below(&rng, 3) == 0 ? 0 : rng_below(&rng, 256));
        expect_same(&addr);
    }
    char text[ADDR_TEXT] = "x";
    assert_string_equal(addr_print(&(struct addr){.af = 0}, text), "");
}

static void decimals(void **state) {
    (void)state;
    static const uint32_t values[] = {
        0, 1, 9, 10, 99, 100, 255, 1000, 65535, 2147483647, 4294967295};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char text[16], expected[16];
        *decimal_put(text, values[i]) = '\0';
        (void)snprintf(expected, sizeof expected, "%" PRIu32, values[i]);
        assert_string_equal(text, expected);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(decimals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
