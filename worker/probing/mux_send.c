#include "worker/probing/mux_state.h"

#include "common/order.h"

/* ---- whose turn it is ------------------------------------------------------------------- */

static struct job_list *hop_queue_of(struct mux *m, const struct mux_job *job, int ttl) {
    return &m->hop_queues[job->probe.target.af == 6][ttl - 1];
}

static void set_turn(struct mux *m, struct mux_job *job, enum mux_turn turn) {
    if (job->turn < TURN_NONE)
        TAILQ_REMOVE(&m->turns[job->turn][job->kind], job, turns);
    job->turn = turn;
    if (turn < TURN_NONE)
        TAILQ_INSERT_TAIL(&m->turns[turn][job->kind], job, turns);
}

void mux_ready(struct mux *m, struct mux_job *job) {
    if (job->turn == TURN_AHEAD || job->turn == TURN_NONE)
        set_turn(m, job, TURN_NEEDED);
}

void mux_not_ready(struct mux *m, struct mux_job *job) {
    if (job->turn == TURN_PORT)
        TAILQ_REMOVE(&m->portless, job, turns);
    else
        set_turn(m, job, TURN_NONE);
    job->turn = TURN_NONE;
    timeline_unset(&m->wakes, &job->wake);
    if (job->waits_at_ttl != 0)
        TAILQ_REMOVE(hop_queue_of(m, job, job->waits_at_ttl), job, hop_queue);
    job->waits_at_ttl = 0;
}

static bool room_ahead(const struct mux *m) { return m->slots.in_flight < MUX_AHEAD; }

static bool waits(const struct mux *m, enum mux_turn turn) {
    for (int kind = 0; kind < SLOT_KINDS; kind++)
        if (!TAILQ_EMPTY(&m->turns[turn][kind]) && slots_free(&m->slots, (enum slot_kind)kind))
            return true;
    return false;
}

/* True while a suspect's probe is out and the prober has not yet said that it is alive. */
static bool in_trial(const struct mux *m) {
    return m->trial != NULL || (m->suspects > 0 && m->health.out);
}

static bool may_send(const struct mux *m) {
    return m->up && !in_trial(m) && m->sequence.owned != 0 &&
           (waits(m, TURN_NEEDED) || (room_ahead(m) && waits(m, TURN_AHEAD)));
}

/* The next job that may send. Probes that are needed come before those that may not be; kinds take
 * turns, and so do the jobs of a kind. */
static struct mux_job *next_job(struct mux *m) {
    enum mux_turn turn = waits(m, TURN_NEEDED) ? TURN_NEEDED : TURN_AHEAD;
    for (int tried = 0; tried < SLOT_KINDS; tried++) {
        enum slot_kind kind = m->next_kind++ % SLOT_KINDS;
        struct mux_job *job = TAILQ_FIRST(&m->turns[turn][kind]);
        if (job != NULL && slots_free(&m->slots, kind))
            return job;
    }
    return NULL;
}

/* The next suspect. One that has nothing to send is acquitted. */
static struct mux_job *next_suspect(struct mux *m) {
    struct mux_job *job;
    TAILQ_FOREACH(job, &m->jobs, link) {
        if (!job->suspect)
            continue;
        if (job->turn == TURN_NEEDED && slots_free(&m->slots, job->kind))
            return job;
        job->suspect = false;
        m->suspects--;
    }
    return NULL;
}

/* ---- routers near by -------------------------------------------------------------------- */

/* The first hops to which the job may not send now, a bit each: others wait there, or the router's
 * limit is reached. */
static uint32_t first_hops_held(struct mux *m, const struct mux_job *job, int64_t now_us) {
    uint32_t held = 0;
    for (int ttl = 1; ttl <= FIRST_HOPS_TTLS; ttl++)
        if (!TAILQ_EMPTY(hop_queue_of(m, job, ttl)) ||
            first_hops_next_us(&m->first_hops, job->probe.target.af, ttl, now_us) > now_us)
            held |= 1U << ttl;
    return held & ~job->turns_at;
}

static void wait_for_turn(struct mux *m, struct mux_job *job, int ttl, int64_t now_us) {
    if (job->waits_at_ttl != 0 || ttl == 0)
        return;
    job->waits_at_ttl = ttl;
    job->waits_since_us = now_us;
    TAILQ_INSERT_TAIL(hop_queue_of(m, job, ttl), job, hop_queue);
    m->counters.first_hop_waits++;
}

/* When the first job that waits at a router has its turn: when the router can answer, and after
 * MUX_FIRST_HOPS_PATIENCE timeouts in any case: a router's limit costs hops and no traces. */
static int64_t hop_turn_us(struct mux *m, int family, int ttl, int64_t now_us) {
    const struct mux_job *first = TAILQ_FIRST(&m->hop_queues[family][ttl - 1]);
    if (first == NULL)
        return INT64_MAX;
    int64_t next_us = first_hops_next_us(&m->first_hops, family == 1 ? 6 : 4, ttl, now_us);
    int64_t patient_us = first->waits_since_us + MUX_FIRST_HOPS_PATIENCE * first->timeout_us;
    return order_min(next_us, patient_us);
}

static void give_turns(struct mux *m, int64_t now_us) {
    for (int family = 0; family < 2; family++)
        for (int ttl = 1; ttl <= FIRST_HOPS_TTLS; ttl++)
            while (hop_turn_us(m, family, ttl, now_us) <= now_us) {
                struct mux_job *job = TAILQ_FIRST(&m->hop_queues[family][ttl - 1]);
                TAILQ_REMOVE(&m->hop_queues[family][ttl - 1], job, hop_queue);
                job->waits_at_ttl = 0;
                job->turns_at |= 1U << ttl;
                first_hops_take(&m->first_hops, job->probe.target.af, ttl, now_us);
                mux_ready(m, job);
            }
}

/* ---- sending ---------------------------------------------------------------------------- */

/* Skips numbers that are other workers' or unusable, MUX_MAX_SKIPS at a time, as each command is
 * answered with a line. True if the next number may be used for a probe now. */
static bool number_free(struct mux *m, int64_t now_us) {
    char line[MTR_LINE_BYTES];
    uint32_t skip;
    int64_t wait_us;
    if (!sequence_plan(&m->sequence, now_us, &skip, &wait_us)) {
        m->counters.sequence_waits++;
        return false;
    }
    size_t size = skip > 0 ? mtr_line_skip(line, MTR_TOKEN_SKIP) : 0;
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

/* A sequence check; see sequence.h. */
static void send_seq_check(struct mux *m, int64_t now_us) {
    char line[MTR_LINE_BYTES];
    struct mtr_probe probe = {.token = MTR_TOKEN_SEQ_CHECK,
        .protocol = TRACE_TCP,
        .ttl = 64,
        .timeout_s = MUX_TCP_LIKE_TIMEOUT_S,
        .size = 64};
    m->counters.seq_checks_failed += m->seq_check_out;
    m->seq_check_again_us = now_us + MUX_SEQ_CHECK_US;
    m->seq_check_out = m->sink.seq_check(m->sink.context, &probe.local, &probe.target, &probe.port);
    if (!m->seq_check_out) {
        m->counters.seq_checks_failed++;
        return;
    }
    m->seq_checks_out++;
    sequence_check(&m->sequence, now_us + MUX_TCP_LIKE_TIMEOUT_S * INT64_C(1000000));
    m->sink.send(m->sink.context, line, mtr_line_probe(line, &probe));
}

static void send_probe(struct mux *m, struct mux_job *job, unsigned index, int64_t now_us) {
    char line[MTR_LINE_BYTES];
    int64_t forgotten_us = now_us + job->probe.timeout_s * INT64_C(1000000);
    struct slot *slot = slots_take(&m->slots, job->kind);
    slot->job = job;
    slot->probe = index;
    slot->ttl = job->probe.ttl;
    slot->sent_us = now_us;
    slot->give_up_us = forgotten_us + MUX_GRACE_US;
    slot->wall_offset_us = m->wall_offset_us;
    slot->position = sequence_use(&m->sequence, forgotten_us, job->kind == SLOT_TCP_LIKE);
    TAILQ_INSERT_TAIL(&job->slots, slot, sibling);
    if (!job->patience.set)
        timeline_set(&m->patience, &job->patience, now_us + job->timeout_us);
    job->probe.token = slots_token(&m->slots, slot);
    m->sink.send(m->sink.context, line, mtr_line_on_way(line, job->way, &job->probe));
    m->counters.probes_sent++;
    pace_take(&m->pace, now_us);
}

static bool try_send(struct mux *m, struct mux_job *job, bool ahead, int64_t now_us) {
    unsigned index;
    const struct tracer_may may = {
        now_us - job->started_us, first_hops_held(m, job, now_us), ahead};
    int af = job->probe.target.af;
    if (!tracer_next(job->tracer, &may, &index, &job->probe.ttl)) {
        wait_for_turn(m, job, tracer_held(job->tracer, &may), now_us);
        return false;
    }
    int ttl = job->probe.ttl;
    if (ttl > FIRST_HOPS_TTLS || (job->turns_at >> ttl & 1) == 0)
        first_hops_take(&m->first_hops, af, ttl, now_us);
    else
        job->turns_at &= ~(1U << ttl);
    first_hops_sent(&m->first_hops, af, ttl, now_us);
    send_probe(m, job, index, now_us);
    return true;
}

/* The job has sent what it needs; if nothing answers, it will need more. A wake-up that is too
 * early, as an answer came meanwhile, costs less than moving it with each answer. */
static void set_wake(struct mux *m, struct mux_job *job, int64_t now_us) {
    int64_t more_us = tracer_more_us(job->tracer, now_us - job->started_us);
    if (more_us == INT64_MAX)
        return;
    if (!job->wake.set || job->wake.due_us > job->started_us + more_us)
        timeline_set(&m->wakes, &job->wake, job->started_us + more_us);
}

void mux_send_due(struct mux *m, int64_t now_us) {
    struct timeline_entry *due;
    while ((due = timeline_pop(&m->wakes, now_us)) != NULL)
        mux_ready(m, TIMELINE_OWNER(due, struct mux_job, wake));
    give_turns(m, now_us);
    while (may_send(m) && pace_ready(&m->pace, now_us)) {
        if (!number_free(m, now_us))
            return;
        if (sequence_check_due(&m->sequence) && now_us >= m->seq_check_again_us) {
            send_seq_check(m, now_us);
            continue;
        }
        struct mux_job *job = m->suspects > 0 ? next_suspect(m) : next_job(m);
        if (job == NULL)
            continue;
        bool ahead = job->turn == TURN_AHEAD;
        if (try_send(m, job, ahead, now_us)) {
            set_turn(m, job, job->turn); /* behind the others */
            m->trial = job->suspect ? job : NULL;
        } else if (ahead) {
            set_turn(m, job, TURN_NONE);
        } else {
            set_turn(m, job, TURN_AHEAD);
            set_wake(m, job, now_us);
        }
    }
}

int64_t mux_send_next_us(struct mux *m, int64_t now_us) {
    int64_t next_us = timeline_next(&m->wakes);
    for (int family = 0; family < 2; family++)
        for (int ttl = 1; ttl <= FIRST_HOPS_TTLS; ttl++)
            next_us = order_min(next_us, hop_turn_us(m, family, ttl, now_us));
    if (!may_send(m))
        return next_us;
    uint32_t skip;
    int64_t wait_us, send_us = order_max(pace_next_us(&m->pace), now_us);
    if (!sequence_plan(&m->sequence, now_us, &skip, &wait_us))
        send_us = order_max(send_us, wait_us);
    else if (skip > 0 && m->skips_out == MUX_MAX_SKIPS)
        return next_us; /* the next answer to a skipping command brings us here again */
    return order_min(next_us, send_us);
}
