/* reply: what the broker answers; docs/protocol.md, sections 4 and 6. Pure. */
#ifndef HOPMQ_CLIENT_REPLY_H
#define HOPMQ_CLIENT_REPLY_H

#include "clients/cli/text.h"
#include "common/protocol/wire.h"

/* ---- error ---- */

struct reply_error {
    char code[33]; /* empty if the error is malformed */
    char message[225];
    int64_t retry_ms; /* of `busy`; 0: the broker does not say */
};

void reply_error_get(struct reply_error *error, const msgpack_object *map);

bool reply_error_is_busy(const struct reply_error *error);

/* How long to wait before asking again: retry_ms and, by `chance`, any number, up to a quarter
 * more, so that clients that were refused together do not come back together. */
int64_t reply_retry_us(int64_t retry_ms, uint32_t chance);

/* ---- results of a replay ---- */

/* Its pointers borrow from the document. */
struct reply_replay {
    const msgpack_object *results; /* an array; its elements are not checked */
    bool more;
    int64_t lost_from, lost_to; /* seqs that are no longer kept; 0: none */
    int64_t epoch, origin;
};

/* Refuses an answer that has no result although there is more. */
bool reply_replay_get(
    struct reply_replay *replay, const msgpack_object *root, struct wire_error *err);

/* ---- pong ---- */

#define REPLY_ENDPOINT_BYTES 255

struct reply_ping {
    char broker[65], version[33];
    int64_t epoch, origin, seq;       /* origin is epoch if the broker does not tell */
    int64_t version_min, version_max; /* of the protocol */
    const msgpack_object *versions;   /* a checked pair */
    const msgpack_object *results;    /* a checked array of strings */
};

bool reply_ping_get(struct reply_ping *ping, const msgpack_object *map, struct wire_error *err);

/* Where a client that has dialled `dialled` subscribes: at an endpoint of the same transport if
 * there is one, else at the first. `*` becomes the host that was dialled. False if there is none.
 */
bool reply_ping_results(
    const struct reply_ping *ping, const char *dialled, char endpoint[REPLY_ENDPOINT_BYTES + 1]);

/* One line for people. */
void reply_ping_render(
    struct text *text, const struct reply_ping *ping, const char *dialled, int64_t rtt_us);

#endif
