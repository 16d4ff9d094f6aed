#include "worker/session/ptr.h"

#include <arpa/nameser.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

void ptr_question(const struct addr *addr, char text[PTR_QUESTION_BYTES]) {
    const uint8_t *b = addr->bytes;
    if (addr->af == 4) {
        (void)snprintf(
            text, PTR_QUESTION_BYTES, "%u.%u.%u.%u.in-addr.arpa", b[3], b[2], b[1], b[0]);
        return;
    }
    static const char digits[] = "0123456789abcdef";
    char *at = text;
    for (int i = 15; i >= 0; i--) {
        *at++ = digits[b[i] & 15];
        *at++ = '.';
        *at++ = digits[b[i] >> 4];
        *at++ = '.';
    }
    (void)snprintf(at, PTR_QUESTION_BYTES - 64, "ip6.arpa");
}

enum names_outcome ptr_read(
    const unsigned char *message, size_t size, char name[RESULT_NAME_BYTES + 1], uint32_t *ttl_s) {
    ns_msg msg;
    ns_rr record;
    char text[NS_MAXDNAME]; /* with escapes, which make it longer than any valid name */
    *ttl_s = 0;
    name[0] = '\0';
    if (size > NS_MAXMSG || ns_initparse(message, (int)size, &msg) != 0)
        return NAMES_REFUSED;
    uint32_t lowest = UINT32_MAX;
    for (int i = 0; i < ns_msg_count(msg, ns_s_an); i++) {
        if (ns_parserr(&msg, ns_s_an, i, &record) != 0)
            return NAMES_REFUSED;
        if (ns_rr_ttl(record) < lowest)
            lowest = (uint32_t)ns_rr_ttl(record);
        if (ns_rr_class(record) != ns_c_in || ns_rr_type(record) != ns_t_ptr)
            continue;
        if (ns_name_uncompress(
                ns_msg_base(msg), ns_msg_end(msg), ns_rr_rdata(record), text, sizeof text) < 0 ||
            !result_is_name(text, strlen(text)))
            return NAMES_REFUSED;
        memcpy(name, text, strlen(text) + 1);
        *ttl_s = lowest;
        return NAMES_NAMED;
    }
    return NAMES_NONE;
}
