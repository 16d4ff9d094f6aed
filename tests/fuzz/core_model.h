/* core_model: what the broker's core owes to its peers, kept beside it and compared with all that
 * it says. It knows the core by docs/protocol.md and broker/core.h only. */
#ifndef FUZZ_CORE_MODEL_H
#define FUZZ_CORE_MODEL_H

#include "broker/core/core.h"
#include "common/protocol/request.h"
#include "common/protocol/result.h"
#include "common/protocol/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(rule)                                                                                \
    do {                                                                                           \
        if (!(rule)) {                                                                             \
            fprintf(stderr, "fuzz_core: broken: %s (line %d)\n", #rule, __LINE__);                 \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#define READER_VALUES 1048576 /* what our own client takes at most */
#define CLIENTS 4
#define WORKERS 4
#define MAX_PROMISES 4096
#define MAX_GIVEN 8192
#define MAX_STREAMS 1024
#define MAX_UNSENT 8192
#define MAX_LATE_US 2000000 /* a result comes within its deadline and so much more */
#define EPOCH 1700000000000000
#define FIRST_LEASE 4660
#define PROBE_SOCKET 9 /* of a client that looks after each event */

/* What a trace asks of its worker. */
struct asks {
    struct labels labels;
    unsigned families; /* 1 << 4, 1 << 6: one of them will do */
    unsigned protocol; /* 1 << enum trace_protocol */
};

/* A trace of the message that the core is reading. */
struct asked {
    bool good; /* well-formed */
    char id[TRACE_ID_BYTES + 1], stream[TRACE_ID_BYTES + 1];
    int64_t deadline_ms;
    struct asks asks;
};

/* A client that waits for a result, and the `req` with which it asked. */
struct asker {
    int client;
    msgpack_object req; /* nil: none; a string points into req_text */
    char req_text[64];
};

/* A trace that was accepted, until its result is forgotten. */
struct promise {
    char id[TRACE_ID_BYTES + 1]; /* empty: of a `trace` without one; its result will tell it */
    char stream[TRACE_ID_BYTES + 1];
    int64_t accepted_us; /* as the result will say; no two messages have the same */
    int64_t due_us;
    int64_t seq; /* of its result; 0: owed */
    unsigned waiting;
    struct asker askers[CORE_MAX_WAITERS];
    struct asks asks;
    bool queued;     /* when the core was last looked at */
    int64_t started; /* the highest number of a run that a worker was given */
};

/* A worker as of its last hello. */
struct member {
    bool joined, draining, trouble;
    bool full;  /* did not read, and was not heard since */
    bool rests; /* may have handed a trace back, and sent no heartbeat since */
    char name[SESSION_NAME_BYTES + 1];
    struct labels labels;
    unsigned families, protocols;
    int64_t given; /* leases that it got in this event */
};

/* What a peer does with messages. */
enum takes { TAKES_THEM, IS_GONE, IS_FULL };

struct unsent {
    enum core_side side;
    enum core_sent sent;
    char id[255];
    struct core_peer peer; /* id is the one above */
    size_t size;
    unsigned char bytes[];
};

struct stream_count {
    char name[TRACE_ID_BYTES + 1];
    int64_t seq, last_us;
};

struct model {
    struct core *core;
    struct instant now;
    bool quiet; /* nothing but alive messages since the core was looked at */
    enum takes client_takes[CLIENTS], worker_takes[WORKERS];
    struct unsent *unsent[MAX_UNSENT]; /* the core is to be told */
    size_t unsent_count;
    uint64_t asked_store[CORE_MAX_DEFERRED]; /* tickets; it never knows anything */
    size_t asked_store_count;
    int64_t number; /* the last trace that was given to the store */
    bool draining;
    struct promise promises[MAX_PROMISES];
    size_t promise_count, nameless;
    int64_t accepted, seq;
    struct stream_count streams[MAX_STREAMS];
    size_t stream_count;
    struct member members[WORKERS];
    int64_t given[MAX_GIVEN]; /* every lease, in the order of dispatch */
    bool suspicious; /* the next run of some trace is its last, so that a worker may be reserved for
                        it */
    size_t given_count;
    int64_t closed_leases; /* done, sent to the worker that speaks */
    struct wire_doc in, out;

    /* the event that the core is handling */
    int client, worker;        /* who speaks; -1: nobody */
    bool enveloped;            /* the client's form */
    const msgpack_object *req; /* NULL: none */
    int op;                    /* enum request_op; -1: not a request */
    bool notify, failed;       /* failed: the answer was an error */
    unsigned replies;
    struct asked asked[REQUEST_MAX_ITEMS];
    uint32_t asked_count;
    struct session_msg said; /* by the worker; op -1: not a message */
    int64_t owed[CLIENTS];   /* results that the client is to get before the event ends */

    /* what the last look at the core's own numbers showed */
    int64_t queued, running, running_at[WORKERS];
    bool last_run_at[WORKERS];
    unsigned reserved; /* workers that take nothing, though something waits for them */
};

/* ---- what the core sends is looked into ------------------------------------------------- */

static inline int64_t model_int(const msgpack_object *map, const char *key) {
    const msgpack_object *value = wire_find(map, key);
    CHECK(value != NULL && value->type == MSGPACK_OBJECT_POSITIVE_INTEGER);
    CHECK(value->via.u64 <= INT64_MAX);
    return (int64_t)value->via.u64;
}

static inline const msgpack_object *model_array(const msgpack_object *map, const char *key) {
    const msgpack_object *value = wire_find(map, key);
    CHECK(value != NULL && value->type == MSGPACK_OBJECT_ARRAY);
    return value;
}

/* A string that ends with NUL. */
static inline void model_text(const msgpack_object *value, char out[TRACE_ID_BYTES + 1]) {
    CHECK(value != NULL && value->type == MSGPACK_OBJECT_STR);
    CHECK(value->via.str.size <= TRACE_ID_BYTES);
    memcpy(out, value->via.str.ptr, value->via.str.size);
    out[value->via.str.size] = '\0';
}

static inline const msgpack_object *model_read(struct model *m, const void *bytes, size_t size) {
    struct wire_error err;
    CHECK(wire_doc_read(&m->out, bytes, size, READER_VALUES, &err));
    CHECK(model_int(&m->out.root, "v") == WIRE_VERSION);
    return &m->out.root;
}

static inline void model_check_error(const msgpack_object *map) {
    const msgpack_object *code = wire_find(map, "code"), *message = wire_find(map, "message");
    CHECK(code != NULL && code->type == MSGPACK_OBJECT_STR);
    CHECK(message != NULL && message->type == MSGPACK_OBJECT_STR);
    CHECK(!wire_is(code, "internal") && wire_portable(code, 0) && wire_portable(message, 0));
}

/* ---- promises --------------------------------------------------------------------------- */

static inline struct promise *model_find(struct model *m, const char *id) {
    for (size_t i = 0; i < m->promise_count; i++)
        if (strcmp(m->promises[i].id, id) == 0)
            return &m->promises[i];
    return NULL;
}

static inline struct promise *model_nameless(struct model *m, int64_t accepted_us) {
    for (size_t i = 0; i < m->promise_count; i++)
        if (m->promises[i].id[0] == '\0' && m->promises[i].accepted_us == accepted_us)
            return &m->promises[i];
    return NULL;
}

/* One that asks again with the same `req` waits once. */
static inline void model_await(struct model *m, struct promise *p) {
    struct asker asker = {.client = m->client, .req = {.type = MSGPACK_OBJECT_NIL}};
    if (m->req != NULL)
        asker.req = *m->req;
    for (unsigned i = 0; i < p->waiting; i++)
        if (p->askers[i].client == m->client && msgpack_object_equal(p->askers[i].req, asker.req))
            return;
    CHECK(p->waiting < CORE_MAX_WAITERS); /* or it would have been `busy` */
    struct asker *kept = &p->askers[p->waiting++];
    *kept = asker;
    if (asker.req.type == MSGPACK_OBJECT_STR) {
        memcpy(kept->req_text, asker.req.via.str.ptr, asker.req.via.str.size);
        kept->req.via.str.ptr = kept->req_text;
    }
}

/* The core said that it has the trace. `id` is empty if the core did not tell. */
static inline void model_accept(
    struct model *m, const char *id, const struct asked *asked, bool waits) {
    struct promise *p = id[0] != '\0' ? model_find(m, id) : NULL;
    if (p == NULL) {
        CHECK(!m->draining && m->promise_count < MAX_PROMISES);
        p = &m->promises[m->promise_count++];
        memset(p, 0, sizeof *p);
        memcpy(p->id, id, strlen(id));
        memcpy(p->stream, asked->stream, sizeof p->stream);
        p->accepted_us = m->now.wall_us;
        p->due_us = m->now.mono_us + asked->deadline_ms * 1000;
        p->asks = asked->asks;
        m->accepted++;
        m->nameless += id[0] == '\0';
    }
    if (!waits)
        return;
    if (p->seq != 0)
        m->owed[m->client]++;
    else
        model_await(m, p);
}

static inline void model_keep(struct model *m, struct promise *p, int64_t seq) {
    CHECK(p->seq == 0 && m->now.mono_us <= p->due_us + MAX_LATE_US);
    for (unsigned i = 0; i < p->waiting; i++)
        m->owed[p->askers[i].client]++;
    p->seq = seq;
}

static inline void model_count_stream(struct model *m, const char *name, int64_t seq) {
    struct stream_count *s = m->streams, *end = m->streams + m->stream_count;
    while (s < end && strcmp(s->name, name) != 0)
        s++;
    if (s == end) {
        CHECK(m->stream_count < MAX_STREAMS);
        m->stream_count++;
        s->seq = 0;
        (void)snprintf(s->name, sizeof s->name, "%s", name);
    }
    s->seq++;
    s->last_us = m->now.mono_us;
    CHECK(s->seq == seq);
}

/* ---- publications ----------------------------------------------------------------------- */

static inline void model_get_result(struct result_head *head, const msgpack_object *map) {
    struct result_body body;
    struct wire_error err;
    CHECK(result_get_head(head, map, &err) && result_get_body(&body, map, &err));
    CHECK(head->epoch == EPOCH && head->run <= CORE_MAX_RUNS);
    CHECK(wire_portable(map, RESULT_MAX_DEPTH));
}

static inline void model_result(struct model *m, const char *topic, const msgpack_object *map) {
    struct result_head head;
    char expected[RESULT_ID_BYTES + TRACE_ID_BYTES + 16];
    m->quiet = false;
    model_get_result(&head, map);
    (void)snprintf(expected, sizeof expected, "result.%s.%s", head.stream, head.id);
    CHECK(strcmp(topic, expected) == 0);
    CHECK(head.req == NULL && head.seq == ++m->seq);
    model_count_stream(m, head.stream, head.stream_seq);
    struct promise *p = model_find(m, head.id);
    if (p == NULL && (p = model_nameless(m, head.accepted_us)) != NULL) {
        memcpy(p->id, head.id, sizeof p->id);
        m->nameless--;
    }
    CHECK(p != NULL && p->accepted_us == head.accepted_us);
    CHECK(strcmp(p->stream, head.stream) == 0);
    model_keep(m, p, head.seq);
}

static inline void model_hop(struct model *m, const msgpack_object *map) {
    char id[TRACE_ID_BYTES + 1];
    int64_t ttl;
    const msgpack_object *probes;
    struct wire_error err;
    CHECK(hop_get(map, &ttl, &probes, "", &err) && hop_check_probes(probes, "", &err));
    model_text(wire_find(map, "id"), id);
    const struct promise *p = model_find(m, id);
    CHECK(p != NULL ? p->seq == 0 : m->nameless > 0);
}

static inline void model_alive(const struct model *m, const msgpack_object *map) {
    const msgpack_object *streams = wire_find(map, "streams");
    uint32_t active = 0;
    CHECK(model_int(map, "epoch") == EPOCH && model_int(map, "seq") == m->seq);
    CHECK(streams != NULL && streams->type == MSGPACK_OBJECT_MAP);
    for (size_t i = 0; i < m->stream_count; i++)
        if (m->now.mono_us - m->streams[i].last_us <= CORE_ACTIVE_US) {
            active++;
            CHECK(model_int(streams, m->streams[i].name) == m->streams[i].seq);
        }
    CHECK(streams->via.map.size == active);
}

static inline void model_publish(void *context, const char *topic, const void *at, size_t size) {
    struct model *m = context;
    const msgpack_object *map = model_read(m, at, size), *op = wire_find(map, "op");
    CHECK(op != NULL);
    if (wire_is(op, "result")) {
        model_result(m, topic, map);
    } else if (wire_is(op, "hop")) {
        CHECK(strncmp(topic, "hop.", 4) == 0);
        model_hop(m, map);
    } else {
        CHECK(wire_is(op, "alive") && strcmp(topic, "alive.") == 0);
        model_alive(m, map);
    }
}

/* Who it is: `a` to `d`, or `a` and `b` on each of two sockets. */
static inline int model_number(const struct core_peer *peer) {
    return ((const unsigned char *)peer->id)[0] - 'a' + 2 * peer->socket;
}

/* ---- answers to clients ----------------------------------------------------------------- */

static inline void model_accepted(struct model *m, const msgpack_object *map) {
    const msgpack_object_array *ids = &model_array(map, "ids")->via.array;
    CHECK(m->op == REQUEST_SUBMIT && ids->size == m->asked_count);
    for (uint32_t i = 0; i < ids->size; i++) {
        char id[TRACE_ID_BYTES + 1];
        if (ids->ptr[i].type == MSGPACK_OBJECT_MAP) {
            model_check_error(&ids->ptr[i]);
            CHECK(m->asked[i].good || wire_is(wire_find(&ids->ptr[i], "code"), "bad-request"));
            continue;
        }
        model_text(&ids->ptr[i], id);
        CHECK(m->asked[i].good && id[0] != '\0');
        CHECK(m->asked[i].id[0] == '\0' || strcmp(m->asked[i].id, id) == 0);
        model_accept(m, id, &m->asked[i], m->notify && !m->enveloped);
    }
}

static inline void model_fetched(struct model *m, const msgpack_object *map) {
    const msgpack_object_array *found = &model_array(map, "results")->via.array;
    const msgpack_object_array *missing = &model_array(map, "missing")->via.array;
    const msgpack_object_array *more = &model_array(map, "more")->via.array;
    CHECK(m->op == REQUEST_FETCH && found->size + missing->size + more->size == m->asked_count);
    for (uint32_t i = 0; i < found->size; i++) {
        struct result_head head;
        model_get_result(&head, &found->ptr[i]);
        const struct promise *p = model_find(m, head.id);
        CHECK(p != NULL && p->seq == head.seq && head.req == NULL);
    }
    for (uint32_t i = 0; i < missing->size; i++) {
        char id[TRACE_ID_BYTES + 1];
        model_text(&missing->ptr[i], id);
        const struct promise *p = model_find(m, id);
        CHECK(p == NULL || p->seq == 0);
    }
}

/* What the probe asked for: every promise, in the order of the table. */
static inline void model_states(struct model *m, const msgpack_object *map) {
    const msgpack_object_array *states = &model_array(map, "states")->via.array;
    size_t at = 0;
    for (uint32_t i = 0; i < states->size; i++, at++) {
        while (m->promises[at].id[0] == '\0')
            at++;
        const msgpack_object *state = wire_find(&states->ptr[i], "state");
        CHECK(wire_is(wire_find(&states->ptr[i], "id"), m->promises[at].id));
        CHECK((m->promises[at].seq != 0) == wire_is(state, "done"));
        m->promises[at].queued = wire_is(state, "queued");
        if (m->promises[at].queued && wire_find(&states->ptr[i], "position") == NULL) {
            m->promises[at].queued = false; /* it rides on another */
            m->queued++;
        } else if (m->promises[at].queued) {
            m->queued++;
            CHECK(model_int(&states->ptr[i], "position") >= 1);
        } else if (wire_is(state, "running")) {
            char name[SESSION_NAME_BYTES + 1];
            model_text(wire_find(&states->ptr[i], "worker"), name);
            m->running++;
            for (int w = 0; w < WORKERS; w++)
                if (m->members[w].joined && strcmp(m->members[w].name, name) == 0) {
                    m->running_at[w]++;
                    m->last_run_at[w] |= m->promises[at].started == CORE_MAX_RUNS;
                }
        } else {
            CHECK(wire_is(state, "done"));
        }
    }
}

static inline bool model_fits(const struct member *w, const struct asks *asks) {
    const struct labels *have = &w->labels, *want = &asks->labels;
    unsigned found = 0;
    for (unsigned i = 0; i < want->count; i++)
        for (unsigned j = 0; j < have->count; j++)
            found += strcmp(have->at[j].name, want->at[i].name) == 0 &&
                     strcmp(have->at[j].value, want->at[i].value) == 0;
    return found >= want->count && (w->families & asks->families) != 0 &&
           (w->protocols & asks->protocol) != 0;
}

/* Nothing waits that a worker with room could run, unless the worker is reserved for a trace whose
 * workers were lost; such a trace may wait for that. */
static inline void model_idle(struct model *m, const struct member *w, const msgpack_object *map) {
    const msgpack_object *draining = wire_find(map, "draining");
    CHECK(draining != NULL && draining->type == MSGPACK_OBJECT_BOOLEAN);
    if (m->draining || draining->via.boolean || wire_find(map, "trouble") != NULL ||
        model_int(map, "running") >= model_int(map, "capacity"))
        return;
    bool idle = false;
    for (size_t i = 0; i < m->promise_count; i++)
        idle |= m->promises[i].queued && m->promises[i].started < CORE_MAX_RUNS - 1 &&
                model_fits(w, &m->promises[i].asks);
    m->reserved += idle;
}

static inline void model_worker_stats(struct model *m, const msgpack_object *map) {
    char name[SESSION_NAME_BYTES + 1];
    int64_t running = model_int(map, "running"), given = 0, listed = -1;
    const struct member *found = NULL;
    model_text(wire_find(map, "name"), name);
    for (int w = 0; w < WORKERS; w++)
        if (m->members[w].joined && strcmp(m->members[w].name, name) == 0) {
            given += m->members[w].given;
            listed = m->running_at[w];
            found = &m->members[w];
            CHECK(!m->last_run_at[w] || running == 1);
        }
    CHECK(found != NULL && (wire_find(map, "trouble") != NULL) == found->trouble);
    CHECK(listed >= 0 && running >= listed && (m->nameless > 0 || running == listed));
    CHECK(given == 0 || running <= model_int(map, "capacity"));
    if (!found->full && !found->rests)
        model_idle(m, found, map);
}

static inline void model_stats(struct model *m, const msgpack_object *map) {
    const msgpack_object *stats = wire_find(map, "stats");
    CHECK(stats != NULL);
    const msgpack_object *queue = wire_find(stats, "queue"), *n = wire_find(stats, "counters");
    CHECK(queue != NULL && n != NULL);
    int64_t queued = model_int(queue, "queued"), running = model_int(queue, "running");
    CHECK(queued >= m->queued && running >= m->running);
    CHECK(queued + running == m->queued + m->running + (int64_t)m->nameless);
    CHECK(model_int(n, "accepted") == m->accepted && model_int(n, "results") == m->seq);
    CHECK(queued + running == m->accepted - m->seq);
    CHECK(model_int(n, "dispatched") == (int64_t)m->given_count);
    CHECK(core_drained(m->core) == (m->draining && running == 0));
    const msgpack_object_array *workers = &model_array(stats, "workers")->via.array;
    int64_t held = 0;
    for (uint32_t i = 0; i < workers->size; i++) {
        model_worker_stats(m, &workers->ptr[i]);
        held += model_int(&workers->ptr[i], "running");
    }
    CHECK(held == running && m->reserved <= m->suspicious);
}

/* One answer to each message, to whom and in the form in which it was asked. */
static inline void model_reply(
    struct model *m, int client, const struct core_peer *peer, const msgpack_object *map) {
    const msgpack_object *req = wire_find(map, "req");
    CHECK(client == m->client && peer->enveloped == m->enveloped);
    CHECK((req != NULL) == (m->req != NULL));
    CHECK(req == NULL || msgpack_object_equal(*req, *m->req));
    m->replies++;
}

static inline void model_probe(struct model *m, const msgpack_object *map) {
    if (wire_is(wire_find(map, "op"), "status"))
        model_states(m, map);
    else
        model_stats(m, map);
}

static inline void model_not_sent(struct model *m, enum core_side side, enum takes takes,
    const struct core_peer *peer, const void *at, size_t size) {
    if (takes == TAKES_THEM)
        return;
    CHECK(m->unsent_count < MAX_UNSENT);
    struct unsent *u = malloc(sizeof *u + size);
    CHECK(u != NULL);
    *u = (struct unsent){.side = side,
        .sent = takes == IS_GONE ? CORE_GONE : CORE_FULL,
        .peer = *peer,
        .size = size};
    memcpy(u->id, peer->id, peer->size);
    u->peer.id = u->id;
    memcpy(u->bytes, at, size);
    m->unsent[m->unsent_count++] = u;
}

static inline void model_to_client(
    void *context, const struct core_peer *peer, const void *at, size_t size, enum core_when when) {
    struct model *m = context;
    (void)when;
    const msgpack_object *map = model_read(m, at, size), *op = wire_find(map, "op");
    int client = model_number(peer);
    CHECK(op != NULL);
    if (peer->socket == PROBE_SOCKET) {
        model_probe(m, map);
        return;
    }
    CHECK(client >= 0 && client < CLIENTS);
    if (wire_is(op, "result")) {
        struct result_head head;
        model_get_result(&head, map);
        m->owed[client]--;
    } else if (wire_is(op, "hop")) {
        CHECK(!peer->enveloped);
        model_hop(m, map);
    } else {
        model_reply(m, client, peer, map);
    }
    if (wire_is(op, "error")) {
        model_check_error(map);
        m->failed = true;
    } else if (wire_is(op, "accepted")) {
        model_accepted(m, map);
    } else if (wire_is(op, "results")) {
        model_fetched(m, map);
    }
    model_not_sent(m, CORE_CLIENT, m->client_takes[client], peer, at, size);
}

/* A name has any family. Who speaks udp keeps flows, says a hello of version 1. */
static inline void model_asks(struct asks *asks, const struct trace *trace) {
    struct addr target, source;
    int64_t family = trace->af;
    memset(asks, 0, sizeof *asks);
    if (family == 0 && addr_parse(&target, trace->target))
        family = target.af;
    if (family == 0 && addr_parse(&source, trace->source))
        family = source.af;
    asks->families = family != 0 ? 1U << family : 1U << 4 | 1U << 6;
    asks->protocol = 1U << trace->protocol;
    if (trace->workers != NULL)
        labels_get(&asks->labels, trace->workers);
}

/* ---- messages to workers ---------------------------------------------------------------- */

static inline void model_given(struct model *m, int worker, const struct session_msg *msg) {
    struct member *w = &m->members[worker];
    struct trace trace;
    struct wire_error err;
    CHECK(trace_get(&trace, msg->trace, "", &err) && trace.id[0] != '\0');
    CHECK(w->joined && !w->draining && !w->trouble && !m->draining);
    struct asks asks;
    model_asks(&asks, &trace);
    CHECK(model_fits(w, &asks));
    CHECK(msg->run <= CORE_MAX_RUNS && msg->deadline_ms <= trace.deadline_ms);
    struct promise *p = model_find(m, trace.id);
    CHECK(p != NULL ? p->seq == 0 : m->nameless > 0 || m->op == REQUEST_TRACE);
    if (p != NULL && msg->run > p->started)
        p->started = msg->run;
    m->suspicious |= msg->run >= CORE_MAX_RUNS - 1;
    CHECK(m->given_count < MAX_GIVEN);
    for (size_t i = 0; i < m->given_count; i++)
        CHECK(m->given[i] != msg->lease);
    m->given[m->given_count++] = msg->lease;
    w->given++;
    CHECK(!w->full);
}

static inline void model_to_worker(
    void *context, const struct core_peer *peer, const void *at, size_t size, enum core_when when) {
    struct model *m = context;
    struct session_msg msg;
    struct wire_error err;
    int worker = model_number(peer);
    CHECK(worker >= 0 && worker < WORKERS && !peer->enveloped);
    struct member *w = &m->members[worker];
    m->quiet = false;
    CHECK(wire_doc_read(&m->out, at, size, SESSION_MAX_VALUES, &err));
    CHECK(session_get(&msg, &m->out, &err));
    switch ((enum session_op)msg.op) {
    case SESSION_WELCOME:
        CHECK(worker == m->worker && m->said.op == SESSION_HELLO && msg.epoch == EPOCH);
        for (int i = 0; i < WORKERS; i++)
            if (strcmp(m->members[i].name, m->said.name) == 0)
                m->members[i].joined = false;
        *w = (struct member){.joined = true,
            .labels = m->said.labels,
            .families = m->said.families,
            .protocols = m->said.protocols};
        w->trouble = m->said.trouble[0] != '\0';
        memcpy(w->name, m->said.name, sizeof w->name);
        break;
    case SESSION_TRACE:
        model_given(m, worker, &msg);
        break;
    case SESSION_DONE:
        CHECK(msg.lease > 0);
        if (worker == m->worker && m->said.op == SESSION_RESULT)
            m->closed_leases += msg.lease == m->said.lease;
        break;
    case SESSION_WHO:
        w->joined = false;
        break;
    case SESSION_REJECT:
    case SESSION_CANCEL:
    case SESSION_HEARTBEAT:
        break;
    case SESSION_HELLO:
    case SESSION_HOP:
    case SESSION_RESULT:
    case SESSION_RETURN:
    case SESSION_DRAIN:
    case SESSION_BYE:
        CHECK(msg.op > SESSION_BYE); /* these are a worker's */
    }
    bool lease = msg.op == SESSION_TRACE || msg.op == SESSION_CANCEL || msg.op == SESSION_DONE;
    CHECK(lease == (when == CORE_KEPT));
    model_not_sent(m, CORE_WORKER, m->worker_takes[worker], peer, at, size);
}

/* ---- the store -------------------------------------------------------------------------- */

static inline void model_keep_trace(void *context, const struct record_trace *trace) {
    struct model *m = context;
    CHECK(trace->number == ++m->number && trace->trace_size > 0);
    CHECK(trace->id[0] != '\0' && strlen(trace->id) <= RECORD_ID_BYTES);
    CHECK(trace->run.run == 0 && trace->run.lease == 0);
}

static inline void model_keep_run(void *context, const struct record_run *run) {
    const struct model *m = context;
    CHECK(run->number <= m->number && run->run <= CORE_MAX_RUNS);
    CHECK((run->lease > 0) == (run->worker[0] != '\0'));
    CHECK(run->cancelling || (run->lease > 0 && run->run >= 1));
}

static inline void model_keep_result(void *context, const struct record_result *result) {
    const struct model *m = context;
    CHECK(result->number <= m->number && result->seq == m->seq + 1);
    CHECK(result->trace_size > 0 && result->result_size > 0);
}

static inline void model_read_store(void *context, const struct record_read *read) {
    struct model *m = context;
    CHECK(m->asked_store_count < CORE_MAX_DEFERRED);
    CHECK(read->query == RECORD_AFTER ? read->limit >= 1 : read->id_count >= 1);
    m->asked_store[m->asked_store_count++] = read->ticket;
}

/* The core learns what came of its messages and questions. */
static inline void model_settle(struct model *m) {
    while (m->unsent_count > 0 || m->asked_store_count > 0) {
        if (m->unsent_count == 0) {
            struct record_answer answer = {.ticket = m->asked_store[0], .first_seq = 1};
            memmove(m->asked_store, m->asked_store + 1,
                --m->asked_store_count * sizeof *m->asked_store);
            core_answer(m->core, &answer, &m->now);
            continue;
        }
        struct unsent *u = m->unsent[0];
        memmove(m->unsent, m->unsent + 1, --m->unsent_count * sizeof(struct unsent *));
        if (u->side == CORE_WORKER) {
            struct member *w = &m->members[model_number(&u->peer)];
            w->full = w->joined;
        }
        core_undelivered(m->core, u->side, &u->peer, u->bytes, u->size, u->sent, &m->now);
        free(u);
    }
}

static inline void model_say(
    void *context, enum core_level level, const char *event, const char *detail) {
    struct model *m = context;
    CHECK(level <= CORE_DEBUG && event[0] != '\0' && detail != NULL);
    m->quiet = false;
}

/* ---- events ----------------------------------------------------------------------------- */

static inline void model_begin(struct model *m, int client, int worker) {
    m->now.mono_us++; /* so that no two messages have one time */
    m->now.wall_us++;
    m->client = client;
    m->worker = worker;
    m->req = NULL;
    m->op = m->said.op = -1;
    m->failed = m->notify = false;
    m->replies = 0;
    m->asked_count = 0;
    m->closed_leases = 0;
    for (int i = 0; i < WORKERS; i++)
        m->members[i].given = 0;
}

static inline void model_look(struct model *m) {
    const struct core_peer probe = {"probe", 5, PROBE_SOCKET, false};
    msgpack_sbuffer bytes;
    msgpack_packer pk;
    size_t count = m->promise_count - m->nameless;
    m->queued = m->running = 0;
    memset(m->running_at, 0, sizeof m->running_at);
    memset(m->last_run_at, 0, sizeof m->last_run_at);
    m->reserved = 0;
    m->quiet = true;
    msgpack_sbuffer_init(&bytes);
    msgpack_packer_init(&pk, &bytes, msgpack_sbuffer_write);
    CHECK(count <= REQUEST_MAX_ITEMS);
    if (count > 0) {
        request_put_head(&pk, "status", NULL, 1);
        wire_put_text(&pk, "ids");
        msgpack_pack_array(&pk, count);
        for (size_t i = 0; i < m->promise_count; i++)
            if (m->promises[i].id[0] != '\0')
                wire_put_text(&pk, m->promises[i].id);
        core_client_message(m->core, &probe, bytes.data, bytes.size, &m->now);
        msgpack_sbuffer_clear(&bytes);
    }
    request_put_head(&pk, "stats", NULL, 0);
    core_client_message(m->core, &probe, bytes.data, bytes.size, &m->now);
    msgpack_sbuffer_destroy(&bytes);
}

/* What must be true after each event. A tick that says nothing is not looked at: most are such. */
static inline void model_end(struct model *m, bool tick) {
    model_settle(m);
    for (int i = 0; i < CLIENTS; i++)
        CHECK(m->owed[i] == 0);
    for (size_t i = 0; i < m->promise_count; i++)
        CHECK(m->promises[i].seq != 0 || m->now.mono_us <= m->promises[i].due_us + MAX_LATE_US);
    if (!tick || !m->quiet)
        model_look(m);
}

static inline void model_ask(struct model *m, const msgpack_object *map) {
    struct asked *asked = &m->asked[m->asked_count++];
    struct trace trace;
    struct wire_error err;
    memset(asked, 0, sizeof *asked);
    asked->good = trace_get(&trace, map, "", &err);
    if (!asked->good)
        return;
    memcpy(asked->id, trace.id, sizeof asked->id);
    memcpy(asked->stream, trace.stream, sizeof asked->stream);
    asked->deadline_ms = trace.deadline_ms;
    model_asks(&asked->asks, &trace);
}

static inline void model_read_request(struct model *m, const void *bytes, size_t size) {
    struct request request;
    struct wire_error err;
    if (!wire_doc_read(&m->in, bytes, size, REQUEST_MAX_VALUES, &err))
        return;
    bool good = request_get(&request, &m->in.root, &err);
    m->req = request.req;
    if (!good)
        return;
    m->op = request.op;
    m->notify = request.notify;
    if (m->op == REQUEST_TRACE)
        model_ask(m, request.root);
    if (m->op == REQUEST_SUBMIT)
        for (uint32_t i = 0; i < request.traces->via.array.size; i++)
            model_ask(m, &request.traces->via.array.ptr[i]);
    if (m->op == REQUEST_STATUS || m->op == REQUEST_FETCH || m->op == REQUEST_CANCEL)
        m->asked_count = request.ids->via.array.size;
}

static inline void model_client_says(
    struct model *m, const struct core_peer *peer, int client, const void *bytes, size_t size) {
    model_begin(m, client, -1);
    m->enveloped = peer->enveloped;
    model_read_request(m, bytes, size);
    core_client_message(m->core, peer, bytes, size, &m->now);
    model_settle(m);
    if (m->op == REQUEST_TRACE) {
        CHECK(m->replies == m->failed);
        CHECK(m->asked[0].good || m->failed);
        if (!m->failed)
            model_accept(m, m->asked[0].id, &m->asked[0], true);
    } else {
        CHECK(m->replies == 1 && (m->op >= 0) == !m->failed);
    }
    model_end(m, false);
}

static inline void model_worker_says(
    struct model *m, const struct core_peer *peer, int worker, const void *bytes, size_t size) {
    struct wire_error err;
    struct member *w = &m->members[worker];
    model_begin(m, -1, worker);
    if (!wire_doc_read(&m->in, bytes, size, SESSION_MAX_VALUES, &err) ||
        !session_get(&m->said, &m->in, &err))
        m->said.op = -1;
    if (m->said.op == SESSION_DRAIN)
        w->draining = true;
    if (m->said.op == SESSION_HEARTBEAT && m->said.leases_given) {
        w->trouble = m->said.trouble[0] != '\0';
        w->rests = false;
    }
    if (m->said.op == SESSION_RETURN)
        w->rests = true;
    if (m->said.op >= 0 && m->said.op != SESSION_HELLO)
        w->full = false; /* a hello may be refused; if not, all is new */
    bool had_session = w->joined;
    core_worker_message(m->core, peer, bytes, size, &m->now);
    /* A session that is lost in between is not known here; then the answer is `who`. */
    if (m->said.op == SESSION_RESULT && had_session && w->joined)
        CHECK(m->closed_leases >= 1);
    model_end(m, false);
}

static inline void model_tick(struct model *m) {
    model_begin(m, -1, -1);
    core_tick(m->core, &m->now);
    model_settle(m);
    /* A trace that comes back from a lost worker after its deadline is due again at once. */
    for (int again = 0; core_next(m->core) <= m->now.mono_us; again++) {
        CHECK(again < 2);
        core_tick(m->core, &m->now);
        model_settle(m);
    }
    model_end(m, true);
}

static inline void model_wait(struct model *m, int64_t us) {
    int64_t end = m->now.mono_us + us, next;
    while ((next = core_next(m->core)) < end) {
        if (next > m->now.mono_us) {
            m->now.wall_us += next - m->now.mono_us;
            m->now.mono_us = next;
        }
        model_tick(m);
    }
    if (end > m->now.mono_us) {
        m->now.wall_us += end - m->now.mono_us;
        m->now.mono_us = end;
    }
}

static inline void model_shutdown(struct model *m) {
    model_begin(m, -1, -1);
    m->draining = true;
    core_shutdown(m->core, &m->now);
    model_end(m, false);
    CHECK(m->accepted == m->seq && m->nameless == 0 && core_drained(m->core));
}

static inline void model_open(struct model *m, int64_t max_queued, int endpoints) {
    struct core_config config = {.name = "b1",
        .version = "fuzz",
        .max_queued = max_queued,
        .keep_results = 10000,
        .epoch = EPOCH,
        .origin = EPOCH,
        .first_lease = FIRST_LEASE,
        .results = {"ipc://r", "tcp://*:7702"},
        .result_count = endpoints};
    const struct core_sink sink = {m, model_to_client, model_to_worker, model_publish,
        model_keep_trace, model_keep_run, model_keep_result, model_read_store, model_say};
    m->now = (struct instant){1000000, EPOCH + 1000000};
    m->draining = m->suspicious = false;
    m->promise_count = m->nameless = m->stream_count = m->given_count = 0;
    m->unsent_count = m->asked_store_count = 0;
    m->number = 0;
    m->accepted = m->seq = 0;
    memset(m->members, 0, sizeof m->members);
    for (int i = 0; i < CLIENTS; i++)
        m->client_takes[i] = TAKES_THEM;
    for (int i = 0; i < WORKERS; i++)
        m->worker_takes[i] = TAKES_THEM;
    memset(m->owed, 0, sizeof m->owed);
    CHECK(wire_doc_init(&m->in) && wire_doc_init(&m->out));
    m->core = core_new(&config, &sink, &m->now);
}

static inline void model_close(struct model *m) {
    core_destroy(&m->core);
    CHECK(m->core == NULL);
    wire_doc_free(&m->in);
    wire_doc_free(&m->out);
}

#endif
