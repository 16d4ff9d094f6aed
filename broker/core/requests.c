#include "broker/core/requests.h"

#include "broker/core/fairqueue.h"
#include "broker/core/state.h"
#include "broker/core/stats.h"
#include "common/protocol/request.h"
#include "common/protocol/result.h"

#include <stdio.h>
#include <string.h>

static void reply(struct core *c, const struct core_peer *peer, enum core_when when) {
    output_to_client(c, peer, c->scratch.out.data, c->scratch.out.size, when);
}

void requests_send_error(struct core *c, const struct core_peer *peer, const msgpack_object *req,
    const struct wire_error *err) {
    msgpack_packer pk;
    if (strcmp(err->code, "too-large") == 0)
        c->counters.too_large++;
    else if (strcmp(err->code, "bad-request") == 0 || strcmp(err->code, "unsupported-version") == 0)
        c->counters.bad_requests++;
    output_packer(&pk, &c->scratch.out);
    request_put_error(&pk, req, err);
    reply(c, peer, CORE_NOW);
}

/* What is known of an id: a job, or a row of the store, or neither. */
struct known {
    struct job *job;
    const struct record_result *row;
};

static struct known find(struct core *c, const char *id, size_t size) {
    struct known known = {.job = job_find(c, id, size)};
    if (known.job == NULL)
        known.row = deferred_row(c, id, size);
    return known;
}

static struct known find_id(struct core *c, const msgpack_object *id) {
    return find(c, id->via.str.ptr, id->via.str.size);
}

/* The encoded result, if it has ended. */
static const void *result_of(struct known known, size_t *size) {
    if (known.row != NULL) {
        *size = known.row->result_size;
        return known.row->result;
    }
    *size = known.job != NULL ? known.job->result_size : 0;
    return known.job != NULL && known.job->state == JOB_DONE ? known.job->result : NULL;
}

static void put_id(msgpack_packer *pk, const msgpack_object *id) {
    wire_put_text(pk, "id");
    msgpack_pack_object(pk, *id);
}

/* ---- trace, submit ---------------------------------------------------------------------- */

/* Accepts the trace, or finds what is known under its id. False with *err if neither is possible.
 */
static bool take(struct core *c, const struct core_peer *peer, struct trace *trace,
    struct known *known, struct wire_error *err) {
    *known = find(c, trace->id, strlen(trace->id));
    if (known->row != NULL)
        return admission_is_same(
            c, trace->id, known->row->trace, known->row->trace_size, trace, err);
    if (known->job != NULL)
        return admission_is_same(
            c, trace->id, known->job->trace, known->job->trace_size, trace, err);
    known->job = lifecycle_accept(c, peer, trace, err);
    return known->job != NULL;
}

/* When a client may ask for the results that the store's answer had no room for. */
#define RETRY_REST_MS 100

/* Lets the client wait for the result of a trace that has not ended. Of one that has, the caller
 * sends the result, unless the store's answer had no room for it: then the client is told to ask
 * again, and this is false with *err. */
static bool notify(struct core *c, const struct core_peer *peer, const struct request *request,
    struct known known, struct wire_error *err) {
    size_t size;
    if (result_of(known, &size) != NULL)
        return true;
    if (known.row == NULL)
        return waiters_add(c, known.job, peer, request->req, err);
    c->counters.busy++;
    wire_busy(err, "id", "reads", RETRY_REST_MS, "%s: has ended; ask again for its result",
        known.row->id);
    return false;
}

/* Sends the result at once if there is one; if not, when the job ends. */
static bool answer(struct core *c, const struct core_peer *peer, const struct request *request,
    struct known known, struct wire_error *err) {
    size_t size;
    if (!notify(c, peer, request, known, err))
        return false;
    const void *result = result_of(known, &size);
    if (result != NULL)
        waiters_send_result(c, result, size, peer, request->req);
    return true;
}

static void trace(struct core *c, const struct core_peer *peer, const struct request *request) {
    struct wire_error err;
    struct trace trace;
    struct known known;
    if (!trace_get(&trace, request->root, "", &err) || !take(c, peer, &trace, &known, &err) ||
        !answer(c, peer, request, known, &err))
        requests_send_error(c, peer, request->req, &err);
    lifecycle_dispatch(c);
}

/* Reads the trace again for the error with its path, which is rarely needed. */
static bool get_trace(
    struct trace *trace, const struct request *request, uint32_t i, struct wire_error *err) {
    char path[24];
    const msgpack_object *map = &request->traces->via.array.ptr[i];
    if (trace_get(trace, map, "", err))
        return true;
    (void)snprintf(path, sizeof path, "traces[%u].", i);
    return trace_get(trace, map, path, err);
}

/* Packs an id or an error. True if the client is to get a result that is there already. */
static bool submit_one(struct core *c, const struct core_peer *peer, const struct request *request,
    uint32_t i, struct known *known, msgpack_packer *pk) {
    struct wire_error err;
    struct trace trace;
    size_t size;
    bool waits = request->notify && !peer->enveloped;
    bool good = get_trace(&trace, request, i, &err);
    c->counters.bad_requests += !good;
    if (!good || !take(c, peer, &trace, known, &err)) {
        request_put_error_map(pk, &err);
        return false;
    }
    if (waits && !notify(c, peer, request, *known, &err))
        request_put_error_map(pk, &err);
    else
        wire_put_text(pk, trace.id);
    return waits && result_of(*known, &size) != NULL;
}

static void submit(struct core *c, const struct core_peer *peer, const struct request *request) {
    msgpack_packer pk;
    struct known ended[REQUEST_MAX_ITEMS];
    uint32_t count = request->traces->via.array.size, ended_count = 0;
    output_packer(&pk, &c->scratch.reply);
    request_put_head(&pk, "accepted", request->req, 1);
    wire_put_text(&pk, "ids");
    msgpack_pack_array(&pk, count);
    for (uint32_t i = 0; i < count; i++)
        ended_count += submit_one(c, peer, request, i, &ended[ended_count], &pk);
    output_to_client(c, peer, c->scratch.reply.data, c->scratch.reply.size, CORE_KEPT);
    for (uint32_t i = 0; i < ended_count; i++) {
        size_t size;
        const void *result = result_of(ended[i], &size);
        waiters_send_result(c, result, size, peer, request->req);
    }
    lifecycle_dispatch(c);
}

/* ---- status, cancel, fetch -------------------------------------------------------------- */

static void put_state(msgpack_packer *pk, const msgpack_object *id, struct known known) {
    static const char *const names[] = {[JOB_LOOSE] = "queued",
        [JOB_QUEUED] = "queued",
        [JOB_RUNNING] = "running",
        [JOB_RIDING] = "queued",
        [JOB_FANNED_OUT] = "running",
        [JOB_DONE] = "done"};
    const struct job *job = known.job;
    bool queued = job != NULL && job->state == JOB_QUEUED;
    bool running = job != NULL && job->state == JOB_RUNNING;
    msgpack_pack_map(pk, 2U + (queued || running));
    put_id(pk, id);
    wire_put_key_text(pk, "state",
        job != NULL         ? names[job->state]
        : known.row != NULL ? "done"
                            : "unknown");
    if (queued)
        wire_put_key_int(pk, "position", queue_position(job));
    else if (running)
        wire_put_key_text(pk, "worker", job->lease->worker->name);
}

static void put_states(struct core *c, const struct request *request, const char *op) {
    msgpack_packer pk;
    const msgpack_object_array *ids = &request->ids->via.array;
    output_packer(&pk, &c->scratch.out);
    request_put_head(&pk, op, request->req, 1);
    wire_put_text(&pk, "states");
    msgpack_pack_array(&pk, ids->size);
    for (uint32_t i = 0; i < ids->size; i++)
        put_state(&pk, &ids->ptr[i], find_id(c, &ids->ptr[i]));
}

static void status(struct core *c, const struct core_peer *peer, const struct request *request) {
    put_states(c, request, "status");
    reply(c, peer, CORE_KEPT);
}

/* The store is told first that the traces are cancelled. So the answer leaves with the batch that
 * has their ends too, and no crash takes back what it says. */
static void cancel(struct core *c, const struct core_peer *peer, const struct request *request) {
    const msgpack_object_array *ids = &request->ids->via.array;
    for (uint32_t i = 0; i < ids->size; i++) {
        const struct job *job = find_id(c, &ids->ptr[i]).job;
        if (job != NULL && job->state != JOB_DONE)
            leases_keep_cancel(c, job);
    }
    put_states(c, request, "cancelled");
    reply(c, peer, CORE_KEPT);
    for (uint32_t i = 0; i < ids->size; i++) {
        struct job *job = find_id(c, &ids->ptr[i]).job; /* an earlier id may have ended it */
        if (job != NULL)
            lifecycle_cancel(c, job);
    }
    lifecycle_dispatch(c);
}

enum fetched { FETCH_RESULT, FETCH_MISSING, FETCH_MORE };

static void fetch(struct core *c, const struct core_peer *peer, const struct request *request) {
    msgpack_packer pk;
    const msgpack_object_array *ids = &request->ids->via.array;
    uint8_t kind[REQUEST_MAX_ITEMS] = {0};
    size_t counts[3] = {0}, bytes = 0, size;
    for (uint32_t i = 0; i < ids->size; i++) {
        struct known known = find_id(c, &ids->ptr[i]);
        const void *result = result_of(known, &size);
        if (result == NULL)
            kind[i] = known.row != NULL ? FETCH_MORE : FETCH_MISSING;
        else if (bytes > 0 && bytes + size > CORE_MAX_FETCH_BYTES)
            kind[i] = FETCH_MORE;
        else
            kind[i] = FETCH_RESULT;
        if (kind[i] == FETCH_RESULT)
            bytes += size;
        counts[kind[i]]++;
    }
    output_packer(&pk, &c->scratch.out);
    request_put_head(&pk, "results", request->req, 3);
    wire_put_text(&pk, "results");
    msgpack_pack_array(&pk, counts[FETCH_RESULT]);
    for (uint32_t i = 0; i < ids->size; i++)
        if (kind[i] == FETCH_RESULT) {
            const void *result = result_of(find_id(c, &ids->ptr[i]), &size);
            (void)msgpack_sbuffer_write(&c->scratch.out, result, size);
        }
    for (int rest = FETCH_MISSING; rest <= FETCH_MORE; rest++) {
        wire_put_text(&pk, rest == FETCH_MISSING ? "missing" : "more");
        msgpack_pack_array(&pk, counts[rest]);
        for (uint32_t i = 0; i < ids->size; i++)
            if (kind[i] == rest)
                msgpack_pack_object(&pk, ids->ptr[i]);
    }
    reply(c, peer, CORE_KEPT);
}

/* ---- replay ----------------------------------------------------------------------------- */

static void replay(struct core *c, const struct core_peer *peer, const struct request *request) {
    msgpack_packer pk;
    const struct record_answer nothing = {.first_seq = c->streams.seq + 1};
    const struct record_answer *answer = c->deferred.answer != NULL ? c->deferred.answer : &nothing;
    bool lost = request->after < answer->first_seq - 1;
    output_packer(&pk, &c->scratch.out);
    request_put_head(&pk, "results", request->req, 5U + lost);
    wire_put_text(&pk, "results");
    msgpack_pack_array(&pk, answer->count);
    for (size_t i = 0; i < answer->count; i++)
        (void)msgpack_sbuffer_write(
            &c->scratch.out, answer->rows[i].result, answer->rows[i].result_size);
    wire_put_text(&pk, "more");
    if (answer->more)
        msgpack_pack_true(&pk);
    else
        msgpack_pack_false(&pk);
    if (lost) {
        wire_put_text(&pk, "lost");
        msgpack_pack_array(&pk, 2);
        msgpack_pack_int64(&pk, request->after + 1);
        msgpack_pack_int64(&pk, answer->first_seq - 1);
    }
    wire_put_key_int(&pk, "epoch", c->config.epoch);
    wire_put_key_int(&pk, "origin", c->config.origin);
    wire_put_key_int(&pk, "seq", c->streams.seq);
    c->counters.replays++;
    reply(c, peer, CORE_KEPT);
}

/* ---- stats, ping ------------------------------------------------------------------------ */

static void stats(struct core *c, const struct core_peer *peer, const struct request *request) {
    stats_put(c, request);
    reply(c, peer, CORE_NOW);
}

static void ping(struct core *c, const struct core_peer *peer, const struct request *request) {
    msgpack_packer pk;
    output_packer(&pk, &c->scratch.out);
    request_put_head(&pk, "pong", request->req, 7);
    wire_put_key_text(&pk, "broker", c->config.name);
    wire_put_key_text(&pk, "version", c->config.version);
    wire_put_text(&pk, "versions");
    msgpack_pack_array(&pk, 2);
    msgpack_pack_int(&pk, WIRE_VERSION);
    msgpack_pack_int(&pk, WIRE_VERSION);
    wire_put_key_int(&pk, "epoch", c->config.epoch);
    wire_put_key_int(&pk, "origin", c->config.origin);
    wire_put_key_int(&pk, "seq", c->shell.kept_seq);
    wire_put_text(&pk, "results");
    msgpack_pack_array(&pk, (size_t)c->config.result_count);
    for (int i = 0; i < c->config.result_count; i++)
        wire_put_text(&pk, c->config.results[i]);
    reply(c, peer, CORE_NOW);
}

/* ---- requests --------------------------------------------------------------------------- */

static void add_text(struct core *c, const msgpack_object *id, bool ended, uint32_t *count) {
    if (id == NULL || id->type != MSGPACK_OBJECT_STR || id->via.str.size > RECORD_ID_BYTES ||
        !result_is_id(id->via.str.ptr, id->via.str.size))
        return;
    const struct job *job = find_id(c, id).job;
    if (job != NULL && (!ended || job->state != JOB_DONE))
        return;
    (void)msgpack_sbuffer_write(&c->scratch.texts, id->via.str.ptr, id->via.str.size);
    (void)msgpack_sbuffer_write(&c->scratch.texts, "", 1);
    ++*count;
}

/* Collects in c->scratch.texts, each ended by NUL, the ids that only the store may know. With
 * `ended` it adds those of ended jobs, which may be forgotten here before the store has answered.
 */
static uint32_t unknown_ids(struct core *c, const struct request *request, bool ended) {
    uint32_t count = 0;
    msgpack_sbuffer_clear(&c->scratch.texts);
    if (request->op == REQUEST_TRACE)
        add_text(c, wire_find(request->root, "id"), ended, &count);
    for (uint32_t i = 0; request->op == REQUEST_SUBMIT && i < request->traces->via.array.size; i++)
        if (request->traces->via.array.ptr[i].type == MSGPACK_OBJECT_MAP)
            add_text(c, wire_find(&request->traces->via.array.ptr[i], "id"), ended, &count);
    for (uint32_t i = 0; request->ids != NULL && i < request->ids->via.array.size; i++)
        add_text(c, &request->ids->via.array.ptr[i], ended, &count);
    return count;
}

#define RETRY_STALLED_MS 1000

enum asked { ASKED_NOTHING, ASKED, ASKED_TOO_MUCH };

/* Asks the store for what memory cannot know. */
static enum asked ask(struct core *c, const struct core_peer *peer, const void *bytes, size_t size,
    const struct request *request, struct wire_error *err) {
    const char *ids[REQUEST_MAX_ITEMS];
    if (c->deferred.answer != NULL || request->op == REQUEST_PING || request->op == REQUEST_STATS)
        return ASKED_NOTHING;
    if (c->stalled) {
        c->counters.busy++;
        wire_busy(err, "", "store", RETRY_STALLED_MS, "the disk is too slow, or full");
        return ASKED_TOO_MUCH;
    }
    if (c->config.keep_results == 0)
        return ASKED_NOTHING;
    struct record_read read = {.max_bytes = CORE_MAX_FETCH_BYTES};
    if (request->op == REQUEST_REPLAY) {
        read.query = RECORD_AFTER;
        read.after = request->after;
        read.limit = request->limit;
        read.stream = request->stream[0] != '\0' ? request->stream : NULL;
    } else {
        read.query = RECORD_IDS;
        if (unknown_ids(c, request, false) == 0)
            return ASKED_NOTHING;
        read.id_count = unknown_ids(c, request, true);
        const char *at = c->scratch.texts.data;
        for (size_t i = 0; i < read.id_count; i++, at += strlen(at) + 1)
            ids[i] = at;
        read.ids = ids;
    }
    return deferred_add(c, peer, bytes, size, &read, err) ? ASKED : ASKED_TOO_MUCH;
}

static void handle(struct core *c, const struct core_peer *peer, const struct request *request) {
    switch ((enum request_op)request->op) {
    case REQUEST_TRACE:
        trace(c, peer, request);
        break;
    case REQUEST_SUBMIT:
        submit(c, peer, request);
        break;
    case REQUEST_STATUS:
        status(c, peer, request);
        break;
    case REQUEST_FETCH:
        fetch(c, peer, request);
        break;
    case REQUEST_REPLAY:
        replay(c, peer, request);
        break;
    case REQUEST_CANCEL:
        cancel(c, peer, request);
        break;
    case REQUEST_STATS:
        stats(c, peer, request);
        break;
    case REQUEST_PING:
        ping(c, peer, request);
        break;
    }
}

void requests_handle(struct core *c, const struct core_peer *peer, const void *bytes, size_t size) {
    struct wire_error err;
    struct request request = {.req = NULL};
    c->counters.requests += c->deferred.answer == NULL;
    if (size > REQUEST_MAX_BYTES) {
        wire_fail(&err, "too-large", "", "%zu bytes: must be at most %d", size, REQUEST_MAX_BYTES);
        requests_send_error(c, peer, NULL, &err);
        return;
    }
    if (!wire_doc_read(&c->scratch.message, bytes, size, REQUEST_MAX_VALUES, &err) ||
        !request_get(&request, &c->scratch.message.root, &err)) {
        requests_send_error(c, peer, request.req, &err);
        return;
    }
    if (c->deferred.answer != NULL && c->deferred.answer->failed) {
        wire_fail(&err, "internal", "", "the store cannot be read; the broker's log tells why");
        requests_send_error(c, peer, request.req, &err);
        return;
    }
    enum asked asked = ask(c, peer, bytes, size, &request, &err);
    if (asked == ASKED_NOTHING)
        handle(c, peer, &request);
    else if (asked == ASKED_TOO_MUCH)
        requests_send_error(c, peer, request.req, &err);
}
