/* slots: the probes that the prober holds, one slot each. Pure.
 *
 * A slot is taken when a probe is sent and held until the prober's own line for it comes, however
 * long ago its trace lost interest: mtr-packet has a fixed number of slots and no way to cancel.
 * Its token names the slot and this use of it, so that a line that comes twice finds nobody.
 */
#ifndef HOPMQ_SLOTS_H
#define HOPMQ_SLOTS_H

#include "common/timeline.h"

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stdint.h>

/* mtr-packet has 1024 slots up to 0.95 and 10240 since, and is slow with many that stay silent: it
 * looks through all of them for each answer. Probes over sockets (TCP, SCTP) take a descriptor
 * each of the 1024 that select() can watch, beyond which it aborts. */
#define SLOTS_MAX 2000
#define SLOTS_BEFORE_0_96 900
#define SLOTS_TCP_LIKE 900

/* Probes that mtr-packet may hold for longer than this are slow: so that a few traces with long
 * timeouts cannot fill it, they get half of the slots at most. */
#define SLOTS_SLOW_S 3

/* The bits of a token that name the slot; the others count its uses from 1. */
#define SLOTS_TOKEN_BITS 11

/* What limits a probe besides the number of slots. */
enum slot_kind { SLOT_PLAIN, SLOT_TCP_LIKE, SLOT_SLOW, SLOT_KINDS };

struct mux_job;

struct slot {
    struct timeline_entry timer; /* while it is settled */
    TAILQ_ENTRY(slot) age;       /* free slots, or those in use from the oldest on */
    TAILQ_ENTRY(slot) sibling;   /* of the same job */
    TAILQ_ENTRY(slot) overdue;   /* while it waits for the prober's word */
    struct mux_job *job;         /* NULL: nobody waits for it any more */
    unsigned probe;              /* the tracer's index */
    uint32_t use;                /* tells this use of the slot from earlier ones */
    uint64_t position;           /* of its sequence number: sequence_use() */
    int64_t sent_us, give_up_us;
    int64_t wall_offset_us; /* wall clock less monotonic clock when it was sent */
    uint8_t ttl;
    enum slot_kind kind;
    bool used;
    bool settled; /* its trace has taken it as unanswered */
    enum slot_wait { WAITS_FOR_LINE, WAITS_TO_ASK, WAITS_FOR_WORD } wait;
};

TAILQ_HEAD(slot_list, slot);

struct slots {
    struct slot at[SLOTS_MAX];
    struct slot_list free, in_use;
    unsigned limit; /* how many the prober takes */
    unsigned in_flight;
    unsigned of_kind[SLOT_KINDS];
};

/* All are free, as many as before 0.96. */
void slots_init(struct slots *slots);

/* For a prober of this version; mtr_minor() says how it is counted. */
void slots_limit(struct slots *slots, int minor);

/* True if a probe of this kind may be sent. */
bool slots_free(const struct slots *slots, enum slot_kind kind);

/* A free slot, all of it zero but its use; there must be one. */
struct slot *slots_take(struct slots *slots, enum slot_kind kind);

/* Its token is not used again before all other free slots had their turn. */
void slots_release(struct slots *slots, struct slot *slot);

/* The token of a slot in use: beyond those of the prober's shell, unique until it is released. */
int32_t slots_token(const struct slots *slots, const struct slot *slot);

/* NULL for a token that is not in use. */
struct slot *slots_find(struct slots *slots, int32_t token);

#endif
