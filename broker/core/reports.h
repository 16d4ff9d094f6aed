/* reports: what a worker sends for a lease: hops, results, traces that it hands back. Pure. */
#ifndef HOPMQ_REPORTS_H
#define HOPMQ_REPORTS_H

#include "broker/core/types.h"

void reports_hop(struct core *core, const struct worker *worker, const struct session_msg *msg);
void reports_result(struct core *core, const struct worker *worker, const struct session_msg *msg);

/* True if the worker held the lease that it hands back. */
bool reports_return(struct core *core, const struct worker *worker, const struct session_msg *msg);

/* This message to the worker could not be sent: the trace that it gave is queued again. */
void reports_unsent(struct core *core, const struct worker *worker, const struct session_msg *msg);

/* Counts and logs a message that does not fit. */
void reports_bad(struct core *core, const struct worker *worker, const char *message);

#endif
