/* sample: traces and results as the broker stores them, for the store's tests and benchmark. */
#ifndef TEST_STORE_SAMPLE_H
#define TEST_STORE_SAMPLE_H

#include "broker/core/records.h"

#include <msgpack.h>

#define SAMPLE_HOPS 10 /* makes a result of 1.1 KB */
#define SAMPLE_ACCEPTED_US INT64_C(1700000001000000)

/* Packs a trace of `target`; with `fanout` it runs at all workers. */
void sample_trace(msgpack_sbuffer *out, const char *target, bool fanout);

/* Packs a whole result for this record. */
void sample_result(msgpack_sbuffer *out, const struct record_result *result);

#endif
