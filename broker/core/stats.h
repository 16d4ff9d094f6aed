/* stats: the answer to `stats`. Pure. */
#ifndef HOPMQ_STATS_H
#define HOPMQ_STATS_H

#include "broker/core/types.h"
#include "common/protocol/request.h"

/* Writes the reply into core->scratch.out. */
void stats_put(struct core *core, const struct request *request);

#endif
