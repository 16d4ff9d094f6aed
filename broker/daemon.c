#include "broker/daemon.h"

#include "broker/core.h"
#include "broker/listeners.h"
#include "broker/publisher.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/reactor.h"
#include "common/sock.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sysexits.h>

/* What the last results get to leave the process. */
#define LINGER_MS 3000

struct daemon {
    const struct daemon_config *config;
    struct reactor *reactor;
    struct core *core;
    struct listeners *listeners;
    struct publisher publisher;
    int64_t drain_until_us; /* 0: not draining */
};

static struct core_time now(void) {
    struct reactor_time t = reactor_now();
    return (struct core_time){t.mono_us, t.wall_us};
}

/* ---- what the core wants ---------------------------------------------------------------- */

/* EHOSTUNREACH tells that the peer is gone (ROUTER_MANDATORY), all else that it is full. */
static enum core_sent outcome(bool sent) {
    return sent ? CORE_SENT : errno == EHOSTUNREACH ? CORE_GONE : CORE_FULL;
}

static enum core_sent to_client(
    void *context, const struct core_peer *peer, const void *bytes, size_t size) {
    struct daemon *d = context;
    const struct sock_frame frames[3] = {{peer->id, peer->size}, {"", 0}, {bytes, size}};
    const struct sock_frame bare[2] = {frames[0], frames[2]};
    zsock_t *submit = listeners_submit(d->listeners);
    return outcome(peer->enveloped ? sock_send(submit, frames, 3) : sock_send(submit, bare, 2));
}

static enum core_sent to_worker(
    void *context, const struct core_peer *peer, const void *bytes, size_t size) {
    struct daemon *d = context;
    const struct sock_frame frames[2] = {{peer->id, peer->size}, {bytes, size}};
    return outcome(sock_send(listeners_workers(d->listeners), frames, 2));
}

static void publish(void *context, const char *topic, const void *bytes, size_t size) {
    struct daemon *d = context;
    publisher_send(&d->publisher, topic, bytes, size);
}

static void say(void *context, enum core_level level, const char *event, const char *detail) {
    static const enum log_level levels[] = {
        [CORE_WARN] = LOG_LEVEL_WARN, [CORE_INFO] = LOG_LEVEL_INFO, [CORE_DEBUG] = LOG_LEVEL_DEBUG};
    (void)context;
    log_event(levels[level], event, "%s", detail);
}

/* ---- what happens ----------------------------------------------------------------------- */

static const void *data(struct sock_message *m, unsigned i) { return zmq_msg_data(&m->at[i]); }

static size_t size(const struct sock_message *m, unsigned i) { return zmq_msg_size(&m->at[i]); }

static void on_client(void *context) {
    struct daemon *d = context;
    struct sock_message m;
    for (int i = 0; i < REACTOR_DRAIN && sock_receive(listeners_submit(d->listeners), &m); i++) {
        struct core_time t = now();
        bool enveloped = m.frames >= 3 && size(&m, 1) == 0;
        const struct core_peer peer = {data(&m, 0), size(&m, 0), 0, enveloped};
        unsigned frames = m.frames - 1 - enveloped, at = 1U + enveloped;
        if (frames == 1)
            core_client_message(d->core, &peer, data(&m, at), size(&m, at), &t);
        else
            core_client_frames(d->core, &peer, frames, &t);
        sock_message_close(&m);
    }
}

static void on_worker(void *context) {
    struct daemon *d = context;
    struct sock_message m;
    for (int i = 0; i < REACTOR_DRAIN && sock_receive(listeners_workers(d->listeners), &m); i++) {
        struct core_time t = now();
        const struct core_peer peer = {data(&m, 0), size(&m, 0), 0, false};
        if (m.frames == 2)
            core_worker_message(d->core, &peer, data(&m, 1), size(&m, 1), &t);
        else
            core_worker_frames(d->core, &peer, m.frames - 1);
        sock_message_close(&m);
    }
}

static void on_connection(void *context, bool began) {
    core_connection(((struct daemon *)context)->core, began);
}

/* The first signal drains, the second ends at once. */
static void on_signal(void *context, int signal) {
    struct daemon *d = context;
    if (signal == SIGHUP)
        return;
    if (d->drain_until_us != 0) {
        log_event(LOG_LEVEL_WARN, "stop", "why=\"second signal\"");
        reactor_stop(d->reactor);
        return;
    }
    d->drain_until_us = now().mono_us + d->config->drain_ms * 1000;
    core_drain(d->core);
}

static bool drained(const struct daemon *d, int64_t mono_us) {
    return d->drain_until_us != 0 && (core_drained(d->core) || mono_us >= d->drain_until_us);
}

static void tick(void *context) {
    struct daemon *d = context;
    struct core_time t = now();
    if (drained(d, t.mono_us))
        reactor_stop(d->reactor);
    else
        core_tick(d->core, &t);
}

static int64_t next(void *context) {
    struct daemon *d = context;
    if (d->drain_until_us == 0)
        return core_next(d->core);
    if (core_drained(d->core))
        return 0;
    int64_t due = core_next(d->core);
    return due < d->drain_until_us ? due : d->drain_until_us;
}

/* ---- life ------------------------------------------------------------------------------- */

/* A descriptor for each peer, up to what the administrator allows: libzmq ends the process when an
 * ipc listener finds none. */
static void raise_descriptor_limit(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

static struct core *make_core(struct daemon *d) {
    const struct daemon_config *config = d->config;
    struct core_time t = now();
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        random = (uint64_t)t.wall_us;
    struct core_config core = {.version = HOPMQ_VERSION,
        .max_queued = config->max_queued,
        .keep_results = config->keep_results,
        .epoch = t.wall_us,
        .first_lease = (int64_t)(random >> 2) + 1,
        .result_count = config->results.count};
    memcpy(core.name, config->name, sizeof core.name);
    memcpy(core.results, config->results.at, sizeof core.results);
    const struct core_sink sink = {d, to_client, to_worker, publish, say};
    return core_new(&core, &sink, &t);
}

int daemon_run(const struct daemon_config *config) {
    struct daemon *d = mem_new(1, sizeof *d);
    int status = EX_OK;
    d->config = config;
    raise_descriptor_limit();
    d->reactor = reactor_new();
    d->core = make_core(d);
    const struct listeners_events events = {d, on_client, on_worker, on_connection};
    d->listeners = listeners_new(config, d->reactor, &events);
    if (d->listeners != NULL) {
        publisher_init(&d->publisher, listeners_results(d->listeners));
        reactor_on_signal(d->reactor, on_signal, d);
        reactor_on_tick(d->reactor, next, tick, d);
        log_event(LOG_LEVEL_INFO, "start", "name=%s version=%s submit=%s results=%s workers=%s",
            config->name, HOPMQ_VERSION, config->submit.at[0], config->results.at[0],
            config->workers.at[0]);
        reactor_run(d->reactor);
        struct core_time t = now();
        core_shutdown(d->core, &t);
        log_event(LOG_LEVEL_INFO, "stopped", "name=%s", config->name);
    } else {
        status = EX_UNAVAILABLE;
    }
    listeners_destroy(&d->listeners, LINGER_MS);
    reactor_destroy(&d->reactor);
    core_destroy(&d->core);
    zsys_shutdown();
    free(d);
    return status;
}
