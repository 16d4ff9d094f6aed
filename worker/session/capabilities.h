/* capabilities: what a prober can do for a trace. Pure. */
#ifndef HOPMQ_WORKER_CAPABILITIES_H
#define HOPMQ_WORKER_CAPABILITIES_H

#include "common/protocol/result.h"
#include "common/protocol/trace.h"

/* UDP ports at and over this are the prober's own range: an answer that quotes one is looked up as
 * if it were the number of a probe (measured, 0.93 to HEAD). */
#define CAPABILITIES_PORT_LIMIT 33000

/* True if a prober of this version, with these protocols (1 << enum trace_protocol), can run the
 * trace to an address of family af. Otherwise fills stop, error_code and error_message of body. */
bool capabilities_check(const struct trace *trace, int af, unsigned protocols, const char *version,
    struct result_body *body);

/* The families in which such a prober keeps the flow of a trace constant, as 1 << 4 | 1 << 6. */
unsigned capabilities_flows(const char *version, unsigned families, unsigned protocols);

#endif
