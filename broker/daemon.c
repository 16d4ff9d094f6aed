#include "broker/daemon.h"

#include "broker/core.h"
#include "broker/listeners.h"
#include "broker/metrics.h"
#include "broker/outbox.h"
#include "broker/publisher.h"
#include "broker/store.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/reactor.h"
#include "common/sock.h"
#include "common/transcript.h"
#include "common/vitals.h"

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

/* What the last results get to leave the process. */
#define LINGER_MS 3000

/* And the store, to commit what they depend on. */
#define FLUSH_US INT64_C(10000000)

/* Messages that wait for the disk; past it nothing is taken on that would add to them. */
#define OUTBOX_MAX_BYTES ((size_t)64 * 1024 * 1024)

struct daemon {
    const struct daemon_config *config;
    struct reactor *reactor;
    struct listeners *listeners;
    struct publisher publisher;
    struct store *store;
    struct outbox *outbox;
    struct core *core;
    struct vitals *vitals;
    bool disk_full;
    const char *refusal;    /* why no traces are taken; NULL: they are */
    uint64_t committed;     /* the last batch, */
    int64_t committed_us;   /* and when it was seen, or when nothing waited for the next */
    int64_t drain_until_us; /* 0: not draining */
};

static struct core_time now(void) {
    struct reactor_time t = reactor_now();
    return (struct core_time){t.mono_us, t.wall_us};
}

/* ---- what the core says ----------------------------------------------------------------- */

static bool send_now(struct daemon *d, const struct outbox_message *m) {
    const struct sock_frame id = {m->peer.id, m->peer.size}, body = {m->bytes, m->size};
    if (m->kind == OUTBOX_PUBLISH) {
        publisher_send(&d->publisher, m->topic, m->bytes, m->size);
        return true;
    }
    zsock_t *socket =
        m->kind == OUTBOX_CLIENT ? listeners_submit(d->listeners) : listeners_workers(d->listeners);
    if (m->peer.enveloped)
        return sock_send(socket, (const struct sock_frame[]){id, {"", 0}, body}, 3);
    return sock_send(socket, (const struct sock_frame[]){id, body}, 2);
}

/* Sends at once what may leave, and puts the rest behind its records. What cannot be sent goes
 * there as well: it is tried again when the core may be told of it. */
static void post(struct daemon *d, const struct outbox_message *m, enum core_when when) {
    uint64_t batch = store_batch(d->store);
    bool waits = outbox_bytes(d->outbox) > 0 || batch > store_committed(d->store);
    if ((when == CORE_KEPT && waits) || !send_now(d, m))
        outbox_put(d->outbox, batch, m);
}

static void to_client(void *context, const struct core_peer *peer, const void *bytes, size_t size,
    enum core_when when) {
    const struct outbox_message m = {
        .kind = OUTBOX_CLIENT, .peer = *peer, .bytes = bytes, .size = size};
    transcript_peer("to-client", peer->id, peer->size, bytes, size);
    post(context, &m, when);
}

static void to_worker(void *context, const struct core_peer *peer, const void *bytes, size_t size,
    enum core_when when) {
    const struct outbox_message m = {
        .kind = OUTBOX_WORKER, .peer = *peer, .bytes = bytes, .size = size};
    transcript_peer("to-worker", peer->id, peer->size, bytes, size);
    post(context, &m, when);
}

static void publish(void *context, const char *topic, const void *bytes, size_t size) {
    const struct outbox_message m = {
        .kind = OUTBOX_PUBLISH, .topic = topic, .bytes = bytes, .size = size};
    transcript("publish", topic, bytes, size);
    post(context, &m, CORE_KEPT);
}

static void keep_trace(void *context, const struct record_trace *trace) {
    log_event(LOG_LEVEL_DEBUG, "keep-trace", "number=%" PRId64 " id=%s client=%s bytes=%zu",
        trace->number, trace->id, trace->client, trace->trace_size);
    store_trace(((struct daemon *)context)->store, trace);
}

static void keep_run(void *context, const struct record_run *run) {
    log_event(LOG_LEVEL_DEBUG, "keep-run",
        "number=%" PRId64 " lease=%" PRId64 " worker=%s run=%" PRId64 " returns=%" PRId64,
        run->number, run->lease, run->worker, run->run, run->returns);
    store_run(((struct daemon *)context)->store, run);
}

static void keep_result(void *context, const struct record_result *result) {
    log_event(LOG_LEVEL_DEBUG, "keep-result",
        "seq=%" PRId64 " number=%" PRId64 " id=%s stream=%s stream_seq=%" PRId64 " bytes=%zu",
        result->seq, result->number, result->id, result->stream, result->stream_seq,
        result->result_size);
    store_result(((struct daemon *)context)->store, result);
}

static void read_store(void *context, const struct record_read *read) {
    store_read(((struct daemon *)context)->store, read);
}

static void say(void *context, enum core_level level, const char *event, const char *detail) {
    static const enum log_level levels[] = {
        [CORE_WARN] = LOG_LEVEL_WARN, [CORE_INFO] = LOG_LEVEL_INFO, [CORE_DEBUG] = LOG_LEVEL_DEBUG};
    (void)context;
    log_pairs(levels[level], event, detail);
}

/* ---- after each event ------------------------------------------------------------------- */

/* Sends what is committed; true if the core was called. EHOSTUNREACH tells that the peer is gone
 * (ROUTER_MANDATORY), all else that it is full. */
static bool deliver(struct daemon *d) {
    struct outbox_message m;
    bool called = false;
    uint64_t committed = store_committed(d->store);
    while (outbox_take(d->outbox, committed, &m)) {
        if (send_now(d, &m))
            continue;
        enum core_sent sent = errno == EHOSTUNREACH ? CORE_GONE : CORE_FULL;
        struct core_time t = now();
        core_undelivered(d->core, m.kind == OUTBOX_CLIENT ? CORE_CLIENT : CORE_WORKER, &m.peer,
            m.bytes, m.size, sent, &t);
        called = true;
    }
    return called;
}

/* New traces are taken while the disk keeps up, and has room for them. */
static void admit(struct daemon *d) {
    static const char disk[] = "disk", store[] = "store";
    size_t part = d->refusal == store ? 2 : 1;
    bool behind = store_pending_bytes(d->store) > STORE_MAX_PENDING_BYTES / part ||
                  outbox_bytes(d->outbox) > OUTBOX_MAX_BYTES / part;
    const char *refusal = behind ? store : d->disk_full ? disk : NULL;
    if (refusal == d->refusal)
        return;
    d->refusal = refusal;
    core_refuse(d->core, refusal,
        behind ? "the broker's disk is slow, and too much waits for it; send again later"
               : "the broker's disk is full; send again later");
}

/* Before what is committed now is delivered. */
static void note_held(struct daemon *d) {
    int64_t now_us = now().mono_us;
    bool waits = outbox_bytes(d->outbox) > 0;
    if (waits && now_us - d->committed_us >= CORE_HELD_US)
        core_shell(d->core)->held_us = now_us;
    if (!waits || store_committed(d->store) != d->committed)
        d->committed_us = now_us;
    d->committed = store_committed(d->store);
}

static void settle(struct daemon *d) {
    struct store_counters counters;
    struct core_shell *shell = core_shell(d->core);
    note_held(d);
    do
        store_flush(d->store);
    while (deliver(d));
    admit(d);
    store_counters(d->store, &counters);
    shell->results_kept = counters.results;
    shell->publish_dropped = d->publisher.overruns;
}

/* ---- what happens ----------------------------------------------------------------------- */

static const void *data(struct sock_message *m, unsigned i) { return zmq_msg_data(&m->at[i]); }

static size_t size(const struct sock_message *m, unsigned i) { return zmq_msg_size(&m->at[i]); }

static void on_client(void *context) {
    struct daemon *d = context;
    struct sock_message m;
    for (int i = 0; i < REACTOR_DRAIN && sock_receive(listeners_submit(d->listeners), &m); i++) {
        struct core_time t = now();
        admit(d);
        bool enveloped = m.frames >= 3 && size(&m, 1) == 0;
        const struct core_peer peer = {data(&m, 0), size(&m, 0), 0, enveloped};
        unsigned frames = m.frames - 1 - enveloped, at = 1U + enveloped;
        if (frames == 1) {
            transcript_peer("from-client", peer.id, peer.size, data(&m, at), size(&m, at));
            core_client_message(d->core, &peer, data(&m, at), size(&m, at), &t);
        } else {
            core_client_frames(d->core, &peer, frames, &t);
        }
        sock_message_close(&m);
    }
    settle(d);
}

static void on_worker(void *context) {
    struct daemon *d = context;
    struct sock_message m;
    for (int i = 0; i < REACTOR_DRAIN && sock_receive(listeners_workers(d->listeners), &m); i++) {
        struct core_time t = now();
        const struct core_peer peer = {data(&m, 0), size(&m, 0), 0, false};
        if (m.frames == 2) {
            transcript_peer("from-worker", peer.id, peer.size, data(&m, 1), size(&m, 1));
            core_worker_message(d->core, &peer, data(&m, 1), size(&m, 1), &t);
        } else {
            core_worker_frames(d->core, &peer, m.frames - 1);
        }
        sock_message_close(&m);
    }
    settle(d);
}

static void on_connection(void *context, bool began) {
    core_connection(((struct daemon *)context)->core, began);
}

/* A failed sync may have taken data back that later ones would not miss: what is in memory is worth
 * nothing then, and the next start goes on with what is on disk. The store has logged it. */
static void on_store(void *context, int fd, short events) {
    (void)fd;
    (void)events;
    struct daemon *d = context;
    struct store_event event;
    while (store_next(d->store, &event)) {
        struct core_time t = now();
        if (event.kind == STORE_DEAD)
            _exit(EX_IOERR);
        if (event.kind == STORE_ANSWER)
            core_answer(d->core, &event.answer, &t);
        else if (event.kind != STORE_COMMITTED)
            d->disk_full = event.kind == STORE_FULL;
    }
    settle(d);
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
    vitals_stopping(d->vitals);
}

static const char *unready(void *context) {
    struct daemon *d = context;
    if (d->drain_until_us != 0)
        return "draining";
    admit(d);
    return d->refusal == NULL ? NULL : d->disk_full ? "the disk is full" : "the disk is slow";
}

static void put_metrics(void *context, struct exposition *e) {
    struct daemon *d = context;
    struct store_counters counters;
    store_counters(d->store, &counters);
    metrics_put_core(d->core, e);
    metrics_put_store(&counters, e);
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
    settle(d);
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
    const struct store_start start = store_start(d->store);
    struct core_time t = now();
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
    const struct core_sink sink = {
        d, to_client, to_worker, publish, keep_trace, keep_run, keep_result, read_store, say};
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

/* The core goes on where the store's last one stopped; an exit status. */
static int open_store(struct daemon *d) {
    char error[STORE_ERROR_BYTES];
    const struct daemon_config *config = d->config;
    const struct store_config wanted = {
        .path = config->store, .keep_us = config->keep_us, .keep_results = config->keep_results};
    d->store = store_open(&wanted, now().wall_us, error);
    if (d->store == NULL) {
        (void)fprintf(stderr, "%s: --store %s\n", program_invocation_short_name, error);
        return EX_CANTCREAT;
    }
    d->core = make_core(d);
    const struct store_loader loader = {d->core, restore_stream, restore_trace, restore_member};
    if (!store_load(d->store, &loader, error)) {
        (void)fprintf(stderr, "%s: --store %s\n", program_invocation_short_name, error);
        return EX_IOERR;
    }
    struct core_time t = now();
    core_restored(d->core, &t);
    return EX_OK;
}

static int start(struct daemon *d) {
    const struct daemon_config *config = d->config;
    const struct listeners_events events = {d, on_client, on_worker, on_connection};
    const struct vitals_sink vitals = {d, unready, put_metrics};
    raise_descriptor_limit();
    d->reactor = reactor_new();
    d->outbox = outbox_new();
    d->listeners = listeners_new(config, d->reactor, &events);
    if (d->listeners == NULL)
        return EX_UNAVAILABLE;
    d->vitals = vitals_new(d->reactor, &vitals, config->metrics, config->insecure);
    if (d->vitals == NULL)
        return EX_UNAVAILABLE;
    publisher_init(&d->publisher, listeners_results(d->listeners));
    int status = open_store(d);
    if (status != EX_OK)
        return status;
    reactor_fd(d->reactor, store_fd(d->store), ZMQ_POLLIN, on_store, d);
    reactor_on_signal(d->reactor, on_signal, d);
    reactor_on_tick(d->reactor, next, tick, d);
    settle(d);
    return EX_OK;
}

/* What is on its way to the disk gets there, and who waits for that is told. Traces that wait stay
 * in the store for the next start, unless it ends with this process. */
static void finish(struct daemon *d) {
    struct core_time t = now();
    int64_t until_us = t.mono_us + FLUSH_US;
    struct pollfd wait = {.fd = store_fd(d->store), .events = POLLIN};
    if (d->config->store == NULL)
        core_shutdown(d->core, &t);
    settle(d);
    for (; outbox_bytes(d->outbox) > 0 && t.mono_us < until_us; t = now()) {
        (void)poll(&wait, 1, (int)((until_us - t.mono_us) / 1000) + 1);
        on_store(d, wait.fd, POLLIN);
    }
}

int daemon_run(const struct daemon_config *config) {
    struct daemon *d = mem_new(1, sizeof *d);
    d->config = config;
    int status = start(d);
    if (status == EX_OK) {
        log_event(LOG_LEVEL_INFO, "start",
            "name=%s version=%s submit=%s results=%s workers=%s store=%s", config->name,
            HOPMQ_VERSION, config->submit.at[0], config->results.at[0], config->workers.at[0],
            config->store != NULL ? config->store : "memory");
        reactor_run(d->reactor);
        finish(d);
        log_event(LOG_LEVEL_INFO, "stopped", "name=%s", config->name);
    }
    vitals_destroy(&d->vitals);
    store_close(&d->store);
    listeners_destroy(&d->listeners, LINGER_MS);
    reactor_destroy(&d->reactor);
    core_destroy(&d->core);
    outbox_destroy(&d->outbox);
    zsys_shutdown();
    free(d);
    return status;
}
