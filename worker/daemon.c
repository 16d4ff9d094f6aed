#include "worker/daemon.h"

#include "common/mem.h"
#include "common/order.h"
#include "common/runtime/log.h"
#include "common/runtime/reactor.h"
#include "common/runtime/status_tick.h"
#include "worker/host/check_facts.h"
#include "worker/host/locate.h"
#include "worker/host/prober.h"
#include "worker/host/resolver.h"
#include "worker/host/seq_check.h"
#include "worker/host/slices.h"
#include "worker/link.h"
#include "worker/metrics.h"
#include "worker/session/names.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* How long messages that are not sent yet get to leave the process at the end of a drain. */
#define LINGER_MS 3000

/* The last stages of a drain, and how long each may take. DRAIN_RESULTS_US: brokers acknowledge the
 * results. DRAIN_PROBES_US: probes end whose answers nobody wants any more; most of them have ended
 * after two seconds. */
#define DRAIN_RESULTS_US 3000000
#define DRAIN_PROBES_US 5000000

/* A busy worker takes answers and sends probes at most every GATHER_US. A longer time would cost
 * less CPU, but disturb round-trip times more, since the prober measures answers one by one. */
#define GATHER_US 1000

/* What a drain waits for. */
enum drain {
    DRAIN_NONE,    /* there is no drain */
    DRAIN_TRACES,  /* all traces have ended, and brokers have acknowledged their results */
    DRAIN_RESULTS, /* time was up: other traces were handed back, results are to be acknowledged */
    DRAIN_PROBES,  /* no probe is left, then the prober has ended */
};

struct daemon {
    const struct daemon_config *config;
    struct reactor *reactor;
    struct prober *prober;
    struct resolver *resolver;
    struct locator *locator;
    struct names *names;
    struct mux *mux;
    struct slices *slices;
    struct seq_check *seq_check;
    struct status_tick *status_tick;
    struct link *links[DAEMON_MAX_BROKERS];
    int link_count;
    enum drain drain;
    int64_t drain_until_us; /* the end of this stage of the drain */
    int64_t wall_read_us;   /* when the mux was told the wall clock */
    int status;
};

static struct agent *agent_at(const struct daemon *d, int i) { return link_agent(d->links[i]); }

/* ---- what the mux wants ---------------------------------------------------------------- */

static void to_prober(void *context, const char *line, size_t size) {
    struct daemon *d = context;
    prober_send(d->prober, line, size);
}

static void prober_stuck(void *context) {
    struct daemon *d = context;
    prober_replace(d->prober, "hangs");
}

static bool seq_check(void *context, struct addr *from, struct addr *to, uint16_t *to_port) {
    struct daemon *d = context;
    return seq_check_begin(d->seq_check, from, to, to_port);
}

/* ---- what happens ----------------------------------------------------------------------- */

static void on_name(void *context, const struct addr *addr, enum names_outcome outcome,
    const char *found, uint32_t ttl_s) {
    struct daemon *d = context;
    if (d->names != NULL)
        names_answer(d->names, addr, outcome, found, ttl_s, reactor_now().mono_us);
}

static void ask_name(void *context, const struct addr *addr) {
    struct daemon *d = context;
    resolver_name(d->resolver, addr, on_name, d);
}

static void note_restarts(struct daemon *d) {
    for (int i = 0; i < d->link_count; i++)
        agent_counters(agent_at(d, i))->prober_restarts = prober_restarts(d->prober);
}

static void on_prober_up(
    void *context, const char *version, unsigned families, unsigned protocols) {
    struct daemon *d = context;
    struct instant t = reactor_now();
    mux_prober(d->mux, version, t.mono_us);
    note_restarts(d);
    for (int i = 0; i < d->link_count; i++)
        agent_prober_up(agent_at(d, i), version, families, protocols, &t);
}

static void on_prober_down(void *context) {
    struct daemon *d = context;
    mux_prober(d->mux, NULL, reactor_now().mono_us);
}

static void tell_wall(struct daemon *d, const struct instant *t) {
    mux_wall_offset(d->mux, t->wall_us - t->mono_us);
    d->wall_read_us = t->mono_us;
}

static void on_prober_trouble(void *context, const char *why) {
    struct daemon *d = context;
    struct instant t = reactor_now();
    note_restarts(d);
    for (int i = 0; i < d->link_count; i++)
        agent_prober_trouble(agent_at(d, i), why, &t);
}

static bool on_reply(void *context, const struct mtr_reply *reply, int64_t now_us) {
    struct daemon *d = context;
    if (now_us > d->wall_read_us) {
        struct instant t = reactor_now();
        tell_wall(d, &t);
    }
    return mux_reply(d->mux, reply, now_us);
}

static void on_bad_line(void *context) {
    struct daemon *d = context;
    mux_counters(d->mux)->bad_lines++;
}

static void on_heard(void *context, uint16_t port) {
    struct daemon *d = context;
    mux_seq_checked(d->mux, port, reactor_now().mono_us);
}

static void on_stranger(void *context) {
    struct daemon *d = context;
    mux_counters(d->mux)->seq_check_strangers++;
}

static bool on_started(void *context, pid_t pid) {
    struct daemon *d = context;
    return slices_claim_id(d->slices, pid);
}

static void on_own(void *context, unsigned slices) {
    struct daemon *d = context;
    mux_own(d->mux, slices);
}

static int64_t on_slice_free_us(void *context, unsigned slice) {
    const struct daemon *d = context;
    return mux_slice_free_us(d->mux, slice);
}

static void on_full(void *context) {
    struct daemon *d = context;
    log_event(LOG_LEVEL_ERROR, "no-slice",
        "why=\"%d workers run in this network namespace already; start this one in another\"",
        SEQUENCE_SLICES);
    d->status = EX_UNAVAILABLE;
    reactor_stop(d->reactor);
}

/* The first signal begins a drain, the second ends the process at once. */
static void on_signal(void *context, int signal) {
    struct daemon *d = context;
    if (signal == SIGHUP)
        return;
    if (d->drain != DRAIN_NONE) {
        log_event(LOG_LEVEL_WARN, "stop", "why=\"second signal\"");
        reactor_stop(d->reactor);
        return;
    }
    struct instant t = reactor_now();
    log_event(LOG_LEVEL_INFO, "drain", "limit_ms=%" PRId64, d->config->drain_ms);
    d->drain = DRAIN_TRACES;
    d->drain_until_us = t.mono_us + d->config->drain_ms * 1000;
    for (int i = 0; i < d->link_count; i++)
        agent_drain(agent_at(d, i), &t);
    status_tick_stopping(d->status_tick);
}

static size_t list_sessions(
    const struct daemon *d, struct metrics_session sessions[DAEMON_MAX_BROKERS]) {
    for (int i = 0; i < d->link_count; i++)
        sessions[i] = (struct metrics_session){link_endpoint(d->links[i]), agent_at(d, i)};
    return (size_t)d->link_count;
}

static const char *unready(void *context) {
    const struct daemon *d = context;
    struct metrics_session sessions[DAEMON_MAX_BROKERS];
    size_t count = list_sessions(d, sessions);
    return metrics_unready(d->mux, sessions, count);
}

static void put_metrics(void *context, struct exposition *e) {
    const struct daemon *d = context;
    struct metrics_session sessions[DAEMON_MAX_BROKERS];
    size_t count = list_sessions(d, sessions);
    metrics_put_worker(d->mux, sessions, count, e);
}

static bool agents_idle(const struct daemon *d) {
    for (int i = 0; i < d->link_count; i++)
        if (!agent_idle(agent_at(d, i)))
            return false;
    return true;
}

/* When drain() is to be called next. */
static int64_t drain_next(const struct daemon *d, int64_t mono_us) {
    if (d->drain == DRAIN_NONE)
        return INT64_MAX;
    bool step = d->drain == DRAIN_PROBES
                    ? mux_counters(d->mux)->probes_in_flight == 0 && !prober_closing(d->prober)
                    : agents_idle(d);
    return step ? mono_us : d->drain_until_us;
}

/* Goes on to the next stage of the drain. True when the drain is over. */
static bool drain(struct daemon *d, const struct instant *t) {
    bool late = t->mono_us >= d->drain_until_us;
    if (d->drain == DRAIN_RESULTS || (d->drain == DRAIN_PROBES && late))
        return true;
    if (d->drain == DRAIN_PROBES)
        return prober_close(d->prober);
    if (agents_idle(d)) {
        d->drain = DRAIN_PROBES;
        d->drain_until_us = order_min(d->drain_until_us, t->mono_us + DRAIN_PROBES_US);
        return false;
    }
    d->drain = DRAIN_RESULTS;
    d->drain_until_us = t->mono_us + DRAIN_RESULTS_US;
    for (int i = 0; i < d->link_count; i++)
        agent_hand_back(agent_at(d, i), t);
    return false;
}

static void count_names(const struct daemon *d, struct agent_counters *counters) {
    struct names_counters names = names_counters(d->names);
    counters->names_cached = names.cached;
    counters->name_queries = names.queries;
    counters->name_failures = names.failures;
    counters->names_refused = names.refused;
}

static void tick(void *context) {
    struct daemon *d = context;
    struct instant t = reactor_now();
    if (drain_next(d, t.mono_us) <= t.mono_us && drain(d, &t)) {
        reactor_stop(d->reactor);
        return;
    }
    if (resolver_next(d->resolver, t.mono_us) <= t.mono_us)
        resolver_tick(d->resolver);
    names_tick(d->names, t.mono_us);
    for (int i = 0; i < d->link_count; i++) {
        count_names(d, agent_counters(agent_at(d, i)));
        agent_tick(agent_at(d, i), &t);
    }
    if (mux_timeout_us(d->mux) <= t.mono_us)
        prober_read(d->prober);
    tell_wall(d, &t);
    mux_tick(d->mux, t.mono_us);
    prober_flush(d->prober);
    prober_tick(d->prober, t.mono_us);
    slices_tick(d->slices, t.mono_us);
}

static int64_t next(void *context) {
    struct daemon *d = context;
    int64_t mono_us = reactor_now().mono_us;
    int64_t due = order_min(mux_next(d->mux, mono_us), prober_next(d->prober));
    due = order_min(due, order_min(resolver_next(d->resolver, mono_us), slices_next(d->slices)));
    due = order_min(due, names_next(d->names));
    for (int i = 0; i < d->link_count; i++)
        due = order_min(due, agent_next(agent_at(d, i)));
    return order_min(due, drain_next(d, mono_us));
}

/* ---- life ------------------------------------------------------------------------------- */

static int connect_brokers(struct daemon *d) {
    const struct link_shared shared = {&d->config->agent, d->reactor, d->mux, d->locator, d->names};
    for (int i = 0; i < d->config->broker_count; i++) {
        d->links[i] = link_new(&shared, d->config->brokers[i]);
        if (d->links[i] == NULL)
            return EX_USAGE;
        d->link_count++;
    }
    return EX_OK;
}

static void disconnect_brokers(struct daemon *d) {
    for (int i = 0; i < d->link_count; i++)
        agent_quit(agent_at(d, i));
    /* Before the resolver, whose last answers would make names ask again. */
    names_destroy(&d->names);
    resolver_destroy(&d->resolver);
    locator_destroy(&d->locator);
    for (int i = 0; i < d->link_count; i++)
        link_destroy(&d->links[i], d->drain != DRAIN_NONE ? LINGER_MS : 0);
}

int daemon_run(const struct daemon_config *config) {
    struct daemon *d = mem_new(1, sizeof *d);
    d->config = config;
    d->reactor = reactor_new(GATHER_US);
    const struct prober_sink prober_sink = {
        d, on_prober_up, on_prober_down, on_prober_trouble, on_reply, on_bad_line, on_started};
    const struct mux_sink mux_sink = {
        d, to_prober, agent_on_hop, agent_on_done, prober_stuck, seq_check};
    const struct seq_check_sink seq_check_sink = {d, on_heard, on_stranger};
    d->mux = mux_new(config->pps, &mux_sink);
    d->seq_check = seq_check_new(d->reactor, &seq_check_sink);
    d->prober = prober_new(d->reactor, &prober_sink);
    d->resolver = resolver_new(d->reactor);
    d->locator = locator_new(d->resolver, link_on_located);
    const struct names_sink names_sink = {d, ask_name, link_on_named};
    d->names = names_new(&names_sink);
    if (d->prober == NULL || d->resolver == NULL)
        d->status = EX_UNAVAILABLE;
    else
        d->status = connect_brokers(d);
    const struct status_tick_sink sink = {d, unready, put_metrics};
    if (d->status == EX_OK && (d->status_tick = status_tick_new(
                                   d->reactor, &sink, config->metrics, config->insecure)) == NULL)
        d->status = EX_UNAVAILABLE;
    if (d->status == EX_OK) {
        const struct slices_sink slices_sink = {d, on_own, on_slice_free_us, on_full};
        d->slices = slices_new(d->reactor, &slices_sink);
        mux_begin(d->mux, slices_begin(d->slices));
        reactor_on_signal(d->reactor, on_signal, d);
        reactor_on_tick(d->reactor, next, tick, d);
        log_event(LOG_LEVEL_INFO, "start", "name=%s version=%s pps=%" PRId64 " capacity=%" PRId64,
            config->agent.name, HOPMQ_VERSION, config->pps, config->agent.capacity);
        check_facts_log();
        prober_start(d->prober);
        reactor_run(d->reactor);
        log_event(LOG_LEVEL_INFO, "stopped", "name=%s", config->agent.name);
    }
    status_tick_destroy(&d->status_tick);
    disconnect_brokers(d);
    prober_destroy(&d->prober);
    slices_destroy(&d->slices);
    seq_check_destroy(&d->seq_check);
    mux_destroy(&d->mux);
    reactor_destroy(&d->reactor);
    zsys_shutdown();
    int status = d->status;
    free(d);
    return status;
}
