/* mux: many traces over one prober. Pure.
 *
 * It paces probes, keeps the prober's limits (probes in flight, TCP descriptors, sequence
 * numbers), gives each probe a token, and takes each reply to the trace that asked. A trace's own
 * time for a probe may end first; the prober's slot stays held until its line comes.
 */
#ifndef HOPMQ_MUX_H
#define HOPMQ_MUX_H

#include "worker/probing/mtr_line.h"
#include "worker/probing/mtr_tokens.h"
#include "worker/probing/mux_counters.h"
#include "worker/probing/sequence.h"
#include "worker/probing/slots.h"
#include "worker/probing/tracer.h"

/* With fewer probes out than this, traces send ahead of what they surely need. What answers at
 * once must fit the prober's socket: 277 small replies at Linux's default (measured). */
#define MUX_AHEAD 128

/* Commands that only use up a sequence number: so many may be unanswered. */
#define MUX_MAX_SKIPS 4096

/* Numbers that the prober shell has used when the prober is up: one probe, to see its rights. */
#define MUX_SHELL_PROBES 1

/* A probe that shows the prober's sequence number is waited for as long as this. */
#define MUX_SEQ_CHECK_US 2000000

/* A probe over a socket (TCP, SCTP) never waits longer, see docs/protocol.md, timeout_ms. */
#define MUX_TCP_LIKE_TIMEOUT_S 1

/* The prober is asked whether it hangs when a probe's line has not come so long after the
 * prober's own timeout. */
#define MUX_GRACE_US 2000000

/* A probe waits for its turn at a router near by for so many times its own timeout. */
#define MUX_FIRST_HOPS_PATIENCE 4

/* When a prober dies, the traces that had probes in it are suspects: each sends one probe, and the
 * prober is asked after it, before the next does. The one with which it dies then ends, and so does
 * one that has lost probes with so many probers in other ways. */
#define MUX_MAX_DEATHS 5

/* With `flow`, probes go to the discard port, RFC 863, unless the trace names another one. */
#define MUX_DISCARD_PORT 9

struct mux;
struct mux_job;

/* What the mux wants done, in order. Calls come from inside mux functions and must not call
 * back into the mux. `owner` is what mux_add() was given. */
struct mux_sink {
    void *context;
    /* Bytes for the prober's standard input. */
    void (*send)(void *context, const char *line, size_t size);
    /* A hop of `owner`, whose trace wants progress or names, is settled, the next in ttl order. */
    void (*hop)(void *context, void *owner, const struct hop_probe *probes, size_t count);
    /* The trace of `owner` has ended; `end` has dst, src, stop, error and probes_sent. The job is
     * gone when this returns. */
    void (*done)(void *context, void *owner, const struct result_body *end,
        const struct hop_probe *probes, size_t count, int64_t now_us);
    /* The prober hangs: replace it. */
    void (*stuck)(void *context);
    /* Whence and where to a TCP probe must go so that mux_seq_checked() tells its port; false if
     * that is not possible now. */
    bool (*seq_check)(void *context, struct addr *from, struct addr *to, uint16_t *to_port);
};

/* pps: 1..1000000 probes a second, spread evenly; 0: as fast as slots allow. */
struct mux *mux_new(int64_t pps, const struct mux_sink *sink);
void mux_destroy(struct mux **mux);

/* Takes a trace on. deadline_us is absolute. `owner` comes back in the sink's calls. */
struct mux_job *mux_add(struct mux *mux, const struct trace *options, const struct addr *dst,
    const struct addr *src, void *owner, int64_t deadline_us, int64_t now_us);

/* Ends a trace now with what is settled: calls sink.done before it returns. */
void mux_cancel(struct mux *mux, struct mux_job *job, int64_t now_us);

/* Drops a trace without a result. */
void mux_forget(struct mux *mux, struct mux_job *job);

/* A line of the prober with a token of MTR_TOKEN_SEQ_CHECK or more. False if nobody has asked for
 * it.
 */
bool mux_reply(struct mux *mux, const struct mtr_reply *reply, int64_t now_us);

/* The probe for which sink.seq_check was called last came from this port. */
void mux_seq_checked(struct mux *mux, uint16_t port, int64_t now_us);

/* The prober is there, or (NULL) gone with all that it held. */
void mux_prober(struct mux *mux, const char *version, int64_t now_us);

/* The range of sequence numbers, as for sequence_init(): mtr-packet's own unless this says
 * otherwise, before there is a prober. */
void mux_range(struct mux *mux, uint32_t common, uint32_t older);

/* A prober that is the first of this process begins at this number, modulo their count: a worker
 * that had the numbers before may have ended with probes out. A random one is best. */
void mux_begin(struct mux *mux, uint32_t number);

/* The wall clock less the monotonic clock, now: tell before time passes in the other calls. */
void mux_wall_offset(struct mux *mux, int64_t offset_us);

/* The slices of sequence numbers that are this worker's, a bit each: all, until told otherwise. */
void mux_own(struct mux *mux, unsigned slices);

/* When no answer can come any more to the numbers of a slice. */
int64_t mux_slice_free_us(const struct mux *mux, unsigned slice);

/* Does what is due. A probe whose own time is over is not taken as unanswered before the prober has
 * answered a question that was asked then: what was waiting in its pipe comes before that, and a
 * prober that hangs makes no hop silent. */
void mux_tick(struct mux *mux, int64_t now_us);

/* When mux_tick() wants to be called next; an early call is harmless. */
int64_t mux_next(struct mux *mux, int64_t now_us);

/* When the time of a probe, a trace or a question is over. Read the prober's pipe before mux_tick()
 * acts on that: the answer may have waited there while this process did not run. */
int64_t mux_timeout_us(struct mux *mux);

struct mux_counters *mux_counters(struct mux *mux);

/* True while a prober is there. */
bool mux_up(const struct mux *mux);

#endif
