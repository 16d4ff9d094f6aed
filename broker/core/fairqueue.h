/* fairqueue: submitters, and whose turn it is. Pure.
 *
 * This is fair queueing by virtual time. Each turn of a submitter moves its virtual time on, by one
 * and by the traces that it has running: the submitter with the least time is next. So each gets
 * its share however much it has queued, and who has little running comes first. Nobody saves up
 * turns: a submitter that had none, because nothing was queued or no worker fitted, is brought to
 * the time of the others with its next one.
 *
 * The subqueues of a requirement are in a tree by the virtual time that their submitters had when
 * they were put there. Virtual times only grow. So if the first subqueue still has its submitter's
 * time, it is the right one; if not, it is put in again, and the next one is looked at. */
#ifndef HOPMQ_FAIRQUEUE_H
#define HOPMQ_FAIRQUEUE_H

#include "broker/core/types.h"

#define FAIRQUEUE_TAG_BYTES (2 * 255 + 12)

/* Who submits. It lives while it has subqueues. */
struct submitter {
    RB_ENTRY(submitter) by_tag;
    RB_HEAD(submitter_subqueue_tree, subqueue) subqueues;
    int64_t queued, running; /* traces */
    uint64_t virtual_time;   /* grows with each turn, faster if many traces run */
    char tag[];              /* printable, NUL-ended */
};

/* A submitter's traces of one requirement and one priority. It lives while one of them has not
 * ended. */
struct subqueue {
    RB_ENTRY(subqueue) by_virtual_time; /* while a trace is queued: of its requirement */
    RB_ENTRY(subqueue) by_requirement;  /* of its submitter */
    struct requirement *requirement;
    struct submitter *submitter;
    RB_HEAD(subqueue_job_tree, job) jobs; /* that are queued */
    struct job *first, *last;             /* of them; NULL: none */
    int64_t queued;                       /* traces */
    int64_t held;                         /* traces that have not ended */
    uint64_t virtual_time;                /* its submitter's, when it was put into the tree */
    uint8_t priority;
};

RB_HEAD(submitter_tree, submitter);

struct fairqueue {
    struct submitter_tree submitters;
    int64_t submitter_count;
    struct requirement_list waiting; /* with a trace in a subqueue */
    uint64_t virtual_time;           /* of the submitter that had the last turn */
};

void fairqueue_init(struct core *core);

/* Writes the tag of a socket. */
const char *fairqueue_tag(const struct core_peer *peer, char tag[FAIRQUEUE_TAG_BYTES + 1]);

/* True if the submitter with this tag would be one too many. */
bool fairqueue_full(struct core *core, const char *tag);

/* Gives a new job the subqueue of its submitter, of its requirement and of its priority. */
void fairqueue_join(
    struct core *core, struct job *job, const char *tag, struct requirement *requirement);

/* The job has ended and is not queued. */
void fairqueue_leave(struct core *core, struct job *job);

/* An upper bound of the traces of the same submitter with the same requirement that start before
 * the job, which is in a subqueue, and the job itself. Others take their turns between. */
int64_t fairqueue_position(const struct job *job);

/* The subqueue of a requirement whose turn is next; NULL if nothing is queued. */
struct subqueue *fairqueue_next(struct requirement *requirement);

/* A turn of the submitter. */
void fairqueue_charge(struct core *core, struct submitter *submitter);

/* Queues a job in its subqueue, at its old position if it was there before; takes it out. */
void fairqueue_insert(struct core *core, struct job *job);
void fairqueue_remove(struct core *core, struct job *job);

/* A trace of the job's submitter starts (+1) or ends (-1) running. */
void fairqueue_count_running(struct job *job, int change);

/* Some job in a subqueue; NULL if there is none. */
struct job *fairqueue_any(struct core *core);

/* Jobs of one priority and submitter start in this order, which is by age. A part is as old as its
 * fanout. */
int64_t fairqueue_order(const struct job *job);

#endif
