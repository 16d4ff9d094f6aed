#include "broker/core/core.h"

#include "broker/core/jobs.h"
#include "broker/core/matching.h"
#include "broker/core/queue.h"
#include "broker/core/requests.h"
#include "broker/core/sessions.h"
#include "broker/core/state.h"
#include "broker/core/streams.h"
#include "common/logfmt.h"
#include "common/mem.h"
#include "common/order.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what leaves the core --------------------------------------------------------------- */

void peer_id_set(struct peer_id *id, const struct core_peer *peer) {
    id->size = (uint8_t)peer->size;
    id->enveloped = peer->enveloped;
    id->socket = peer->socket;
    memcpy(id->bytes, peer->id, peer->size);
}

struct core_peer peer_id_get(const struct peer_id *id) {
    return (struct core_peer){id->bytes, id->size, id->socket, id->enveloped};
}

void core_say(struct core *c, enum core_level level, const char *event, const char *format, ...) {
    char detail[512];
    va_list args;
    va_start(args, format);
    (void)logfmt_vprint(detail, sizeof detail, format, args);
    va_end(args);
    c->sink.say(c->sink.context, level, event, detail);
}

void core_to_client(struct core *c, const struct core_peer *peer, const msgpack_sbuffer *bytes,
    enum core_when when) {
    c->sink.to_client(c->sink.context, peer, bytes->data, bytes->size, when);
}

/* What gives or takes a lease depends on what is kept; the rest only keeps the session alive. */
static enum core_when when_to_send(int op) {
    return op == SESSION_TRACE || op == SESSION_CANCEL || op == SESSION_DONE ? CORE_KEPT : CORE_NOW;
}

void core_to_peer(struct core *c, const struct core_peer *peer, const struct session_msg *msg) {
    msgpack_packer pk;
    state_packer(&pk, &c->out);
    session_put(&pk, msg);
    c->sink.to_worker(c->sink.context, peer, c->out.data, c->out.size, when_to_send(msg->op));
}

void core_to_worker(struct core *c, const struct worker *worker, const struct session_msg *msg) {
    if (worker->absent)
        return; /* nobody is there */
    struct core_peer peer = peer_id_get(&worker->peer);
    core_to_peer(c, &peer, msg);
}

/* ---- events ----------------------------------------------------------------------------- */

void core_client_message(struct core *c, const struct core_peer *peer, const void *bytes,
    size_t size, const struct instant *now) {
    c->now = *now;
    requests_handle(c, peer, bytes, size);
    recent_trim(c);
}

void core_client_frames(
    struct core *c, const struct core_peer *peer, unsigned frames, const struct instant *now) {
    struct wire_error err;
    c->now = *now;
    c->counters.requests++;
    wire_fail(&err, "bad-request", "frames",
        "%u: must be 1, or an empty frame and 1, as a REQ sends", frames);
    requests_send_error(c, peer, NULL, &err);
}

void core_worker_message(struct core *c, const struct core_peer *peer, const void *bytes,
    size_t size, const struct instant *now) {
    struct wire_error err;
    struct session_msg msg;
    c->now = *now;
    c->counters.worker_messages++;
    if (wire_doc_read(&c->doc, bytes, size, SESSION_MAX_VALUES, &err) &&
        session_get(&msg, &c->doc, &err)) {
        sessions_message(c, peer, &msg);
        queue_dispatch(c);
        recent_trim(c);
        return;
    }
    c->counters.bad_worker_messages++;
    const struct worker *worker = sessions_find(c, peer);
    core_say(c, CORE_WARN, "bad-worker-message", "name=%s why=\"%s\"",
        worker != NULL ? worker->name : "-", err.message);
    if (worker != NULL)
        return;
    struct session_msg reject = {.op = SESSION_REJECT};
    (void)snprintf(reject.code, sizeof reject.code, "%s", err.code);
    (void)snprintf(reject.message, sizeof reject.message, "%s", err.message);
    core_to_peer(c, peer, &reject);
}

void core_worker_frames(struct core *c, const struct core_peer *peer, unsigned frames) {
    const struct worker *worker = sessions_find(c, peer);
    c->counters.worker_messages++;
    c->counters.bad_worker_messages++;
    core_say(c, CORE_WARN, "bad-worker-message", "name=%s why=\"%u frames: must be 1\"",
        worker != NULL ? worker->name : "-", frames);
    if (worker != NULL)
        return;
    struct session_msg reject = {.op = SESSION_REJECT, .code = "bad-request"};
    (void)snprintf(reject.message, sizeof reject.message, "frames: %u: must be 1", frames);
    core_to_peer(c, peer, &reject);
}

void core_undelivered(struct core *c, enum core_side side, const struct core_peer *peer,
    const void *bytes, size_t size, enum core_sent sent, const struct instant *now) {
    struct wire_error err;
    struct session_msg msg;
    c->now = *now;
    if (side == CORE_CLIENT) {
        c->counters.dropped_to_clients++;
        return;
    }
    c->counters.dropped_to_workers++;
    struct worker *worker = sessions_find(c, peer);
    if (worker == NULL)
        return;
    if (!wire_doc_read(&c->doc, bytes, size, SESSION_MAX_VALUES, &err) ||
        !session_get(&msg, &c->doc, &err))
        abort(); /* we wrote it */
    sessions_undelivered(c, worker, &msg, sent);
    queue_dispatch(c);
}

void core_dropped(struct core *c, enum core_side side, int64_t count) {
    *(side == CORE_CLIENT ? &c->counters.dropped_to_clients : &c->counters.dropped_to_workers) +=
        count;
}

void core_refuse(struct core *c, const char *reason, const char *message) {
    c->stalled = reason != NULL && strcmp(reason, "store") == 0;
    if (c->draining)
        return; /* which is the last word */
    c->refusal = reason;
    if (reason != NULL)
        (void)snprintf(c->refusal_text, sizeof c->refusal_text, "%s", message);
}

int64_t core_seq(const struct core *c) { return c->seq; }

struct core_shell *core_shell(struct core *c) {
    return &c->shell;
}

void core_connection(struct core *c, bool began) {
    if (began)
        c->counters.connections_opened++;
    else
        c->counters.connections_closed++;
}

/* ---- life ------------------------------------------------------------------------------- */

struct core *core_new(
    const struct core_config *config, const struct core_sink *sink, const struct instant *now) {
    struct core *c = mem_new(1, sizeof *c);
    c->config = *config;
    c->sink = *sink;
    c->now = *now;
    c->started_us = now->mono_us;
    c->next_lease = config->first_lease;
    c->next_id = 1;
    (void)snprintf(c->own_ids, sizeof c->own_ids, "%" PRIx64 "-", (uint64_t)c->config.epoch);
    c->seq = config->seq;
    c->shell.kept_seq = config->seq;
    c->number = config->number;
    timeline_init(&c->job_times);
    timeline_init(&c->worker_times);
    RB_INIT(&c->jobs);
    RB_INIT(&c->leases);
    RB_INIT(&c->requirements);
    RB_INIT(&c->peers);
    RB_INIT(&c->names);
    RB_INIT(&c->submitters);
    RB_INIT(&c->streams);
    RB_INIT(&c->probings);
    TAILQ_INIT(&c->recent);
    TAILQ_INIT(&c->deferred);
    TAILQ_INIT(&c->waiting);
    TAILQ_INIT(&c->ready);
    TAILQ_INIT(&c->idle);
    TAILQ_INIT(&c->quarantined);
    TAILQ_INIT(&c->active);
    msgpack_sbuffer_init(&c->out);
    msgpack_sbuffer_init(&c->body);
    msgpack_sbuffer_init(&c->result);
    msgpack_sbuffer_init(&c->texts);
    msgpack_sbuffer_init(&c->reply);
    if (!wire_doc_init(&c->doc) || !wire_doc_init(&c->inner))
        abort();
    c->next_alive_us = now->mono_us + CORE_ALIVE_US;
    return c;
}

void core_destroy(struct core **core) {
    struct core *c = *core;
    if (c == NULL)
        return;
    deferred_free_all(c);
    jobs_free_all(c);
    sessions_free_all(c);
    matching_free_all(c);
    streams_free_all(c);
    wire_doc_free(&c->doc);
    wire_doc_free(&c->inner);
    msgpack_sbuffer_destroy(&c->out);
    msgpack_sbuffer_destroy(&c->body);
    msgpack_sbuffer_destroy(&c->result);
    msgpack_sbuffer_destroy(&c->texts);
    msgpack_sbuffer_destroy(&c->reply);
    free(c);
    *core = NULL;
}

static void alive(struct core *c) {
    c->rates[c->rate_at] = (struct rate){c->counters.accepted, c->counters.results};
    c->rate_at = (c->rate_at + 1) % CORE_RATE_SECONDS;
    streams_alive(c);
    c->next_alive_us = c->now.mono_us + CORE_ALIVE_US;
}

void core_tick(struct core *c, const struct instant *now) {
    c->now = *now;
    struct timeline_entry *due;
    while ((due = timeline_pop(&c->worker_times, now->mono_us)) != NULL)
        sessions_due(c, (struct worker *)due);
    while ((due = timeline_pop(&c->job_times, now->mono_us)) != NULL)
        jobs_due(c, (struct job *)due);
    if (now->mono_us >= c->next_alive_us)
        alive(c);
    queue_dispatch(c);
    recent_trim(c);
}

int64_t core_next(struct core *c) {
    int64_t job = timeline_next(&c->job_times), worker = timeline_next(&c->worker_times);
    int64_t first = order_min(job, worker);
    return order_min(first, c->next_alive_us);
}

void core_drain(struct core *c) {
    core_refuse(c, "draining", "this broker is draining; send again later, or to another");
    c->draining = true;
    core_say(c, CORE_INFO, "drain", "queued=%lld running=%lld", (long long)c->queued,
        (long long)c->running);
}

bool core_drained(const struct core *c) { return c->draining && c->running == 0; }

void core_shutdown(struct core *c, const struct instant *now) {
    c->now = *now;
    c->draining = true;
    jobs_end_all(c);
}
