#include "broker/core/core.h"

#include "broker/core/reports.h"
#include "broker/core/requests.h"
#include "broker/core/restore.h"
#include "broker/core/sessions.h"
#include "broker/core/state.h"
#include "common/mem.h"
#include "common/order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- events ----------------------------------------------------------------------------- */

void core_client_message(struct core *c, const struct core_peer *peer, const void *bytes,
    size_t size, const struct instant *now) {
    c->now = *now;
    requests_handle(c, peer, bytes, size);
    lifecycle_trim(c);
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

/* Counts and logs what is not a message of the protocol. A peer without a session is told so. */
static void bad_worker_message(
    struct core *c, const struct core_peer *peer, const char *code, const char *message) {
    const struct worker *worker = worker_find(c, peer);
    if (worker != NULL) {
        reports_bad(c, worker, message);
        return;
    }
    c->counters.bad_worker_messages++;
    output_log(c, CORE_WARN, "bad-worker-message", "name=- why=\"%s\"", message);
    struct session_msg reject = {.op = SESSION_REJECT};
    (void)snprintf(reject.code, sizeof reject.code, "%s", code);
    (void)snprintf(reject.message, sizeof reject.message, "%s", message);
    output_to_worker_peer(c, peer, &reject);
}

void core_worker_message(struct core *c, const struct core_peer *peer, const void *bytes,
    size_t size, const struct instant *now) {
    struct wire_error err;
    struct session_msg msg;
    c->now = *now;
    c->counters.worker_messages++;
    if (!wire_doc_read(&c->scratch.message, bytes, size, SESSION_MAX_VALUES, &err) ||
        !session_get(&msg, &c->scratch.message, &err)) {
        bad_worker_message(c, peer, err.code, err.message);
        return;
    }
    sessions_message(c, peer, &msg);
    lifecycle_dispatch(c);
    lifecycle_trim(c);
}

void core_worker_frames(struct core *c, const struct core_peer *peer, unsigned frames) {
    char message[64];
    c->counters.worker_messages++;
    (void)snprintf(message, sizeof message, "frames: %u: must be 1", frames);
    bad_worker_message(c, peer, "bad-request", message);
}

void core_answer(struct core *c, const struct record_answer *answer, const struct instant *now) {
    c->now = *now;
    const struct deferred *deferred = deferred_begin(c, answer);
    struct core_peer peer = peer_id_get(&deferred->peer);
    requests_handle(c, &peer, deferred->bytes, deferred->size);
    deferred_end(c);
    lifecycle_trim(c);
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
    struct worker *worker = worker_find(c, peer);
    if (worker == NULL)
        return;
    if (!wire_doc_read(&c->scratch.message, bytes, size, SESSION_MAX_VALUES, &err) ||
        !session_get(&msg, &c->scratch.message, &err))
        abort(); /* the core wrote it */
    sessions_undelivered(c, worker, &msg, sent);
    lifecycle_dispatch(c);
}

void core_dropped(struct core *c, enum core_side side, int64_t count) {
    *(side == CORE_CLIENT ? &c->counters.dropped_to_clients : &c->counters.dropped_to_workers) +=
        count;
}

void core_refuse(struct core *c, const char *reason, const char *message) {
    c->stalled = reason != NULL && strcmp(reason, "store") == 0;
    if (c->draining)
        return; /* the broker accepts nothing any more, whatever else is true */
    c->refusal = reason;
    if (reason != NULL)
        (void)snprintf(c->refusal_text, sizeof c->refusal_text, "%s", message);
}

int64_t core_seq(const struct core *c) { return c->streams.seq; }

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
    c->now = *now;
    c->started_us = now->mono_us;
    c->next_alive_us = now->mono_us + CORE_ALIVE_US;
    c->shell.kept_seq = config->seq;
    output_init(c, sink);
    jobs_init(c);
    workers_init(c);
    streams_init(c);
    matching_init(c);
    fairqueue_init(c);
    quarantine_init(c);
    coalesce_init(c);
    leases_start(c);
    recent_init(c);
    deferred_init(c);
    return c;
}

void core_destroy(struct core **core) {
    struct core *c = *core;
    if (c == NULL)
        return;
    deferred_free_all(c);
    lifecycle_free_all(c);
    matching_free_all(c);
    workers_free_all(c);
    streams_free_all(c);
    output_free(c);
    free(c);
    *core = NULL;
}

void core_restore_stream(struct core *c, const char *name, int64_t seq) {
    streams_restore(c, name, seq);
}

void core_restore_trace(struct core *c, const struct record_trace *record) {
    restore_trace(c, record);
}

void core_restore_member(struct core *c, const struct record_result *result) {
    restore_member(c, result);
}

void core_restored(struct core *c, const struct instant *now) {
    c->now = *now;
    restore_end(c);
}

static void alive(struct core *c) {
    c->rates[c->rate_at] = (struct rate){c->counters.accepted, c->counters.results};
    c->rate_at = (c->rate_at + 1) % CORE_RATE_SECONDS;
    streams_alive(c);
    c->next_alive_us = c->now.mono_us + CORE_ALIVE_US;
}

void core_tick(struct core *c, const struct instant *now) {
    struct worker *worker;
    struct job *job;
    c->now = *now;
    while ((worker = worker_due(c)) != NULL)
        sessions_due(c, worker);
    while ((job = job_due(c)) != NULL)
        lifecycle_due(c, job);
    if (now->mono_us >= c->next_alive_us)
        alive(c);
    lifecycle_dispatch(c);
    lifecycle_trim(c);
}

int64_t core_next(struct core *c) {
    return order_min(c->next_alive_us, order_min(job_next_due(c), worker_next_due(c)));
}

void core_drain(struct core *c) {
    core_refuse(c, "draining", "this broker is draining; send again later, or to another");
    c->draining = true;
    output_log(c, CORE_INFO, "drain", "queued=%lld running=%lld", (long long)c->queue.count,
        (long long)c->leases.count);
}

bool core_drained(const struct core *c) { return c->draining && c->leases.count == 0; }

void core_shutdown(struct core *c, const struct instant *now) {
    c->now = *now;
    c->draining = true;
    lifecycle_end_all(c);
}
