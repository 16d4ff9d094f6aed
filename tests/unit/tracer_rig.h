/* tracer_rig: what tests of one trace share. */
#ifndef TEST_TRACER_RIG_H
#define TEST_TRACER_RIG_H

#include "tests/unit/check.h"

#include "worker/probing/tracer.h"

#include <stdio.h>

#define MS INT64_C(1000)
#define SECOND INT64_C(1000000)

/* Room for the probes of a trace. */
#define MAX_PROBES 4000

struct addr addr(const char *text);

struct trace options(void);

/* An answer as it comes from this ttl: routers have addresses of their own. */
struct mtr_reply reply_at(enum mtr_class class, int ttl, int64_t rtt_us);

/* A line without an address. */
struct mtr_reply silence(enum mtr_class class);

#endif
