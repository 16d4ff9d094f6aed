/* coalesce: one probing for several traces that ask for the same. Pure. */
#ifndef HOPMQ_COALESCE_H
#define HOPMQ_COALESCE_H

#include "broker/core/state.h"

struct ending;

/* A job that is probed for itself can be found by others from now on. */
void coalesce_add(struct core *core, struct job *job);
void coalesce_remove(struct core *core, struct job *job);

/* Lets a loose job ride on an identical one, or take its result if that is not older than
 * max_age_us. False if there is none: it is probed for itself. */
bool coalesce_join(struct core *core, struct job *job, int64_t max_age_us);

/* Takes a rider from its leader. */
void coalesce_leave(struct core *core, struct job *job);

/* The leader has ended: its riders end too, or the first of them is probed for the others. */
void coalesce_leader_ended(struct core *core, struct job *leader, const struct ending *ending);

#endif
