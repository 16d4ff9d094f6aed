#include "clients/cli/refusal.h"

#include <string.h>

#define RETRY_MAX_MS INT64_C(86400000)

void refusal_get(struct refusal *refusal, const msgpack_object *error) {
#define AT(member) offsetof(struct refusal, member)
    static const struct wire_field fields[] = {
        {WIRE_NAME("code"), WIRE_TEXT, AT(code), 1, 32, 0, NULL, true, false},
        {WIRE_NAME("message"), WIRE_TEXT, AT(message), 0, 224, 0, NULL, true, false},
        {WIRE_NAME("retry_ms"), WIRE_INT, AT(retry_ms), 0, RETRY_MAX_MS, 0, NULL, false, false},
    };
    struct wire_error err;
    memset(refusal, 0, sizeof *refusal);
    if (wire_get(error, fields, sizeof fields / sizeof fields[0], refusal, "", &err))
        return;
    *refusal = (struct refusal){.message = "refused, but the reason makes no sense"};
}

bool refusal_is_busy(const struct refusal *refusal) { return strcmp(refusal->code, "busy") == 0; }

int64_t refusal_wait_us(int64_t retry_ms, uint32_t chance) {
    return retry_ms * 1000 + (retry_ms * 250 * (chance >> 16) >> 16);
}
