/* outline: what of traces and results is kept in columns, for people who ask with SQL. Pure.
 *
 * It never fails: what is not there, or not what it should be, is left out. */
#ifndef HOPMQ_OUTLINE_H
#define HOPMQ_OUTLINE_H

#include "common/wire.h"

struct outline_text {
    const char *at; /* points into the document; NULL: absent or nil */
    size_t size;
};

struct outline {
    struct outline_text target, stream, dst, src, protocol, worker, stop, error;
    int64_t accepted_us, started_us, finished_us, run, probes_sent; /* -1: absent */
};

/* Of an encoded trace or result, both as maps. */
void outline_read(struct outline *outline, const msgpack_object *map);

/* Appends the probes of a result as compact JSON,
 * [[ttl,attempt,"addr"|null,rtt_us|null,sent_us,"verdict"],...]. */
void outline_hops(msgpack_sbuffer *json, const msgpack_object *map);

#endif
