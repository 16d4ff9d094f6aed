/* mux: many traces over one prober. Pure.
 *
 * It paces probes, keeps the prober's limits (probes in flight, TCP descriptors, sequence numbers),
 * gives each probe a token, and hands each reply to the trace that sent the probe. A trace may stop
 * waiting for a probe; the prober's slot is held until its line comes.
 */
#ifndef HOPMQ_MUX_H
#define HOPMQ_MUX_H

#include "worker/probing/mtr_line.h"
#include "worker/probing/mtr_tokens.h"
#include "worker/probing/mux_counters.h"
#include "worker/probing/sequence.h"
#include "worker/probing/slots.h"
#include "worker/probing/tracer.h"

/* While fewer probes than this are out, traces may send probes that they may turn out not to need.
 * All of these may be answered at once, and the answers must fit into the prober's socket: at
 * Linux's default it holds 277 small ones (measured). */
#define MUX_AHEAD 128

/* This many commands that only use up a sequence number may be unanswered. */
#define MUX_MAX_SKIPS 4096

/* The numbers that worker/host/prober has used up when it reports a prober: one probe, which shows
 * its rights. */
#define MUX_SHELL_PROBES 1

/* A sequence check that has shown nothing for this time has failed. */
#define MUX_SEQ_CHECK_US 2000000

/* A TCP-like probe never waits for longer: see docs/protocol.md, timeout_ms. */
#define MUX_TCP_LIKE_TIMEOUT_S 1

/* When a probe's line has not come for this time after the prober's own timeout, the prober is
 * asked whether it is alive. */
#define MUX_GRACE_US 2000000

/* A probe waits for its turn at a first hop no longer than this many times its timeout. */
#define MUX_FIRST_HOPS_PATIENCE 4

/* When a prober dies, the traces that had probes out are suspects. They go on trial one at a time:
 * the suspect sends one probe, and the prober is asked whether it is alive. If it dies again, that
 * trace ends. So does one that has lost probes with MUX_MAX_DEATHS probers outside of trials. */
#define MUX_MAX_DEATHS 5

/* With `flow`, probes go to the discard port (RFC 863) unless the trace names another one. */
#define MUX_DISCARD_PORT 9

struct mux;
struct mux_job;

/* What the mux wants done, in this order. Its functions call these, and these must not call the
 * mux. `owner` is what mux_add() was given. */
struct mux_sink {
    void *context;
    /* Bytes for the prober's standard input. */
    void (*send)(void *context, const char *line, size_t size);
    /* The next hop in ttl order is settled. Called only for traces that want progress or names. */
    void (*hop)(void *context, void *owner, const struct hop_probe *probes, size_t count);
    /* The trace of `owner` has ended; `end` has dst, src, stop, error and probes_sent. The job is
     * gone when this returns. */
    void (*done)(void *context, void *owner, const struct result_body *end,
        const struct hop_probe *probes, size_t count, int64_t now_us);
    /* The prober hangs and must be replaced. */
    void (*stuck)(void *context);
    /* From where and to where a TCP probe must go so that its port can be seen and passed to
     * mux_seq_checked(). False if that is not possible now. */
    bool (*seq_check)(void *context, struct addr *from, struct addr *to, uint16_t *to_port);
};

/* pps: 1..PACE_MAX_PPS probes a second, evenly spread; 0: as fast as slots allow. */
struct mux *mux_new(int64_t pps, const struct mux_sink *sink);
void mux_destroy(struct mux **mux);

/* Starts a trace, which ends at deadline_us at the latest. `owner` is passed to the sink. */
struct mux_job *mux_add(struct mux *mux, const struct trace *options, const struct addr *dst,
    const struct addr *src, void *owner, int64_t deadline_us, int64_t now_us);

/* Ends a trace now with what is settled: calls sink.done before it returns. */
void mux_cancel(struct mux *mux, struct mux_job *job, int64_t now_us);

/* Drops a trace without a result. */
void mux_forget(struct mux *mux, struct mux_job *job);

/* A line of the prober with a token of MTR_TOKEN_SEQ_CHECK or more. False if it answers nothing. */
bool mux_reply(struct mux *mux, const struct mtr_reply *reply, int64_t now_us);

/* The probe for which sink.seq_check was called last came from this port. It is ignored if none is
 * out. */
void mux_seq_checked(struct mux *mux, uint16_t port, int64_t now_us);

/* A prober of this version has started; NULL: it has died, and all probes that it held are lost. */
void mux_prober(struct mux *mux, const char *version, int64_t now_us);

/* The range of sequence numbers, as for sequence_init(): mtr-packet's own unless this says
 * otherwise, before there is a prober. */
void mux_range(struct mux *mux, uint32_t common, uint32_t older);

/* The first prober of this process begins at this number, modulo the range. Take a random one:
 * another worker may have used the numbers before, and have ended with probes out. */
void mux_begin(struct mux *mux, uint32_t number);

/* The wall clock minus the monotonic clock, now. Call it before other functions with a later
 * now_us. */
void mux_wall_offset(struct mux *mux, int64_t offset_us);

/* The slices of sequence numbers that this worker may use, a bit each; all until this is called. */
void mux_own(struct mux *mux, unsigned slices);

/* From when on no answer can come any more to a probe with a number of this slice. */
int64_t mux_slice_free_us(const struct mux *mux, unsigned slice);

/* Does what is due. When the time of a probe is over, the prober is asked whether it is alive, and
 * the probe counts as unanswered only when it has said so: an answer that was waiting in the pipe
 * comes first, and a prober that hangs makes no hop silent. */
void mux_tick(struct mux *mux, int64_t now_us);

/* When to call mux_tick() next. An earlier call is harmless. */
int64_t mux_next(struct mux *mux, int64_t now_us);

/* When the time of a probe, a trace or a question is over. Read the prober's pipe before calling
 * mux_tick() at that time: the answer may have waited there while this process did not run. */
int64_t mux_timeout_us(struct mux *mux);

struct mux_counters *mux_counters(struct mux *mux);

/* True while a prober is there. */
bool mux_up(const struct mux *mux);

#endif
