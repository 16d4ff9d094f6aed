/* queue_rig: a broker's core whose clients and workers are letters. Traces are numbers, which are
 * their ids; what the broker gave to whom, and how traces ended, is written down. */
#ifndef TEST_QUEUE_RIG_H
#define TEST_QUEUE_RIG_H

#include "tests/unit/check.h"

#include "broker/core/state.h"
#include "common/protocol/request.h"
#include "common/protocol/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct given {
    char worker;
    int trace;
    int64_t lease, run;
};

#define RIG_GIVEN 4096 /* of the last event */

struct rig {
    struct core *core;
    struct instant now;
    struct wire_doc doc;
    msgpack_sbuffer bytes;
    struct given given[RIG_GIVEN];
    int given_count;
    uint64_t asked;    /* a question to the store; 0: none */
    int errors;        /* in answers of the last event */
    char ended[4][24]; /* the last results: "ID STOP" */
    int ended_count;
};

static inline void rig_parse(struct rig *rig, const void *at, size_t size) {
    struct wire_error err;
    assert_true(wire_doc_read(&rig->doc, at, size, 1048576, &err));
}

static inline void rig_to_client(
    void *context, const struct core_peer *peer, const void *at, size_t size, enum core_when when) {
    struct rig *rig = context;
    (void)peer, (void)when;
    rig_parse(rig, at, size);
    const msgpack_object *ids = wire_find(&rig->doc.root, "ids");
    for (uint32_t i = 0; ids != NULL && i < ids->via.array.size; i++)
        rig->errors += ids->via.array.ptr[i].type == MSGPACK_OBJECT_MAP;
}

static inline void rig_to_worker(
    void *context, const struct core_peer *peer, const void *at, size_t size, enum core_when when) {
    struct rig *rig = context;
    struct session_msg msg;
    struct wire_error err;
    struct trace trace;
    (void)when;
    rig_parse(rig, at, size);
    assert_true(session_get(&msg, &rig->doc, &err));
    if (msg.op != SESSION_TRACE)
        return;
    assert_true(trace_get(&trace, msg.trace, "", &err));
    assert_true(rig->given_count < RIG_GIVEN);
    rig->given[rig->given_count++] =
        (struct given){*(const char *)peer->id, atoi(trace.id), msg.lease, msg.run};
}

static inline void rig_publish(void *context, const char *topic, const void *at, size_t size) {
    struct rig *rig = context;
    if (strncmp(topic, "result.", 7) != 0)
        return;
    rig_parse(rig, at, size);
    const msgpack_object *stop = wire_find(&rig->doc.root, "stop");
    (void)snprintf(rig->ended[rig->ended_count++ % 4], sizeof rig->ended[0], "%s %.*s",
        strrchr(topic, '.') + 1, (int)stop->via.str.size, stop->via.str.ptr);
}

static inline void rig_keep_trace(void *context, const struct record_trace *trace) {
    (void)context, (void)trace;
}

static inline void rig_keep_run(void *context, const struct record_run *run) {
    (void)context, (void)run;
}

static inline void rig_keep_result(void *context, const struct record_result *result) {
    (void)context, (void)result;
}

static inline void rig_read(void *context, const struct record_read *read) {
    struct rig *rig = context;
    rig->asked = read->ticket;
}

static inline void rig_say(
    void *context, enum core_level level, const char *event, const char *detail) {
    (void)context, (void)level, (void)event, (void)detail;
}

static inline void rig_open(struct rig *rig, int64_t max_queued) {
    const struct core_config config = {.name = "b",
        .version = "t",
        .max_queued = max_queued,
        .keep_results = 100,
        .epoch = 9000,
        .first_lease = 1};
    const struct core_sink sink = {rig, rig_to_client, rig_to_worker, rig_publish, rig_keep_trace,
        rig_keep_run, rig_keep_result, rig_read, rig_say};
    memset(rig, 0, sizeof *rig);
    rig->now = (struct instant){1000000, 5000000};
    rig->core = core_new(&config, &sink, &rig->now);
    msgpack_sbuffer_init(&rig->bytes);
    assert_true(wire_doc_init(&rig->doc));
}

static inline void rig_close(struct rig *rig) {
    core_destroy(&rig->core);
    msgpack_sbuffer_destroy(&rig->bytes);
    wire_doc_free(&rig->doc);
}

static inline void rig_event(struct rig *rig) { rig->given_count = rig->errors = 0; }

/* ---- clients ---------------------------------------------------------------------------- */

/* What a trace asks for. */
struct rig_ask {
    const char *target; /* NULL: 192.0.2.1 */
    const char *source; /* NULL: none */
    int protocol;
    bool flow;
    const char *site; /* a label; NULL: none */
    int priority;
    bool fanout;         /* at all that fit */
    int64_t deadline_ms; /* 0: an hour */
};

static inline void rig_put_trace(msgpack_packer *pk, int id, const struct rig_ask *ask) {
    char text[16];
    (void)snprintf(text, sizeof text, "%d", id);
    msgpack_pack_map(
        pk, 5U + (ask->source != NULL) + ask->flow + (ask->site != NULL) + ask->fanout);
    wire_put_key_text(pk, "target", ask->target != NULL ? ask->target : "192.0.2.1");
    wire_put_key_text(pk, "id", text);
    wire_put_key_text(pk, "protocol", trace_protocol_names[ask->protocol]);
    wire_put_key_int(pk, "priority", ask->priority);
    wire_put_key_int(pk, "deadline_ms", ask->deadline_ms != 0 ? ask->deadline_ms : 3600000);
    if (ask->source != NULL)
        wire_put_key_text(pk, "source", ask->source);
    if (ask->fanout)
        wire_put_key_text(pk, "fanout", "all");
    if (ask->flow)
        wire_put_key_int(pk, "flow", 3);
    if (ask->site != NULL) {
        wire_put_text(pk, "workers");
        msgpack_pack_map(pk, 1);
        wire_put_key_text(pk, "site", ask->site);
    }
}

static inline void rig_ask(struct rig *rig, char client) {
    const struct core_peer peer = {&client, 1, 0, false};
    rig_event(rig);
    core_client_message(rig->core, &peer, rig->bytes.data, rig->bytes.size, &rig->now);
    if (rig->asked != 0) /* it knows nothing */
        core_answer(rig->core, &(struct record_answer){.ticket = rig->asked}, &rig->now);
    rig->asked = 0;
}

/* Submits `count` traces, numbered from `first`. */
static inline void rig_submit(
    struct rig *rig, char client, int first, int count, const struct rig_ask *ask) {
    static const struct rig_ask any = {.site = NULL};
    msgpack_packer pk;
    for (int at = 0, some; at < count; at += some) {
        some = count - at < REQUEST_MAX_ITEMS ? count - at : REQUEST_MAX_ITEMS;
        output_packer(&pk, &rig->bytes);
        request_put_head(&pk, "submit", NULL, 1);
        wire_put_text(&pk, "traces");
        msgpack_pack_array(&pk, (size_t)some);
        for (int i = 0; i < some; i++)
            rig_put_trace(&pk, first + at + i, ask != NULL ? ask : &any);
        rig_ask(rig, client);
    }
}

static inline void rig_cancel(struct rig *rig, int id) {
    char text[16];
    msgpack_packer pk;
    (void)snprintf(text, sizeof text, "%d", id);
    output_packer(&pk, &rig->bytes);
    request_put_head(&pk, "cancel", NULL, 1);
    wire_put_text(&pk, "ids");
    msgpack_pack_array(&pk, 1);
    wire_put_text(&pk, text);
    rig_ask(rig, 'z');
}

static inline struct job *rig_job(struct rig *rig, int id) {
    char text[16];
    int size = snprintf(text, sizeof text, "%d", id);
    return job_find(rig->core, text, (size_t)size);
}

/* ---- workers ---------------------------------------------------------------------------- */

static inline void rig_tell(struct rig *rig, char worker, const struct session_msg *msg) {
    const struct core_peer peer = {&worker, 1, 1, false};
    msgpack_packer pk;
    output_packer(&pk, &rig->bytes);
    session_put(&pk, msg);
    rig_event(rig);
    core_worker_message(rig->core, &peer, rig->bytes.data, rig->bytes.size, &rig->now);
}

static inline struct worker *rig_worker(struct rig *rig, char worker) {
    return worker_find(rig->core, &(struct core_peer){&worker, 1, 1, false});
}

#define RIG_V4 (1U << 4)
#define RIG_V6 (1U << 6)
#define RIG_ICMP (1U << TRACE_ICMP)
#define RIG_UDP (1U << TRACE_UDP)

static inline struct session_msg rig_hello(char worker, int64_t capacity, const char *site) {
    struct session_msg msg = {.op = SESSION_HELLO,
        .version_min = 1,
        .version_max = 1,
        .name = {worker},
        .prober = "p",
        .capacity = capacity,
        .families = RIG_V4,
        .protocols = RIG_ICMP};
    char label[80];
    (void)snprintf(label, sizeof label, "site=%s", site != NULL ? site : "");
    if (site != NULL)
        assert_true(labels_add(&msg.labels, label));
    return msg;
}

static inline void rig_join(struct rig *rig, char worker, int64_t capacity, const char *site) {
    struct session_msg msg = rig_hello(worker, capacity, site);
    rig_tell(rig, worker, &msg);
}

static inline void rig_bye(struct rig *rig, char worker) {
    rig_tell(rig, worker, &(struct session_msg){.op = SESSION_BYE});
}

static inline void rig_result(struct rig *rig, char worker, int64_t lease) {
    const struct result_body body = {.flow = -1,
        .target = "192.0.2.1",
        .first_ttl = 1,
        .max_ttl = 30,
        .prober = "p",
        .stop = STOP_REACHED};
    msgpack_sbuffer bytes;
    msgpack_packer pk;
    msgpack_sbuffer_init(&bytes);
    msgpack_packer_init(&pk, &bytes, msgpack_sbuffer_write);
    result_put_body(&pk, &body, NULL, 0);
    rig_tell(rig, worker,
        &(struct session_msg){
            .op = SESSION_RESULT, .lease = lease, .body = bytes.data, .body_size = bytes.size});
    msgpack_sbuffer_destroy(&bytes);
}

static inline void rig_return(struct rig *rig, char worker, int64_t lease) {
    rig_tell(rig, worker, &(struct session_msg){.op = SESSION_RETURN, .lease = lease});
}

/* A heartbeat that lists all that it has. */
static inline void rig_beat(struct rig *rig, char worker) {
    struct session_msg msg = {.op = SESSION_HEARTBEAT};
    int64_t leases[64];
    struct job *job;
    msg.leases = leases;
    TAILQ_FOREACH(job, &rig_worker(rig, worker)->jobs, link) {
        assert_true(msg.lease_count < 64);
        leases[msg.lease_count++] = job->lease->number;
    }
    rig_tell(rig, worker, &msg);
}

/* The last event gave just one trace, this one. */
#define RIG_GAVE(rig, to, id)                                                                      \
    do {                                                                                           \
        assert_int_equal((rig)->given_count, 1);                                                   \
        assert_int_equal((rig)->given[0].trace, id);                                               \
        assert_int_equal((rig)->given[0].worker, to);                                              \
    } while (0)

#define RIG_ENDED(rig, text) assert_string_equal((rig)->ended[((rig)->ended_count - 1) % 4], text)

#endif
