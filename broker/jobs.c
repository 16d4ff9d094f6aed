/* jobs: a trace's life from acceptance until its result is forgotten. */
#include "broker/state.h"

#include "common/mem.h"
#include "common/result.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_id(const struct job *a, const struct job *b) { return strcmp(a->id, b->id); }

static int compare_lease(const struct job *a, const struct job *b) {
    return a->lease < b->lease ? -1 : a->lease > b->lease;
}

RB_PROTOTYPE(job_id_tree, job, by_id, compare_id)
RB_GENERATE(job_id_tree, job, by_id, compare_id)
RB_GENERATE(job_lease_tree, job, by_lease, compare_lease)

static struct job *job_new(const char *id, size_t size) {
    struct job *job = mem_new(1, sizeof *job + size + 1);
    memcpy(job->id, id, size);
    SLIST_INIT(&job->waiters);
    return job;
}

struct job *jobs_find(struct core *c, const char *id, size_t size) {
    union {
        struct job job;
        char room[sizeof(struct job) + TRACE_ID_BYTES + 1];
    } key;
    if (size > TRACE_ID_BYTES)
        return NULL;
    memcpy(key.job.id, id, size);
    key.job.id[size] = '\0';
    return RB_FIND(job_id_tree, &c->jobs, &key.job);
}

struct job *jobs_find_lease(struct core *c, int64_t lease) {
    struct job *at = RB_ROOT(&c->leases);
    while (at != NULL && at->lease != lease)
        at = lease < at->lease ? RB_LEFT(at, by_lease) : RB_RIGHT(at, by_lease);
    return at;
}

/* ---- acceptance ------------------------------------------------------------------------- */

static void refuse_busy(struct core *c, struct wire_error *err, const char *what, int64_t limit) {
    c->counters.busy++;
    wire_fail(err, "busy", what, "%" PRId64 ": full; send again later", limit);
}

static struct job *repeated(struct core *c, struct job *job, struct wire_error *err) {
    if (job->trace_size == c->body.size && memcmp(job->trace, c->body.data, c->body.size) == 0) {
        c->counters.repeated++;
        return job;
    }
    c->counters.conflicts++;
    wire_fail(err, "conflict", "id", "%s: is in use for a different trace", job->id);
    return NULL;
}

struct job *jobs_accept(struct core *c, struct trace *trace, struct wire_error *err) {
    if (c->draining) {
        c->counters.busy++;
        wire_fail(err, "busy", "", "this broker is draining; send again later, or to another");
        return NULL;
    }
    /* A client may have named a trace so; then the next one. */
    for (bool made = trace->id[0] == '\0'; made;
         made = jobs_find(c, trace->id, strlen(trace->id)) != NULL)
        (void)snprintf(trace->id, sizeof trace->id, "%" PRIx64 "-%" PRIu64,
            (uint64_t)c->config.epoch / 1000, c->next_id++);
    msgpack_packer pk;
    state_packer(&pk, &c->body);
    trace_put_map(&pk, trace);
    struct job *job = jobs_find(c, trace->id, strlen(trace->id));
    if (job != NULL)
        return repeated(c, job, err);
    if (c->queued >= c->config.max_queued) {
        refuse_busy(c, err, "queue", c->config.max_queued);
        return NULL;
    }
    struct stream *stream = streams_get(c, trace->stream);
    if (stream == NULL) {
        refuse_busy(c, err, "streams", CORE_MAX_STREAMS);
        return NULL;
    }
    job = job_new(trace->id, strlen(trace->id));
    job->trace = mem_copy(c->body.data, c->body.size);
    job->trace_size = (uint32_t)c->body.size;
    struct demand *demand = queue_demand(c, trace->workers);
    if (demand == NULL) {
        free(job->trace);
        free(job);
        refuse_busy(c, err, "workers", CORE_MAX_DEMANDS);
        return NULL;
    }
    job->stream = stream;
    job->priority = (uint8_t)trace->priority;
    job->progress = trace->progress;
    job->has_meta = trace->meta != NULL;
    job->ticket = c->next_ticket++;
    job->accepted_wall_us = c->now.wall_us;
    job->deadline_us = c->now.mono_us + trace->deadline_ms * 1000;
    (void)RB_INSERT(job_id_tree, &c->jobs, job);
    queue_insert(c, job, demand);
    timeline_set(&c->job_times, &job->timer, job->deadline_us);
    c->counters.accepted++;
    return job;
}

/* A socket that asks again with the same `req` gets one answer. */
static bool waits_already(
    const struct job *job, const struct core_peer *peer, const msgpack_object *req) {
    const struct waiter *w;
    SLIST_FOREACH(w, &job->waiters, link)
    if (w->peer.socket == peer->socket && w->peer.size == peer->size &&
        memcmp(w->peer.bytes, peer->id, peer->size) == 0 && w->has_req == (req != NULL) &&
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
        wire_fail(
            err, "busy", "id", "%s: %d sockets wait for it already", job->id, CORE_MAX_WAITERS);
        return false;
    }
    struct waiter *waiter = mem_new(1, sizeof *waiter);
    peer_id_set(&waiter->peer, peer);
    if (req != NULL) {
        waiter->has_req = true;
        waiter->req = *req;
        if (req->type == MSGPACK_OBJECT_STR) {
            memcpy(waiter->req_text, req->via.str.ptr, req->via.str.size);
            waiter->req.via.str.ptr = waiter->req_text;
        }
    }
    SLIST_INSERT_HEAD(&job->waiters, waiter, link);
    job->waiter_count++;
    return true;
}

/* ---- the end ---------------------------------------------------------------------------- */

static void read_trace(struct core *c, const struct job *job, struct trace *trace) {
    struct wire_error err;
    if (!wire_doc_read(&c->inner, job->trace, job->trace_size, REQUEST_MAX_VALUES, &err) ||
        !trace_get(trace, &c->inner.root, "", &err))
        abort(); /* we encoded it ourselves */
}

static void free_waiters(struct job *job) {
    struct waiter *waiter;
    while ((waiter = SLIST_FIRST(&job->waiters)) != NULL) {
        SLIST_REMOVE_HEAD(&job->waiters, link);
        free(waiter);
    }
    job->waiter_count = 0;
}

static void forget(struct core *c, struct job *job) {
    timeline_unset(&c->job_times, &job->timer);
    (void)RB_REMOVE(job_id_tree, &c->jobs, job);
    free_waiters(job);
    free(job->trace);
    free(job->result);
    free(job);
}

static void archive(struct core *c, struct job *job) {
    job->state = JOB_DONE;
    TAILQ_INSERT_TAIL(&c->archive, job, link);
    c->archived++;
    while (c->archived > c->config.keep_results) {
        struct job *oldest = TAILQ_FIRST(&c->archive);
        TAILQ_REMOVE(&c->archive, oldest, link);
        c->archived--;
        c->counters.forgotten++;
        forget(c, oldest);
    }
}

static void send_with_req(
    struct core *c, const struct job *job, const struct peer_id *peer, const msgpack_object *req) {
    msgpack_packer pk;
    state_packer(&pk, &c->out);
    result_put_with_req(&pk, job->result, job->result_size, req);
    core_to_client(c, peer, &c->out);
}

void jobs_send_result(
    struct core *c, struct job *job, const struct core_peer *peer, const msgpack_object *req) {
    struct peer_id id;
    peer_id_set(&id, peer);
    send_with_req(c, job, &id, req);
}

/* Takes the job from where it is: queue or worker. */
static void detach(struct core *c, struct job *job) {
    timeline_unset(&c->job_times, &job->timer);
    if (job->state == JOB_QUEUED)
        queue_remove(c, job);
    else if (job->state == JOB_RUNNING)
        sessions_release(c, job);
}

void jobs_finish(struct core *c, struct job *job, const void *body, size_t size) {
    msgpack_packer pk;
    struct trace trace;
    struct result_head head = {
        .epoch = c->config.epoch, .accepted_us = job->accepted_wall_us, .run = job->run};
    if (job->worker != NULL)
        memcpy(head.worker, job->worker->name, sizeof head.worker);
    detach(c, job);
    head.seq = ++c->seq;
    streams_count(c, job->stream);
    head.stream_seq = job->stream->seq;
    (void)snprintf(head.id, sizeof head.id, "%s", job->id);
    (void)snprintf(head.stream, sizeof head.stream, "%s", job->stream->name);
    if (job->has_meta) {
        read_trace(c, job, &trace);
        head.meta = trace.meta;
    }
    state_packer(&pk, &c->result);
    result_merge(&pk, &head, body, size);
    job->result = mem_copy(c->result.data, c->result.size);
    job->result_size = (uint32_t)c->result.size;
    c->counters.results++;
    char topic[2 * TRACE_ID_BYTES + 16];
    (void)snprintf(topic, sizeof topic, "result.%s.%s", job->stream->name, job->id);
    c->sink.publish(c->sink.context, topic, job->result, job->result_size);
    struct waiter *waiter;
    SLIST_FOREACH(waiter, &job->waiters, link)
    send_with_req(c, job, &waiter->peer, waiter->has_req ? &waiter->req : NULL);
    free_waiters(job);
    archive(c, job);
}

void jobs_end(struct core *c, struct job *job, int stop, const char *code, const char *message) {
    msgpack_packer pk;
    struct trace trace;
    struct result_body body;
    read_trace(c, job, &trace);
    result_from_trace(&body, &trace);
    body.started_us = body.finished_us = c->now.wall_us;
    body.stop = stop;
    if (code != NULL) {
        (void)snprintf(body.error_code, sizeof body.error_code, "%s", code);
        (void)snprintf(body.error_message, sizeof body.error_message, "%s", message);
    }
    state_packer(&pk, &c->body);
    result_put_body(&pk, &body, NULL, 0);
    jobs_finish(c, job, c->body.data, c->body.size);
}

/* ---- on the way ------------------------------------------------------------------------- */

void jobs_again(struct core *c, struct job *job) {
    struct trace trace;
    struct demand *demand;
    c->counters.requeued++;
    sessions_release(c, job);
    read_trace(c, job, &trace);
    if (job->cancelling) {
        jobs_end(c, job, STOP_CANCELLED, NULL, NULL);
    } else if (job->run >= CORE_MAX_RUNS || job->returns >= CORE_MAX_RETURNS) {
        char message[96];
        (void)snprintf(message, sizeof message, "started %d times, handed back %d times", job->run,
            job->returns);
        jobs_end(c, job, STOP_WORKER_LOST, "unavailable", message);
    } else if ((demand = queue_demand(c, trace.workers)) == NULL) {
        jobs_end(c, job, STOP_NO_WORKER, "busy", "too many sets of labels are queued");
    } else {
        queue_insert(c, job, demand);
        timeline_set(&c->job_times, &job->timer, job->deadline_us);
    }
}

/* Tells a worker to forget a lease; the job's link to it is cut by who ends the job. */
static void tell_done(struct core *c, const struct job *job) {
    (void)core_to_worker(
        c, job->worker, &(struct session_msg){.op = SESSION_DONE, .lease = job->lease});
}

void jobs_cancel(struct core *c, struct job *job) {
    if (job->state == JOB_QUEUED) {
        jobs_end(c, job, STOP_CANCELLED, NULL, NULL);
    } else if (job->state == JOB_RUNNING && !job->cancelling) {
        job->cancelling = true;
        timeline_set(&c->job_times, &job->timer, c->now.mono_us + CORE_CANCEL_US);
        (void)core_to_worker(
            c, job->worker, &(struct session_msg){.op = SESSION_CANCEL, .lease = job->lease});
    }
}

void jobs_due(struct core *c, struct job *job) {
    if (job->state == JOB_QUEUED) {
        bool served = queue_servable(c, job->demand);
        jobs_end(c, job, served ? STOP_DEADLINE : STOP_NO_WORKER, served ? NULL : "unavailable",
            "no worker that fits was there");
        return;
    }
    tell_done(c, job);
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
    char topic[2 * TRACE_ID_BYTES + 16];
    if (!job->progress)
        return;
    c->counters.hops++;
    put_hop(c, job, msg, NULL);
    (void)snprintf(topic, sizeof topic, "hop.%s.%s", job->stream->name, job->id);
    c->sink.publish(c->sink.context, topic, c->out.data, c->out.size);
    SLIST_FOREACH(waiter, &job->waiters, link) {
        if (waiter->peer.enveloped)
            continue; /* a REQ takes one reply, the result */
        put_hop(c, job, msg, waiter->has_req ? &waiter->req : NULL);
        core_to_client(c, &waiter->peer, &c->out);
    }
}

void jobs_end_all(struct core *c) {
    struct job *job;
    while ((job = queue_any(c)) != NULL || (job = RB_ROOT(&c->leases)) != NULL)
        jobs_end(c, job, STOP_CANCELLED, "unavailable", "the broker was stopped");
}

void jobs_free_all(struct core *c) {
    struct job *job;
    while ((job = RB_ROOT(&c->jobs)) != NULL) {
        if (job->state == JOB_QUEUED)
            queue_remove(c, job);
        else if (job->state == JOB_RUNNING)
            sessions_release(c, job);
        forget(c, job);
    }
}
