/* sample: results as a worker and the broker make them, for the store's tests and benchmark. */
#ifndef TEST_STORE_SAMPLE_H
#define TEST_STORE_SAMPLE_H

#include "broker/core/records.h"

#include <msgpack.h>

#define SAMPLE_HOPS 10 /* so that a result has 1.1 KB */
#define SAMPLE_ACCEPTED_US INT64_C(1700000001000000)

/* Packs a trace of `target`, or with fanout. */
void sample_trace(msgpack_sbuffer *out, const char *target, bool fanout);

/* Packs a whole result. */
void sample_result(msgpack_sbuffer *out, const struct record_result *result);

#endif
