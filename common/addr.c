#include "common/addr.h"

#include "common/decimal.h"

#include <arpa/inet.h>
#include <string.h>

bool addr_parse(struct addr *addr, const char *text) {
    memset(addr, 0, sizeof *addr);
    if (inet_pton(AF_INET, text, addr->bytes) == 1)
        addr->af = 4;
    else if (inet_pton(AF_INET6, text, addr->bytes) == 1)
        addr->af = 6;
    return addr->af != 0;
}

/* inet_ntop() takes 2,000 instructions for it. */
static void print_v4(const struct addr *addr, char *at) {
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            *at++ = '.';
        at = decimal_put(at, addr->bytes[i]);
    }
    *at = '\0';
}

const char *addr_print(const struct addr *addr, char text[ADDR_TEXT]) {
    text[0] = '\0';
    if (addr->af == 4)
        print_v4(addr, text);
    else if (addr->af == 6)
        (void)inet_ntop(AF_INET6, addr->bytes, text, ADDR_TEXT);
    return text;
}

int addr_compare(const struct addr *a, const struct addr *b) {
    return a->af != b->af ? a->af - b->af : memcmp(a->bytes, b->bytes, a->af == 4 ? 4 : 16);
}

bool addr_equal(const struct addr *a, const struct addr *b) { return addr_compare(a, b) == 0; }

bool addr_traceable(const struct addr *addr) {
    static const uint8_t zero[16];
    static const uint8_t broadcast[4] = {255, 255, 255, 255};
    if (addr->af == 4)
        return memcmp(addr->bytes, zero, 4) != 0 && (addr->bytes[0] & 0xf0) != 0xe0 &&
               memcmp(addr->bytes, broadcast, 4) != 0;
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return addr->af == 6 && memcmp(addr->bytes, zero, 16) != 0 && addr->bytes[0] != 0xff &&
           memcmp(addr->bytes, mapped, sizeof mapped) != 0;
}
