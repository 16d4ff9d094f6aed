/* replay: results once more, as they were published; docs/protocol.md, section 6. Pure. */
#ifndef HOPMQ_CLIENT_REPLAY_H
#define HOPMQ_CLIENT_REPLAY_H

#include "common/protocol/request.h"

/* One answer; its pointers borrow from the document. */
struct replay {
    const msgpack_object *results; /* an array; its elements are not checked */
    bool more;
    int64_t lost_from, lost_to; /* seqs that are no longer kept; 0: none */
    int64_t epoch, origin;
};

/* Packs a whole `replay`; stream NULL: all. */
void replay_put(
    msgpack_sbuffer *out, int64_t req, int64_t after, const char *stream, int64_t limit);

/* Reads the answer. One that has no result, and yet more, makes no sense. */
bool replay_get(struct replay *replay, const msgpack_object *root, struct wire_error *err);

#endif
