#include "broker/daemon.h"

#include "broker/delivery.h"
#include "broker/metrics.h"
#include "common/mem.h"
#include "common/order.h"
#include "common/runtime/log.h"
#include "common/runtime/reactor.h"
#include "common/runtime/sock.h"
#include "common/runtime/status_tick.h"
#include "common/runtime/wire_log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

/* How long the last messages may take to leave the process. */
#define LINGER_MS 3000

/* How long the store may take at the end to commit what these messages wait for: after one signal,
 * and after a second one. */
#define FLUSH_US INT64_C(10000000)
#define HURRY_US INT64_C(1000000)

/* A busy broker gathers messages for up to this time before the next pass. */
#define GATHER_US 2000

/* Messages of workers that one pass takes before it answers. With many workers there are then still
 * several answers for each, which are sent together. */
#define DRAIN_WORKERS 2048

/* Nobody is answered before the pass has taken its messages, and refusing a large one may take 50
 * ms: after this time the rest waits for the next pass. */
#define DRAIN_US 20000

struct daemon {
    const struct broker_config *config;
    struct reactor *reactor;
    struct status_tick *status_tick;
    struct delivery delivery;
    int64_t drain_until_us; /* 0: not draining */
    bool hurry;             /* a second signal came */
};

/* ---- events ----------------------------------------------------------------------------- */

static const void *data(struct sock_message *m, unsigned i) { return zmq_msg_data(&m->at[i]); }

static size_t size(const struct sock_message *m, unsigned i) { return zmq_msg_size(&m->at[i]); }

static void take_client(struct daemon *d, struct sock_message *m, const struct instant *t) {
    bool enveloped = m->frames >= 3 && size(m, 1) == 0;
    const struct core_peer peer = {data(m, 0), size(m, 0), 0, enveloped};
    unsigned frames = m->frames - 1 - enveloped, at = 1U + enveloped;
    delivery_admit(&d->delivery);
    if (frames == 1) {
        wire_log_peer("from-client", peer.id, peer.size, data(m, at), size(m, at));
        core_client_message(d->delivery.core, &peer, data(m, at), size(m, at), t);
    } else {
        core_client_frames(d->delivery.core, &peer, frames, t);
    }
}

static void take_worker(struct daemon *d, struct sock_message *m, const struct instant *t) {
    const struct core_peer peer = {data(m, 0), size(m, 0), 0, false};
    if (m->frames == 2) {
        wire_log_peer("from-worker", peer.id, peer.size, data(m, 1), size(m, 1));
        core_worker_message(d->delivery.core, &peer, data(m, 1), size(m, 1), t);
    } else {
        core_worker_frames(d->delivery.core, &peer, m->frames - 1);
    }
}

static void take_all(struct daemon *d, zsock_t *socket, int most,
    void (*take)(struct daemon *d, struct sock_message *m, const struct instant *t)) {
    struct sock_message m;
    struct instant t = reactor_now();
    int64_t until_us = t.mono_us + DRAIN_US;
    for (int i = 0; i < most && t.mono_us < until_us && sock_receive(socket, &m); i++) {
        t = reactor_now();
        reactor_took(d->reactor, 1);
        take(d, &m, &t);
        sock_message_close(&m);
    }
}

/* Takes messages of clients and workers before it sends, because answers to both may be for the
 * same peers. */
static void on_peers(void *context) {
    struct daemon *d = context;
    take_all(d, listeners_submit(d->delivery.listeners), REACTOR_DRAIN, take_client);
    take_all(d, listeners_workers(d->delivery.listeners), DRAIN_WORKERS, take_worker);
    delivery_settle(&d->delivery);
}

static void on_connection(void *context, bool began) {
    core_connection(((struct daemon *)context)->delivery.core, began);
}

/* After a failed sync the data may be lost although a later sync succeeds. So the process ends at
 * once, and the next start continues with what is on disk. The store has logged the cause. */
static void on_store(void *context, int fd, short events) {
    (void)fd;
    (void)events;
    struct daemon *d = context;
    struct store_event event;
    while (store_next(d->delivery.store, &event)) {
        struct instant t = reactor_now();
        if (event.kind == STORE_DEAD)
            _exit(EX_IOERR);
        if (event.kind == STORE_ANSWER)
            core_answer(d->delivery.core, &event.answer, &t);
        else if (event.kind != STORE_COMMITTED)
            d->delivery.disk_full = event.kind == STORE_FULL;
    }
    delivery_settle(&d->delivery);
}

/* The first signal begins to drain, the second one ends the process at once. */
static void on_signal(void *context, int signal) {
    struct daemon *d = context;
    if (signal == SIGHUP)
        return;
    if (d->drain_until_us != 0) {
        log_event(LOG_LEVEL_WARN, "stop", "why=\"second signal\"");
        d->hurry = true;
        reactor_stop(d->reactor);
        return;
    }
    d->drain_until_us = reactor_now().mono_us + d->config->drain_ms * 1000;
    core_drain(d->delivery.core);
    status_tick_stopping(d->status_tick);
}

static const char *unready(void *context) {
    struct daemon *d = context;
    if (d->drain_until_us != 0)
        return "draining";
    delivery_admit(&d->delivery);
    return d->delivery.refusal == NULL ? NULL
           : d->delivery.disk_full     ? "the disk is full"
                                       : "the disk is slow";
}

static void put_metrics(void *context, struct exposition *e) {
    struct daemon *d = context;
    struct store_counters counters;
    store_counters(d->delivery.store, &counters);
    metrics_put_core(d->delivery.core, e);
    metrics_put_store(&counters, e);
}

static bool drained(const struct daemon *d, int64_t mono_us) {
    return d->drain_until_us != 0 &&
           (core_drained(d->delivery.core) || mono_us >= d->drain_until_us);
}

static void on_tick(void *context) {
    struct daemon *d = context;
    struct instant t = reactor_now();
    if (drained(d, t.mono_us))
        reactor_stop(d->reactor);
    else
        core_tick(d->delivery.core, &t);
    delivery_settle(&d->delivery);
}

static int64_t next_due(void *context) {
    struct daemon *d = context;
    if (d->drain_until_us == 0)
        return core_next(d->delivery.core);
    if (core_drained(d->delivery.core))
        return 0;
    int64_t due = core_next(d->delivery.core);
    return order_min(due, d->drain_until_us);
}

/* ---- life ------------------------------------------------------------------------------- */

/* Each peer takes a descriptor, so the limit is raised as far as the administrator allows: libzmq
 * ends the process when an ipc listener gets none. */
static void raise_descriptor_limit(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

static struct core *make_core(struct daemon *d) {
    const struct broker_config *config = d->config;
    const struct store_start start = store_start(d->delivery.store);
    struct instant t = reactor_now();
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        random = (uint64_t)t.wall_us;
    struct core_config core = {.version = HOPMQ_VERSION,
        .max_queued = config->max_queued,
        .keep_results = config->keep_results,
        .epoch = start.epoch,
        .origin = start.origin,
        .seq = start.seq,
        .number = start.number,
        .first_lease = (int64_t)(random >> 2) + 1,
        .result_count = config->results.count};
    memcpy(core.name, config->name, sizeof core.name);
    memcpy(core.results, config->results.at, sizeof core.results);
    const struct core_sink sink = delivery_sink(&d->delivery);
    return core_new(&core, &sink, &t);
}

static void restore_stream(void *core, const char *name, int64_t seq) {
    core_restore_stream(core, name, seq);
}

static void restore_trace(void *core, const struct record_trace *trace) {
    core_restore_trace(core, trace);
}

static void restore_member(void *core, const struct record_result *result) {
    core_restore_member(core, result);
}

/* Opens the store and gives the core what it holds; returns an exit status. */
static int open_store(struct daemon *d) {
    char error[STORE_ERROR_BYTES];
    const struct broker_config *config = d->config;
    const struct store_config wanted = {
        .path = config->store, .keep_us = config->keep_us, .keep_results = config->keep_results};
    d->delivery.store = store_open(&wanted, reactor_now().wall_us, error);
    if (d->delivery.store == NULL) {
        (void)fprintf(stderr, "%s: --store %s\n", program_invocation_short_name, error);
        return EX_CANTCREAT;
    }
    d->delivery.core = make_core(d);
    const struct store_loader loader = {
        d->delivery.core, restore_stream, restore_trace, restore_member};
    if (!store_load(d->delivery.store, &loader, error)) {
        (void)fprintf(stderr, "%s: --store %s\n", program_invocation_short_name, error);
        return EX_IOERR;
    }
    struct instant t = reactor_now();
    core_restored(d->delivery.core, &t);
    return EX_OK;
}

static int daemon_start(struct daemon *d) {
    const struct broker_config *config = d->config;
    const struct listeners_events events = {d, on_peers, on_connection};
    const struct status_tick_sink sink = {d, unready, put_metrics};
    raise_descriptor_limit();
    d->reactor = reactor_new(GATHER_US);
    d->delivery.outbox = outbox_new();
    d->delivery.listeners = listeners_new(config, d->reactor, &events);
    if (d->delivery.listeners == NULL)
        return EX_UNAVAILABLE;
    d->status_tick = status_tick_new(d->reactor, &sink, config->metrics, config->insecure);
    if (d->status_tick == NULL)
        return EX_UNAVAILABLE;
    publisher_init(&d->delivery.publisher, listeners_results(d->delivery.listeners));
    int status = open_store(d);
    if (status != EX_OK)
        return status;
    reactor_fd(d->reactor, store_fd(d->delivery.store), ZMQ_POLLIN, on_store, d);
    reactor_on_signal(d->reactor, on_signal, d);
    reactor_on_tick(d->reactor, next_due, on_tick, d);
    delivery_settle(&d->delivery);
    return EX_OK;
}

/* Commits what is on its way to the disk, and sends the messages that wait for it. Traces without a
 * result stay in the store for the next start; a store in memory ends with this process, so the
 * core ends its traces. */
static void finish(struct daemon *d) {
    struct instant t = reactor_now();
    int64_t until_us = t.mono_us + (d->hurry ? HURRY_US : FLUSH_US);
    /* Another signal ends the process at once now. */
    (void)sigprocmask(SIG_SETMASK, reactor_original_mask(d->reactor), NULL);
    struct pollfd wait = {.fd = store_fd(d->delivery.store), .events = POLLIN};
    if (d->config->store == NULL)
        core_shutdown(d->delivery.core, &t);
    delivery_settle(&d->delivery);
    for (; outbox_bytes(d->delivery.outbox) > 0 && t.mono_us < until_us; t = reactor_now()) {
        (void)poll(&wait, 1, (int)((until_us - t.mono_us) / 1000) + 1);
        on_store(d, wait.fd, POLLIN);
    }
}

int daemon_run(const struct broker_config *config) {
    struct daemon *d = mem_new(1, sizeof *d);
    d->config = config;
    int status = daemon_start(d);
    if (status == EX_OK) {
        log_event(LOG_LEVEL_INFO, "start",
            "name=%s version=%s submit=%s results=%s workers=%s store=%s", config->name,
            HOPMQ_VERSION, config->submit.at[0], config->results.at[0], config->workers.at[0],
            config->store != NULL ? config->store : "memory");
        reactor_run(d->reactor);
        finish(d);
        log_event(LOG_LEVEL_INFO, "stopped", "name=%s", config->name);
    }
    status_tick_destroy(&d->status_tick);
    store_close(&d->delivery.store);
    listeners_destroy(&d->delivery.listeners, LINGER_MS);
    reactor_destroy(&d->reactor);
    core_destroy(&d->delivery.core);
    outbox_destroy(&d->delivery.outbox);
    free(d->delivery.to_workers);
    zsys_shutdown();
    free(d);
    return status;
}
