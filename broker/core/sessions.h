/* sessions: workers come, tell how they are, and go. Pure. */
#ifndef HOPMQ_SESSIONS_H
#define HOPMQ_SESSIONS_H

#include "broker/core/types.h"

/* A message from a worker. */
void sessions_message(
    struct core *core, const struct core_peer *peer, const struct session_msg *msg);

/* Nothing was heard of the worker for too long. */
void sessions_due(struct core *core, struct worker *worker);

/* The worker of this name. If there is none, one is made that is absent: it holds what a worker of
 * this name had before the restart, until that says hello or CORE_ABSENT_US have passed. */
struct worker *sessions_absent(struct core *core, const char *name);

/* Gives all absent workers CORE_ABSENT_US from now on. */
void sessions_restored(struct core *core);

/* This message could not be sent to the worker. */
void sessions_undelivered(
    struct core *core, struct worker *worker, const struct session_msg *msg, enum core_sent sent);

#endif
