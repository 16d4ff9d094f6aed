/* recent: the last results, which stay in memory for status, fetch, repeated ids and coalescing.
 * Older ones are the store's. Pure. */
#ifndef HOPMQ_RECENT_H
#define HOPMQ_RECENT_H

#include "broker/core/types.h"

struct recent {
    struct job_list jobs; /* that are done, the oldest first */
    int64_t count, bytes;
};

void recent_init(struct core *core);
void recent_add(struct core *core, struct job *job);

/* Takes the oldest out if there are more than CORE_RECENT, or than the store keeps, or more bytes
 * than CORE_RECENT_BYTES. NULL: there are not, or a question to the store is older than it. */
struct job *recent_take_excess(struct core *core);

#endif
