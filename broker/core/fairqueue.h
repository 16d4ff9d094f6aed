/* fairqueue: submitters, and whose turn it is.
 *
 * Each turn of a submitter moves its virtual time on, by one and by the traces that it has running:
 * the submitter with the least time is next. So each gets its share however much it has queued, and
 * who has little running comes first. Nobody saves up turns: a submitter that had none, because
 * nothing was queued or no worker fitted, is brought to the time of the others with its next one.
 *
 * A requirement's subqueues wait in a tree by the time that their submitters had when they were put
 * there. Times only grow, so that the first subqueue is the right one if its time is still true; if
 * not, it is put in anew, and the next one looked at. Pure. */
#ifndef HOPMQ_FAIRQUEUE_H
#define HOPMQ_FAIRQUEUE_H

#include "broker/core/state.h"

#define FAIRQUEUE_TAG_BYTES (2 * 255 + 12)

/* Who submits: between submitters that wait, turns are shared. It lives while it has subqueues. */
struct submitter {
    RB_ENTRY(submitter) by_tag;
    RB_HEAD(submitter_subqueue_tree, subqueue) subqueues;
    int64_t queued, running; /* traces */
    uint64_t virtual_time;   /* grows with each turn, faster if many traces run */
    char tag[];              /* printable, NUL-ended */
};

/* A submitter's traces of one requirement and one priority. It lives while one of them has not
 * ended.
 */
struct subqueue {
    RB_ENTRY(subqueue) by_virtual_time; /* while a trace is queued: in its requirement's turns */
    RB_ENTRY(subqueue) by_requirement;  /* of its submitter */
    struct requirement *requirement;
    struct submitter *submitter;
    RB_HEAD(subqueue_job_tree, job) jobs; /* that are queued */
    struct job *first, *last;             /* of them; NULL: none */
    int64_t queued, held;                 /* traces: queued; that have not ended */
    uint64_t virtual_time; /* its submitter's, when the subqueue was put among the turns */
    uint8_t priority;
};

/* Writes the tag of a socket. */
const char *fairqueue_tag(const struct core_peer *peer, char tag[FAIRQUEUE_TAG_BYTES + 1]);

/* True if the submitter with this tag would be one too many. */
bool fairqueue_full(struct core *core, const char *tag);

/* Gives a new job the subqueue of its submitter, of its requirement and of its priority. */
void fairqueue_join(
    struct core *core, struct job *job, const char *tag, struct requirement *requirement);

/* The job has ended and is not queued. */
void fairqueue_leave(struct core *core, struct job *job);

/* At most so many traces of the same submitter that ask for the same start before the queued job
 * and with it. Others take their turns between. Of a quarantined one: those that wait for a worker
 * as it does.
 */
int64_t fairqueue_position(const struct job *job);

/* The subqueue of a requirement whose turn is next; NULL if nothing is queued. */
struct subqueue *fairqueue_next(struct requirement *requirement);

/* It has got a turn. */
void fairqueue_charge(struct core *core, struct submitter *submitter);

/* For the queue. */
void fairqueue_insert(struct core *core, struct job *job);
void fairqueue_remove(struct core *core, struct job *job);

/* The order of jobs of one priority and submitter: by age. A part is as old as its whole. */
int64_t fairqueue_order(const struct job *job);

#endif
