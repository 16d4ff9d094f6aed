/* answer: how far a line of the prober can be trusted. Pure.
 *
 * mtr-packet reports what it saw, and that can be wrong in two ways. It looks for the probe of an
 * answer by a number of 16 bits that it uses again without looking, so an answer may be one to an
 * earlier probe, repeated by the network (sequence.h says when that is suspected). And it measures
 * with the wall clock, which somebody may set while a probe is out: then times are wrong, and
 * silence may be reported too early.
 */
#ifndef HOPMQ_ANSWER_H
#define HOPMQ_ANSWER_H

#include "worker/probing/mtr_line.h"

/* The wall clock may move against the monotonic clock by less than this while a probe is out: its
 * time is believed then. */
#define ANSWER_CLOCK_STEP_US 1000

enum answer_trust {
    ANSWER_SOUND,           /* it is what came of this probe, and its time is right */
    ANSWER_DUPLICATE,       /* it may be the answer to an earlier probe, repeated */
    ANSWER_CLOCK_STEP,      /* the wall clock was set: its time is not known */
    ANSWER_IMPOSSIBLE_TIME, /* its time is longer than the probe was out: it is not known */
    ANSWER_EARLY_SILENCE,   /* mtr-packet gave up before the probe's timeout was over */
};

struct answer_facts {
    const struct mtr_reply *reply;
    bool repeats;          /* sequence_answered() suspects that it is one */
    int64_t out_us;        /* since the probe was sent, by the monotonic clock */
    int64_t timeout_us;    /* that mtr-packet was given */
    int64_t clock_step_us; /* by which the wall clock has moved against the monotonic one since */
};

enum answer_trust answer_trust(const struct answer_facts *facts);

#endif
