/* sequence: which of the prober's sequence numbers may be used, and when. Pure.
 *
 * mtr-packet gives each command the next number of a range, and begins again at the end of the
 * range without looking (probe_unix.c). So a number may be out twice, and an answer to the first
 * probe may be taken for one to the second. Worse, an ICMP error that quotes a TCP probe matches
 * any probe with that number, of any protocol, in any mtr-packet of the network namespace. These
 * are the guards:
 *
 * - An answer that comes late: a number without an answer is unusable for SEQUENCE_SILENT_US.
 * - An answer that is repeated: a number with an answer is unusable for SEQUENCE_ANSWERED_US,
 *   and its responder is doubted for SEQUENCE_DOUBT_US.
 * - Another worker's answers: workers of one namespace divide the range into SEQUENCE_SLICES
 *   slices, and leave SEQUENCE_GUARD numbers unused before another's slice.
 * - A prober that drifts: a TCP or SCTP probe binds a socket to its number as port. If that port
 *   or its connection is in use, mtr-packet takes the next number without a word. So at
 *   intervals a sequence check, one probe to ourselves, shows its number (see seq_check.h), and
 *   what was counted since the last one is corrected. Until the next one the prober may drift as
 *   far as it did before.
 *
 * A command that mtr-packet cannot carry out uses up its number (measured, 0.88 to 0.96): numbers
 * are skipped with such commands.
 */
#ifndef HOPMQ_SEQUENCE_H
#define HOPMQ_SEQUENCE_H

#include "common/addr.h"

#include <stdbool.h>
#include <stdint.h>

#define SEQUENCE_SLICES 8
#define SEQUENCE_ALL ((1U << SEQUENCE_SLICES) - 1)

/* This many numbers are not used at the end of a slice if the next slice is another worker's: the
 * prober may drift into them between two sequence checks. Where it has drifted by N, the guard
 * becomes 2 N + SEQUENCE_SLACK, but no more than SEQUENCE_GUARD_MAX, and shrinks again slowly. */
#define SEQUENCE_GUARD 64
#define SEQUENCE_GUARD_MAX 1024
#define SEQUENCE_SLACK 16

/* A sequence check is due after SEQUENCE_CHECK_TCP_LIKE TCP-like probes, or after
 * SEQUENCE_CHECK_NUMBERS numbers if one of them was a TCP-like probe's. */
#define SEQUENCE_CHECK_TCP_LIKE 256
#define SEQUENCE_CHECK_NUMBERS 1024

/* An answer that the network repeats within SEQUENCE_REPEAT_US must not be taken for the answer to
 * a newer probe with the same number. It comes from the same responder. So the last
 * SEQUENCE_ANSWERS responders of each number are remembered, and a number is unusable for
 * SEQUENCE_ANSWERED_US after an answer: no more than SEQUENCE_ANSWERS probes had it within
 * SEQUENCE_REPEAT_US. An answer from a remembered responder is doubted for SEQUENCE_DOUBT_US, a
 * quarter of a second more, since either of the two may have waited in a pipe. */
#define SEQUENCE_REPEAT_US 1000000
#define SEQUENCE_ANSWERS 2
#define SEQUENCE_ANSWERED_US (SEQUENCE_REPEAT_US / (SEQUENCE_ANSWERS + 1))
#define SEQUENCE_DOUBT_US (SEQUENCE_REPEAT_US + 250000)

/* A number is unusable for SEQUENCE_DOUBT_US instead of SEQUENCE_ANSWERED_US after a doubted
 * answer, as the true one may still come; after an answer without an address; if the number of the
 * probe is not known exactly; and if more than one in SEQUENCE_DOUBTED_OF answers is doubted, which
 * happens where one responder answers to most probes. */
#define SEQUENCE_DOUBTED_OF 10
#define SEQUENCE_ALL_DOUBTED (UINT64_C(1) << 32)

/* After its timeout, a number without an answer is unusable for this time: the answer may come
 * late. */
#define SEQUENCE_SILENT_US 10000000

/* A number that becomes free within this time is waited for, as skipping one costs as much as a
 * probe. At full rate numbers become free about in the order in which they were used. One that is
 * unusable for longer is skipped if there is a free one behind it. */
#define SEQUENCE_SOON_US 50000

/* This many numbers are looked at for a free one. If there is none, the one that becomes free
 * first is waited for. */
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
    uint32_t reach;  /* numbers behind a probe's own that must be free too; 0: no drift */
    bool checked;    /* this prober */
    unsigned owned;  /* slices, a bit each */
    uint64_t doubts; /* a moving average over some 65,536 answers; SEQUENCE_ALL_DOUBTED is 1 */
    struct sequence_number numbers[SEQUENCE_MAX];
};

/* All numbers are ours and free; there is no prober. `common` and `older` are SEQUENCE_COMMON and
 * SEQUENCE_OLDER for mtr-packet. Fewer numbers come round sooner: tests use that. */
void sequence_init(struct sequence *sequence, uint32_t common, uint32_t older);

/* The slices that are ours, a bit each. */
void sequence_own(struct sequence *sequence, unsigned slices);

/* For a prober of this version that has just been started. What is not free yet stays so. */
void sequence_start(struct sequence *sequence, const char *version);

/* The next prober, or this one if it has sent nothing, begins at `number` modulo the range. */
void sequence_begin(struct sequence *sequence, uint32_t number);

/* True if a probe may be sent after *skip skipping commands; otherwise not before *wait_us. */
bool sequence_plan(struct sequence *sequence, int64_t now_us, uint32_t *skip, int64_t *wait_us);

/* A probe takes the next number, and the prober forgets the probe at forget_us. Returns the
 * position of the number, for sequence_answered(). */
uint64_t sequence_use(struct sequence *sequence, int64_t forget_us, bool tcp_like);

/* The probe of this position was answered by `responder`, or was not sent at all (af is 0). Do not
 * call it for `no-reply`, nor for a TCP-like probe that the kernel may have sent twice: another
 * answer can still come to those. Returns false if this may be an answer to an earlier probe with
 * the same number, repeated by the network. */
bool sequence_answered(
    struct sequence *sequence, uint64_t position, const struct addr *responder, int64_t now_us);

/* A TCP-like probe was answered address-in-use or address-not-available: the prober has tried the
 * whole range for it, and its next number is the same as before it. */
void sequence_went_round(struct sequence *sequence);

/* `commands` took a number each without sending anything. */
void sequence_skipped(struct sequence *sequence, uint32_t commands);

/* True if a sequence check should be sent. */
bool sequence_check_due(const struct sequence *sequence);

/* As sequence_use(), for a sequence check. */
void sequence_check(struct sequence *sequence, int64_t forget_us);

/* The last sequence check came from this port. Returns how many numbers the prober was ahead of us
 * (behind if negative), or INT64_MIN if mtr-packet never uses this port: then nothing changes. */
int64_t sequence_checked(struct sequence *sequence, uint16_t port, int64_t now_us);

/* When all numbers of a slice are free, and its guard: another worker can have it from then on. It
 * knows nothing of the answers that the numbers had, so it must wait for longer than we would. */
int64_t sequence_slice_free_us(const struct sequence *sequence, unsigned slice);

#endif
