/* slots: the probes that the prober holds, one slot each. Pure.
 *
 * A slot is taken when a probe is sent. It is held until the prober's line for the probe comes,
 * even if its trace ended long ago: mtr-packet has a fixed number of slots and cannot cancel a
 * probe. The token of a probe names its slot and this use of the slot, so a line that comes twice
 * finds nobody.
 */
#ifndef HOPMQ_SLOTS_H
#define HOPMQ_SLOTS_H

#include "common/timeline.h"

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stdint.h>

/* mtr-packet has 1024 slots up to 0.95 and 10240 since. It looks through all probes that are out
 * for each answer, so it is slow while many stay silent. A TCP or SCTP probe takes a descriptor;
 * with more than the 1024 that select() can watch, mtr-packet aborts. */
#define SLOTS_MAX 2000
#define SLOTS_BEFORE_0_96 900
#define SLOTS_TCP_LIKE 900

/* Probes with a longer timeout than this get half of the slots at most: so a few traces with long
 * timeouts cannot keep all others out. */
#define SLOTS_SLOW_S 3

/* The lower bits of a token name the slot; the others count its uses from 1. */
#define SLOTS_TOKEN_BITS 11

/* Probes of each kind have a limit of their own, besides that of all slots. */
enum slot_kind { SLOT_PLAIN, SLOT_TCP_LIKE, SLOT_SLOW, SLOT_KINDS };

struct mux_job;

struct slot {
    struct timeline_entry timer; /* while it is settled */
    TAILQ_ENTRY(slot) age;       /* free slots, or those in use from the oldest on */
    TAILQ_ENTRY(slot) sibling;   /* of the same job */
    TAILQ_ENTRY(slot) overdue; /* while the prober is to be asked, or asked, whether it is alive */
    struct mux_job *job;       /* NULL: its trace has ended */
    unsigned probe;            /* the tracer's index */
    uint32_t use;              /* counts the uses of this slot, from 1 */
    uint64_t position;         /* of its sequence number: sequence_use() */
    int64_t sent_us, give_up_us;
    int64_t wall_offset_us; /* wall clock less monotonic clock when it was sent */
    uint8_t ttl;
    enum slot_kind kind;
    bool used;
    bool settled; /* its trace has ended, or has taken it as unanswered */
    enum slot_wait { WAITS_FOR_LINE, WAITS_TO_ASK, WAITS_FOR_WORD } wait;
};

TAILQ_HEAD(slot_list, slot);

struct slots {
    struct slot at[SLOTS_MAX];
    struct slot_list free, in_use;
    unsigned limit; /* probes that this prober may hold */
    unsigned in_flight;
    unsigned of_kind[SLOT_KINDS];
};

/* All slots are free. The limit is SLOTS_BEFORE_0_96 until slots_limit() is called. */
void slots_init(struct slots *slots);

/* For a prober of this version; mtr_minor() says how it is counted. */
void slots_limit(struct slots *slots, int minor);

/* True if a probe of this kind may be sent. */
bool slots_free(const struct slots *slots, enum slot_kind kind);

/* Takes a free slot and zeroes all members but its use and kind. There must be one. */
struct slot *slots_take(struct slots *slots, enum slot_kind kind);

/* The slot goes to the end of the free ones, so that its token is not soon used again. */
void slots_release(struct slots *slots, struct slot *slot);

/* The token of a slot in use: MTR_TOKEN_PROBES or more, and no other slot's. */
int32_t slots_token(const struct slots *slots, const struct slot *slot);

/* The slot with this token, or NULL if no slot in use has it. */
struct slot *slots_find(struct slots *slots, int32_t token);

#endif
