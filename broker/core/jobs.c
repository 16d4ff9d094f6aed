#include "broker/core/jobs.h"

#include "broker/core/coalesce.h"
#include "broker/core/fairqueue.h"
#include "broker/core/fanout.h"
#include "broker/core/leases.h"
#include "broker/core/matching.h"
#include "broker/core/queue.h"
#include "broker/core/sessions.h"
#include "broker/core/streams.h"
#include "common/decimal.h"
#include "common/mem.h"
#include "common/protocol/request.h"
#include "common/protocol/result.h"
#include "common/tree_append.h"

#include <bsd/string.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_id(const struct job *a, const struct job *b) { return strcmp(a->id, b->id); }

RB_GENERATE(job_id_tree, job, by_id, compare_id)
TREE_APPEND_GENERATE(job_id_tree, job, by_id, compare_id)

struct job *jobs_find(struct core *c, const char *id, size_t size) {
    union {
        struct job job;
        char room[sizeof(struct job) + RECORD_ID_BYTES + 1];
    } key;
    if (size == 0 || size > RECORD_ID_BYTES)
        return NULL;
    memcpy(key.job.id, id, size);
    key.job.id[size] = '\0';
    if (c->last_id != NULL && compare_id(c->last_id, &key.job) < 0)
        return NULL; /* as are most that are new and numbered */
    return RB_FIND(job_id_tree, &c->jobs, &key.job);
}

struct job *jobs_new(
    struct core *c, const char *id, const struct trace *trace, const void *canonical, size_t size) {
    size_t id_size = strlen(id) + 1, probing_size = 0;
    struct job *job = mem_new(1, sizeof *job + id_size + size);
    memcpy(job->id, id, id_size);
    SLIST_INIT(&job->waiters);
    job->trace = memcpy(job->id + id_size, canonical, size);
    job->trace_size = (uint32_t)size;
    job->priority = (uint8_t)trace->priority;
    job->progress = trace->progress;
    job->has_meta = trace->meta != NULL;
    job->coalesces = trace->coalesce;
    job->fanout_limit = fanout_part_worker(id) == NULL ? (int16_t)trace->fanout : 0;
    job->stream = streams_get(c, trace->stream);
    const unsigned char *probing = trace_probing(job->trace, size, &probing_size);
    job->probing_at = (uint16_t)(probing - (const unsigned char *)job->trace);
    job->probing_size = (uint16_t)probing_size;
    (void)job_id_tree_insert(&c->jobs, &c->last_id, job);
    return job;
}

static void free_waiters(struct job *job) {
    struct waiter *waiter;
    while ((waiter = SLIST_FIRST(&job->waiters)) != NULL) {
        SLIST_REMOVE_HEAD(&job->waiters, link);
        free(waiter);
    }
    job->waiter_count = 0;
}

void jobs_free(struct core *c, struct job *job) {
    timeline_unset(&c->job_times, &job->timer);
    coalesce_remove(c, job);
    job_id_tree_remove(&c->jobs, &c->last_id, job);
    free_waiters(job);
    fanout_free(job);
    if (job->state == JOB_DONE)
        free(job->result);
    free(job);
}

void jobs_trace(struct core *c, const struct job *job, struct trace *trace) {
    struct wire_error err;
    if (!wire_doc_read(&c->inner, job->trace, job->trace_size, REQUEST_MAX_VALUES, &err) ||
        !trace_get(trace, &c->inner.root, "", &err))
        abort(); /* we encoded it ourselves */
}

/* ---- acceptance ------------------------------------------------------------------------- */

/* What a client that is told to come back may wait for. */
#define RETRY_QUEUE_MS 1000
#define RETRY_REFUSED_MS 2000

bool jobs_same(struct core *c, const char *id, const void *trace, size_t size,
    const struct trace *asked, struct wire_error *err) {
    msgpack_packer pk;
    state_packer(&pk, &c->body);
    trace_put_map(&pk, asked);
    if (size == c->body.size && memcmp(trace, c->body.data, size) == 0) {
        c->counters.repeated++;
        return true;
    }
    c->counters.conflicts++;
    wire_fail(err, "conflict", "id", "%s: is in use for a different trace", id);
    return false;
}

static bool admitted(struct core *c, struct trace *trace, struct wire_error *err) {
    if (c->refusal != NULL) {
        c->counters.busy++;
        wire_busy(err, "", c->refusal, RETRY_REFUSED_MS, "%s", c->refusal_text);
        return false;
    }
    if (trace->id[0] == '\0') {
        (void)decimal_put(stpcpy(trace->id, c->own_ids), c->next_id++);
    } else if (strncmp(trace->id, c->own_ids, strlen(c->own_ids)) == 0) {
        wire_fail(err, "bad-request", "id", "%s: begins like those that this broker makes itself",
            trace->id);
        c->counters.bad_requests++;
        return false;
    }
    if (c->queued + c->riding + c->expected_parts >= c->config.max_queued) {
        c->counters.busy++;
        wire_busy(err, "queue", "queue", RETRY_QUEUE_MS, "%" PRId64 ": full; send again later",
            c->config.max_queued);
        return false;
    }
    if (streams_full(c, trace->stream)) {
        c->counters.busy++;
        wire_busy(err, "streams", "streams", RETRY_REFUSED_MS,
            "%d: full; use one that there is already", CORE_MAX_STREAMS);
        return false;
    }
    return true;
}

/* NULL with *err where the trace cannot wait for a worker. */
static struct requirement *admitted_requirement(
    struct core *c, const char *tag, const struct trace *trace, struct wire_error *err) {
    struct requirement *requirement = matching_requirement(c, trace, NULL);
    if (requirement == NULL) {
        c->counters.busy++;
        wire_busy(err, "workers", "labels", RETRY_QUEUE_MS,
            "%d sets of labels and other needs: full; send again later", CORE_MAX_REQUIREMENTS);
    } else if (!trace->wait && !matching_is_served(requirement)) {
        char wants[MATCHING_TEXT_BYTES];
        matching_describe(requirement, wants, sizeof wants);
        wire_fail(err, "unavailable", "workers", "no worker that fits is there: %s", wants);
        requirement = NULL;
    } else if (fairqueue_full(c, tag)) {
        c->counters.busy++;
        wire_busy(err, "clients", "clients", RETRY_REFUSED_MS, "%d: full; send again later",
            CORE_MAX_SUBMITTERS);
        requirement = NULL;
    }
    return requirement;
}

static void keep(struct core *c, struct job *job) {
    job->ticket = ++c->number;
    const struct record_trace record = {.number = job->ticket,
        .id = job->id,
        .submitter = job->subqueue->submitter->tag,
        .accepted_us = job->accepted_wall_us,
        .trace = job->trace,
        .trace_size = job->trace_size,
        .run = {.number = job->ticket, .worker = ""}};
    c->sink.keep_trace(c->sink.context, &record);
    c->kept++;
}

void jobs_keep_part(struct core *c, struct job *part, const struct job *whole) {
    part->accepted_wall_us = whole->accepted_wall_us;
    part->deadline_us = whole->deadline_us;
    keep(c, part);
}

struct job *jobs_accept(
    struct core *c, const struct core_peer *peer, struct trace *trace, struct wire_error *err) {
    char tag[FAIRQUEUE_TAG_BYTES + 1];
    msgpack_packer pk;
    if (!admitted(c, trace, err))
        return NULL;
    struct requirement *requirement = admitted_requirement(c, fairqueue_tag(peer, tag), trace, err);
    if (requirement == NULL)
        return NULL;
    state_packer(&pk, &c->body);
    trace_put_map(&pk, trace);
    struct job *job = jobs_new(c, trace->id, trace, c->body.data, c->body.size);
    fairqueue_join(c, job, tag, requirement);
    job->accepted_wall_us = c->now.wall_us;
    job->deadline_us = c->now.mono_us + trace->deadline_ms * 1000;
    c->counters.accepted++;
    keep(c, job);
    if (!job->coalesces || !coalesce_join(c, job, trace->max_age_ms * 1000))
        jobs_queue(c, job);
    return job;
}

static struct core_peer peer_of(const struct waiter *w) {
    return (struct core_peer){w->bytes, w->id_size, w->socket, w->enveloped};
}

/* A socket that asks again with the same `req` gets one answer. */
static bool waits_already(
    const struct job *job, const struct core_peer *peer, const msgpack_object *req) {
    const struct waiter *w;
    SLIST_FOREACH(w, &job->waiters, link)
    if (w->socket == peer->socket && w->id_size == peer->size &&
        memcmp(w->bytes, peer->id, peer->size) == 0 && w->has_req == (req != NULL) &&
        (req == NULL || msgpack_object_equal(w->req, *req)))
        return true;
    return false;
}

bool jobs_wait(struct core *c, struct job *job, const struct core_peer *peer,
    const msgpack_object *req, struct wire_error *err) {
    if (waits_already(job, peer, req))
        return true;
    if (job->waiter_count == CORE_MAX_WAITERS) {
        c->counters.busy++;
        wire_busy(err, "id", "waiters", RETRY_REFUSED_MS, "%s: %d sockets wait for it already",
            job->id, CORE_MAX_WAITERS);
        return false;
    }
    size_t text = req != NULL && req->type == MSGPACK_OBJECT_STR ? req->via.str.size : 0;
    struct waiter *waiter = mem_new(1, sizeof *waiter + peer->size + text);
    waiter->socket = peer->socket;
    waiter->enveloped = peer->enveloped;
    waiter->id_size = (uint8_t)peer->size;
    memcpy(waiter->bytes, peer->id, peer->size);
    if (req != NULL) {
        waiter->has_req = true;
        waiter->req = *req;
    }
    if (text > 0)
        waiter->req.via.str.ptr = memcpy(waiter->bytes + peer->size, req->via.str.ptr, text);
    SLIST_INSERT_HEAD(&job->waiters, waiter, link);
    job->waiter_count++;
    return true;
}

/* ---- the end ---------------------------------------------------------------------------- */

void jobs_send_result(struct core *c, const void *result, size_t size, const struct core_peer *peer,
    const msgpack_object *req) {
    msgpack_packer pk;
    if (req == NULL) {
        c->sink.to_client(c->sink.context, peer, result, size, CORE_KEPT);
        return;
    }
    state_packer(&pk, &c->out);
    result_put_with_req(&pk, result, size, req);
    core_to_client(c, peer, &c->out, CORE_KEPT);
}

void jobs_tell(struct core *c, const struct job *from, const struct job *to) {
    struct waiter *waiter;
    SLIST_FOREACH(waiter, &to->waiters, link) {
        struct core_peer peer = peer_of(waiter);
        if (from == to || !peer.enveloped) /* a REQ takes one reply */
            jobs_send_result(
                c, from->result, from->result_size, &peer, waiter->has_req ? &waiter->req : NULL);
    }
}

/* Takes the job from where it is, for good. */
static void detach(struct core *c, struct job *job) {
    timeline_unset(&c->job_times, &job->timer);
    if (job->state == JOB_QUEUED)
        queue_remove(c, job);
    else if (job->state == JOB_RUNNING)
        leases_release(c, job);
    else if (job->state == JOB_RIDING)
        coalesce_leave(c, job);
    fairqueue_leave(c, job);
}

static void make_result(struct core *c, struct job *job, const struct ending *e) {
    msgpack_packer pk;
    struct trace trace;
    struct result_head head = {.seq = c->seq,
        .stream_seq = job->stream->seq,
        .epoch = c->config.epoch,
        .accepted_us = job->accepted_wall_us,
        .run = e->run};
    (void)strlcpy(head.worker, e->worker, sizeof head.worker);
    (void)strlcpy(head.id, job->id, sizeof head.id);
    (void)strlcpy(head.stream, job->stream->name, sizeof head.stream);
    if (e->shared != NULL)
        (void)strlcpy(head.shared, e->shared, sizeof head.shared);
    if (job->has_meta) {
        jobs_trace(c, job, &trace);
        head.meta = trace.meta;
    }
    state_packer(&pk, &c->result);
    result_merge(&pk, &head, e->body, e->size);
    job->result = mem_copy(c->result.data, c->result.size);
    job->result_size = (uint32_t)c->result.size;
}

static void keep_result(struct core *c, const struct job *job) {
    const struct record_result record = {.seq = c->seq,
        .stream_seq = job->stream->seq,
        .number = job->ticket,
        .id = job->id,
        .stream = job->stream->name,
        .finished_us = c->now.wall_us,
        .trace = job->trace,
        .trace_size = job->trace_size,
        .result = job->result,
        .result_size = job->result_size};
    c->sink.keep_result(c->sink.context, &record);
    c->kept++;
}

#define TOPIC_BYTES (sizeof "result.." + TRACE_ID_BYTES + RECORD_ID_BYTES)

/* `kind` is "result." or "hop.". */
static const char *make_topic(char topic[TOPIC_BYTES], const char *kind, const struct job *job) {
    char *at = stpcpy(stpcpy(topic, kind), job->stream->name);
    *at++ = '.';
    (void)stpcpy(at, job->id);
    return topic;
}

void jobs_finish(struct core *c, struct job *job, const struct ending *e) {
    char topic[TOPIC_BYTES];
    detach(c, job);
    c->seq++;
    streams_count(c, job->stream);
    make_result(c, job, e);
    job->state = JOB_DONE;
    job->stop = (uint8_t)e->stop;
    c->counters.results++;
    c->counters.shared += e->shared != NULL;
    c->results_by_stop[e->stop]++;
    keep_result(c, job);
    c->sink.publish(
        c->sink.context, make_topic(topic, "result.", job), job->result, job->result_size);
    jobs_tell(c, job, job);
    free_waiters(job);
    /* Before what ends with it: no part is remembered for longer than its whole. */
    recent_add(c, job);
    if (job->bond != NULL) {
        int64_t seq = c->seq;
        coalesce_leader_ended(c, job, e);
        fanout_part_ended(c, job, seq);
    }
}

void jobs_end(struct core *c, struct job *job, int stop, const char *code, const char *message) {
    msgpack_packer pk;
    struct trace trace;
    struct result_body body;
    char worker[SESSION_NAME_BYTES + 1] = "";
    jobs_trace(c, job, &trace);
    result_from_trace(&body, &trace);
    body.started_us = body.finished_us = c->now.wall_us;
    body.stop = stop;
    if (code != NULL) {
        (void)snprintf(body.error_code, sizeof body.error_code, "%s", code);
        (void)snprintf(body.error_message, sizeof body.error_message, "%s", message);
    }
    if (job->state == JOB_RUNNING)
        (void)snprintf(worker, sizeof worker, "%s", job->lease->worker->name);
    state_packer(&pk, &c->body);
    result_put_body(&pk, &body, NULL, 0);
    jobs_finish(c, job,
        &(struct ending){.body = c->body.data,
            .size = c->body.size,
            .stop = stop,
            .worker = worker,
            .run = job->run});
}

/* ---- on the way ------------------------------------------------------------------------- */

void jobs_queue(struct core *c, struct job *job) {
    queue_insert(c, job);
    timeline_set(&c->job_times, &job->timer, job->deadline_us);
    if (!job->fanout_limit && fanout_part_worker(job->id) == NULL)
        coalesce_add(c, job);
}

void jobs_requeue(struct core *c, struct job *job) {
    c->counters.requeued++;
    leases_release(c, job);
    if (job->cancelling) {
        jobs_end(c, job, STOP_CANCELLED, NULL, NULL);
    } else if (job->run >= CORE_MAX_RUNS || job->returns >= CORE_MAX_RETURNS) {
        char message[96];
        (void)snprintf(message, sizeof message, "started %d times, handed back %d times", job->run,
            job->returns);
        jobs_end(c, job, STOP_WORKER_LOST, "unavailable", message);
    } else {
        jobs_queue(c, job);
    }
}

/* Also one that is asked once more, after a restart, while its worker is not back; and none later
 * than its deadline has it. */
static void cancel_running(struct core *c, struct job *job) {
    int64_t until_us = c->now.mono_us + CORE_CANCEL_US;
    if (job->timer.due_us > until_us)
        timeline_set(&c->job_times, &job->timer, until_us);
    if (job->cancelling)
        return;
    job->cancelling = true;
    leases_keep(c, job);
    core_to_worker(c, job->lease->worker,
        &(struct session_msg){.op = SESSION_CANCEL, .lease = job->lease->number});
}

void jobs_cancel(struct core *c, struct job *job) {
    if (job->state == JOB_QUEUED || job->state == JOB_RIDING)
        jobs_end(c, job, STOP_CANCELLED, NULL, NULL);
    else if (job->state == JOB_RUNNING)
        cancel_running(c, job);
    else if (job->state == JOB_FANNED_OUT)
        fanout_cancel(c, job);
}

static void end_queued(struct core *c, struct job *job) {
    char message[MATCHING_TEXT_BYTES + 40] = "no worker that fits was there: ";
    if (matching_was_served(job)) {
        jobs_end(c, job, STOP_DEADLINE, NULL, NULL);
        return;
    }
    matching_describe(job->subqueue->requirement, message + strlen(message), MATCHING_TEXT_BYTES);
    jobs_end(c, job, STOP_NO_WORKER, "unavailable", message);
}

void jobs_due(struct core *c, struct job *job) {
    if (job->state == JOB_QUEUED || job->state == JOB_RIDING) {
        end_queued(c, job);
        return;
    }
    /* Its worker may forget the lease; the job's link to it is cut by who ends the job. */
    core_to_worker(c, job->lease->worker,
        &(struct session_msg){.op = SESSION_DONE, .lease = job->lease->number});
    jobs_end(c, job, job->cancelling ? STOP_CANCELLED : STOP_DEADLINE, "unavailable",
        "its worker did not answer in time");
}

static void put_hop(struct core *c, const struct job *job, const struct session_msg *msg,
    const msgpack_object *req) {
    msgpack_packer pk;
    state_packer(&pk, &c->out);
    request_put_head(&pk, "hop", req, 4);
    wire_put_key_text(&pk, "id", job->id);
    wire_put_key_text(&pk, "stream", job->stream->name);
    wire_put_key_int(&pk, "ttl", msg->ttl);
    wire_put_text(&pk, "probes");
    msgpack_pack_object(&pk, *msg->probes);
}

void jobs_hop(struct core *c, struct job *job, const struct session_msg *msg) {
    struct waiter *waiter;
    char topic[TOPIC_BYTES];
    if (!job->progress)
        return;
    if (c->stalled) {
        c->counters.hops_dropped++; /* too much waits for the store already */
        return;
    }
    c->counters.hops++;
    put_hop(c, job, msg, NULL);
    c->sink.publish(c->sink.context, make_topic(topic, "hop.", job), c->out.data, c->out.size);
    SLIST_FOREACH(waiter, &job->waiters, link) {
        struct core_peer peer = peer_of(waiter);
        if (peer.enveloped)
            continue; /* a REQ takes one reply, the result */
        put_hop(c, job, msg, waiter->has_req ? &waiter->req : NULL);
        core_to_client(c, &peer, &c->out, CORE_KEPT);
    }
}

void jobs_end_all(struct core *c) {
    struct job *job;
    while ((job = queue_any(c)) != NULL || (job = leases_any(c)) != NULL)
        jobs_end(c, job, STOP_CANCELLED, "unavailable", "the broker was stopped");
}

void jobs_free_all(struct core *c) {
    struct job *job;
    RB_FOREACH(job, job_id_tree, &c->jobs)
    if (job->state == JOB_RIDING)
        coalesce_leave(c, job);
    while ((job = RB_ROOT(&c->jobs)) != NULL) {
        if (job->state != JOB_DONE)
            detach(c, job);
        jobs_free(c, job);
    }
}
