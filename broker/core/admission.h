/* admission: whether a trace can be accepted, and what its client is told if not. Pure. */
#ifndef HOPMQ_ADMISSION_H
#define HOPMQ_ADMISSION_H

#include "broker/core/types.h"
#include "common/protocol/wire.h"

/* The requirement of a trace that can be accepted from a submitter with this tag; its id is made if
 * it has none. NULL with *err, and counted, if it cannot be. */
struct requirement *admission_check(
    struct core *core, const char *tag, struct trace *trace, struct wire_error *err);

/* True, and counted as repeated, if these are the bytes of the trace that is asked for; else false
 * with `conflict` in *err, and counted. */
bool admission_is_same(struct core *core, const char *id, const void *trace, size_t size,
    const struct trace *asked, struct wire_error *err);

#endif
