#include "worker/mux.h"

#include "common/mem.h"
#include "common/timeline.h"

#include <bsd/sys/queue.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A rate leaves at most this much of a pause to be caught up with at once. */
#define CATCH_UP_US 2000

/* How far the wall clock may run ahead of the monotonic one while a probe is out. */
#define CLOCK_SLACK_US 1000

#define SLOT_BITS 11 /* MUX_SLOTS < 2^11 */
#define GENERATIONS (1 << 20)

/* One probe in the prober. */
struct slot {
    struct timeline_entry timer; /* first the trace's time, then the prober's */
    TAILQ_ENTRY(slot) overdue;   /* while in one of the mux's lists of that name */
    TAILQ_ENTRY(slot) age;       /* free slots, or those in use from the oldest on */
    TAILQ_ENTRY(slot) sibling;   /* of the same job */
    struct mux_job *job;         /* NULL: nobody waits for it any more */
    unsigned probe;              /* the tracer's index */
    uint32_t generation;         /* tells this use of the slot from earlier ones */
    uint32_t number;             /* its sequence number, from the start of the range */
    int64_t sent_us, give_up_us;
    bool used, tcp;
    enum slot_wait { WAITS_FOR_LINE, WAITS_TO_ASK, WAITS_FOR_WORD } wait;
};

TAILQ_HEAD(slot_list, slot);

struct mux_job {
    struct timeline_entry timer; /* the deadline */
    TAILQ_ENTRY(mux_job) ready;
    TAILQ_ENTRY(mux_job) link;
    struct tracer *tracer;
    void *owner;
    struct mtr_probe probe; /* the pattern of all its probes */
    struct slot_list slots;
    int64_t started_us, timeout_us;
    bool is_ready;
};

TAILQ_HEAD(job_list, mux_job);

struct mux {
    struct mux_sink sink;
    struct timeline timeline;
    struct slot slots[MUX_SLOTS];
    struct slot_list free, in_use;
    struct slot_list to_ask, asked; /* their trace's time is over; see mux_tick() */
    struct job_list jobs;
    struct job_list ready[2]; /* [1]: TCP, which has a limit of its own */
    unsigned turn;            /* whose turn it is, plain or TCP */
    unsigned in_flight, tcp_in_flight;
    struct sequence sequence;
    unsigned skips_out;  /* skipping commands that the prober has not answered */
    int64_t interval_ns; /* between probes; 0: none */
    int64_t next_send_ns;
    bool up, stuck;
    struct mux_counters counters;
};

struct mux *mux_new(int64_t pps, const struct mux_sink *sink) {
    struct mux *m = mem_new(1, sizeof *m);
    m->sink = *sink;
    timeline_init(&m->timeline);
    TAILQ_INIT(&m->free);
    TAILQ_INIT(&m->in_use);
    TAILQ_INIT(&m->to_ask);
    TAILQ_INIT(&m->asked);
    TAILQ_INIT(&m->jobs);
    TAILQ_INIT(&m->ready[0]);
    TAILQ_INIT(&m->ready[1]);
    for (int i = 0; i < MUX_SLOTS; i++)
        TAILQ_INSERT_TAIL(&m->free, &m->slots[i], age);
    m->interval_ns = pps > 0 ? 1000000000 / pps : 0;
    m->sequence.owned = SEQUENCE_ALL;
    return m;
}

void mux_destroy(struct mux **mux) {
    struct mux *m = *mux;
    if (m == NULL)
        return;
    while (!TAILQ_EMPTY(&m->jobs))
        mux_forget(m, TAILQ_FIRST(&m->jobs));
    free(m);
    *mux = NULL;
}

struct mux_counters *mux_counters(struct mux *m) {
    m->counters.in_flight = m->in_flight;
    return &m->counters;
}

/* ---- slots ------------------------------------------------------------------------------ */

static int32_t token_of(const struct mux *m, const struct slot *slot) {
    return (int32_t)(slot->generation << SLOT_BITS | (uint32_t)(slot - m->slots));
}

static struct slot *slot_of(struct mux *m, int32_t token) {
    uint32_t index = (uint32_t)token & ((1U << SLOT_BITS) - 1);
    if (index >= MUX_SLOTS || !m->slots[index].used || token_of(m, &m->slots[index]) != token)
        return NULL;
    return &m->slots[index];
}

static struct slot *slot_take(struct mux *m, struct mux_job *job, int64_t now_us) {
    struct slot *slot = TAILQ_FIRST(&m->free);
    TAILQ_REMOVE(&m->free, slot, age);
    TAILQ_INSERT_TAIL(&m->in_use, slot, age);
    TAILQ_INSERT_TAIL(&job->slots, slot, sibling);
    slot->job = job;
    slot->used = true;
    slot->tcp = job->probe.protocol == TRACE_TCP;
    slot->generation = slot->generation % (GENERATIONS - 1) + 1;
    slot->sent_us = now_us;
    slot->give_up_us = now_us + job->probe.timeout_s * INT64_C(1000000) + MUX_GRACE_US;
    timeline_set(&m->timeline, &slot->timer, now_us + job->timeout_us);
    slot->number = sequence_use(&m->sequence, now_us + job->probe.timeout_s * INT64_C(1000000));
    m->in_flight++;
    m->tcp_in_flight += slot->tcp;
    return slot;
}

static void slot_stop_asking(struct mux *m, struct slot *slot) {
    if (slot->wait == WAITS_TO_ASK)
        TAILQ_REMOVE(&m->to_ask, slot, overdue);
    else if (slot->wait == WAITS_FOR_WORD)
        TAILQ_REMOVE(&m->asked, slot, overdue);
    slot->wait = WAITS_FOR_LINE;
}

/* Its trace no longer waits for it; the prober still has it. */
static void slot_orphan(struct mux *m, struct slot *slot) {
    slot_stop_asking(m, slot);
    TAILQ_REMOVE(&slot->job->slots, slot, sibling);
    slot->job = NULL;
    timeline_set(&m->timeline, &slot->timer, slot->give_up_us);
}

static void slot_release(struct mux *m, struct slot *slot) {
    slot_stop_asking(m, slot);
    if (slot->job != NULL)
        TAILQ_REMOVE(&slot->job->slots, slot, sibling);
    slot->job = NULL;
    slot->used = false;
    timeline_unset(&m->timeline, &slot->timer);
    TAILQ_REMOVE(&m->in_use, slot, age);
    /* At the tail, so that a token comes back as late as can be. */
    TAILQ_INSERT_TAIL(&m->free, slot, age);
    m->in_flight--;
    m->tcp_in_flight -= slot->tcp;
}

/* ---- jobs ------------------------------------------------------------------------------- */

static bool is_tcp(const struct mux_job *job) { return job->probe.protocol == TRACE_TCP; }

static void make_ready(struct mux *m, struct mux_job *job) {
    if (job->is_ready)
        return;
    job->is_ready = true;
    TAILQ_INSERT_TAIL(&m->ready[is_tcp(job)], job, ready);
}

static void make_unready(struct mux *m, struct mux_job *job) {
    if (!job->is_ready)
        return;
    job->is_ready = false;
    TAILQ_REMOVE(&m->ready[is_tcp(job)], job, ready);
}

static bool refuse(struct result_body *body, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool refuse(struct result_body *body, const char *code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(body->error_message, sizeof body->error_message, format, args);
    va_end(args);
    (void)snprintf(body->error_code, sizeof body->error_code, "%s", code);
    body->stop = STOP_PROBER_ERROR;
    return false;
}

bool mux_fits(const struct trace *options, int af, unsigned protocols, const char *version,
    struct result_body *body) {
    if ((protocols >> options->protocol & 1) == 0)
        return refuse(body, "unavailable", "protocol: %s: not supported by mtr-packet %s",
            trace_protocol_names[options->protocol], version);
    if (options->protocol == TRACE_UDP && options->port >= MUX_PORT_LIMIT)
        return refuse(body, "bad-request",
            "port: %" PRId64 ": udp ports must be below %d, mtr-packet uses those above itself",
            options->port, MUX_PORT_LIMIT);
    if (options->flow >= 0 && af == 6 && !mtr_since_0_96(version))
        return refuse(
            body, "unavailable", "flow: IPv6 needs mtr-packet 0.96, this worker has %s", version);
    if (options->size < 48 && af == 6)
        return refuse(
            body, "bad-request", "size: %" PRId64 ": must be 48..1500 for IPv6", options->size);
    return true;
}

struct mux_job *mux_add(struct mux *m, const struct trace *options, const struct addr *dst,
    const struct addr *src, void *owner, int64_t deadline_us, int64_t now_us) {
    struct mux_job *job = mem_new(1, sizeof *job);
    job->tracer = tracer_new(options, dst);
    job->owner = owner;
    job->started_us = now_us;
    job->timeout_us = options->timeout_ms * 1000;
    if (options->protocol == TRACE_TCP && job->timeout_us > MUX_TCP_TIMEOUT_S * INT64_C(1000000))
        job->timeout_us = MUX_TCP_TIMEOUT_S * INT64_C(1000000);
    bool flow = options->flow >= 0;
    job->probe = (struct mtr_probe){
        .protocol = options->protocol,
        .target = *dst,
        .local = *src,
        .timeout_s = options->protocol == TRACE_TCP ? MUX_TCP_TIMEOUT_S
                                                    : (uint8_t)((options->timeout_ms + 999) / 1000),
        .tos = (uint8_t)options->tos,
        .bit_pattern = (uint8_t)options->bit_pattern,
        .size = (uint16_t)options->size,
        .port = (uint16_t)(flow && options->port == 0 ? MUX_DISCARD_PORT : options->port),
        .local_port = (uint16_t)(flow ? MUX_FLOW_PORT + options->flow : 0),
    };
    TAILQ_INIT(&job->slots);
    TAILQ_INSERT_TAIL(&m->jobs, job, link);
    timeline_set(&m->timeline, &job->timer, deadline_us);
    make_ready(m, job);
    return job;
}

void mux_forget(struct mux *m, struct mux_job *job) {
    while (!TAILQ_EMPTY(&job->slots))
        slot_orphan(m, TAILQ_FIRST(&job->slots));
    make_unready(m, job);
    timeline_unset(&m->timeline, &job->timer);
    TAILQ_REMOVE(&m->jobs, job, link);
    tracer_destroy(&job->tracer);
    free(job);
}

/* After anything that happened to a trace: tell what settled, and end it if it has ended. */
static void follow_up(struct mux *m, struct mux_job *job, int64_t now_us) {
    size_t count;
    const struct hop_probe *probes;
    while ((probes = tracer_settled(job->tracer, &count)) != NULL)
        m->sink.hop(m->sink.context, job->owner, probes, count);
    if (!tracer_ended(job->tracer)) {
        make_ready(m, job);
        return;
    }
    struct result_body body = {0};
    probes = tracer_result(job->tracer, &body, &count);
    (void)addr_print(&job->probe.target, body.dst);
    (void)addr_print(&job->probe.local, body.src);
    m->sink.done(m->sink.context, job->owner, &body, probes, count, now_us);
    mux_forget(m, job);
}

void mux_cancel(struct mux *m, struct mux_job *job, int64_t now_us) {
    tracer_end(job->tracer, STOP_CANCELLED, NULL, "");
    follow_up(m, job, now_us);
}

/* ---- sending ---------------------------------------------------------------------------- */

/* The next job that may send, in turn between plain and TCP, and in turn within each. */
static struct mux_job *next_ready(struct mux *m) {
    for (int tried = 0; tried < 2; tried++) {
        unsigned which = m->turn++ % 2;
        if (which == 1 && m->tcp_in_flight >= MUX_TCP_SLOTS)
            continue;
        struct mux_job *job = TAILQ_FIRST(&m->ready[which]);
        if (job != NULL)
            return job;
    }
    return NULL;
}

/* Uses up numbers that are not ours, or not free yet, some at a time: each is answered with a
 * line. False if no probe may be sent now. */
static bool number_free(struct mux *m, int64_t now_us) {
    char line[MTR_LINE_BYTES];
    uint32_t skip;
    int64_t wait_us;
    if (!sequence_plan(&m->sequence, now_us, &skip, &wait_us)) {
        m->counters.sequence_waits++;
        return false;
    }
    size_t size = mtr_line_skip(line, MUX_SKIP_TOKEN);
    for (; skip > 0; skip--) {
        if (m->skips_out == MUX_MAX_SKIPS)
            return false;
        m->sink.send(m->sink.context, line, size);
        m->skips_out++;
        m->counters.numbers_skipped++;
        sequence_skipped(&m->sequence, 1);
    }
    return true;
}

void mux_own(struct mux *m, unsigned slices) { m->sequence.owned = slices; }

int64_t mux_slice_free_us(const struct mux *m, unsigned slice) {
    return sequence_slice_free_us(&m->sequence, slice);
}

static void send_probe(struct mux *m, struct mux_job *job, unsigned index, int64_t now_us) {
    char line[MTR_LINE_BYTES];
    struct slot *slot = slot_take(m, job, now_us);
    slot->probe = index;
    job->probe.token = token_of(m, slot);
    m->sink.send(m->sink.context, line, mtr_line_probe(line, &job->probe));
    m->counters.probes_sent++;
}

static bool may_send(const struct mux *m) {
    return m->up && m->sequence.owned != 0 && !TAILQ_EMPTY(&m->free) &&
           (!TAILQ_EMPTY(&m->ready[0]) ||
               (!TAILQ_EMPTY(&m->ready[1]) && m->tcp_in_flight < MUX_TCP_SLOTS));
}

static void send_due(struct mux *m, int64_t now_us) {
    int64_t now_ns = now_us * 1000;
    if (m->next_send_ns < now_ns - CATCH_UP_US * 1000)
        m->next_send_ns = now_ns - CATCH_UP_US * 1000;
    while (may_send(m) && (m->interval_ns == 0 || m->next_send_ns <= now_ns)) {
        if (!number_free(m, now_us))
            return;
        struct mux_job *job = next_ready(m);
        if (job == NULL)
            return;
        make_unready(m, job);
        unsigned index;
        if (!tracer_next(job->tracer, now_us - job->started_us, &index, &job->probe.ttl))
            continue;
        send_probe(m, job, index, now_us);
        make_ready(m, job);
        m->next_send_ns += m->interval_ns;
    }
}

/* ---- what comes back -------------------------------------------------------------------- */

/* A time that cannot be: longer than the probe has been out, which the monotonic clock knows.
 * The prober measures with the wall clock, and somebody may have set it. */
static bool impossible(const struct slot *slot, const struct mtr_reply *reply, int64_t now_us) {
    return reply->addr.af != 0 && reply->rtt_us > now_us - slot->sent_us + CLOCK_SLACK_US;
}

void mux_prober(struct mux *m, const char *version) {
    m->up = version != NULL;
    m->stuck = false;
    m->skips_out = 0;
    if (m->up) {
        sequence_start(&m->sequence, version);
        sequence_skipped(&m->sequence, MUX_SHELL_PROBES);
        return;
    }
    while (!TAILQ_EMPTY(&m->in_use)) {
        struct slot *slot = TAILQ_FIRST(&m->in_use);
        struct mux_job *job = slot->job;
        unsigned index = slot->probe;
        slot_release(m, slot);
        m->counters.probes_lost++;
        if (job != NULL) {
            tracer_lost(job->tracer, index);
            make_ready(m, job);
        }
    }
}

/* ---- overdue ---------------------------------------------------------------------------- */

static void ask(struct mux *m) {
    char line[MTR_LINE_BYTES];
    struct slot *slot;
    if (!m->up || !TAILQ_EMPTY(&m->asked) || TAILQ_EMPTY(&m->to_ask))
        return;
    while ((slot = TAILQ_FIRST(&m->to_ask)) != NULL) {
        slot_stop_asking(m, slot);
        slot->wait = WAITS_FOR_WORD;
        TAILQ_INSERT_TAIL(&m->asked, slot, overdue);
    }
    m->sink.send(m->sink.context, line, mtr_line_feature(line, MUX_ASK_TOKEN, "version"));
}

static void stuck(struct mux *m) {
    if (!m->stuck)
        m->sink.stuck(m->sink.context);
    m->stuck = true;
}

/* The prober has said a word: what it had not answered before that is over. */
static void answered(struct mux *m, int64_t now_us) {
    struct slot *slot;
    while ((slot = TAILQ_FIRST(&m->asked)) != NULL) {
        struct mux_job *job = slot->job;
        unsigned index = slot->probe;
        if (job == NULL) {
            slot_stop_asking(m, slot);
            stuck(m); /* its own timeout is long over, and it has forgotten the probe */
            continue;
        }
        slot_orphan(m, slot);
        tracer_timeout(job->tracer, index);
        follow_up(m, job, now_us);
    }
    ask(m);
}

/* The timer of a slot: its trace's time is over, or the prober's (then nobody waits for it any
 * more), or the prober's time to say a word. We may have been stopped ourselves for any time, so
 * the prober is asked before it is judged. */
static void slot_due(struct mux *m, struct slot *slot, int64_t now_us) {
    if (slot->wait != WAITS_FOR_LINE) {
        stuck(m);
        return;
    }
    slot->wait = WAITS_TO_ASK;
    TAILQ_INSERT_TAIL(&m->to_ask, slot, overdue);
    timeline_set(&m->timeline, &slot->timer, now_us + MUX_GRACE_US);
}

void mux_reply(struct mux *m, const struct mtr_reply *reply, int64_t now_us) {
    if (reply->token == MUX_ASK_TOKEN) {
        answered(m, now_us);
        return;
    }
    if (reply->token == MUX_SKIP_TOKEN) {
        m->skips_out -= m->skips_out > 0;
        return;
    }
    struct slot *slot = slot_of(m, reply->token);
    if (slot == NULL) {
        m->counters.bad_tokens++;
        return;
    }
    struct mux_job *job = slot->job;
    unsigned index = slot->probe;
    slot_release(m, slot);
    sequence_answered(&m->sequence, slot->number, now_us);
    if (reply->addr.af != 0)
        m->counters.replies++;
    else
        m->counters.no_replies++;
    if (job == NULL) {
        m->counters.late_replies += reply->addr.af != 0;
        return;
    }
    if (impossible(slot, reply, now_us)) {
        const struct mtr_reply again = {.class = MTR_EXHAUSTED, .word = "impossible-time"};
        m->counters.impossible_times++;
        tracer_answer(job->tracer, index, &again);
    } else {
        tracer_answer(job->tracer, index, reply);
    }
    follow_up(m, job, now_us);
}

static bool is_slot(const struct mux *m, const struct timeline_entry *entry) {
    const char *at = (const char *)entry;
    return at >= (const char *)m->slots && at < (const char *)(m->slots + MUX_SLOTS);
}

void mux_tick(struct mux *m, int64_t now_us) {
    struct timeline_entry *due;
    while ((due = timeline_pop(&m->timeline, now_us)) != NULL) {
        if (is_slot(m, due)) {
            slot_due(m, (struct slot *)due, now_us);
            continue;
        }
        struct mux_job *job = (struct mux_job *)due;
        tracer_end(job->tracer, STOP_DEADLINE, NULL, "");
        follow_up(m, job, now_us);
    }
    ask(m);
    send_due(m, now_us);
}

int64_t mux_timeout_us(struct mux *m) { return timeline_next(&m->timeline); }

int64_t mux_next(struct mux *m, int64_t now_us) {
    int64_t next = timeline_next(&m->timeline);
    if (!may_send(m))
        return next;
    uint32_t skip;
    int64_t wait_us = 0, send_us = m->interval_ns == 0 ? now_us : (m->next_send_ns + 999) / 1000;
    if (!sequence_plan(&m->sequence, now_us, &skip, &wait_us))
        send_us = send_us > wait_us ? send_us : wait_us;
    else if (skip > 0 && m->skips_out == MUX_MAX_SKIPS)
        return next; /* the next answer to a skipping command brings us here again */
    return send_us < next ? send_us : next;
}
