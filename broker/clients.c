/* clients: requests in, replies out; docs/protocol.md, section 6. */
#include "broker/state.h"

#include <stdio.h>
#include <string.h>

static void reply(struct core *c, const struct core_peer *peer) {
    struct peer_id id;
    peer_id_set(&id, peer);
    core_to_client(c, &id, &c->out);
}

void clients_error(struct core *c, const struct core_peer *peer, const msgpack_object *req,
    const struct wire_error *err) {
    msgpack_packer pk;
    if (strcmp(err->code, "too-large") == 0)
        c->counters.too_large++;
    else if (strcmp(err->code, "busy") != 0 && strcmp(err->code, "conflict") != 0)
        c->counters.bad_requests++;
    state_packer(&pk, &c->out);
    request_put_error(&pk, req, err);
    reply(c, peer);
}

static struct job *find(struct core *c, const msgpack_object *id) {
    return jobs_find(c, id->via.str.ptr, id->via.str.size);
}

static void put_id(msgpack_packer *pk, const msgpack_object *id) {
    wire_put_text(pk, "id");
    msgpack_pack_object(pk, *id);
}

/* ---- trace, submit ---------------------------------------------------------------------- */

static void trace(struct core *c, const struct core_peer *peer, const struct request *request) {
    struct wire_error err;
    struct trace trace;
    struct job *job = NULL;
    if (trace_get(&trace, request->root, "", &err))
        job = jobs_accept(c, &trace, &err);
    if (job == NULL) {
        clients_error(c, peer, request->req, &err);
        return;
    }
    if (job->state == JOB_DONE)
        jobs_send_result(c, job, peer, request->req);
    else if (!jobs_wait(c, job, peer, request->req, &err))
        clients_error(c, peer, request->req, &err);
    queue_dispatch(c);
}

static void submit_one(struct core *c, const struct core_peer *peer, const struct request *request,
    uint32_t i, struct job **job, msgpack_packer *pk) {
    char path[24];
    struct wire_error err;
    struct trace trace;
    (void)snprintf(path, sizeof path, "traces[%u].", i);
    *job = NULL;
    if (trace_get(&trace, &request->traces->via.array.ptr[i], path, &err))
        *job = jobs_accept(c, &trace, &err);
    else
        c->counters.bad_requests++;
    bool waits = request->notify && !peer->enveloped && *job != NULL;
    if (*job == NULL ||
        (waits && (*job)->state != JOB_DONE && !jobs_wait(c, *job, peer, request->req, &err)))
        request_put_error_map(pk, &err);
    else
        wire_put_text(pk, (*job)->id);
    if (!waits || (*job)->state != JOB_DONE)
        *job = NULL; /* nothing more to be sent for it now */
}

static void submit(struct core *c, const struct core_peer *peer, const struct request *request) {
    msgpack_packer pk;
    struct job *done[REQUEST_MAX_ITEMS];
    uint32_t count = request->traces->via.array.size;
    state_packer(&pk, &c->out);
    request_put_head(&pk, "accepted", request->req, 1);
    wire_put_text(&pk, "ids");
    msgpack_pack_array(&pk, count);
    for (uint32_t i = 0; i < count; i++)
        submit_one(c, peer, request, i, &done[i], &pk);
    reply(c, peer);
    /* Repeated ids whose results are there already. */
    for (uint32_t i = 0; i < count; i++)
        if (done[i] != NULL && done[i]->state == JOB_DONE)
            jobs_send_result(c, done[i], peer, request->req);
    queue_dispatch(c);
}

/* ---- status, cancel, fetch -------------------------------------------------------------- */

static void put_state(msgpack_packer *pk, const msgpack_object *id, const struct job *job) {
    static const char *const names[] = {[JOB_LOOSE] = "queued",
        [JOB_QUEUED] = "queued",
        [JOB_RUNNING] = "running",
        [JOB_DONE] = "done"};
    bool more = job != NULL && (job->state == JOB_QUEUED || job->state == JOB_RUNNING);
    msgpack_pack_map(pk, 2U + more);
    put_id(pk, id);
    wire_put_key_text(pk, "state", job != NULL ? names[job->state] : "unknown");
    if (more && job->state == JOB_QUEUED)
        wire_put_key_int(pk, "position", queue_position(job));
    else if (more)
        wire_put_key_text(pk, "worker", job->worker->name);
}

static void put_states(struct core *c, const struct request *request, const char *op) {
    msgpack_packer pk;
    const msgpack_object_array *ids = &request->ids->via.array;
    state_packer(&pk, &c->out);
    request_put_head(&pk, op, request->req, 1);
    wire_put_text(&pk, "states");
    msgpack_pack_array(&pk, ids->size);
    for (uint32_t i = 0; i < ids->size; i++)
        put_state(&pk, &ids->ptr[i], find(c, &ids->ptr[i]));
}

static void status(struct core *c, const struct core_peer *peer, const struct request *request) {
    put_states(c, request, "status");
    reply(c, peer);
}

static void cancel(struct core *c, const struct core_peer *peer, const struct request *request) {
    const msgpack_object_array *ids = &request->ids->via.array;
    put_states(c, request, "cancelled");
    reply(c, peer);
    for (uint32_t i = 0; i < ids->size; i++) {
        struct job *job = find(c, &ids->ptr[i]); /* an earlier id may have ended it */
        if (job != NULL)
            jobs_cancel(c, job);
    }
    queue_dispatch(c);
}

enum fetched { FETCH_RESULT, FETCH_MISSING, FETCH_MORE };

static void fetch(struct core *c, const struct core_peer *peer, const struct request *request) {
    msgpack_packer pk;
    const msgpack_object_array *ids = &request->ids->via.array;
    uint8_t kind[REQUEST_MAX_ITEMS] = {0};
    size_t counts[3] = {0}, bytes = 0;
    for (uint32_t i = 0; i < ids->size; i++) {
        const struct job *job = find(c, &ids->ptr[i]);
        if (job == NULL || job->state != JOB_DONE)
            kind[i] = FETCH_MISSING;
        else if (bytes > 0 && bytes + job->result_size > CORE_MAX_FETCH_BYTES)
            kind[i] = FETCH_MORE;
        else
            kind[i] = FETCH_RESULT;
        if (kind[i] == FETCH_RESULT)
            bytes += job->result_size;
        counts[kind[i]]++;
    }
    state_packer(&pk, &c->out);
    request_put_head(&pk, "results", request->req, 3);
    wire_put_text(&pk, "results");
    msgpack_pack_array(&pk, counts[FETCH_RESULT]);
    for (uint32_t i = 0; i < ids->size; i++)
        if (kind[i] == FETCH_RESULT) {
            const struct job *job = find(c, &ids->ptr[i]);
            (void)msgpack_sbuffer_write(&c->out, job->result, job->result_size);
        }
    for (int rest = FETCH_MISSING; rest <= FETCH_MORE; rest++) {
        wire_put_text(&pk, rest == FETCH_MISSING ? "missing" : "more");
        msgpack_pack_array(&pk, counts[rest]);
        for (uint32_t i = 0; i < ids->size; i++)
            if (kind[i] == rest)
                msgpack_pack_object(&pk, ids->ptr[i]);
    }
    reply(c, peer);
}

/* ---- stats, ping ------------------------------------------------------------------------ */

static void put_counters(struct core *c, msgpack_packer *pk) {
    static const struct entry {
        const char *name;
        size_t offset;
    } entries[] = {
#define X(name) {#name, offsetof(struct counters, name)},
        CORE_COUNTERS(X)
#undef X
    };
    size_t count = sizeof entries / sizeof entries[0];
    msgpack_pack_map(pk, count);
    for (size_t i = 0; i < count; i++)
        wire_put_key_int(pk, entries[i].name,
            *(const int64_t *)((const char *)&c->counters + entries[i].offset));
}

static void put_rates(struct core *c, msgpack_packer *pk) {
    const struct rate *then = &c->rates[c->rate_at];
    msgpack_pack_map(pk, 2);
    wire_put_key_int(
        pk, "accepted_per_s", (c->counters.accepted - then->accepted) / CORE_RATE_SECONDS);
    wire_put_key_int(
        pk, "results_per_s", (c->counters.results - then->results) / CORE_RATE_SECONDS);
}

static void stats(struct core *c, const struct core_peer *peer, const struct request *request) {
    msgpack_packer pk;
    state_packer(&pk, &c->out);
    request_put_head(&pk, "stats", request->req, 1);
    wire_put_text(&pk, "stats");
    msgpack_pack_map(&pk, 5);
    wire_put_key_int(&pk, "uptime_ms", (c->now.mono_us - c->started_us) / 1000);
    wire_put_text(&pk, "queue");
    msgpack_pack_map(&pk, 5);
    wire_put_key_int(&pk, "queued", c->queued);
    wire_put_key_int(&pk, "running", c->running);
    wire_put_key_int(&pk, "kept", c->archived);
    wire_put_key_int(&pk, "max_queued", c->config.max_queued);
    wire_put_key_int(&pk, "keep_results", c->config.keep_results);
    wire_put_text(&pk, "rates");
    put_rates(c, &pk);
    wire_put_text(&pk, "counters");
    put_counters(c, &pk);
    wire_put_text(&pk, "workers");
    sessions_put_stats(c, &pk);
    reply(c, peer);
}

static void ping(struct core *c, const struct core_peer *peer, const struct request *request) {
    msgpack_packer pk;
    state_packer(&pk, &c->out);
    request_put_head(&pk, "pong", request->req, 7);
    wire_put_key_text(&pk, "broker", c->config.name);
    wire_put_key_text(&pk, "version", c->config.version);
    wire_put_text(&pk, "versions");
    msgpack_pack_array(&pk, 2);
    msgpack_pack_int(&pk, WIRE_VERSION);
    msgpack_pack_int(&pk, WIRE_VERSION);
    wire_put_key_int(&pk, "epoch", c->config.epoch);
    wire_put_key_int(&pk, "origin", c->config.epoch);
    wire_put_key_int(&pk, "seq", c->seq);
    wire_put_text(&pk, "results");
    msgpack_pack_array(&pk, (size_t)c->config.result_count);
    for (int i = 0; i < c->config.result_count; i++)
        wire_put_text(&pk, c->config.results[i]);
    reply(c, peer);
}

/* ---- requests --------------------------------------------------------------------------- */

void clients_request(struct core *c, const struct core_peer *peer, const void *bytes, size_t size) {
    struct wire_error err;
    struct request request = {.req = NULL};
    c->counters.requests++;
    if (size > REQUEST_MAX_BYTES) {
        wire_fail(&err, "too-large", "", "%zu bytes: must be at most %d", size, REQUEST_MAX_BYTES);
        clients_error(c, peer, NULL, &err);
        return;
    }
    if (!wire_doc_read(&c->doc, bytes, size, REQUEST_MAX_VALUES, &err) ||
        !request_get(&request, &c->doc.root, &err)) {
        clients_error(c, peer, request.req, &err);
        return;
    }
    switch ((enum request_op)request.op) {
    case REQUEST_TRACE:
        trace(c, peer, &request);
        break;
    case REQUEST_SUBMIT:
        submit(c, peer, &request);
        break;
    case REQUEST_STATUS:
        status(c, peer, &request);
        break;
    case REQUEST_FETCH:
        fetch(c, peer, &request);
        break;
    case REQUEST_REPLAY:
        wire_fail(&err, "unavailable", "op", "replay: not in this version of the broker");
        clients_error(c, peer, request.req, &err);
        break;
    case REQUEST_CANCEL:
        cancel(c, peer, &request);
        break;
    case REQUEST_STATS:
        stats(c, peer, &request);
        break;
    case REQUEST_PING:
        ping(c, peer, &request);
        break;
    }
}
