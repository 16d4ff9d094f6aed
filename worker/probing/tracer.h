/* tracer: the state machine of one trace. Pure.
 *
 * It names the next probe to send, and takes what came of each. Hops settle in any order and are
 * reported in ttl order. Hops beyond the first terminal answer are never reported.
 */
#ifndef HOPMQ_TRACER_H
#define HOPMQ_TRACER_H

#include "common/protocol/hop.h"
#include "common/protocol/result.h"
#include "common/protocol/trace.h"
#include "worker/probing/mtr_line.h"

/* Without `window`, a trace sends the probes that it surely needs: to the ttl behind the last
 * router that answered, and to one ttl more each time that the last one has been silent for longer
 * than the answers of this trace take, up to gap_limit ttls. So a silent target costs attempts x
 * timeout, and next to nothing is sent beyond a target. While there is room (MUX_AHEAD), it also
 * sends ahead: up to the ttl at which the target is thought to be, or the first TRACER_AHEAD ttls,
 * which is beyond most targets. */
#define TRACER_AHEAD 20

/* "Longer than answers take" is twice the longest round-trip time so far, but at least
 * TRACER_PATIENCE_MIN_US, and at most the lesser of TRACER_PATIENCE_ALL_US / gap_limit and half of
 * timeout_ms: so a whole gap_limit of up to 90 is sent within a second. */
#define TRACER_PATIENCE_MIN_US 10000
#define TRACER_PATIENCE_ALL_US 900000

/* A hop is asked again this many times for what was not the network's doing: a TCP answer that beat
 * the raw socket, a prober without a free slot, an answer or silence that is untimed. */
#define TRACER_MAX_REPEATS 16

/* A hop is asked again this many times in a row for an answer that may be another probe's,
 * repeated. Then it is believed: some routers answer to most probes, and are doubted each time. */
#define TRACER_MAX_DOUBTS 5

/* A target's answer over TCP or SCTP is believed when a second one confirms it, or when
 * TRACER_CONFIRMATIONS probes for that got no answer. mtr-packet takes a socket for connected that
 * is writable and has no error. On Linux 6.18, with two probers on two cores, one in some 10,000 of
 * these had got a time exceeded (measured). */
#define TRACER_CONFIRMATIONS 2

/* The kernel sends a SYN again after 1 s, and again after 2 s and 4 s more. A round-trip time of at
 * least this may be counted from an earlier SYN than the one that was answered. */
#define TRACER_SYN_AGAIN_US 1000000

struct tracer;

/* Copies what it needs of options. `distance` is the ttl at which the target is thought to be; 0:
 * not known. */
struct tracer *tracer_new(const struct trace *options, const struct addr *dst, int distance);
void tracer_destroy(struct tracer **tracer);

/* What may be sent now. */
struct tracer_may {
    int64_t at_us; /* since the trace's start */
    uint32_t held; /* bit n: no probe with ttl n, which is 31 at most */
    bool ahead;    /* also a probe that may turn out not to be needed */
};

/* Registers the next probe to send, and says its index and ttl. False if none may be sent now. */
bool tracer_next(
    struct tracer *tracer, const struct tracer_may *may, unsigned *index, uint8_t *ttl);

/* The held ttl that tracer_next() would name if it were not held, or 0. */
int tracer_held(const struct tracer *tracer, const struct tracer_may *may);

/* When the trace needs more probes if nothing answers, counted from its start; INT64_MAX: never. */
int64_t tracer_more_us(const struct tracer *tracer, int64_t at_us);

/* What came of a probe: the prober's line, and flags (enum hop_flag) of its time. Call this, or
 * tracer_untimed(), tracer_doubted(), tracer_timeout() or tracer_lost(), once for each index. */
void tracer_answer(
    struct tracer *tracer, unsigned index, const struct mtr_reply *reply, unsigned flags);

/* The same, but the time cannot be trusted at all: the hop is asked again. */
void tracer_untimed(struct tracer *tracer, unsigned index, const struct mtr_reply *reply);

/* The prober's line may be the answer to another probe, repeated: the hop is asked again. Call it
 * only while tracer_may_doubt(), which is false when that was done TRACER_MAX_DOUBTS times in a
 * row. */
bool tracer_may_doubt(const struct tracer *tracer, unsigned index);
void tracer_doubted(struct tracer *tracer, unsigned index);

/* The trace's own time for the probe is over. */
void tracer_timeout(struct tracer *tracer, unsigned index);

/* The probe went down with its prober: it counts as never sent. */
void tracer_lost(struct tracer *tracer, unsigned index);

/* The prober's line for a probe that tracer_timeout() had settled. If its hop still needs an
 * answer, it is taken with the flag HOP_LATE, and true is returned. */
bool tracer_late(
    struct tracer *tracer, unsigned index, const struct mtr_reply *reply, unsigned flags);

/* Ends the trace with what is settled, unless it has ended. The message may be empty. */
void tracer_end(
    struct tracer *tracer, enum result_stop stop, const char *code, const char *message);

/* The probes of the next settled hop in ttl order, ordered by attempt; each hop is returned once.
 * They are valid until the next call. NULL if there is none now. */
const struct hop_probe *tracer_settled(struct tracer *tracer, size_t *count);

bool tracer_ended(const struct tracer *tracer);

/* The lowest ttl at which the target answered; 0: it has not. */
int tracer_distance(const struct tracer *tracer);

/* Of an ended trace: how many of its probes went beyond the last hop that counts. */
unsigned tracer_beyond(const struct tracer *tracer);

/* Of an ended trace: sets stop, error and probes_sent, and returns the probes of all hops that
 * count, ordered by ttl and attempt. They belong to the tracer. */
const struct hop_probe *tracer_result(
    struct tracer *tracer, struct result_body *body, size_t *count);

#endif
