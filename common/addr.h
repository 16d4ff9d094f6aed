/* addr: an IPv4 or IPv6 address as a value. Pure. */
#ifndef HOPMQ_ADDR_H
#define HOPMQ_ADDR_H

#include <stdbool.h>
#include <stdint.h>

#define ADDR_TEXT 46 /* INET6_ADDRSTRLEN */

struct addr {
    uint8_t af; /* 4, 6, or 0: none */
    uint8_t bytes[16];
};

/* Reads a literal without a scope id. Leaves *addr with af 0 and returns false otherwise. */
bool addr_parse(struct addr *addr, const char *text);

/* Prints the canonical form into text and returns it; "" for none. */
const char *addr_print(const struct addr *addr, char text[ADDR_TEXT]);

bool addr_equal(const struct addr *a, const struct addr *b);

/* An order, as memcmp() gives it; IPv4 comes before IPv6. */
int addr_compare(const struct addr *a, const struct addr *b);

/* False for what no trace can go to: unspecified, multicast, limited broadcast, and IPv4 addresses
 * in IPv6's clothes (::ffff:0:0/96). */
bool addr_traceable(const struct addr *addr);

#endif
