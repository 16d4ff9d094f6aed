/* sequence: which of the prober's sequence numbers may be used, and when. Pure.
 *
 * mtr-packet gives each command the next number of a range and starts again at its end without
 * looking (probe_unix.c): a number may be out twice, and an ICMP error that quotes a TCP probe
 * matches any probe of that number, of any protocol, in any mtr-packet of the network namespace.
 * So a number is not used again while its last probe can still be answered, and workers of one
 * namespace share the range in slices. A command that cannot be sent uses up its number all the
 * same (measured, 0.88 to 0.96): with such commands numbers are skipped.
 */
#ifndef HOPMQ_SEQUENCE_H
#define HOPMQ_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#define SEQUENCE_SLICES 8
#define SEQUENCE_ALL ((1U << SEQUENCE_SLICES) - 1)

/* Numbers at the end of a slice that are left out where another's begins: TCP skips numbers whose
 * ports are in use, which nobody tells us. */
#define SEQUENCE_GUARD 64

/* For so long after its answer, or its timeout, a probe's number is kept from others: a late or
 * repeated answer must not find a newer probe under it. */
#define SEQUENCE_LATE_US 1000000

/* Numbers looked at for one that is free before it is better to wait. */
#define SEQUENCE_LOOK 64

#define SEQUENCE_MAX 32536

struct sequence {
    uint32_t count;                /* numbers in the range, up to SEQUENCE_MAX */
    uint64_t position;             /* commands since the prober's start */
    unsigned owned;                /* slices, a bit each */
    int64_t free_us[SEQUENCE_MAX]; /* when each may be used again */
};

/* For a prober that has just been started: 32,536 numbers from 33000 up to 0.95, 32,102 from
 * 33434 since. What is not free yet stays so. */
void sequence_start(struct sequence *sequence, const char *version);

/* True if a probe may be sent after *skip skipping commands; otherwise not before *wait_us. */
bool sequence_plan(
    const struct sequence *sequence, int64_t now_us, uint32_t *skip, int64_t *wait_us);

/* A probe takes the next number, which is returned; the prober forgets it at forget_us. */
uint32_t sequence_use(struct sequence *sequence, int64_t forget_us);

/* The probe of this number was answered. */
void sequence_answered(struct sequence *sequence, uint32_t number, int64_t now_us);

/* So many commands took numbers without sending anything. */
void sequence_skipped(struct sequence *sequence, uint32_t commands);

/* When the numbers of a slice are all free: it can be given to another worker then. */
int64_t sequence_slice_free_us(const struct sequence *sequence, unsigned slice);

#endif
