#include "common/addr.h"

#include <arpa/inet.h>
#include <string.h>

/* Accepts what inet_pton() accepts: four numbers without leading zeros. It is faster, and a result
 * has dozens of addresses. */
static bool parse_ipv4(uint8_t bytes[4], const char *at) {
    for (int i = 0; i < 4; i++) {
        const char *start = at;
        unsigned value = 0;
        while (*at >= '0' && *at <= '9' && value <= 25)
            value = value * 10 + (unsigned)(*at++ - '0');
        if (at == start || value > 255 || (*start == '0' && at > start + 1) ||
            *at != (i < 3 ? '.' : '\0'))
            return false;
        bytes[i] = (uint8_t)value;
        at++;
    }
    return true;
}

bool addr_parse(struct addr *addr, const char *text) {
    uint8_t ipv4[4];
    memset(addr, 0, sizeof *addr);
    if (parse_ipv4(ipv4, text)) {
        addr->af = 4;
        memcpy(addr->bytes, ipv4, sizeof ipv4);
    } else if (inet_pton(AF_INET6, text, addr->bytes) == 1) {
        addr->af = 6;
    }
    return addr->af != 0;
}

static char *print_byte(unsigned byte, char *text) {
    if (byte >= 100)
        *text++ = (char)('0' + byte / 100);
    if (byte >= 10)
        *text++ = (char)('0' + byte / 10 % 10);
    *text++ = (char)('0' + byte % 10);
    return text;
}

static void print_ipv4(const uint8_t bytes[4], char *text) {
    for (int i = 0; i < 4; i++) {
        text = print_byte(bytes[i], text);
        *text++ = i < 3 ? '.' : '\0';
    }
}

const char *addr_print(const struct addr *addr, char text[ADDR_TEXT]) {
    text[0] = '\0';
    if (addr->af == 4)
        print_ipv4(addr->bytes, text);
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
