/* ptr: the DNS question for the host name of an address (RFC 1035, section 3.5), and the answer to
 * it. Pure. */
#ifndef HOPMQ_WORKER_PTR_H
#define HOPMQ_WORKER_PTR_H

#include "common/addr.h"
#include "worker/session/names.h"

#include <stddef.h>

#define PTR_QUESTION_BYTES 73 /* for IPv6: 32 digits, each with a dot, "ip6.arpa", NUL */

/* Writes the name to ask for, such as "1.2.0.192.in-addr.arpa" for 192.0.2.1. */
void ptr_question(const struct addr *addr, char text[PTR_QUESTION_BYTES]);

/* Reads the first PTR record of a DNS answer, which may follow CNAME records (RFC 2317). If it is a
 * name that may be passed on (result_is_name()), `name` is that and *ttl_s is the lowest time to
 * live of the records up to it. Otherwise `name` is empty and *ttl_s is 0. */
enum names_outcome ptr_read(
    const unsigned char *message, size_t size, char name[RESULT_NAME_BYTES + 1], uint32_t *ttl_s);

#endif
