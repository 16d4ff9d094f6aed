#include "broker/delivery.h"

#include "common/mem.h"
#include "common/order.h"
#include "common/runtime/log.h"
#include "common/runtime/reactor.h"
#include "common/runtime/sock.h"
#include "common/runtime/wire_log.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* When messages of this size wait for the disk, the broker accepts no more traces. */
#define OUTBOX_MAX_BYTES ((size_t)64 * 1024 * 1024)

/* ---- what the core asks for -------------------------------------------------------------- */

static bool send_now(struct delivery *delivery, const struct outbox_message *m) {
    const struct sock_frame id = {m->peer.id, m->peer.size}, body = {m->bytes, m->size};
    if (m->kind == OUTBOX_PUBLISH) {
        publisher_send(&delivery->publisher, m->topic, m->bytes, m->size);
        return true;
    }
    zsock_t *socket = m->kind == OUTBOX_CLIENT ? listeners_submit(delivery->listeners)
                                               : listeners_workers(delivery->listeners);
    if (m->peer.enveloped)
        return sock_send(socket, (const struct sock_frame[]){id, {"", 0}, body}, 3);
    return sock_send(socket, (const struct sock_frame[]){id, body}, 2);
}

/* Sends the message now if it need not wait for its records, and puts it into the outbox otherwise.
 * A message that a worker's full queue refuses goes into the outbox as well, so that deliver()
 * tries it again and tells the core. The outbox needs a bound for these too: while the disk is
 * slow, peers may go on asking without reading. */
static void post(struct delivery *delivery, const struct outbox_message *m, enum core_when when) {
    uint64_t batch = store_batch(delivery->store);
    size_t waiting = outbox_bytes(delivery->outbox);
    bool waits = waiting > 0 || batch > delivery->delivered;
    if ((when == CORE_NOW || !waits) && send_now(delivery, m))
        return;
    if (when == CORE_NOW && (m->kind == OUTBOX_CLIENT || waiting > OUTBOX_MAX_BYTES))
        delivery->dropped[m->kind == OUTBOX_CLIENT ? CORE_CLIENT : CORE_WORKER]++;
    else
        outbox_put(delivery->outbox, batch, m);
}

static void to_client(void *context, const struct core_peer *peer, const void *bytes, size_t size,
    enum core_when when) {
    const struct outbox_message m = {
        .kind = OUTBOX_CLIENT, .peer = *peer, .bytes = bytes, .size = size};
    wire_log_peer("to-client", peer->id, peer->size, bytes, size);
    post(context, &m, when);
}

static void to_worker(void *context, const struct core_peer *peer, const void *bytes, size_t size,
    enum core_when when) {
    const struct outbox_message m = {
        .kind = OUTBOX_WORKER, .peer = *peer, .bytes = bytes, .size = size};
    wire_log_peer("to-worker", peer->id, peer->size, bytes, size);
    post(context, &m, when);
}

static void publish(void *context, const char *topic, const void *bytes, size_t size) {
    const struct outbox_message m = {
        .kind = OUTBOX_PUBLISH, .topic = topic, .bytes = bytes, .size = size};
    wire_log("publish", topic, bytes, size);
    post(context, &m, CORE_KEPT);
}

static void keep_trace(void *context, const struct record_trace *trace) {
    log_event(LOG_LEVEL_DEBUG, "keep-trace", "number=%" PRId64 " id=%s client=%s bytes=%zu",
        trace->number, trace->id, trace->submitter, trace->trace_size);
    store_trace(((struct delivery *)context)->store, trace);
}

static void keep_run(void *context, const struct record_run *run) {
    log_event(LOG_LEVEL_DEBUG, "keep-run",
        "number=%" PRId64 " lease=%" PRId64 " worker=%s run=%" PRId64 " returns=%" PRId64,
        run->number, run->lease, run->worker, run->run, run->returns);
    store_run(((struct delivery *)context)->store, run);
}

static void keep_result(void *context, const struct record_result *result) {
    log_event(LOG_LEVEL_DEBUG, "keep-result",
        "seq=%" PRId64 " number=%" PRId64 " id=%s stream=%s stream_seq=%" PRId64 " bytes=%zu",
        result->seq, result->number, result->id, result->stream, result->stream_seq,
        result->result_size);
    store_result(((struct delivery *)context)->store, result);
}

static void read_store(void *context, const struct record_read *read) {
    store_read(((struct delivery *)context)->store, read);
}

static void say(void *context, enum core_level level, const char *event, const char *detail) {
    static const enum log_level levels[] = {
        [CORE_WARN] = LOG_LEVEL_WARN, [CORE_INFO] = LOG_LEVEL_INFO, [CORE_DEBUG] = LOG_LEVEL_DEBUG};
    (void)context;
    log_pairs(levels[level], event, detail);
}

/* ---- after each event ------------------------------------------------------------------- */

/* True if the message could not be sent, which the core is told. EHOSTUNREACH says that the peer is
 * gone (ROUTER_MANDATORY); any other error, that its queue is full. */
static bool send_one(struct delivery *delivery, const struct outbox_message *m) {
    if (send_now(delivery, m))
        return false;
    enum core_sent sent = errno == EHOSTUNREACH ? CORE_GONE : CORE_FULL;
    struct instant t = reactor_now();
    core_undelivered(delivery->core, m->kind == OUTBOX_CLIENT ? CORE_CLIENT : CORE_WORKER, &m->peer,
        m->bytes, m->size, sent, &t);
    return true;
}

static int compare_peer(const void *a, const void *b) {
    const struct core_peer *x = &((const struct outbox_message *)a)->peer;
    const struct core_peer *y = &((const struct outbox_message *)b)->peer;
    return order_compare_bytes(x->id, x->size, y->id, y->size);
}

/* Sends the messages whose records are committed. True if the core was called: what it says then is
 * sent by the next call, after the messages of this one. Messages are sent worker by worker, in
 * their order, because libzmq wakes up for a connection that was idle and the kernel then takes all
 * of its messages at once. */
static bool deliver(struct delivery *delivery) {
    struct outbox_message m;
    size_t count = 0;
    bool called = false;
    delivery->delivered = store_committed(delivery->store);
    while (outbox_take(delivery->outbox, delivery->delivered, &m)) {
        if (m.kind != OUTBOX_WORKER) {
            called |= send_one(delivery, &m);
            continue;
        }
        if (count == delivery->room) {
            delivery->room = 2 * count + 64;
            delivery->to_workers = mem_grow(delivery->to_workers, delivery->room, sizeof m);
        }
        delivery->to_workers[count++] = m;
    }
    if (count > 1)
        (void)mergesort(delivery->to_workers, count, sizeof m, compare_peer);
    for (size_t i = 0; i < count; i++)
        called |= send_one(delivery, &delivery->to_workers[i]);
    outbox_release(delivery->outbox);
    return called;
}

void delivery_admit(struct delivery *delivery) {
    static const char disk[] = "disk", store[] = "store";
    size_t part = delivery->refusal == store ? 2 : 1;
    bool behind = store_pending_bytes(delivery->store) > STORE_MAX_PENDING_BYTES / part ||
                  outbox_bytes(delivery->outbox) > OUTBOX_MAX_BYTES / part;
    const char *refusal = behind ? store : delivery->disk_full ? disk : NULL;
    if (refusal == delivery->refusal)
        return;
    delivery->refusal = refusal;
    core_refuse(delivery->core, refusal,
        behind ? "the broker's disk is slow and too much waits for it; send again later"
               : "the broker's disk is full; send again later");
}

/* Tells the core up to which seq results are on disk. A mark is the last seq handed to the store
 * with the batch that has it; when that batch is committed the next mark is made. */
static void note_seq(struct delivery *delivery) {
    for (int i = 0; i < 2 && delivery->marked <= store_committed(delivery->store); i++) {
        core_shell(delivery->core)->kept_seq = delivery->marked_seq;
        delivery->marked = store_batch(delivery->store);
        delivery->marked_seq = core_seq(delivery->core);
    }
}

/* Notes for the core when messages have been held back for CORE_HELD_US because of the disk. To be
 * called before messages are delivered. */
static void note_held(struct delivery *delivery) {
    int64_t now_us = reactor_now().mono_us;
    bool waits = outbox_bytes(delivery->outbox) > 0;
    if (waits && now_us - delivery->committed_us >= CORE_HELD_US)
        core_shell(delivery->core)->held_us = now_us;
    if (!waits || store_committed(delivery->store) != delivery->committed)
        delivery->committed_us = now_us;
    delivery->committed = store_committed(delivery->store);
}

void delivery_settle(struct delivery *delivery) {
    struct store_counters counters;
    struct core_shell *shell = core_shell(delivery->core);
    for (enum core_side side = CORE_CLIENT; side <= CORE_WORKER; side++) {
        core_dropped(delivery->core, side, delivery->dropped[side]);
        delivery->dropped[side] = 0;
    }
    note_held(delivery);
    do
        store_flush(delivery->store);
    while (deliver(delivery));
    note_seq(delivery);
    delivery_admit(delivery);
    store_counters(delivery->store, &counters);
    shell->results_kept = counters.results;
    shell->publish_dropped = delivery->publisher.overruns + delivery->publisher.failed;
}

struct core_sink delivery_sink(struct delivery *delivery) {
    return (struct core_sink){delivery, to_client, to_worker, publish, keep_trace, keep_run,
        keep_result, read_store, say};
}
