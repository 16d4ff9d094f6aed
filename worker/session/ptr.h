/* ptr: the question for an address's host name, RFC 1035, section 3.5, and the answer to it. Pure.
 */
#ifndef HOPMQ_WORKER_PTR_H
#define HOPMQ_WORKER_PTR_H

#include "common/addr.h"
#include "worker/session/names.h"

#include <stddef.h>

#define PTR_QUESTION_BYTES 73 /* 32 digits of IPv6 with a dot each, ip6.arpa, NUL */

/* The name to ask for: "1.2.0.192.in-addr.arpa" for 192.0.2.1. */
void ptr_question(const struct addr *addr, char text[PTR_QUESTION_BYTES]);

/* Reads a DNS message with an answer: its first PTR record, also behind CNAMEs (RFC 2317). A name
 * that may be passed on (result_is_name()) is put into name, and the lowest time to live on the way
 * into *ttl_s; otherwise they are empty and 0. */
enum names_outcome ptr_read(
    const unsigned char *message, size_t size, char name[RESULT_NAME_BYTES + 1], uint32_t *ttl_s);

#endif
