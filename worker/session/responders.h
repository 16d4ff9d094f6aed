/* responders: the addresses that a trace has met, and their host names. Pure. */
#ifndef HOPMQ_WORKER_RESPONDERS_H
#define HOPMQ_WORKER_RESPONDERS_H

#include "common/protocol/result.h"

/* Start from {0}. */
struct responders {
    struct result_name *list; /* a name that is NULL is awaited */
    size_t count, room, awaited;
};

/* True if the address is new, and not one too many (RESULT_MAX_NAMES): its name is awaited then. */
bool responders_add(struct responders *responders, const struct addr *addr);

/* Copies a name, empty if there is none. False if it was not awaited. */
bool responders_name(struct responders *responders, const struct addr *addr, const char *name);

void responders_free(struct responders *responders);

#endif
