/* coalesce: one probing for several traces that ask for the same. Pure.
 *
 * A trace with `coalesce` rides on an identical one that is queued or running, its leader, and gets
 * its result; or takes the result of an identical one that has ended lately. */
#ifndef HOPMQ_COALESCE_H
#define HOPMQ_COALESCE_H

#include "broker/core/types.h"
#include "common/protocol/result.h"

/* The jobs that ride on one. */
struct riders {
    struct job_list jobs;
    int count;
};

RB_HEAD(probing_tree, job);

struct coalesce {
    struct probing_tree probings; /* jobs that are, or were, probed for themselves */
    struct job *last;             /* of them */
    int64_t riding;               /* jobs that ride on another one */
};

/* What a trace takes of one that has ended. */
struct coalesce_source {
    struct result_head head;
    int stop; /* enum result_stop */
    char id[RECORD_ID_BYTES + 1];
};

enum coalesce_choice {
    COALESCE_NOTHING, /* there is nothing to share: the trace is probed itself */
    COALESCE_RIDES,   /* it rides on another one now */
    COALESCE_ENDS,    /* it ends as *source did, with the body in core->scratch.body */
};

void coalesce_init(struct core *core);

/* Others can ride on the job from now on, or take its result; unless it is a fanout or a part. */
void coalesce_add(struct core *core, struct job *job);
void coalesce_remove(struct core *core, struct job *job);

/* Finds something to share for a loose job with `coalesce`. A result may be max_age_us old. */
enum coalesce_choice coalesce_join(
    struct core *core, struct job *job, int64_t max_age_us, struct coalesce_source *source);

/* A loose job rides on a leader from now on; it leaves it, and is loose. */
void coalesce_ride(struct core *core, struct job *job, struct job *leader);
void coalesce_leave(struct core *core, struct job *job);

/* Moves the riders of a leader to the end of a list: they are loose. */
void coalesce_take_riders(struct core *core, struct job *leader, struct job_list *riders);

/* True if the riders of a trace that stops so get its result. If not, it was cut short for reasons
 * of its own, and one of them is probed for the others. All other ends are shared: a trace that
 * makes workers die above all must not be tried again for each rider. */
bool coalesce_shares_end(int stop);

#endif
