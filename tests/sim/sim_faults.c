#include "tests/sim/sim.h"

/* ---- what a schedule is made of --------------------------------------------------------- */

/* One kind of fault alone, or all of them. */
static void choose_faults(struct sim *s) {
    static const struct {
        enum fault first, last;
    } kinds[] = {{FAULT_BROKER_CRASH, FAULT_BROKER_DOOM}, {FAULT_BROKER_CRASH, FAULT_BROKER_DRAIN},
        {FAULT_WORKER_CRASH, FAULT_WORKER_TROUBLE}, {FAULT_BREAK, FAULT_PEER_PAUSE},
        {FAULT_CLOCK, FAULT_RETENTION}};
    struct mix *mix = &s->mix;
    int64_t kind = sim_draw(s, 12);
    mix->every_us = kind == 11 ? 0 : (50 + sim_draw(s, 2000)) * MS;
    for (int f = 0; f < FAULTS; f++)
        if (kind < 5)
            mix->weights[f] = f >= (int)kinds[kind].first && f <= (int)kinds[kind].last;
        else
            mix->weights[f] = (unsigned)sim_draw(s, 4);
}

void faults_mix(struct sim *s) {
    struct mix *mix = &s->mix;
    choose_faults(s);
    mix->workers = 1 + (int)sim_draw(s, MAX_WORKERS);
    mix->clients = 1 + (int)sim_draw(s, MAX_CLIENTS);
    mix->subscribers = 1 + (int)sim_draw(s, MAX_SUBSCRIBERS);
    mix->asks = 2 + (int)sim_draw(s, 6);
    mix->asks_us = SECOND + sim_draw(s, 4 * SECOND);
    mix->faults_us =
        sim_chance(s, 80) ? SECOND + sim_draw(s, 6 * SECOND) : sim_draw(s, 20 * SECOND);
    mix->commit_us = sim_chance(s, 80) ? 20 * MS : 600 * MS;
    mix->delay_us = sim_chance(s, 70) ? 10 * MS : 400 * MS;
    mix->work_us = sim_chance(s, 70) ? SECOND : 6 * SECOND;
    mix->hwm = sim_chance(s, 80) ? 1000 : 2 + sim_draw(s, 8);
    mix->capacity = 1 + sim_draw(s, sim_chance(s, 50) ? 2 : 8);
    mix->deadline_ms = sim_chance(s, 30) ? 1000 : 8000;
    mix->max_queued = sim_chance(s, 80) ? 1000 : 4 + sim_draw(s, 8);
    mix->recent = sim_chance(s, 50) ? 1000 : 1 + sim_draw(s, 6);
    mix->targets = sim_chance(s, 50) ? 2 : 20;
    mix->streams = 1 + (int)sim_draw(s, MAX_STREAMS);
    mix->own_ids = sim_chance(s, 85);
    mix->made_ids = !mix->own_ids || sim_chance(s, 50);
    mix->repeats = sim_chance(s, 50);
    mix->conflicts = sim_chance(s, 30);
    mix->cancels = sim_chance(s, 40);
    mix->coalesce = sim_chance(s, 35);
    mix->fanout = sim_chance(s, 30);
    mix->labels = sim_chance(s, 30);
    mix->no_wait = sim_chance(s, 20);
    mix->progress = sim_chance(s, 30);
    mix->names = sim_chance(s, 30);
    mix->poison = sim_chance(s, 15) ? 1 : 0;
    if (mix->poison != 0 && sim_chance(s, 50))
        mix->every_us = 0;
    mix->priorities = sim_chance(s, 30);
    mix->questions = sim_chance(s, 50);
}

/* ---- faults ----------------------------------------------------------------------------- */

static int any_worker(struct sim *s) { return WORKER + (int)sim_draw(s, s->mix.workers); }

/* A worker, client or subscriber. */
static int any_peer(struct sim *s) {
    int peer = (int)sim_draw(s, s->mix.workers + s->mix.clients + s->mix.subscribers);
    if (peer < s->mix.workers)
        return WORKER + peer;
    peer -= s->mix.workers;
    return peer < s->mix.clients ? CLIENT + peer : SUBSCRIBER + peer - s->mix.clients;
}

static void pause_process(struct sim *s, int process) {
    if (s->processes[process].paused_until_us > s->now_us)
        return;
    int64_t us = sim_chance(s, 60) ? sim_draw(s, SECOND) : sim_draw(s, 9 * SECOND);
    SAY(s, "%s stops for %" PRId64 " ms", sim_name(process), us / MS);
    s->processes[process].paused_until_us = s->processes[process].resumed_us = s->now_us + us;
}

static void hold(struct sim *s) {
    int peer = any_peer(s), which = peer >= SUBSCRIBER ? (int)sim_draw(s, LINKS) : LINK_REQUESTS;
    struct link *l = &s->links[peer][which];
    int64_t until_us = s->now_us + sim_draw(s, sim_chance(s, 50) ? SECOND : 9 * SECOND);
    int64_t way = sim_draw(s, 3); /* or both */
    SAY(s, "%s is cut off until %" PRId64 " ms, way %" PRId64, sim_name(peer), until_us / MS, way);
    for (int i = 0; i < 2; i++)
        if (way == 2 || way == i)
            l->hold_us[i] = until_us;
}

static void set_clock(struct sim *s) {
    int process = sim_chance(s, 50) ? BROKER : any_peer(s);
    int64_t step_us = sim_draw(s, sim_chance(s, 50) ? 5 * SECOND : 7200 * SECOND);
    s->processes[process].wall_us += sim_chance(s, 50) ? step_us : -step_us;
    SAY(s, "the clock of %s is set by %" PRId64 " ms", sim_name(process), step_us / MS);
}

static void disk_fault(struct sim *s) {
    s->disk_full = !s->disk_full;
    broker_room(s, !s->disk_full);
}

static void strike(struct sim *s, enum fault fault) {
    int worker = any_worker(s), peer = any_peer(s);
    switch (fault) {
    case FAULT_BROKER_CRASH:
        broker_crash(s);
        break;
    case FAULT_BROKER_DOOM:
        broker_doom(s, 1 + sim_draw(s, 12));
        break;
    case FAULT_BROKER_PAUSE:
        pause_process(s, BROKER);
        break;
    case FAULT_BROKER_DRAIN:
        broker_drain(s);
        break;
    case FAULT_WORKER_CRASH:
        worker_crash(s, worker);
        break;
    case FAULT_WORKER_DOOM:
        worker_doom(s, worker, 1 + sim_draw(s, 6));
        break;
    case FAULT_WORKER_PAUSE:
        pause_process(s, worker);
        break;
    case FAULT_WORKER_DRAIN:
        worker_drain(s, worker);
        break;
    case FAULT_WORKER_TROUBLE:
        worker_trouble(s, worker);
        break;
    case FAULT_BREAK:
        net_break(s, peer, peer >= SUBSCRIBER && sim_chance(s, 50) ? LINK_FEED : LINK_REQUESTS);
        break;
    case FAULT_HOLD:
        hold(s);
        break;
    case FAULT_PEER_PAUSE:
        pause_process(s, peer);
        break;
    case FAULT_CLOCK:
        set_clock(s);
        break;
    case FAULT_DISK_FULL:
        disk_fault(s);
        break;
    case FAULT_RETENTION:
        disk_retire(s, sim_draw(s, 8));
        break;
    case FAULTS:
        break;
    }
}

static void next_fault(struct sim *s, const struct event *event) {
    unsigned sum = 0;
    (void)event;
    if (s->quiet)
        return;
    for (int f = 0; f < FAULTS; f++)
        sum += s->mix.weights[f];
    int64_t at = sim_draw(s, sum);
    for (int f = 0; sum > 0 && f < FAULTS; at -= s->mix.weights[f++])
        if (at < (int64_t)s->mix.weights[f]) {
            strike(s, (enum fault)f);
            break;
        }
    sim_at(s, s->now_us + 1 + sim_draw(s, 2 * s->mix.every_us), NOBODY, next_fault, NULL, 0);
}

/* ---- the quiet after them --------------------------------------------------------------- */

#define LOOK_US (300 * MS)

/* Time to start again (12 s), for absent workers (10 s), a deadline (8 s), and to be heard of (5
 * s). */
#define QUIET_US (60 * SECOND)

static const char *unfinished(struct sim *s) {
    if (!broker_idle(s))
        return "the broker still has something to send, to keep or to read";
    for (int w = WORKER; w < WORKER + s->mix.workers; w++)
        if (!worker_idle(s, w))
            return "a worker still holds a lease";
    if (!history_complete(s))
        return "a trace that was accepted has no result";
    for (int p = SUBSCRIBER; p < SUBSCRIBER + s->mix.subscribers; p++)
        if (!subscriber_complete(s, p))
            return "a subscriber has gaps";
    return sim_clients_answered(s) ? NULL : "a client has no answer";
}

static void look(struct sim *s, const struct event *event) {
    const char *what = unfinished(s);
    KEEP(s, what == NULL || s->now_us < s->mix.faults_us + QUIET_US, "%s", what);
    if (what == NULL && event->number == 1) {
        history_check(s);
        s->over = true;
        return;
    }
    if (what == NULL)
        sim_clients_ask_again(s);
    sim_at(s, s->now_us + LOOK_US, NOBODY, look, NULL, what == NULL || event->number == 1);
}

static void calm(struct sim *s, const struct event *event) {
    (void)event;
    SAY(s, "no more faults");
    s->quiet = true;
    sim_resume_all(s);
    for (int p = WORKER; p < PROCESSES; p++)
        for (int which = 0; which < LINKS; which++)
            s->links[p][which].hold_us[TO_BROKER] = s->links[p][which].hold_us[TO_PEER] = 0;
    s->broker.crash_in = 0;
    for (int w = WORKER; w < WORKER + s->mix.workers; w++)
        worker_doom(s, w, 0);
    s->mix.commit_us = s->mix.commit_us > 20 * MS ? 20 * MS : s->mix.commit_us;
    if (s->disk_full)
        disk_fault(s);
    sim_at(s, s->now_us + LOOK_US, NOBODY, look, NULL, 0);
}

void faults_start(struct sim *s) {
    for (int p = 0; p < PROCESSES; p++) {
        s->processes[p].mono_us = sim_draw(s, 1000 * SECOND);
        s->processes[p].wall_us = sim_draw(s, SECOND);
    }
    if (s->mix.every_us > 0)
        sim_at(s, sim_draw(s, s->mix.every_us), NOBODY, next_fault, NULL, 0);
    sim_at(s, s->mix.faults_us, NOBODY, calm, NULL, 0);
}
