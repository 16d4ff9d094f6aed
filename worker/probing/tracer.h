/* tracer: the state machine of one trace. Pure.
 *
 * It says which probe it wants sent next and is told what came of each. Hops settle in any order
 * and are reported in ttl order; what lies beyond the first terminal answer is never reported.
 */
#ifndef HOPMQ_TRACER_H
#define HOPMQ_TRACER_H

#include "common/protocol/hop.h"
#include "common/protocol/result.h"
#include "common/protocol/trace.h"
#include "worker/probing/mtr_line.h"

/* Without `window`, a trace sends what it surely needs: the ttl behind the last router that
 * answered, and one more each time that the last one has been silent for longer than this trace's
 * answers take, up to gap_limit of them. So a silent target costs attempts x timeout, and next to
 * nothing is sent beyond a target. Ahead of that it sends while there is room: up to the ttl at
 * which the target is known to be, otherwise so many ttls, which is beyond most targets. */
#define TRACER_AHEAD 20

/* Bounds of "longer than answers take": twice the longest so far, within these. All of it within
 * a second for a whole gap_limit of up to 90, and within half of timeout_ms. */
#define TRACER_PATIENCE_MIN_US 10000
#define TRACER_PATIENCE_ALL_US 900000

/* How often one hop is tried again for what was not the network's doing: a TCP answer that beat
 * the raw socket, a prober without a free slot, a time that cannot be. */
#define TRACER_MAX_REPEATS 16

/* And so often in a row for an answer that may be another probe's, repeated: a router that answers
 * to all that is asked is believed then. */
#define TRACER_MAX_DOUBTS 5

/* A TCP answer of the target is asked for once more before it is believed, so often if that gets no
 * answer. mtr-packet takes a socket that is writable and has no error as connected; measured on
 * Linux 6.18 with two probers on two cores, one in some 10,000 such sockets was one that had got a
 * time exceeded. */
#define TRACER_CONFIRMATIONS 2

/* The kernel sends a SYN again after a second, then after 2 s and 4 s more: a time from here on may
 * be that of a later one. */
#define TRACER_SYN_AGAIN_US 1000000

struct tracer;

/* Copies what it needs of options. `distance` is the ttl at which the target is thought to be,
 * 0: no idea. */
struct tracer *tracer_new(const struct trace *options, const struct addr *dst, int distance);
void tracer_destroy(struct tracer **tracer);

/* What may be sent at a time. */
struct tracer_may {
    int64_t at_us; /* since the trace's start */
    uint32_t held; /* bit n: nothing with ttl n now; up to 31 */
    bool ahead;    /* also what may turn out not to be needed */
};

/* If a probe may be sent: registers it, names it (its index) and its ttl, and returns true. */
bool tracer_next(
    struct tracer *tracer, const struct tracer_may *may, unsigned *index, uint8_t *ttl);

/* The lowest held ttl that tracer_next() would name but for that, or 0. */
int tracer_held(const struct tracer *tracer, const struct tracer_may *may);

/* When more is needed without an answer, since the trace's start; INT64_MAX: not before one. */
int64_t tracer_more_us(const struct tracer *tracer, int64_t at_us);

/* What came of a probe: the prober's line, and flags (enum hop_flag) for what is known to be
 * doubtful about its time. Call it once for each index that tracer_next() named, or one of the
 * four below. */
void tracer_answer(
    struct tracer *tracer, unsigned index, const struct mtr_reply *reply, unsigned flags);

/* The same, where its time cannot be trusted at all: the hop is asked again. */
void tracer_untimed(struct tracer *tracer, unsigned index, const struct mtr_reply *reply);

/* The prober's line may be the answer to another probe, repeated: the hop is asked again. That is
 * done TRACER_MAX_DOUBTS times in a row at most: when tracer_may_doubt() is false, the answer is to
 * be believed. */
bool tracer_may_doubt(const struct tracer *tracer, unsigned index);
void tracer_doubted(struct tracer *tracer, unsigned index);

/* The trace's own time for the probe is over. */
void tracer_timeout(struct tracer *tracer, unsigned index);

/* The probe went down with its prober: it counts as never sent. */
void tracer_lost(struct tracer *tracer, unsigned index);

/* The prober's line for a probe that tracer_timeout() had settled: an answer is taken, with the
 * flag `late`, if its hop still waits for one. True if it was. */
bool tracer_late(
    struct tracer *tracer, unsigned index, const struct mtr_reply *reply, unsigned flags);

/* Ends a trace that has not ended, with what is settled. The message may be empty. */
void tracer_end(
    struct tracer *tracer, enum result_stop stop, const char *code, const char *message);

/* The next hop, in ttl order, that was settled and has not been asked for: its probes in order
 * of attempts, valid until the next call. NULL if there is none now. */
const struct hop_probe *tracer_settled(struct tracer *tracer, size_t *count);

bool tracer_ended(const struct tracer *tracer);

/* The ttl at which the target answered, as far as is known; 0: none. */
int tracer_distance(const struct tracer *tracer);

/* Of an ended trace: how many of its probes went beyond the last hop that counts. */
unsigned tracer_beyond(const struct tracer *tracer);

/* Of an ended trace: sets stop, error and probes_sent, and returns the probes of all hops that
 * count, ordered by ttl and attempt. They belong to the tracer. */
const struct hop_probe *tracer_result(
    struct tracer *tracer, struct result_body *body, size_t *count);

#endif
