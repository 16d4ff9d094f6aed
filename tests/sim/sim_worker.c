/* A worker: the real agent, on a stand-in for the mux that takes its time. */
#include "tests/sim/sim.h"

#include "worker/probing/mux.h"
#include "worker/session/lease.h"

/* Traces at a time, of all brokers. */
#define MAX_JOBS 16

struct mux_job {
    bool used;
    struct mux *mux;
    void *owner;
    struct addr dst, src;
    int64_t ends_us, deadline_us; /* monotonic */
    int64_t execution;
    bool progress;
};

struct mux {
    struct worker *worker;
    struct mux_counters counters;
    struct mux_job jobs[MAX_JOBS];
};

struct worker {
    struct sim *sim;
    int process;
    struct agent *agent;
    struct mux mux;
    int64_t crash_in;
    bool dead, draining, trouble;
};

static struct worker *worker_of(struct sim *s, int process) { return s->workers[process - WORKER]; }

static struct instant worker_time(const struct worker *w) { return sim_time(w->sim, w->process); }

static bool dies(struct worker *w) {
    if (!w->dead && w->crash_in > 0 && --w->crash_in == 0) {
        SAY(w->sim, "%s dies here", sim_name(w->process));
        w->dead = true;
    }
    return w->dead;
}

void worker_doom(struct sim *s, int process, int64_t steps) {
    worker_of(s, process)->crash_in = steps;
}

/* ---- the stand-in ----------------------------------------------------------------------- */

/* What kills its worker, unless it was stopped before. */
static void poison(struct sim *s, const struct event *event) {
    const struct mux_job *job = event->data;
    if (!job->used || job->execution != event->number)
        return;
    SAY(s, "%s is poisoned", sim_name(event->process));
    worker_crash(s, event->process);
}

struct mux_counters *mux_counters(struct mux *mux) {
    return &mux->counters;
}

struct mux_job *mux_add(struct mux *mux, const struct trace *options, const struct addr *dst,
    const struct addr *src, void *owner, int64_t deadline_us, int64_t now_us) {
    struct sim *s = mux->worker->sim;
    struct mux_job *job = mux->jobs;
    while (job < mux->jobs + MAX_JOBS && job->used)
        job++;
    if (job == mux->jobs + MAX_JOBS)
        abort();
    bool slow = sim_chance(s, s->quiet ? 2 : 10);
    int64_t work_us = slow ? NEVER / 2 : 1 + sim_draw(s, s->mix.work_us);
    const struct lease *lease = owner;
    char target[16];
    (void)snprintf(target, sizeof target, "192.0.2.%d", s->mix.poison);
    bool kills = strcmp(options->target, target) == 0;
    *job = (struct mux_job){.used = true,
        .mux = mux,
        .owner = owner,
        .dst = *dst,
        .src = *src,
        .deadline_us = deadline_us,
        .progress = options->progress,
        .execution = history_execute(s, mux->worker->process, lease->id, options->id),
        .ends_us = kills || work_us > deadline_us - now_us ? deadline_us : now_us + work_us};
    if (kills)
        sim_at(
            s, s->now_us + sim_draw(s, 50 * MS), mux->worker->process, poison, job, job->execution);
    return job;
}

void mux_forget(struct mux *mux, struct mux_job *job) {
    (void)mux;
    job->used = false;
}

static void finish(struct mux_job *job, enum result_stop stop, int64_t now_us) {
    struct result_body end = {.stop = (int)stop, .probes_sent = job->execution};
    struct hop_probe probe = {.ttl = 1, .attempt = 1, .addr = job->dst, .rtt_us = 100};
    probe.verdict = HOP_REPLY;
    (void)addr_print(&job->dst, end.dst);
    (void)addr_print(&job->src, end.src);
    job->used = false;
    if (job->progress)
        agent_on_hop(NULL, job->owner, &probe, 1);
    agent_on_done(NULL, job->owner, &end, &probe, stop == STOP_REACHED, now_us);
}

void mux_cancel(struct mux *mux, struct mux_job *job, int64_t now_us) {
    (void)mux;
    finish(job, STOP_CANCELLED, now_us);
}

/* Takes the jobs whose time has come; when the next one's does. */
static int64_t work(struct mux *mux, int64_t now_us) {
    int64_t next_us = NEVER;
    for (struct mux_job *job = mux->jobs; job < mux->jobs + MAX_JOBS; job++) {
        if (job->used && job->ends_us <= now_us)
            finish(job, job->ends_us < job->deadline_us ? STOP_REACHED : STOP_DEADLINE, now_us);
        else if (job->used && job->ends_us < next_us)
            next_us = job->ends_us;
    }
    return next_us;
}

/* ---- what the agent wants --------------------------------------------------------------- */

static bool to_broker(void *context, const void *bytes, size_t size) {
    struct worker *w = context;
    return !dies(w) && net_to_broker(w->sim, w->process, bytes, size);
}

static void wake(struct sim *s, const struct event *event);
static void restart(struct sim *s, const struct event *event);

static void end(struct worker *w) {
    struct sim *s = w->sim;
    agent_destroy(&w->agent);
    w->dead = false;
    w->crash_in = 0;
    memset(w->mux.jobs, 0, sizeof w->mux.jobs);
    sim_die(s, w->process);
    net_break_all(s, w->process);
    int64_t down_us = s->quiet ? 100 * MS : sim_draw(s, sim_chance(s, 80) ? SECOND : 12 * SECOND);
    sim_at(s, s->now_us + down_us, NOBODY, restart, NULL, w->process);
}

static void settle(struct worker *w) {
    struct instant now = worker_time(w);
    int64_t next_us = w->dead ? NEVER : work(&w->mux, now.mono_us);
    if (!w->dead && w->draining && agent_idle(w->agent)) {
        SAY(w->sim, "%s is drained, and ends", sim_name(w->process));
        agent_quit(w->agent);
        w->dead = true;
    }
    if (w->dead) {
        end(w);
        return;
    }
    int64_t agent_us = agent_next(w->agent);
    sim_wake(w->sim, w->process, next_us < agent_us ? next_us : agent_us, wake);
}

static void wake(struct sim *s, const struct event *event) {
    struct worker *w = worker_of(s, event->process);
    if (event->number != s->processes[event->process].timer_us)
        return;
    s->processes[event->process].timer_us = NEVER;
    struct instant now = worker_time(w);
    agent_tick(w->agent, &now);
    settle(w);
}

static void located(struct sim *s, const struct event *event) {
    struct worker *w = worker_of(s, event->process);
    struct agent_location where = {.stop = STOP_REACHED};
    struct instant now = worker_time(w);
    (void)addr_parse(&where.dst, "192.0.2.1");
    (void)addr_parse(&where.src, "198.51.100.2");
    if (sim_chance(s, 3)) {
        where.stop = STOP_NO_ROUTE;
        (void)snprintf(where.error_code, sizeof where.error_code, "unavailable");
        (void)snprintf(where.error_message, sizeof where.error_message, "no route");
    }
    agent_located(w->agent, event->number, &where, &now);
    settle(w);
}

static void locate(void *context, int64_t lease, const struct trace *trace) {
    struct worker *w = context;
    (void)trace;
    sim_at(w->sim, w->sim->now_us + sim_draw(w->sim, 20 * MS), w->process, located, NULL, lease);
}

static size_t sources(void *context, struct addr list[SESSION_MAX_SOURCES]) {
    (void)context;
    (void)list;
    return 0;
}

static void named(struct sim *s, const struct event *event) {
    struct worker *w = worker_of(s, event->process);
    struct instant now = worker_time(w);
    agent_named(w->agent, event->number, event->data, "router.example", &now);
    settle(w);
}

/* Sometimes nobody answers. */
static void name(void *context, int64_t lease, const struct addr *addr) {
    struct worker *w = context;
    struct sim *s = w->sim;
    if (sim_chance(s, 80))
        sim_at(s, s->now_us + sim_draw(s, SECOND), w->process, named,
            sim_copy(s, addr, sizeof *addr), lease);
}

static void say(void *context, const char *event, const char *detail) {
    const struct worker *w = context;
    SAY(w->sim, "  %s log %s %s", sim_name(w->process), event, detail);
}

/* ---- life ------------------------------------------------------------------------------- */

static void prober_up(struct worker *w) {
    struct instant now = worker_time(w);
    w->trouble = false;
    agent_prober_up(w->agent, "0.95", 1U << 4 | 1U << 6, 1U << TRACE_ICMP | 1U << TRACE_UDP, &now);
}

void workers_make(struct sim *s) {
    for (int i = 0; i < s->mix.workers; i++) {
        struct worker *w = s->workers[i] = sim_new(s, sizeof *w);
        w->sim = s;
        w->process = WORKER + i;
        w->mux.worker = w;
        worker_start(s, w->process);
    }
}

void worker_start(struct sim *s, int process) {
    struct worker *w = worker_of(s, process);
    struct agent_config config = {.capacity = s->mix.capacity};
    char site[16];
    (void)snprintf(config.name, sizeof config.name, "%s", sim_name(process));
    (void)snprintf(site, sizeof site, "site=%d", process);
    (void)labels_add(&config.labels, site);
    s->processes[process].up = true;
    w->draining = false;
    w->agent =
        agent_new(&config, &(struct agent_sink){w, to_broker, locate, sources, name, say}, &w->mux);
    SAY(s, "%s starts", sim_name(process));
    net_dial(s, process, LINK_REQUESTS);
    prober_up(w);
    settle(w);
}

static void restart(struct sim *s, const struct event *event) {
    worker_start(s, (int)event->number);
}

void worker_crash(struct sim *s, int process) {
    if (!s->processes[process].up)
        return;
    SAY(s, "%s crashes", sim_name(process));
    end(worker_of(s, process));
}

void worker_message(struct sim *s, int process, const void *bytes, size_t size) {
    struct worker *w = worker_of(s, process);
    struct instant now = worker_time(w);
    agent_message(w->agent, bytes, size, &now);
    settle(w);
}

static void hand_back(struct sim *s, const struct event *event) {
    struct worker *w = worker_of(s, event->process);
    struct instant now = worker_time(w);
    agent_hand_back(w->agent, &now);
    settle(w);
}

void worker_drain(struct sim *s, int process) {
    struct worker *w = worker_of(s, process);
    if (!s->processes[process].up)
        return;
    SAY(s, "%s drains", sim_name(process));
    struct instant now = worker_time(w);
    w->draining = true;
    if (sim_chance(s, 70)) {
        agent_drain(w->agent, &now);
        sim_at(s, s->now_us + sim_draw(s, 2 * SECOND), process, hand_back, NULL, 0);
    } else {
        agent_quit(w->agent);
        w->dead = true;
    }
    settle(w);
}

static void untrouble(struct sim *s, const struct event *event) {
    struct worker *w = worker_of(s, event->process);
    SAY(s, "%s is well again", sim_name(event->process));
    prober_up(w);
    settle(w);
}

void worker_trouble(struct sim *s, int process) {
    struct worker *w = worker_of(s, process);
    if (!s->processes[process].up || w->trouble)
        return;
    SAY(s, "%s is in trouble", sim_name(process));
    struct instant now = worker_time(w);
    w->trouble = true;
    agent_prober_trouble(w->agent, "prober: died", &now);
    memset(w->mux.jobs, 0, sizeof w->mux.jobs);
    sim_at(s, s->now_us + sim_draw(s, 2 * SECOND), process, untrouble, NULL, 0);
    settle(w);
}

void workers_end(struct sim *s) {
    for (int i = 0; i < s->mix.workers; i++)
        agent_destroy(&s->workers[i]->agent);
}

bool worker_idle(const struct sim *s, int process) {
    return s->processes[process].up && agent_figures(s->workers[process - WORKER]->agent).held == 0;
}
