/* sequence: which of the prober's sequence numbers may be used, and when. Pure.
 *
 * mtr-packet gives each command the next number of a range and starts again at its end without
 * looking (probe_unix.c): a number may be out twice, and an ICMP error that quotes a TCP probe
 * matches any probe of that number, of any protocol, in any mtr-packet of the network namespace.
 * So a number is not used again while its last probe can still be answered, and workers of one
 * namespace share the range in slices. A command that cannot be sent uses up its number all the
 * same (measured, 0.88 to 0.96): with such commands numbers are skipped.
 *
 * A TCP or SCTP probe binds a socket to its number as port, and where that port or its connection
 * is in use mtr-packet silently takes the next numbers: it drifts ahead of what we count. So now
 * and then one probe shows its number (see seq_check.h), and what was counted since the last such
 * probe is corrected. In between the prober may be ahead by what was found lately.
 */
#ifndef HOPMQ_SEQUENCE_H
#define HOPMQ_SEQUENCE_H

#include "common/addr.h"

#include <stdbool.h>
#include <stdint.h>

#define SEQUENCE_SLICES 8
#define SEQUENCE_ALL ((1U << SEQUENCE_SLICES) - 1)

/* Numbers that are left out at the end of a slice where another's begins: the prober may drift so
 * far from one sequence check to the next. Where it drifts more they grow to twice that and
 * SEQUENCE_SLACK, up to the second number, and become fewer again slowly. */
#define SEQUENCE_GUARD 64
#define SEQUENCE_GUARD_MAX 1024
#define SEQUENCE_SLACK 16

/* A sequence check is due after so many TCP-like probes, or so many numbers with a TCP-like probe.
 */
#define SEQUENCE_CHECK_TCP_LIKE 256
#define SEQUENCE_CHECK_NUMBERS 1024

/* An answer that comes once more within SEQUENCE_REPEAT_US must not be taken for that to a newer
 * probe under its number. It comes from the same responder as before: so of each number the last
 * SEQUENCE_ANSWERS responders are known, and it rests after its answer so long that there have
 * been no more in that time. An answer from one of them is doubted for a while longer, since either
 * may have waited in a pipe. */
#define SEQUENCE_REPEAT_US 1000000
#define SEQUENCE_ANSWERS 2
#define SEQUENCE_ANSWERED_US (SEQUENCE_REPEAT_US / (SEQUENCE_ANSWERS + 1))
#define SEQUENCE_DOUBT_US (SEQUENCE_REPEAT_US + 250000)

/* Numbers rest for all of that after a doubted answer, as the true one may still come; after an
 * answer without an address; where a probe's number is not known exactly; and where one of so many
 * answers is doubted, as one responder answers to most of what is asked. That share is of as many
 * answers as it takes to see what shorter rests have done. */
#define SEQUENCE_DOUBTED_OF 10
#define SEQUENCE_ALL_DOUBTED (UINT64_C(1) << 32)

/* Without an answer it rests so long after its timeout, since one may still come late. */
#define SEQUENCE_SILENT_US 10000000

/* A number that is free so soon is waited for: at full rate numbers become free about in the order
 * in which they are used, and to skip one costs as much as a probe. What is not free for longer is
 * skipped where others are free. */
#define SEQUENCE_SOON_US 50000

/* Numbers looked at for one that is free before it is better to wait. */
#define SEQUENCE_LOOK 64

/* Numbers that all versions have: those of the ports 33434..65535. Slices are parts of these, so
 * that they are the same for all. Versions before 0.96 begin SEQUENCE_OLDER numbers earlier, at
 * 33000; these belong to the first slice. */
#define SEQUENCE_COMMON 32102
#define SEQUENCE_OLDER 434
#define SEQUENCE_MAX (SEQUENCE_COMMON + SEQUENCE_OLDER)

struct sequence_number {
    int64_t free_us; /* when it may be used again */
    struct {
        uint32_t responder;      /* a hash of its address; 0: none yet */
        uint32_t at_ms;          /* modulo 2^32 */
    } answers[SEQUENCE_ANSWERS]; /* to the probes that had it, the last one first */
};

struct sequence {
    uint32_t common, older;  /* numbers of all versions, and of those before 0.96 alone */
    uint32_t count;          /* those of this prober */
    uint64_t position;       /* numbers taken since the prober's start, as far as we know */
    uint64_t sure;           /* at this position we knew it */
    uint64_t exact;          /* the number of a probe before this position is known roughly only */
    uint64_t check_position; /* the position of the sequence check that is out */
    uint64_t clear;          /* from clear_from to here all numbers were found free */
    uint64_t clear_from;
    uint32_t begin;    /* numbers before this position are skipped */
    uint32_t tcp_like; /* TCP-like probes since the last sequence check was sent, and that one */
    uint32_t rounds;   /* probes since then for which the prober tried all numbers in vain */
    uint32_t guard;
    uint32_t reach;  /* so many numbers from a probe's own must be free; 0 while nothing drifts */
    bool checked;    /* this prober */
    unsigned owned;  /* slices, a bit each */
    uint64_t doubts; /* share of the last 65,536 answers or so, of SEQUENCE_ALL_DOUBTED */
    struct sequence_number numbers[SEQUENCE_MAX];
};

/* All numbers are ours and free; there is no prober. `common` and `older` are SEQUENCE_COMMON and
 * SEQUENCE_OLDER for mtr-packet. Fewer numbers come round sooner: tests use that. */
void sequence_init(struct sequence *sequence, uint32_t common, uint32_t older);

/* The slices that are ours, a bit each. */
void sequence_own(struct sequence *sequence, unsigned slices);

/* For a prober of this version that has just been started. What is not free yet stays so. */
void sequence_start(struct sequence *sequence, const char *version);

/* The next prober, or this one if it has sent nothing, begins at this number modulo their count. */
void sequence_begin(struct sequence *sequence, uint32_t number);

/* True if a probe may be sent after *skip skipping commands; otherwise not before *wait_us. */
bool sequence_plan(struct sequence *sequence, int64_t now_us, uint32_t *skip, int64_t *wait_us);

/* A probe takes the next number; the prober forgets it at forget_us. `tcp_like`: TCP or SCTP.
 * Returns its position, for the two below. */
uint64_t sequence_use(struct sequence *sequence, int64_t forget_us, bool tcp_like);

/* The probe of this position was answered by the responder (of no family: it was not sent), and
 * nothing else that the prober sent for it can be: no `no-reply`, and no TCP-like probe that was
 * out for so long that it was sent again. False if it may have been the answer to an earlier probe
 * of its number, repeated; the true one is lost then. */
bool sequence_answered(
    struct sequence *sequence, uint64_t position, const struct addr *responder, int64_t now_us);

/* A TCP-like probe was answered address-in-use or address-not-available: the prober has tried the
 * whole range for it, and its next number is the same as before. */
void sequence_went_round(struct sequence *sequence);

/* So many commands took numbers without sending anything. */
void sequence_skipped(struct sequence *sequence, uint32_t commands);

/* True if a sequence check should be sent. */
bool sequence_check_due(const struct sequence *sequence);

/* As sequence_use(), for a sequence check. */
void sequence_check(struct sequence *sequence, int64_t forget_us);

/* The last sequence check came from this port. Returns how many numbers the prober was ahead of us
 * (behind if negative), or INT64_MIN if mtr-packet never uses this port: then nothing changes. */
int64_t sequence_checked(struct sequence *sequence, uint16_t port, int64_t now_us);

/* When the numbers of a slice are all free: it can be given to another worker then. */
int64_t sequence_slice_free_us(const struct sequence *sequence, unsigned slice);

#endif
