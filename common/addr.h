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

/* Reads an address literal without a scope id. For anything else it returns false and sets af to 0.
 */
bool addr_parse(struct addr *addr, const char *text);

/* Prints the canonical form into text and returns it; "" for none. */
const char *addr_print(const struct addr *addr, char text[ADDR_TEXT]);

bool addr_equal(const struct addr *a, const struct addr *b);

/* Less than, equal to or greater than 0, as memcmp() returns; IPv4 comes before IPv6. */
int addr_compare(const struct addr *a, const struct addr *b);

/* False for an address that no trace can go to: the unspecified one, multicast, limited broadcast,
 * and IPv4-mapped IPv6 addresses (::ffff:0:0/96). */
bool addr_traceable(const struct addr *addr);

#endif
