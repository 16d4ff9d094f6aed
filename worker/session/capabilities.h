/* capabilities: what a prober can do for a trace. Pure. */
#ifndef HOPMQ_WORKER_CAPABILITIES_H
#define HOPMQ_WORKER_CAPABILITIES_H

#include "common/protocol/result.h"
#include "common/protocol/trace.h"

/* The first UDP port that a trace cannot have. mtr-packet numbers its probes from here on: it looks
 * up an answer that quotes such a port as if the port were the number of a probe, and drops the
 * answer (measured with 0.93 to HEAD of 2026-06). */
#define CAPABILITIES_PORT_LIMIT 33000

/* True if a prober of this version and with these protocols (1 << enum trace_protocol) can run the
 * trace to an address of family af. Otherwise fills in stop, error_code and error_message of
 * body. */
bool capabilities_check(const struct trace *trace, int af, unsigned protocols, const char *version,
    struct result_body *body);

/* The families in which such a prober can keep the flow of a trace constant, as 1 << 4 | 1 << 6. */
unsigned capabilities_flows(const char *version, unsigned families, unsigned protocols);

#endif
