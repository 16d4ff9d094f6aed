#include "broker/core/sessions.h"

#include "broker/core/reports.h"
#include "broker/core/state.h"
#include "common/mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A worker that was refused its name asks again every 5 s, so a contest that is not prolonged for
 * this long is over. */
#define CONTEST_US 10000000

/* To be called after any change of what worker_takes() or the worker's load depends on. */
static void update(struct core *c, struct worker *w) {
    if (!worker_takes(w))
        quarantine_worker_unfit(c, w);
    matching_update(c, w);
}

/* ---- the end of a session --------------------------------------------------------------- */

/* Requeues what the worker held. The last lease comes first, so that each job goes to the front of
 * its queue. */
static void close_session(struct core *c, struct worker *w) {
    struct job_list lost = TAILQ_HEAD_INITIALIZER(lost);
    worker_remove(c, w);
    update(c, w);
    matching_remove_worker(c, w);
    leases_take_all(c, w, &lost);
    lifecycle_requeue_all(c, &lost);
    worker_free(w);
}

static void lose(struct core *c, struct worker *w, const char *why) {
    bool all_adopted = w->absent && w->running == 0;
    if (!all_adopted) {
        c->counters.workers_lost += !w->absent;
        output_log(c, CORE_WARN, w->absent ? "worker-gone" : "worker-lost",
            "name=%s running=%" PRId64 " why=\"%s\"", w->name, w->running, why);
    }
    close_session(c, w);
}

static void bye(struct core *c, struct worker *w) {
    output_log(c, CORE_INFO, "worker-left", "name=%s running=%" PRId64, w->name, w->running);
    close_session(c, w);
}

void sessions_due(struct core *c, struct worker *w) {
    lose(c, w, w->absent ? "did not come back after the broker's restart" : "silent");
}

struct worker *sessions_absent(struct core *c, const char *name) {
    struct worker *w = worker_find_name(c, name);
    if (w == NULL) {
        w = worker_new_absent(c, name);
        worker_set_timer(c, w, c->now.mono_us + CORE_ABSENT_US);
    }
    return w;
}

void sessions_restored(struct core *c) {
    struct worker *w;
    RB_FOREACH(w, worker_name_tree, &c->workers.by_name)
    worker_set_timer(c, w, c->now.mono_us + CORE_ABSENT_US);
}

/* ---- hello ------------------------------------------------------------------------------ */

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
    output_log(c, CORE_WARN, "worker-rejected", "code=%s message=\"%s\"", code, msg.message);
    output_to_worker_peer(c, peer, &msg);
}

/* Whom a hello is from. The holder is the worker that has its name so far. */
enum hello_from {
    HELLO_SAME_SESSION, /* the holder, over the same connection */
    HELLO_NEW_NAME,     /* there is no holder */
    HELLO_TOO_MANY,     /* the same, but there is no room for one more */
    HELLO_RETURNED,     /* the holder is absent: this is its first hello since the restart */
    HELLO_MOVED,        /* the holder, over a new connection */
    HELLO_TAKES_OVER,   /* perhaps another process: it gets the name */
    HELLO_CONTESTED,    /* another process wants a name that was taken over a moment ago */
};

static bool lists_lease_of(
    struct core *c, const struct worker *holder, const struct session_msg *msg) {
    for (size_t i = 0; i < msg->lease_count; i++)
        if (leases_find_held(c, holder, msg->leases[i]) != NULL)
            return true;
    return false;
}

static enum hello_from hello_from(struct core *c, const struct worker *session,
    const struct worker *holder, const struct session_msg *msg) {
    if (session != NULL)
        return HELLO_SAME_SESSION;
    if (holder == NULL)
        return c->workers.count < CORE_MAX_WORKERS ? HELLO_NEW_NAME : HELLO_TOO_MANY;
    if (holder->absent)
        return HELLO_RETURNED;
    if (holder->gone || lists_lease_of(c, holder, msg))
        return HELLO_MOVED;
    bool contest = holder->contested_us != 0 && c->now.mono_us - holder->contested_us < CONTEST_US;
    return contest ? HELLO_CONTESTED : HELLO_TAKES_OVER;
}

static void set_trouble(struct core *c, struct worker *w, const char *trouble) {
    if (strcmp(w->trouble, trouble) == 0)
        return;
    if (trouble[0] != '\0')
        output_log(c, CORE_WARN, "worker-trouble", "name=%s why=\"%s\"", w->name, trouble);
    else
        output_log(c, CORE_INFO, "worker-well", "name=%s", w->name);
    (void)snprintf(w->trouble, sizeof w->trouble, "%s", trouble);
}

/* Takes over what the hello says. What the worker was reserved for may not fit it any more. */
static void set_capabilities(struct core *c, struct worker *w, const struct session_msg *msg) {
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
    update(c, w);
}

static void heard(struct core *c, struct worker *w) {
    w->heard_us = c->now.mono_us;
    if (w->unsent) {
        w->unsent = w->gone = false;
        update(c, w);
    }
    worker_set_timer(c, w, c->now.mono_us + SESSION_DEAD_MS * 1000);
}

/* The worker lists all leases that it has. */
static void listed(
    struct core *c, struct worker *w, const struct session_msg *msg, const struct worker *holder) {
    w->heartbeats++;
    leases_adopt(c, w, msg, holder);
}

/* What the worker was given within SESSION_DEAD_MS and does not list may be on its way to it. */
static void requeue_unlisted(struct core *c, struct worker *w) {
    struct job_list lost = TAILQ_HEAD_INITIALIZER(lost);
    leases_take_unlisted(c, w, SESSION_DEAD_MS * 1000, &lost);
    lifecycle_requeue_all(c, &lost);
}

static void welcome(struct core *c, struct worker *w, const struct session_msg *msg) {
    output_to_worker(c, w,
        &(struct session_msg){.op = SESSION_WELCOME,
            .epoch = c->config.epoch,
            .heartbeat_ms = SESSION_HEARTBEAT_MS,
            .dead_ms = SESSION_DEAD_MS,
            .version = session_version(msg)});
}

/* Makes a session for the peer. The holder of the name, if any, keeps it until it is lost. */
static struct worker *join(
    struct core *c, const struct core_peer *peer, const struct session_msg *msg) {
    struct worker *w = worker_new(c, peer, msg->name);
    c->counters.workers_joined++;
    output_log(c, CORE_INFO, "worker-joined", "name=%s prober=\"%s\" capacity=%" PRId64, w->name,
        msg->prober, msg->capacity);
    return w;
}

static void hello(struct core *c, const struct core_peer *peer, const struct session_msg *msg) {
    if (session_version(msg) == 0) {
        reject(c, peer, "unsupported-version",
            "versions: %" PRId64 "..%" PRId64 ": this broker speaks %d..%d", msg->version_min,
            msg->version_max, SESSION_VERSION_MIN, SESSION_VERSION_MAX);
        return;
    }
    struct worker *w = worker_find(c, peer);
    if (w != NULL && strcmp(w->name, msg->name) != 0) {
        lose(c, w, "has another name now");
        w = NULL;
    }
    struct worker *holder = worker_find_name(c, msg->name);
    enum hello_from from = hello_from(c, w, holder, msg);
    if (from == HELLO_CONTESTED) {
        holder->contested_us = c->now.mono_us; /* it keeps the name while the other one asks */
        reject(c, peer, "conflict", "name: %s: another worker uses it; give each its own --name",
            msg->name);
        return;
    }
    if (from == HELLO_TOO_MANY) {
        reject(c, peer, "busy", "workers: %d: full", CORE_MAX_WORKERS);
        return;
    }
    if (from != HELLO_SAME_SESSION)
        w = join(c, peer, msg);
    if (from == HELLO_MOVED || from == HELLO_TAKES_OVER)
        w->contested_us = c->now.mono_us;
    set_capabilities(c, w, msg);
    listed(c, w, msg, holder);
    if (holder != NULL && holder != w)
        lose(c, holder, "its name has joined again");
    if (holder != w)
        worker_add_name(c, w);
    requeue_unlisted(c, w);
    heard(c, w);
    welcome(c, w, msg);
    leases_disown(c, w, msg);
}

/* ---- other messages --------------------------------------------------------------------- */

static void heartbeat(struct core *c, struct worker *w, const struct session_msg *msg) {
    if (!msg->leases_given) {
        reports_bad(c, w, "leases: is missing");
        return;
    }
    listed(c, w, msg, w);
    requeue_unlisted(c, w);
    leases_disown(c, w, msg);
    w->paused = false;
    set_trouble(c, w, msg->trouble);
    update(c, w);
    if (msg->stats != NULL) {
        msgpack_packer pk;
        output_packer(&pk, &c->scratch.body);
        msgpack_pack_object(&pk, *msg->stats);
        free(w->stats);
        w->stats = mem_copy(c->scratch.body.data, c->scratch.body.size);
        w->stats_size = c->scratch.body.size;
    }
    output_to_worker(
        c, w, &(struct session_msg){.op = SESSION_HEARTBEAT, .epoch = c->config.epoch});
}

/* A worker whose connection is gone is usually back in a moment and still runs its traces. It keeps
 * their leases until it has been silent for SESSION_DEAD_MS. */
void sessions_undelivered(
    struct core *c, struct worker *w, const struct session_msg *msg, enum core_sent sent) {
    w->unsent = true;
    w->gone = sent == CORE_GONE;
    update(c, w);
    reports_unsent(c, w, msg);
}

/* The worker would hand back the next trace as well, so it gets none until its next heartbeat. */
static void handed_back(struct core *c, struct worker *w, const struct session_msg *msg) {
    if (!reports_return(c, w, msg))
        return;
    w->paused = true;
    update(c, w);
}

static void drain(struct core *c, struct worker *w) {
    w->draining = true;
    update(c, w);
    output_log(c, CORE_INFO, "worker-drains", "name=%s", w->name);
}

static void from_worker(struct core *c, struct worker *w, const struct session_msg *msg) {
    heard(c, w);
    switch ((enum session_op)msg->op) {
    case SESSION_HEARTBEAT:
        heartbeat(c, w, msg);
        break;
    case SESSION_HOP:
        reports_hop(c, w, msg);
        break;
    case SESSION_RESULT:
        reports_result(c, w, msg);
        break;
    case SESSION_RETURN:
        handed_back(c, w, msg);
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
        reports_bad(c, w, "not a worker's message");
        break;
    }
}

void sessions_message(struct core *c, const struct core_peer *peer, const struct session_msg *msg) {
    if (msg->op == SESSION_HELLO) {
        hello(c, peer, msg);
        return;
    }
    struct worker *w = worker_find(c, peer);
    if (w != NULL)
        from_worker(c, w, msg);
    else if (msg->op != SESSION_BYE)
        output_to_worker_peer(c, peer, &(struct session_msg){.op = SESSION_WHO});
}
