/* gaps: how many results a subscriber has missed; docs/protocol.md, section 8. Pure. */
#ifndef HOPMQ_CLIENT_GAPS_H
#define HOPMQ_CLIENT_GAPS_H

#include "common/wire.h"

/* Start from {.stream = the stream that is watched, or NULL for all}. */
struct gaps {
    const char *stream;
    bool known;     /* epoch and last are */
    int64_t epoch;  /* of the broker */
    int64_t last;   /* seq, or with a stream its stream_seq, that needs no more mention */
    bool quiet;     /* the first `alive` did not list the stream */
    bool restarted; /* set when the epoch grew; the caller clears it */
};

/* A result with these numbers came: returns how many before it did not. Results of a broker
 * that was started again begin with 1. */
int64_t gaps_result(struct gaps *gaps, int64_t epoch, int64_t seq, int64_t stream_seq);

/* An `alive` came; the first one tells where to begin. */
bool gaps_alive(
    struct gaps *gaps, const msgpack_object *alive, int64_t *missed, struct wire_error *err);

#endif
