#include "worker/daemon.h"

#include "common/mem.h"
#include "common/runtime/log.h"
#include "common/runtime/reactor.h"
#include "common/runtime/sock.h"
#include "common/runtime/status_tick.h"
#include "common/runtime/wire_log.h"
#include "worker/host/check_facts.h"
#include "worker/host/locate.h"
#include "worker/host/prober.h"
#include "worker/host/resolver.h"
#include "worker/host/seq_check.h"
#include "worker/host/slices.h"
#include "worker/metrics.h"
#include "worker/session/names.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* What the last messages get to leave the process. */
#define LINGER_MS 3000

/* At most so long does a drain wait for the word of brokers that they have the results, after what
 * has not ended was handed back. */
#define DRAIN_RESULTS_US 3000000

/* At most so long does a drain wait for probes after the last trace has ended: nobody wants their
 * answers any more, and most are over in two seconds. */
#define DRAIN_PROBES_US 5000000

/* A busy worker takes answers and sends probes in batches of this time: larger ones cost less, and
 * disturb round-trip times more, since the prober measures them one by one. */
#define GATHER_US 1000

/* What a drain waits for. */
enum drain {
    DRAIN_NONE,
    DRAIN_TRACES,  /* the end of all traces, and of their results' way */
    DRAIN_RESULTS, /* the same, but what had not ended in time was handed back */
    DRAIN_PROBES,  /* the probes that some traces did not wait for, and the prober's own end */
};

struct daemon;

/* The session with one broker. */
struct broker {
    struct daemon *daemon;
    const char *endpoint;
    zsock_t *socket, *monitor;
    struct agent *agent;
    bool complained;                /* one log line for a broker that takes nothing */
    char handshake[SOCK_WHY_BYTES]; /* why the last one failed; empty: it did not */
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
    struct broker brokers[DAEMON_MAX_BROKERS];
    enum drain drain;
    int64_t drain_until_us; /* the end of our patience with that */
    int64_t wall_read_us;   /* when the mux was told the wall clock */
    int status;
};

/* ---- what the cores want ---------------------------------------------------------------- */

static bool to_broker(void *context, const void *bytes, size_t size) {
    struct broker *b = context;
    const struct sock_frame frame = {bytes, size};
    wire_log("to-broker", b->endpoint, bytes, size);
    if (sock_send(b->socket, &frame, 1)) {
        b->complained = false;
        return true;
    }
    agent_shell_counters(b->agent)->dropped_to_broker++;
    if (!b->complained)
        log_event(LOG_LEVEL_WARN, "broker-unreachable", "endpoint=%s error=\"%s\"", b->endpoint,
            zmq_strerror(errno));
    b->complained = true;
    return false;
}

static void locate(void *context, int64_t lease, const struct trace *trace) {
    struct broker *b = context;
    locator_find(b->daemon->locator, b, lease, trace);
}

static size_t sources(void *context, struct addr list[SESSION_MAX_SOURCES]) {
    (void)context;
    return locate_sources(list);
}

static void name(void *context, int64_t lease, const struct addr *addr) {
    struct broker *b = context;
    names_want(b->daemon->names, b, lease, addr, reactor_now().mono_us);
}

static void say(void *context, const char *event, const char *detail) {
    const struct broker *b = context;
    log_event(LOG_LEVEL_INFO, event, "broker=%s detail=\"%s\"", b->endpoint, detail);
}

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

static void on_located(void *owner, int64_t lease, const struct agent_location *location) {
    struct broker *b = owner;
    struct instant t = reactor_now();
    agent_located(b->agent, lease, location, &t);
}

static void on_named(void *owner, int64_t lease, const struct addr *addr, const char *found) {
    struct broker *b = owner;
    struct instant t = reactor_now();
    agent_named(b->agent, lease, addr, found, &t);
}

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

static void on_message(void *context) {
    struct broker *b = context;
    struct sock_message message;
    for (int i = 0; i < REACTOR_DRAIN && sock_receive(b->socket, &message); i++) {
        struct instant t = reactor_now();
        const void *bytes = zmq_msg_data(&message.at[0]);
        size_t size = zmq_msg_size(&message.at[0]);
        if (message.frames == 1) {
            wire_log("from-broker", b->endpoint, bytes, size);
            agent_message(b->agent, bytes, size, &t);
        } else {
            log_event(
                LOG_LEVEL_WARN, "bad-message", "broker=%s frames=%u", b->endpoint, message.frames);
        }
        sock_message_close(&message);
    }
}

static void on_handshake(void *context) {
    struct broker *b = context;
    char why[SOCK_WHY_BYTES];
    while (sock_handshake(b->monitor, why)) {
        if (why[0] != '\0' && strcmp(why, b->handshake) != 0)
            log_event(LOG_LEVEL_WARN, "handshake-failed", "broker=%s why=\"%s\"", b->endpoint, why);
        memcpy(b->handshake, why, sizeof b->handshake);
    }
}

static void note_restarts(struct daemon *d) {
    for (int i = 0; i < d->config->broker_count; i++)
        agent_shell_counters(d->brokers[i].agent)->prober_restarts = prober_restarts(d->prober);
}

static void on_prober_up(
    void *context, const char *version, unsigned families, unsigned protocols) {
    struct daemon *d = context;
    struct instant t = reactor_now();
    mux_prober(d->mux, version, t.mono_us);
    note_restarts(d);
    for (int i = 0; i < d->config->broker_count; i++)
        agent_prober_up(d->brokers[i].agent, version, families, protocols, &t);
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
    for (int i = 0; i < d->config->broker_count; i++)
        agent_prober_trouble(d->brokers[i].agent, why, &t);
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
        "why=\"%d workers trace in this network namespace already; start this one in another\"",
        SEQUENCE_SLICES);
    d->status = EX_UNAVAILABLE;
    reactor_stop(d->reactor);
}

/* The first signal drains, the second ends at once. */
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
    for (int i = 0; i < d->config->broker_count; i++)
        agent_drain(d->brokers[i].agent, &t);
    status_tick_stopping(d->status_tick);
}

static size_t list_links(const struct daemon *d, struct metrics_link links[DAEMON_MAX_BROKERS]) {
    for (int i = 0; i < d->config->broker_count; i++)
        links[i] = (struct metrics_link){d->brokers[i].endpoint, d->brokers[i].agent};
    return (size_t)d->config->broker_count;
}

static const char *unready(void *context) {
    const struct daemon *d = context;
    struct metrics_link links[DAEMON_MAX_BROKERS];
    size_t count = list_links(d, links);
    return metrics_unready(d->mux, links, count);
}

static void put_metrics(void *context, struct exposition *e) {
    const struct daemon *d = context;
    struct metrics_link links[DAEMON_MAX_BROKERS];
    size_t count = list_links(d, links);
    metrics_put_worker(d->mux, links, count, e);
}

static bool agents_idle(const struct daemon *d) {
    for (int i = 0; i < d->config->broker_count; i++)
        if (!agent_idle(d->brokers[i].agent))
            return false;
    return true;
}

static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }

/* When drain() is to be called next. */
static int64_t drain_next(const struct daemon *d, int64_t mono_us) {
    if (d->drain == DRAIN_NONE)
        return INT64_MAX;
    bool step = d->drain == DRAIN_PROBES
                    ? mux_counters(d->mux)->in_flight == 0 && !prober_closing(d->prober)
                    : agents_idle(d);
    return step ? mono_us : d->drain_until_us;
}

/* True when it is over: what was waited for is so, or the time is up. */
static bool drain(struct daemon *d, const struct instant *t) {
    bool late = t->mono_us >= d->drain_until_us;
    if (d->drain == DRAIN_RESULTS || (d->drain == DRAIN_PROBES && late))
        return true;
    if (d->drain == DRAIN_PROBES)
        return prober_close(d->prober);
    if (agents_idle(d)) {
        d->drain = DRAIN_PROBES;
        d->drain_until_us = earlier(d->drain_until_us, t->mono_us + DRAIN_PROBES_US);
        return false;
    }
    d->drain = DRAIN_RESULTS;
    d->drain_until_us = t->mono_us + DRAIN_RESULTS_US;
    for (int i = 0; i < d->config->broker_count; i++)
        agent_hand_back(d->brokers[i].agent, t);
    return false;
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
    for (int i = 0; i < d->config->broker_count; i++) {
        agent_shell_counters(d->brokers[i].agent)->names = names_counters(d->names);
        agent_tick(d->brokers[i].agent, &t);
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
    int64_t due = earlier(mux_next(d->mux, mono_us), prober_next(d->prober));
    due = earlier(due, earlier(resolver_next(d->resolver, mono_us), slices_next(d->slices)));
    due = earlier(due, names_next(d->names));
    for (int i = 0; i < d->config->broker_count; i++)
        due = earlier(due, agent_next(d->brokers[i].agent));
    return earlier(due, drain_next(d, mono_us));
}

/* ---- life ------------------------------------------------------------------------------- */

static int dial(struct daemon *d) {
    for (int i = 0; i < d->config->broker_count; i++) {
        struct broker *b = &d->brokers[i];
        const struct agent_sink sink = {b, to_broker, locate, sources, name, say};
        b->daemon = d;
        b->endpoint = d->config->brokers[i];
        b->socket = sock_new_connected(ZMQ_DEALER, b->endpoint);
        if (b->socket == NULL) {
            (void)fprintf(stderr,
                "hopmq-worker: --broker %s: not an endpoint; give tcp://HOST:PORT or ipc://PATH\n",
                b->endpoint);
            return EX_USAGE;
        }
        b->agent = agent_new(&d->config->agent, &sink, d->mux);
        reactor_socket(d->reactor, b->socket, on_message, b);
        b->monitor = sock_watch(b->socket);
        if (b->monitor != NULL)
            reactor_socket(d->reactor, b->monitor, on_handshake, b);
    }
    return EX_OK;
}

static void hang_up(struct daemon *d) {
    for (int i = 0; i < d->config->broker_count; i++)
        if (d->brokers[i].agent != NULL)
            agent_quit(d->brokers[i].agent);
    names_destroy(&d->names); /* or the resolver's last answers would make it ask again */
    resolver_destroy(&d->resolver);
    locator_destroy(&d->locator);
    for (int i = 0; i < d->config->broker_count; i++) {
        struct broker *b = &d->brokers[i];
        agent_destroy(&b->agent);
        if (b->monitor != NULL)
            sock_unwatch(b->socket, &b->monitor);
        sock_destroy(&b->socket, d->drain != DRAIN_NONE ? LINGER_MS : 0);
    }
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
    d->locator = locator_new(d->resolver, on_located);
    const struct names_sink names_sink = {d, ask_name, on_named};
    d->names = names_new(&names_sink);
    if (d->prober == NULL || d->resolver == NULL)
        d->status = EX_UNAVAILABLE;
    else
        d->status = dial(d);
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
    hang_up(d);
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
