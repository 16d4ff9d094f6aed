/* pong: what a broker says about itself; docs/protocol.md, section 6, ping. Pure. */
#ifndef HOPMQ_CLIENT_PONG_H
#define HOPMQ_CLIENT_PONG_H

#include "clients/cli/text.h"
#include "common/protocol/wire.h"

#define PONG_ENDPOINT_BYTES 255

struct pong {
    char broker[65], version[33];
    int64_t epoch, origin, seq;       /* origin is epoch if the broker does not tell */
    int64_t version_min, version_max; /* of the protocol */
    const msgpack_object *versions;   /* a checked pair */
    const msgpack_object *results;    /* a checked array of strings */
};

bool pong_get(struct pong *pong, const msgpack_object *map, struct wire_error *err);

/* Where to subscribe for a client that has dialled `dialled`: an endpoint of the same transport
 * if there is one; `*` becomes the host that was dialled. False if there is none. */
bool pong_results(
    const struct pong *pong, const char *dialled, char endpoint[PONG_ENDPOINT_BYTES + 1]);

/* One line for people. */
void pong_render(struct text *text, const struct pong *pong, const char *dialled, int64_t rtt_us);

#endif
