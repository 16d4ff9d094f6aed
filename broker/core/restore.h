/* restore: what an earlier start left in the store. Pure. */
#ifndef HOPMQ_RESTORE_H
#define HOPMQ_RESTORE_H

#include "broker/core/types.h"

void restore_trace(struct core *core, const struct record_trace *record);

/* A result of a part of a fanout that has not ended. */
void restore_member(struct core *core, const struct record_result *result);

/* All is restored. */
void restore_end(struct core *core);

#endif
