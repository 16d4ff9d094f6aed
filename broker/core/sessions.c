#include "broker/core/sessions.h"

#include "broker/core/jobs.h"
#include "broker/core/leases.h"
#include "broker/core/matching.h"
#include "broker/core/quarantine.h"
#include "common/mem.h"
#include "common/order.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A worker that was refused its name asks again every 5 s; the fight lasts while it does. */
#define CONTEST_US 10000000

static int compare_peer_ids(const struct peer_id *a, const struct peer_id *b) {
    int order = order_compare(a->socket, b->socket);
    return order != 0 ? order : order_compare_bytes(a->bytes, a->size, b->bytes, b->size);
}

static int compare_peer(const struct worker *a, const struct worker *b) {
    return compare_peer_ids(&a->peer, &b->peer);
}

static int compare_name(const struct worker *a, const struct worker *b) {
    return strcmp(a->name, b->name);
}

/* By the share of its capacity that is in use; cross-multiplied, so that it is exact. Two sessions
 * can have one name for a moment, but never one peer. */
int sessions_compare_load(const struct worker *a, const struct worker *b) {
    int64_t x = a->running * b->capacity, y = b->running * a->capacity;
    return x != y ? order_compare(x, y) : compare_peer(a, b);
}

RB_PROTOTYPE(worker_peer_tree, worker, by_peer, compare_peer)
RB_GENERATE(worker_peer_tree, worker, by_peer, compare_peer)
RB_GENERATE(worker_name_tree, worker, by_name, compare_name)

struct worker *sessions_find(struct core *c, const struct core_peer *peer) {
    struct worker key = {.capacity = 0};
    peer_id_set(&key.peer, peer);
    return RB_FIND(worker_peer_tree, &c->peers, &key);
}

void sessions_unload(struct core *c, struct worker *w) { matching_worker_busy(c, w); }

bool sessions_serves(const struct worker *w) {
    return !w->absent && !w->draining && w->trouble[0] == '\0';
}

bool sessions_takes(const struct worker *w) { return w->serving && !w->unsent && !w->paused; }

/* After running, capacity, draining or trouble changed; call unload() before they change. */
void sessions_load(struct core *c, struct worker *w) {
    if (w->lost)
        return;
    matching_worker_busy(c, w);
    matching_set_serving(w, sessions_serves(w));
    if (!sessions_takes(w))
        quarantine_worker_unfit(c, w);
    if (sessions_takes(w) && w->running < w->capacity && !quarantine_reserves(c, w))
        matching_worker_free(c, w);
}

void sessions_pause(struct core *c, struct worker *w) {
    sessions_unload(c, w);
    w->paused = true;
    sessions_load(c, w);
}

/* ---- life ------------------------------------------------------------------------------- */

static void remove_worker(struct core *c, struct worker *w) {
    sessions_unload(c, w);
    matching_remove_worker(c, w);
    w->lost = true;
    quarantine_worker_unfit(c, w);
    timeline_unset(&c->worker_times, &w->timer);
    (void)RB_REMOVE(worker_name_tree, &c->names, w);
    if (w->absent)
        return;
    (void)RB_REMOVE(worker_peer_tree, &c->peers, w);
    c->worker_count--;
}

static void free_worker(struct worker *w) {
    free(w->sources);
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
        jobs_requeue(c, job);
    }
    free_worker(w);
}

void sessions_lost(struct core *c, struct worker *w, const char *why) {
    if (w->lost)
        return;
    if (w->absent && w->running == 0) {
        close_session(c, w); /* all that it held was adopted */
        return;
    }
    c->counters.workers_lost += !w->absent;
    core_say(c, CORE_WARN, w->absent ? "worker-gone" : "worker-lost",
        "name=%s running=%" PRId64 " why=\"%s\"", w->name, w->running, why);
    close_session(c, w);
}

static void bye(struct core *c, struct worker *w) {
    core_say(c, CORE_INFO, "worker-left", "name=%s running=%" PRId64, w->name, w->running);
    close_session(c, w);
}

void sessions_due(struct core *c, struct worker *w) {
    sessions_lost(c, w, w->absent ? "did not come back after the broker's restart" : "silent");
}

static void heard(struct core *c, struct worker *w) {
    w->heard_us = c->now.mono_us;
    if (w->unsent) {
        w->unsent = w->gone = false;
        sessions_unload(c, w);
        sessions_load(c, w);
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

struct worker *sessions_absent(struct core *c, const char *name) {
    struct worker *w, key = {.capacity = 0};
    (void)snprintf(key.name, sizeof key.name, "%s", name);
    if ((w = RB_FIND(worker_name_tree, &c->names, &key)) != NULL)
        return w;
    w = mem_new(1, sizeof *w);
    memcpy(w->name, key.name, sizeof w->name);
    w->absent = true;
    TAILQ_INIT(&w->jobs);
    (void)RB_INSERT(worker_name_tree, &c->names, w);
    timeline_set(&c->worker_times, &w->timer, c->now.mono_us + CORE_ABSENT_US);
    return w;
}

/* ---- hello ------------------------------------------------------------------------------ */

/* Two processes that use one name would take each other's sessions in turn: the one that has it
 * keeps it for as long as the other goes on asking. */
static bool contested(struct core *c, struct worker *holder, const struct session_msg *msg) {
    for (size_t i = 0; i < msg->lease_count; i++) {
        const struct job *job = leases_find(c, msg->leases[i]);
        if (job != NULL && job->lease->worker == holder)
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
    w->flows = msg->flows;
    w->protocols = msg->protocols;
    free(w->sources);
    w->sources = mem_copy(msg->sources, msg->source_count * sizeof *msg->sources);
    w->source_count = msg->source_count;
    w->draining = w->paused = false;
    set_trouble(c, w, msg->trouble);
    matching_add_worker(c, w);
    quarantine_worker_unfit(c, w);
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

static void hello(struct core *c, const struct core_peer *peer, const struct session_msg *msg) {
    if (session_version(msg) == 0) {
        reject(c, peer, "unsupported-version",
            "versions: %" PRId64 "..%" PRId64 ": this broker speaks %d..%d", msg->version_min,
            msg->version_max, SESSION_VERSION_MIN, SESSION_VERSION_MAX);
        return;
    }
    struct worker *w = sessions_find(c, peer);
    if (w != NULL && strcmp(w->name, msg->name) != 0)
        sessions_lost(c, w, "has another name now");
    struct worker key = {.capacity = 0};
    memcpy(key.name, msg->name, sizeof key.name);
    struct worker *old = RB_FIND(worker_name_tree, &c->names, &key);
    w = sessions_find(c, peer);
    if (w == NULL && old != NULL && !old->absent && !old->gone && contested(c, old, msg)) {
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
        w->contested_us = old != NULL && !old->absent ? c->now.mono_us : 0;
    } else {
        sessions_unload(c, w);
        fill(c, w, msg);
        sessions_load(c, w);
    }
    w->heartbeats++;
    leases_adopt(c, w, msg, old);
    if (old != NULL && old != w)
        sessions_lost(c, old, "its name joined anew");
    if (old != w)
        (void)RB_INSERT(worker_name_tree, &c->names, w);
    leases_sweep(c, w, SESSION_DEAD_MS * 1000); /* what is younger may be on its way */
    heard(c, w);
    sessions_unload(c, w);
    sessions_load(c, w);
    core_to_worker(c, w,
        &(struct session_msg){.op = SESSION_WELCOME,
            .epoch = c->config.epoch,
            .heartbeat_ms = SESSION_HEARTBEAT_MS,
            .dead_ms = SESSION_DEAD_MS,
            .version = session_version(msg)});
    leases_disown(c, w, msg);
}

/* ---- other messages --------------------------------------------------------------------- */

void sessions_bad(struct core *c, const struct worker *w, const char *message) {
    c->counters.bad_worker_messages++;
    core_say(c, CORE_WARN, "bad-worker-message", "name=%s why=\"%s\"", w->name, message);
}

static void heartbeat(struct core *c, struct worker *w, const struct session_msg *msg) {
    if (msg->values.leases == NULL) {
        sessions_bad(c, w, "leases: is missing");
        return;
    }
    w->heartbeats++;
    leases_adopt(c, w, msg, w);
    leases_sweep(c, w, SESSION_DEAD_MS * 1000);
    leases_disown(c, w, msg);
    sessions_unload(c, w);
    w->paused = false;
    set_trouble(c, w, msg->trouble);
    sessions_load(c, w);
    if (msg->stats != NULL) {
        msgpack_packer pk;
        state_packer(&pk, &c->body);
        msgpack_pack_object(&pk, *msg->stats);
        free(w->stats);
        w->stats = mem_copy(c->body.data, c->body.size);
        w->stats_size = c->body.size;
    }
    core_to_worker(c, w, &(struct session_msg){.op = SESSION_HEARTBEAT, .epoch = c->config.epoch});
}

/* One whose connection is gone is mostly back in a moment, with what it runs: it keeps that until
 * it is silent for too long. */
void sessions_undelivered(
    struct core *c, struct worker *w, const struct session_msg *msg, enum core_sent sent) {
    sessions_unload(c, w);
    w->unsent = true;
    w->gone = sent == CORE_GONE;
    sessions_load(c, w);
    leases_unsent(c, w, msg);
}

static void drain(struct core *c, struct worker *w) {
    sessions_unload(c, w);
    w->draining = true;
    sessions_load(c, w);
    core_say(c, CORE_INFO, "worker-drains", "name=%s", w->name);
}

static void from_worker(struct core *c, struct worker *w, const struct session_msg *msg) {
    heard(c, w);
    switch ((enum session_op)msg->op) {
    case SESSION_HEARTBEAT:
        heartbeat(c, w, msg);
        break;
    case SESSION_HOP:
        leases_hop(c, w, msg);
        break;
    case SESSION_RESULT:
        leases_result(c, w, msg);
        break;
    case SESSION_RETURN:
        leases_return(c, w, msg);
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
        sessions_bad(c, w, "not a worker's message");
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
    if (!w->absent)
        put_worker(c, pk, w);
}

void sessions_free_all(struct core *c) {
    struct worker *w;
    while ((w = RB_ROOT(&c->names)) != NULL) {
        remove_worker(c, w);
        free_worker(w);
    }
}
