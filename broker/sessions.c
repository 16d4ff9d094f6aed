/* sessions: workers, their credit, and the leases that they hold. */
#include "broker/state.h"

#include "common/mem.h"
#include "common/result.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A worker that was refused its name asks again every 5 s; the fight lasts while it does. */
#define CONTEST_US 10000000

static int compare_peer_ids(const struct peer_id *a, const struct peer_id *b) {
    if (a->socket != b->socket)
        return a->socket < b->socket ? -1 : 1;
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    return memcmp(a->bytes, b->bytes, a->size);
}

static int compare_peer(const struct worker *a, const struct worker *b) {
    return compare_peer_ids(&a->peer, &b->peer);
}

static int compare_name(const struct worker *a, const struct worker *b) {
    return strcmp(a->name, b->name);
}

/* By the share of its capacity that is in use; cross-multiplied, so that it is exact. Two sessions
 * can have one name for a moment, but never one peer. */
static int compare_load(const struct worker *a, const struct worker *b) {
    int64_t x = a->running * b->capacity, y = b->running * a->capacity;
    return x != y ? (x < y ? -1 : 1) : compare_peer(a, b);
}

RB_PROTOTYPE(worker_peer_tree, worker, by_peer, compare_peer)
RB_GENERATE(worker_peer_tree, worker, by_peer, compare_peer)
RB_GENERATE(worker_name_tree, worker, by_name, compare_name)
RB_GENERATE(worker_load_tree, worker, by_load, compare_load)

struct worker *sessions_find(struct core *c, const struct core_peer *peer) {
    struct worker key = {.capacity = 0};
    peer_id_set(&key.peer, peer);
    return RB_FIND(worker_peer_tree, &c->peers, &key);
}

static void unload(struct core *c, struct worker *w) {
    if (w->in_load)
        (void)RB_REMOVE(worker_load_tree, &c->free_workers, w);
    w->in_load = false;
}

bool sessions_serves(const struct worker *w) { return !w->draining && w->trouble[0] == '\0'; }

/* After running, capacity, draining or trouble changed; call unload() before they change. */
static void load(struct core *c, struct worker *w) {
    if (w->lost || !sessions_serves(w) || w->full || w->running >= w->capacity)
        return;
    const struct worker *same = RB_INSERT(worker_load_tree, &c->free_workers, w);
    assert(same == NULL);
    (void)same;
    w->in_load = true;
}

/* ---- leases ----------------------------------------------------------------------------- */

static void hold(struct core *c, struct worker *w, struct job *job) {
    unload(c, w);
    job->worker = w;
    TAILQ_INSERT_TAIL(&w->jobs, job, link);
    w->running++;
    load(c, w);
}

static void let_go(struct core *c, struct job *job) {
    struct worker *w = job->worker;
    assert(w != NULL);
    unload(c, w);
    TAILQ_REMOVE(&w->jobs, job, link);
    w->running--;
    load(c, w);
    job->worker = NULL;
}

void sessions_take(struct core *c, struct worker *w, struct job *job) {
    int64_t left_ms = (job->deadline_us - c->now.mono_us) / 1000;
    job->state = JOB_RUNNING;
    job->run++;
    job->lease = c->next_lease++;
    job->dispatched_us = c->now.mono_us;
    job->listed = 0;
    (void)RB_INSERT(job_lease_tree, &c->leases, job);
    c->running++;
    hold(c, w, job);
    timeline_set(&c->job_times, &job->timer, job->deadline_us + CORE_GRACE_US);
    c->counters.dispatched++;
    struct session_msg msg = {.op = SESSION_TRACE,
        .lease = job->lease,
        .run = job->run,
        .deadline_ms = left_ms > 0 ? left_ms : 0,
        .trace_bytes = job->trace,
        .trace_size = job->trace_size};
    enum core_sent sent = core_to_worker(c, w, &msg);
    if (sent == CORE_SENT)
        return;
    job->run--; /* it was never started */
    c->counters.dispatched--;
    if (sent == CORE_GONE) {
        sessions_lost(c, w, "its connection is gone");
        return;
    }
    w->full = true;
    unload(c, w);
    jobs_again(c, job);
}

void sessions_release(struct core *c, struct job *job) {
    timeline_unset(&c->job_times, &job->timer);
    let_go(c, job);
    (void)RB_REMOVE(job_lease_tree, &c->leases, job);
    job->lease = 0;
    job->state = JOB_LOOSE;
    c->running--;
}

/* ---- life ------------------------------------------------------------------------------- */

static void remove_worker(struct core *c, struct worker *w) {
    unload(c, w);
    w->lost = true;
    timeline_unset(&c->worker_times, &w->timer);
    (void)RB_REMOVE(worker_peer_tree, &c->peers, w);
    (void)RB_REMOVE(worker_name_tree, &c->names, w);
    c->worker_count--;
}

static void free_worker(struct worker *w) {
    free(w->stats);
    free(w);
}

/* Its leases go to others. */
static void close_session(struct core *c, struct worker *w) {
    remove_worker(c, w);
    /* The last one first: each then goes in front of the queue at once. */
    struct job *job;
    while ((job = TAILQ_LAST(&w->jobs, job_list)) != NULL) {
        c->counters.leases_lost++;
        jobs_again(c, job);
    }
    free_worker(w);
}

void sessions_lost(struct core *c, struct worker *w, const char *why) {
    if (w->lost)
        return;
    c->counters.workers_lost++;
    core_say(c, CORE_WARN, "worker-lost", "name=%s running=%" PRId64 " why=\"%s\"", w->name,
        w->running, why);
    close_session(c, w);
}

static void bye(struct core *c, struct worker *w) {
    core_say(c, CORE_INFO, "worker-left", "name=%s running=%" PRId64, w->name, w->running);
    close_session(c, w);
}

void sessions_due(struct core *c, struct worker *w) { sessions_lost(c, w, "silent"); }

static void heard(struct core *c, struct worker *w) {
    w->heard_us = c->now.mono_us;
    if (w->full) {
        w->full = false;
        unload(c, w);
        load(c, w);
    }
    timeline_set(&c->worker_times, &w->timer, c->now.mono_us + SESSION_DEAD_MS * 1000);
}

static void reject(struct core *c, const struct core_peer *peer, const char *code,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

static void reject(
    struct core *c, const struct core_peer *peer, const char *code, const char *format, ...) {
    struct session_msg msg = {.op = SESSION_REJECT};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(msg.message, sizeof msg.message, format, args);
    va_end(args);
    (void)snprintf(msg.code, sizeof msg.code, "%s", code);
    c->counters.rejected_workers++;
    core_say(c, CORE_WARN, "worker-rejected", "code=%s message=\"%s\"", code, msg.message);
    core_to_peer(c, peer, &msg);
}

/* ---- hello ------------------------------------------------------------------------------ */

/* Two processes that use one name would take each other's sessions in turn: the one that has it
 * keeps it for as long as the other goes on asking. */
static bool contested(struct core *c, struct worker *holder, const struct session_msg *msg) {
    for (size_t i = 0; i < msg->lease_count; i++) {
        const struct job *job = jobs_find_lease(c, msg->leases[i]);
        if (job != NULL && job->worker == holder)
            return false; /* the same one, over a new connection */
    }
    bool fight = holder->contested_us != 0 && c->now.mono_us - holder->contested_us < CONTEST_US;
    if (fight)
        holder->contested_us = c->now.mono_us;
    return fight;
}

/* Call unload() before, and load() after. */
static void set_trouble(struct core *c, struct worker *w, const char *trouble) {
    if (strcmp(w->trouble, trouble) == 0)
        return;
    if (trouble[0] != '\0')
        core_say(c, CORE_WARN, "worker-trouble", "name=%s why=\"%s\"", w->name, trouble);
    else
        core_say(c, CORE_INFO, "worker-well", "name=%s", w->name);
    (void)snprintf(w->trouble, sizeof w->trouble, "%s", trouble);
}

static void fill(struct core *c, struct worker *w, const struct session_msg *msg) {
    memcpy(w->prober, msg->prober, sizeof w->prober);
    w->capacity = msg->capacity;
    w->labels = msg->labels;
    w->families = msg->families;
    w->protocols = msg->protocols;
    w->draining = false;
    set_trouble(c, w, msg->trouble);
}

static struct worker *join(
    struct core *c, const struct core_peer *peer, const struct session_msg *msg) {
    struct worker *w = mem_new(1, sizeof *w);
    peer_id_set(&w->peer, peer);
    memcpy(w->name, msg->name, sizeof w->name);
    TAILQ_INIT(&w->jobs);
    (void)RB_INSERT(worker_peer_tree, &c->peers, w);
    c->worker_count++;
    c->counters.workers_joined++;
    core_say(c, CORE_INFO, "worker-joined", "name=%s prober=\"%s\" capacity=%" PRId64, w->name,
        msg->prober, msg->capacity);
    fill(c, w, msg);
    return w;
}

static void adopt(
    struct core *c, struct worker *w, const struct session_msg *msg, struct worker *old) {
    for (size_t i = 0; i < msg->lease_count; i++) {
        struct job *job = jobs_find_lease(c, msg->leases[i]);
        if (job != NULL && (job->worker == old || job->worker == w)) {
            if (job->worker != w) {
                let_go(c, job);
                hold(c, w, job);
            }
            job->listed = w->beats;
        }
    }
}

/* What the worker holds and we do not count as its: it may forget that. */
static void disown(struct core *c, const struct worker *w, const struct session_msg *msg) {
    for (size_t i = 0; i < msg->lease_count; i++) {
        const struct job *job = jobs_find_lease(c, msg->leases[i]);
        if (job == NULL || job->worker != w)
            (void)core_to_worker(
                c, w, &(struct session_msg){.op = SESSION_DONE, .lease = msg->leases[i]});
    }
}

/* The leases that the last message did not name, given more than `age_us` ago, are lost. */
static void sweep(struct core *c, struct worker *w, int64_t age_us) {
    struct job *job = TAILQ_LAST(&w->jobs, job_list), *before;
    for (; job != NULL; job = before) {
        before = TAILQ_PREV(job, job_list, link);
        if (job->listed != w->beats && c->now.mono_us - job->dispatched_us >= age_us) {
            c->counters.leases_lost++;
            jobs_again(c, job);
        }
    }
}

static void hello(struct core *c, const struct core_peer *peer, const struct session_msg *msg) {
    if (msg->version_min > WIRE_VERSION || msg->version_max < WIRE_VERSION) {
        reject(c, peer, "unsupported-version",
            "versions: %" PRId64 "..%" PRId64 ": this broker speaks %d..%d", msg->version_min,
            msg->version_max, WIRE_VERSION, WIRE_VERSION);
        return;
    }
    struct worker *w = sessions_find(c, peer);
    if (w != NULL && strcmp(w->name, msg->name) != 0)
        sessions_lost(c, w, "has another name now");
    struct worker key = {.capacity = 0};
    memcpy(key.name, msg->name, sizeof key.name);
    struct worker *old = RB_FIND(worker_name_tree, &c->names, &key);
    w = sessions_find(c, peer);
    if (w == NULL && old != NULL && contested(c, old, msg)) {
        reject(c, peer, "conflict", "name: %s: another worker uses it; give each its own --name",
            msg->name);
        return;
    }
    if (w == NULL && old == NULL && c->worker_count >= CORE_MAX_WORKERS) {
        reject(c, peer, "busy", "workers: %d: full", CORE_MAX_WORKERS);
        return;
    }
    if (w == NULL) {
        w = join(c, peer, msg);
        w->contested_us = old != NULL ? c->now.mono_us : 0;
    } else {
        unload(c, w);
        fill(c, w, msg);
        load(c, w);
    }
    w->beats++;
    adopt(c, w, msg, old);
    if (old != NULL && old != w)
        sessions_lost(c, old, "its name joined anew");
    if (old != w)
        (void)RB_INSERT(worker_name_tree, &c->names, w);
    sweep(c, w, 0);
    heard(c, w);
    unload(c, w);
    load(c, w);
    (void)core_to_worker(c, w,
        &(struct session_msg){.op = SESSION_WELCOME,
            .epoch = c->config.epoch,
            .heartbeat_ms = SESSION_HEARTBEAT_MS,
            .dead_ms = SESSION_DEAD_MS});
    disown(c, w, msg);
}

/* ---- other messages --------------------------------------------------------------------- */

static void bad(struct core *c, const struct worker *w, const char *message) {
    c->counters.bad_worker_messages++;
    core_say(c, CORE_WARN, "bad-worker-message", "name=%s why=\"%s\"", w->name, message);
}

static void heartbeat(struct core *c, struct worker *w, const struct session_msg *msg) {
    if (msg->values.leases == NULL) {
        bad(c, w, "leases: is missing");
        return;
    }
    w->beats++;
    adopt(c, w, msg, w);
    sweep(c, w, SESSION_DEAD_MS * 1000);
    disown(c, w, msg);
    unload(c, w);
    set_trouble(c, w, msg->trouble);
    load(c, w);
    if (msg->stats != NULL) {
        msgpack_packer pk;
        state_packer(&pk, &c->body);
        msgpack_pack_object(&pk, *msg->stats);
        free(w->stats);
        w->stats = mem_copy(c->body.data, c->body.size);
        w->stats_size = c->body.size;
    }
    (void)core_to_worker(
        c, w, &(struct session_msg){.op = SESSION_HEARTBEAT, .epoch = c->config.epoch});
}

/* The job of a lease if this worker holds it. */
static struct job *held(struct core *c, const struct worker *w, int64_t lease) {
    struct job *job = jobs_find_lease(c, lease);
    return job != NULL && job->worker == w ? job : NULL;
}

static void result(struct core *c, struct worker *w, const struct session_msg *msg) {
    struct wire_error err;
    struct job *job = held(c, w, msg->lease);
    if (job == NULL) {
        c->counters.late_results++;
    } else if (!wire_doc_read(&c->inner, msg->body, msg->body_size, RESULT_MAX_VALUES, &err) ||
               !result_check_body(&c->inner.root, &err)) {
        /* It would send the same again for ever: end the run as if it had been lost. */
        bad(c, w, err.message);
        job->returns++;
        jobs_again(c, job);
    } else {
        jobs_finish(c, job, msg->body, msg->body_size);
    }
    (void)core_to_worker(c, w, &(struct session_msg){.op = SESSION_DONE, .lease = msg->lease});
}

static void given_back(struct core *c, struct worker *w, const struct session_msg *msg) {
    struct job *job = held(c, w, msg->lease);
    if (job == NULL)
        return;
    c->counters.returned++;
    core_say(c, CORE_INFO, "trace-returned", "id=%s worker=%s why=\"%s\"", job->id, w->name,
        msg->reason);
    job->run--; /* it was never started, or its end is not its fault */
    job->returns++;
    jobs_again(c, job);
}

static void drain(struct core *c, struct worker *w) {
    unload(c, w);
    w->draining = true;
    core_say(c, CORE_INFO, "worker-drains", "name=%s", w->name);
}

static void from_worker(struct core *c, struct worker *w, const struct session_msg *msg) {
    struct job *job;
    heard(c, w);
    switch ((enum session_op)msg->op) {
    case SESSION_HEARTBEAT:
        heartbeat(c, w, msg);
        break;
    case SESSION_HOP:
        if ((job = held(c, w, msg->lease)) != NULL)
            jobs_hop(c, job, msg);
        break;
    case SESSION_RESULT:
        result(c, w, msg);
        break;
    case SESSION_RETURN:
        given_back(c, w, msg);
        break;
    case SESSION_DRAIN:
        drain(c, w);
        break;
    case SESSION_BYE:
        bye(c, w);
        break;
    case SESSION_HELLO:
    case SESSION_WELCOME:
    case SESSION_REJECT:
    case SESSION_WHO:
    case SESSION_TRACE:
    case SESSION_CANCEL:
    case SESSION_DONE:
        bad(c, w, "not a worker's message");
        break;
    }
}

void sessions_message(struct core *c, const struct core_peer *peer, const struct session_msg *msg) {
    if (msg->op == SESSION_HELLO) {
        hello(c, peer, msg);
        return;
    }
    struct worker *w = sessions_find(c, peer);
    if (w != NULL)
        from_worker(c, w, msg);
    else if (msg->op != SESSION_BYE)
        core_to_peer(c, peer, &(struct session_msg){.op = SESSION_WHO});
}

/* ---- stats ------------------------------------------------------------------------------ */

static void put_worker(struct core *c, msgpack_packer *pk, const struct worker *w) {
    msgpack_pack_map(pk, 9U + (w->trouble[0] != '\0') + (w->stats != NULL));
    wire_put_key_text(pk, "name", w->name);
    wire_put_text(pk, "labels");
    labels_put(pk, &w->labels);
    wire_put_key_int(pk, "capacity", w->capacity);
    wire_put_key_int(pk, "running", w->running);
    wire_put_key_text(pk, "prober", w->prober);
    wire_put_text(pk, "af");
    session_put_families(pk, w->families);
    wire_put_text(pk, "protocols");
    session_put_protocols(pk, w->protocols);
    wire_put_text(pk, "draining");
    if (w->draining)
        msgpack_pack_true(pk);
    else
        msgpack_pack_false(pk);
    wire_put_key_int(pk, "seen_ms", (c->now.mono_us - w->heard_us) / 1000);
    if (w->trouble[0] != '\0')
        wire_put_key_text(pk, "trouble", w->trouble);
    if (w->stats != NULL) {
        wire_put_text(pk, "stats");
        (void)pk->callback(pk->data, w->stats, w->stats_size);
    }
}

void sessions_put_stats(struct core *c, msgpack_packer *pk) {
    struct worker *w;
    msgpack_pack_array(pk, (size_t)c->worker_count);
    RB_FOREACH(w, worker_name_tree, &c->names)
    put_worker(c, pk, w);
}

void sessions_free_all(struct core *c) {
    struct worker *w;
    while ((w = RB_ROOT(&c->names)) != NULL) {
        remove_worker(c, w);
        free_worker(w);
    }
}
