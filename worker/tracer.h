/* tracer: the state machine of one trace. Pure.
 *
 * It says which probe it wants sent next and is told what came of each. Hops settle in any order
 * and are reported in ttl order; what lies beyond the first terminal answer is never reported.
 */
#ifndef HOPMQ_TRACER_H
#define HOPMQ_TRACER_H

#include "common/hop.h"
#include "common/result.h"
#include "common/trace.h"
#include "worker/mtr_line.h"

/* Hops in flight where the trace leaves it to the worker (window 0). More than the default
 * gap_limit, so that a silent target costs attempts x timeout and not gap_limit times that. */
#define TRACER_WINDOW 6

/* How often one hop is tried again for what was not the network's doing: a TCP answer that beat
 * the raw socket, a prober without a free slot, a time that cannot be. */
#define TRACER_MAX_REPEATS 8

/* A TCP answer of the target is asked for once more before it is believed, so often if that gets no
 * answer. mtr-packet takes a socket that is writable and has no error as connected; measured on
 * Linux 6.18 with two probers on two cores, one in some 10,000 such sockets was one that had got a
 * time exceeded. */
#define TRACER_CONFIRMATIONS 2

struct tracer;

/* Copies what it needs of options. */
struct tracer *tracer_new(const struct trace *options, const struct addr *dst);
void tracer_destroy(struct tracer **tracer);

/* If a probe may be sent now: registers it, names it (its index) and its ttl, and returns true.
 * sent_us counts from the trace's start. */
bool tracer_next(struct tracer *tracer, int64_t sent_us, unsigned *index, uint8_t *ttl);

/* What came of a probe: the prober's line. Call it once for each index that tracer_next() named,
 * or one of the two below. */
void tracer_answer(struct tracer *tracer, unsigned index, const struct mtr_reply *reply);

/* The trace's own time for the probe is over. */
void tracer_timeout(struct tracer *tracer, unsigned index);

/* The probe went down with its prober: it counts as never sent. */
void tracer_lost(struct tracer *tracer, unsigned index);

/* Ends a trace that has not ended, with what is settled. The message may be empty. */
void tracer_end(
    struct tracer *tracer, enum result_stop stop, const char *code, const char *message);

/* The next hop, in ttl order, that was settled and has not been asked for: its probes in order
 * of attempts, valid until the next call. NULL if there is none now. */
const struct hop_probe *tracer_settled(struct tracer *tracer, size_t *count);

bool tracer_ended(const struct tracer *tracer);

/* Of an ended trace: sets stop, error and probes_sent, and returns the probes of all hops that
 * count, ordered by ttl and attempt. They belong to the tracer. */
const struct hop_probe *tracer_result(
    struct tracer *tracer, struct result_body *body, size_t *count);

#endif
