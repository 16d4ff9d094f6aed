/* lanes: clients, and whose turn it is.
 *
 * Each turn of a client moves its virtual time on, by one and by the traces that it has running:
 * the client with the least time is next. So each gets its share however much it has queued, and
 * who has little running comes first. Nobody saves up turns: a client that had none, because
 * nothing was queued or no worker fitted, is brought to the time of the others with its next one.
 *
 * A requirement's lanes wait in a tree by the time that their clients had when they were put there.
 * Times only grow, so that the first lane is the right one if its time is still true; if not, it
 * is put in anew, and the next one looked at. Pure. */
#ifndef HOPMQ_LANES_H
#define HOPMQ_LANES_H

#include "broker/core/state.h"

#define LANES_TAG_BYTES (2 * 255 + 12)

/* Who submits: between clients that wait, turns are shared. It lives while it has lanes. */
struct client {
    RB_ENTRY(client) by_tag;
    RB_HEAD(client_lane_tree, lane) lanes;
    int64_t queued, running; /* traces */
    uint64_t time;           /* virtual: it grows with each turn, faster if many traces run */
    char tag[];              /* printable, NUL-ended */
};

/* A client's traces of one requirement and one priority. It lives while one of them has not ended.
 */
struct lane {
    RB_ENTRY(lane) by_turn;        /* while a trace is queued: in its requirement's turns */
    RB_ENTRY(lane) by_requirement; /* of its client */
    struct requirement *requirement;
    struct client *client;
    RB_HEAD(lane_job_tree, job) jobs; /* that are queued */
    struct job *first, *last;         /* of them; NULL: none */
    int64_t queued, held;             /* traces: queued; that have not ended */
    uint64_t time;                    /* its client's, when the lane was put among the turns */
    uint8_t priority;
};

/* Writes the tag of a socket. */
const char *lanes_tag(const struct core_peer *peer, char tag[LANES_TAG_BYTES + 1]);

/* True if the client with this tag would be one too many. */
bool lanes_full(struct core *core, const char *tag);

/* Gives a new job the lane of its client, of its requirement and of its priority. */
void lanes_join(
    struct core *core, struct job *job, const char *tag, struct requirement *requirement);

/* The job has ended and is not queued. */
void lanes_leave(struct core *core, struct job *job);

/* At most so many traces of the same client that ask for the same start before the queued job and
 * with it. Others take their turns between. Of a suspect: so many wait for a ward as it does. */
int64_t lanes_position(const struct job *job);

/* The lane of a requirement whose turn is next; NULL if nothing is queued. */
struct lane *lanes_next(struct requirement *requirement);

/* It has got a turn. */
void lanes_charge(struct core *core, struct client *client);

/* For the queue. */
void lanes_add(struct core *core, struct job *job);
void lanes_take(struct core *core, struct job *job);

/* The order of jobs of one priority and client: by age. A part is as old as its whole. */
int64_t lanes_order(const struct job *job);

#endif
