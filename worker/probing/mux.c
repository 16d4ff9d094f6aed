#include "worker/probing/mux_state.h"

#include "common/mem.h"
#include "common/order.h"

#include <stdlib.h>
#include <string.h>

struct mux *mux_new(int64_t pps, const struct mux_sink *sink) {
    struct mux *m = mem_new(1, sizeof *m);
    m->sink = *sink;
    timeline_init(&m->patience);
    timeline_init(&m->settled);
    timeline_init(&m->deadlines);
    timeline_init(&m->wakes);
    slots_init(&m->slots);
    TAILQ_INIT(&m->to_ask);
    TAILQ_INIT(&m->asked);
    TAILQ_INIT(&m->jobs);
    TAILQ_INIT(&m->portless);
    for (int kind = 0; kind < SLOT_KINDS; kind++) {
        TAILQ_INIT(&m->turns[TURN_NEEDED][kind]);
        TAILQ_INIT(&m->turns[TURN_AHEAD][kind]);
    }
    for (int family = 0; family < 2; family++)
        for (int ttl = 1; ttl <= FIRST_HOPS_TTLS; ttl++)
            TAILQ_INIT(&m->hop_queues[family][ttl - 1]);
    pace_init(&m->pace, pps);
    first_hops_init(&m->first_hops, pps);
    flows_init(&m->flows);
    sequence_init(&m->sequence, SEQUENCE_COMMON, SEQUENCE_OLDER);
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
    m->counters.probes_in_flight = m->slots.in_flight;
    m->counters.first_hops_limited = first_hops_limited(&m->first_hops);
    m->counters.prober_lag_us = m->health.lag_us;
    return &m->counters;
}

bool mux_up(const struct mux *m) { return m->up; }

void mux_begin(struct mux *m, uint32_t number) { sequence_begin(&m->sequence, number); }

void mux_wall_offset(struct mux *m, int64_t offset_us) { m->wall_offset_us = offset_us; }

void mux_range(struct mux *m, uint32_t common, uint32_t older) {
    sequence_init(&m->sequence, common, older);
}

void mux_own(struct mux *m, unsigned slices) { sequence_own(&m->sequence, slices); }

int64_t mux_slice_free_us(const struct mux *m, unsigned slice) {
    return sequence_slice_free_us(&m->sequence, slice);
}

/* ---- jobs ------------------------------------------------------------------------------- */

/* A trace with a flow needs a port of its own. False if all are taken: it waits for one. */
static bool take_port(struct mux *m, struct mux_job *job) {
    if (job->flow < 0)
        return true;
    if (!flows_take(&m->flows, &job->port, &job->probe.target, job->flow))
        return false;
    job->probe.local_port = job->port.port;
    return true;
}

static void free_port(struct mux *m, struct mux_job *job) {
    struct mux_job *other, *next;
    if (job->port.port == 0)
        return;
    flows_release(&m->flows, &job->port);
    TAILQ_FOREACH_SAFE(other, &m->portless, turns, next)
    if (take_port(m, other)) {
        TAILQ_REMOVE(&m->portless, other, turns);
        other->turn = TURN_NONE;
        mux_ready(m, other);
        return;
    }
}

struct mux_job *mux_add(struct mux *m, const struct trace *options, const struct addr *dst,
    const struct addr *src, void *owner, int64_t deadline_us, int64_t now_us) {
    struct mux_job *job = mem_new(1, sizeof *job);
    bool tcp_like = trace_is_tcp_like(options->protocol);
    job->tracer = tracer_new(options, dst, distance_find(&m->distances, dst));
    job->owner = owner;
    job->started_us = now_us;
    job->timeout_us = options->timeout_ms * 1000;
    if (tcp_like)
        job->timeout_us = order_min(job->timeout_us, MUX_TCP_LIKE_TIMEOUT_S * INT64_C(1000000));
    job->tells = options->progress || options->names;
    job->flow = (int)options->flow;
    job->probe = (struct mtr_probe){
        .protocol = options->protocol,
        .target = *dst,
        .local = *src,
        .timeout_s =
            tcp_like ? MUX_TCP_LIKE_TIMEOUT_S : (uint8_t)((options->timeout_ms + 999) / 1000),
        .tos = (uint8_t)options->tos,
        .bit_pattern = (uint8_t)options->bit_pattern,
        .size = (uint16_t)options->size,
        .port = (uint16_t)(job->flow >= 0 && options->port == 0 ? MUX_DISCARD_PORT : options->port),
    };
    mtr_line_way(job->way, &job->probe);
    if (tcp_like)
        job->kind = SLOT_TCP_LIKE;
    else if (job->probe.timeout_s > SLOTS_SLOW_S)
        job->kind = SLOT_SLOW;
    TAILQ_INIT(&job->slots);
    TAILQ_INSERT_TAIL(&m->jobs, job, link);
    timeline_set(&m->deadlines, &job->deadline, deadline_us);
    job->turn = TURN_NONE;
    if (take_port(m, job)) {
        mux_ready(m, job);
    } else {
        job->turn = TURN_PORT;
        TAILQ_INSERT_TAIL(&m->portless, job, turns);
    }
    return job;
}

static void slot_stop_asking(struct mux *m, struct slot *slot) {
    if (slot->wait == WAITS_TO_ASK)
        TAILQ_REMOVE(&m->to_ask, slot, overdue);
    else if (slot->wait == WAITS_FOR_WORD)
        TAILQ_REMOVE(&m->asked, slot, overdue);
    slot->wait = WAITS_FOR_LINE;
}

/* Its trace no longer waits for the probe, and the prober still holds it. */
static void slot_settle(struct mux *m, struct slot *slot) {
    slot_stop_asking(m, slot);
    slot->settled = true;
    timeline_set(&m->settled, &slot->timer, slot->give_up_us);
}

static void slot_release(struct mux *m, struct slot *slot) {
    slot_stop_asking(m, slot);
    if (slot->job != NULL)
        TAILQ_REMOVE(&slot->job->slots, slot, sibling);
    timeline_unset(&m->settled, &slot->timer);
    slots_release(&m->slots, slot);
}

/* The job is no suspect any more, or it has ended. */
static void acquit(struct mux *m, struct mux_job *job) {
    m->suspects -= job->suspect;
    job->suspect = false;
    if (m->trial == job)
        m->trial = NULL;
}

void mux_forget(struct mux *m, struct mux_job *job) {
    struct slot *slot;
    acquit(m, job);
    while ((slot = TAILQ_FIRST(&job->slots)) != NULL) {
        TAILQ_REMOVE(&job->slots, slot, sibling);
        slot->job = NULL;
        slot_settle(m, slot);
    }
    mux_not_ready(m, job);
    timeline_unset(&m->patience, &job->patience);
    timeline_unset(&m->deadlines, &job->deadline);
    TAILQ_REMOVE(&m->jobs, job, link);
    free_port(m, job);
    tracer_destroy(&job->tracer);
    free(job);
}

static void mux_finish(struct mux *m, struct mux_job *job, int64_t now_us) {
    struct result_body body = {0};
    size_t count;
    const struct hop_probe *probes = tracer_result(job->tracer, &body, &count);
    int distance = tracer_distance(job->tracer);
    if (distance > 0)
        distance_learn(&m->distances, &job->probe.target, (uint8_t)distance);
    m->counters.probes_beyond += tracer_beyond(job->tracer);
    for (size_t i = 0; i < count; i++)
        m->counters.verdicts[probes[i].verdict]++;
    (void)addr_print(&job->probe.target, body.dst);
    (void)addr_print(&job->probe.local, body.src);
    body.constant_flow = job->port.port != 0;
    body.src_port = job->port.port;
    m->sink.done(m->sink.context, job->owner, &body, probes, count, now_us);
    mux_forget(m, job);
}

/* Call it after anything that happened to a trace: it passes on what settled, and frees what has
 * ended. */
static void follow_up(struct mux *m, struct mux_job *job, int64_t now_us) {
    size_t count;
    const struct hop_probe *probes;
    while (job->tells && (probes = tracer_settled(job->tracer, &count)) != NULL)
        m->sink.hop(m->sink.context, job->owner, probes, count);
    if (tracer_ended(job->tracer))
        mux_finish(m, job, now_us);
    else
        mux_ready(m, job);
}

void mux_cancel(struct mux *m, struct mux_job *job, int64_t now_us) {
    tracer_end(job->tracer, STOP_CANCELLED, NULL, "");
    follow_up(m, job, now_us);
}

/* ---- the prober ------------------------------------------------------------------------- */

static void stuck(struct mux *m) {
    if (!m->stuck)
        m->sink.stuck(m->sink.context);
    m->stuck = true;
}

static void lose(struct mux *m, struct slot *slot) {
    struct mux_job *job = slot->job;
    m->counters.probes_lost++;
    if (job != NULL && job->death != m->deaths) {
        job->death = m->deaths;
        job->deaths += m->trial == NULL;
        if (m->trial == NULL && !job->suspect) {
            job->suspect = true;
            m->suspects++;
        }
    }
    if (job != NULL && !slot->settled)
        tracer_lost(job->tracer, slot->probe);
    slot_release(m, slot);
}

void mux_prober(struct mux *m, const char *version, int64_t now_us) {
    struct mux_job *job, *next;
    m->up = version != NULL;
    m->stuck = false;
    m->skips_out = 0;
    m->seq_check_out = false;
    m->seq_check_again_us = 0;
    m->seq_checks_out = 0;
    prober_health_start(&m->health, now_us);
    if (m->up) {
        slots_limit(&m->slots, mtr_minor(version));
        sequence_start(&m->sequence, version);
        sequence_skipped(&m->sequence, MUX_SHELL_PROBES);
        return;
    }
    m->deaths++;
    sequence_begin(&m->sequence, 0); /* which numbers the last one used is known */
    first_hops_lost(&m->first_hops);
    while (!TAILQ_EMPTY(&m->slots.in_use))
        lose(m, TAILQ_FIRST(&m->slots.in_use));
    struct mux_job *culprit = m->trial;
    TAILQ_FOREACH_SAFE(job, &m->jobs, link, next) {
        timeline_unset(&m->patience, &job->patience);
        if (job->deaths == MUX_MAX_DEATHS || job == culprit)
            tracer_end(job->tracer, STOP_PROBER_ERROR, "internal",
                "mtr-packet died again and again while it had probes of this trace");
        /* The culprit may have no probe out: it can have been answered before the prober died of
         * it. */
        if (job->death == m->deaths || tracer_ended(job->tracer))
            follow_up(m, job, now_us);
    }
}

/* Asks the prober whether it is alive: when a slot's time is over, every PROBER_HEALTH_EVERY_US
 * while probes are out, and after each probe of a suspect. One question is out at a time. */
static void mux_ask(struct mux *m, int64_t now_us) {
    char line[MTR_LINE_BYTES];
    struct slot *slot;
    bool regular = m->slots.in_flight > 0 && (now_us >= m->health.next_us || m->trial != NULL);
    if (!m->up || m->stuck || m->health.out || (TAILQ_EMPTY(&m->to_ask) && !regular))
        return;
    while ((slot = TAILQ_FIRST(&m->to_ask)) != NULL) {
        slot_stop_asking(m, slot);
        slot->wait = WAITS_FOR_WORD;
        TAILQ_INSERT_TAIL(&m->asked, slot, overdue);
    }
    prober_health_asked(&m->health, now_us);
    m->sink.send(m->sink.context, line, mtr_line_feature(line, MTR_TOKEN_HEALTH, "version"));
}

/* The prober is alive: probes that it had not answered when it was asked are unanswered. */
static void mux_answered(struct mux *m, int64_t now_us) {
    struct slot *slot;
    prober_health_answered(&m->health, now_us);
    if (m->trial != NULL)
        acquit(m, m->trial);
    while ((slot = TAILQ_FIRST(&m->asked)) != NULL) {
        if (slot->settled) {
            slot_stop_asking(m, slot);
            stuck(m); /* it lives, and has not said a word about a probe for MUX_GRACE_US */
            continue;
        }
        slot_settle(m, slot);
        tracer_timeout(slot->job->tracer, slot->probe);
        follow_up(m, slot->job, now_us);
    }
    mux_ask(m, now_us);
}

/* The time of a slot is over: its trace's or, once it is settled, the prober's. This process may
 * have been stopped for any time, so the prober is asked first. */
static void slot_due(struct mux *m, struct slot *slot) {
    slot->wait = WAITS_TO_ASK;
    TAILQ_INSERT_TAIL(&m->to_ask, slot, overdue);
}

/* The time of the job's oldest probe may be over. All of its probes have the same timeout and are
 * listed in the order of sending, so one timer a job is enough, and an answer does not move it. */
static void job_due(struct mux *m, struct mux_job *job, int64_t now_us) {
    struct slot *slot;
    TAILQ_FOREACH(slot, &job->slots, sibling) {
        if (slot->settled || slot->wait != WAITS_FOR_LINE)
            continue;
        if (slot->sent_us + job->timeout_us > now_us) {
            timeline_set(&m->patience, &job->patience, slot->sent_us + job->timeout_us);
            return;
        }
        slot_due(m, slot);
    }
}

void mux_seq_checked(struct mux *m, uint16_t port, int64_t now_us) {
    if (!m->seq_check_out)
        return;
    int64_t drift = sequence_checked(&m->sequence, port, now_us);
    m->seq_check_out = false;
    m->seq_check_again_us = 0;
    if (drift == INT64_MIN) {
        m->counters.seq_checks_failed++;
        return;
    }
    m->counters.seq_checks++;
    m->counters.sequence_drift += drift < 0 ? -drift : drift;
}

/* ---- what comes back -------------------------------------------------------------------- */

/* The answer to a command of the mux itself; false if none is out. */
static bool own_reply(struct mux *m, int32_t token, int64_t now_us) {
    if (token == MTR_TOKEN_SEQ_CHECK && m->seq_checks_out > 0) {
        m->seq_checks_out--;
        return true; /* its connection shows the number, not this line */
    }
    if (token == MTR_TOKEN_SKIP && m->skips_out > 0) {
        m->skips_out--;
        return true;
    }
    if (token == MTR_TOKEN_HEALTH && m->health.out) {
        mux_answered(m, now_us);
        return true;
    }
    return false;
}

/* The kernel may have sent the probe twice. The line answers one of the two, and the answer to the
 * other can still come, as late as to a probe that was not answered at all. */
static bool sent_again(const struct slot *slot, int64_t now_us) {
    return slot->kind == SLOT_TCP_LIKE && now_us - slot->sent_us >= TRACER_SYN_AGAIN_US;
}

/* The flags of an answer that the prober reports now. */
static unsigned lag_flags(const struct mux *m, const struct mtr_reply *reply, int64_t now_us) {
    bool lags = prober_health_lag_us(&m->health, now_us) > PROBER_HEALTH_LAG_US;
    return lags && reply->addr.af != 0 ? HOP_PROBER_LAG : 0;
}

/* A suspected duplicate is believed when the hop has been asked again TRACER_MAX_DOUBTS times. */
static enum answer_trust trust_of(const struct mux *m, const struct slot *slot,
    const struct mtr_reply *reply, bool repeats, int64_t now_us) {
    if (repeats && !slot->settled)
        repeats = tracer_may_doubt(slot->job->tracer, slot->probe);
    return answer_trust(&(struct answer_facts){.reply = reply,
        .repeats = repeats,
        .out_us = now_us - slot->sent_us,
        .timeout_us = slot->job->probe.timeout_s * INT64_C(1000000),
        .clock_step_us = m->wall_offset_us - slot->wall_offset_us});
}

/* The prober's line for a probe that its trace waits for. An answer that is not sound is asked for
 * again. */
static void answer_in_time(struct mux *m, const struct slot *slot, const struct mtr_reply *reply,
    enum answer_trust trust, int64_t now_us) {
    struct tracer *tracer = slot->job->tracer;
    switch (trust) {
    case ANSWER_SOUND:
        tracer_answer(tracer, slot->probe, reply, lag_flags(m, reply, now_us));
        break;
    case ANSWER_DUPLICATE:
        tracer_doubted(tracer, slot->probe);
        break;
    case ANSWER_CLOCK_STEP:
    case ANSWER_IMPOSSIBLE_TIME:
    case ANSWER_EARLY_SILENCE:
        tracer_untimed(tracer, slot->probe, reply);
        break;
    }
}

/* The same when the trace no longer waits for it: only a sound answer is of use, to a hop that
 * needs one. */
static void answer_too_late(struct mux *m, const struct slot *slot, const struct mtr_reply *reply,
    enum answer_trust trust, int64_t now_us) {
    bool has_answer = reply->addr.af != 0;
    if (has_answer && trust == ANSWER_SOUND &&
        tracer_late(slot->job->tracer, slot->probe, reply, lag_flags(m, reply, now_us)))
        m->counters.late_taken++;
    else if (trust != ANSWER_DUPLICATE)
        m->counters.late_replies += has_answer;
}

static void job_reply(struct mux *m, const struct slot *slot, const struct mtr_reply *reply,
    bool repeats, int64_t now_us) {
    enum answer_trust trust = trust_of(m, slot, reply, repeats, now_us);
    m->counters.duplicates_suspected += trust == ANSWER_DUPLICATE;
    m->counters.clock_steps += trust == ANSWER_CLOCK_STEP;
    m->counters.impossible_times += trust == ANSWER_IMPOSSIBLE_TIME;
    if (slot->settled)
        answer_too_late(m, slot, reply, trust, now_us);
    else
        answer_in_time(m, slot, reply, trust, now_us);
    follow_up(m, slot->job, now_us);
}

bool mux_reply(struct mux *m, const struct mtr_reply *reply, int64_t now_us) {
    struct slot *slot = slots_find(&m->slots, reply->token);
    if (slot == NULL && own_reply(m, reply->token, now_us))
        return true;
    if (slot == NULL) {
        m->counters.bad_tokens++;
        return false;
    }
    bool has_answer = reply->addr.af != 0, repeats = false;
    const struct slot was = *slot;
    slot_release(m, slot);
    if (reply->class != MTR_SILENT && !sent_again(&was, now_us))
        repeats = !sequence_answered(&m->sequence, was.position, &reply->addr, now_us);
    if (was.kind == SLOT_TCP_LIKE && (strcmp(reply->word, "address-in-use") == 0 ||
                                         strcmp(reply->word, "address-not-available") == 0))
        sequence_went_round(&m->sequence);
    m->counters.replies += has_answer;
    m->counters.no_replies += !has_answer;
    if (has_answer) /* a suspected duplicate is an answer too, and no loss */
        first_hops_answered(&m->first_hops, reply->addr.af, was.ttl, &reply->addr, was.sent_us);
    if (was.job != NULL)
        job_reply(m, &was, reply, repeats, now_us);
    else if (repeats)
        m->counters.duplicates_suspected++;
    else
        m->counters.late_replies += has_answer;
    return true;
}

/* ---- time ------------------------------------------------------------------------------- */

void mux_tick(struct mux *m, int64_t now_us) {
    struct timeline_entry *due;
    while ((due = timeline_pop(&m->patience, now_us)) != NULL)
        job_due(m, TIMELINE_OWNER(due, struct mux_job, patience), now_us);
    while ((due = timeline_pop(&m->settled, now_us)) != NULL)
        slot_due(m, (struct slot *)due);
    while ((due = timeline_pop(&m->deadlines, now_us)) != NULL) {
        struct mux_job *job = TIMELINE_OWNER(due, struct mux_job, deadline);
        tracer_end(job->tracer, STOP_DEADLINE, NULL, "");
        follow_up(m, job, now_us);
    }
    if (m->up && prober_health_dead(&m->health, now_us))
        stuck(m);
    mux_send_due(m, now_us);
    mux_ask(m, now_us);
}

int64_t mux_timeout_us(struct mux *m) {
    bool asks = m->up && !m->stuck;
    int64_t health_us =
        asks ? prober_health_next_us(&m->health, m->slots.in_flight > 0) : INT64_MAX;
    int64_t probe_us = order_min(timeline_next(&m->patience), timeline_next(&m->settled));
    return order_min(health_us, order_min(probe_us, timeline_next(&m->deadlines)));
}

int64_t mux_next(struct mux *m, int64_t now_us) {
    return order_min(mux_timeout_us(m), mux_send_next_us(m, now_us));
}
