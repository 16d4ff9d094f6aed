/* columns: reads from encoded traces and results what the store's file shows in columns, for people
 * who query it with SQL. Pure.
 *
 * It never fails: a value that is missing or of the wrong type is left out. */
#ifndef HOPMQ_COLUMNS_H
#define HOPMQ_COLUMNS_H

#include "common/protocol/wire_cursor.h"

#include <msgpack.h>

struct columns {
    struct wire_string target, stream, dst, src, protocol, worker, stop, error;
    int64_t accepted_us, started_us, finished_us, run, probes_sent; /* -1 if absent */
};

/* Reads an encoded trace or result, which are both maps. The strings point into the bytes. */
void columns_read(struct columns *columns, const void *bytes, size_t size);

/* The same for a result. Replaces *json by its probes:
 * [[ttl,attempt,"addr"|null,rtt_us|null,sent_us,"verdict"],...]. */
void columns_read_result(
    struct columns *columns, msgpack_sbuffer *json, const void *bytes, size_t size);

#endif
