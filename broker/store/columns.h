/* columns: what of traces and results is kept in columns, for people who ask with SQL. Pure.
 *
 * It never fails: what is not there, or not what it should be, is left out. */
#ifndef HOPMQ_COLUMNS_H
#define HOPMQ_COLUMNS_H

#include "common/protocol/wire_cursor.h"

#include <msgpack.h>

struct columns {
    struct wire_string target, stream, dst, src, protocol, worker, stop, error;
    int64_t accepted_us, started_us, finished_us, run, probes_sent; /* -1: absent */
};

/* Of an encoded trace or result, both maps; it points into the bytes. */
void columns_read(struct columns *columns, const void *bytes, size_t size);

/* The same of a result, whose probes are put into *json, which it empties before,
 * [[ttl,attempt,"addr"|null,rtt_us|null,sent_us,"verdict"],...]. */
void columns_read_result(
    struct columns *columns, msgpack_sbuffer *json, const void *bytes, size_t size);

#endif
