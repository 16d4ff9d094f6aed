/* responders: the addresses that a trace has met, and their host names. Pure. */
#ifndef HOPMQ_WORKER_RESPONDERS_H
#define HOPMQ_WORKER_RESPONDERS_H

#include "common/protocol/result.h"

/* Begins as {0}. */
struct responders {
    struct result_name *list; /* a name is NULL while it is awaited */
    size_t count, room, awaited;
};

/* Adds an address, whose name is awaited from then on. False if it is there already, or if
 * RESULT_MAX_NAMES are. */
bool responders_add(struct responders *responders, const struct addr *addr);

/* Copies the name of an address; an empty one says that there is none. False if no name of this
 * address was awaited. */
bool responders_name(struct responders *responders, const struct addr *addr, const char *name);

void responders_free(struct responders *responders);

#endif
