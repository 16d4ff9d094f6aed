/* refusal: what an `error` from the broker says; docs/protocol.md, section 4. Pure. */
#ifndef HOPMQ_CLIENT_REFUSAL_H
#define HOPMQ_CLIENT_REFUSAL_H

#include "common/protocol/wire.h"

struct refusal {
    char code[33]; /* empty if the error makes no sense */
    char message[225];
    int64_t retry_ms; /* of `busy`; 0: the broker does not say */
};

void refusal_get(struct refusal *refusal, const msgpack_object *error);

bool refusal_is_busy(const struct refusal *refusal);

/* When to ask again: retry_ms, and by `chance`, any number, up to a quarter more, so that clients
 * that were refused together do not come back together. */
int64_t refusal_wait_us(int64_t retry_ms, uint32_t chance);

#endif
