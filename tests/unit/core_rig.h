/* core_rig: the broker's core among clients, workers and a store that are written down as text, on
 * a clock of the test's. */
#ifndef TESTS_CORE_RIG_H
#define TESTS_CORE_RIG_H

#include "tests/unit/check.h"

#include "broker/core/core.h"
#include "common/mem.h"
#include "common/protocol/session.h"
#include "common/protocol/trace.h"
#include "tests/unit/golden.h"
#include "tests/unit/wire_parse.h"

#include <stdlib.h>
#include <string.h>

static struct core *core;
static struct instant now;
static struct transcript log_text; /* what the broker sent since it was last compared */
static struct wire_doc doc;
static msgpack_sbuffer bytes;
static const char *gone, *full; /* peers that are not there, or do not read */
static bool unreadable;         /* the store */

#define MAX_SAID 64

/* The last messages of the broker, as bytes. */
static struct said {
    unsigned char bytes[GOLDEN_MAX_BYTES];
    size_t size;
} said[MAX_SAID];
static size_t said_count;

static void remember(const void *at, size_t size) {
    struct said *next = &said[said_count++ % MAX_SAID];
    next->size = size < sizeof next->bytes ? size : sizeof next->bytes;
    memcpy(next->bytes, at, next->size);
}

static void note(const char *who, const void *at, size_t size) {
    struct wire_error err;
    remember(at, size);
    transcript_add(&log_text, "%s ", who);
    assert_true(wire_doc_read(&doc, at, size, 1048576, &err));
    wire_parse_add(&log_text, &doc.root);
    transcript_add(&log_text, "\n");
}

/* Messages that did not reach their peer, until the core is told. */
static struct unsent {
    char who[16];
    enum core_side side;
    enum core_sent sent;
    void *bytes;
    size_t size;
} unsent[MAX_SAID];
static size_t unsent_count;

static void to_peer(
    enum core_side side, const struct core_peer *peer, const void *at, size_t size) {
    char who[16];
    (void)snprintf(who, sizeof who, "%.*s%s", (int)peer->size, (const char *)peer->id,
        peer->enveloped ? "+" : "");
    bool is_full = full != NULL && strcmp(who, full) == 0;
    if (!is_full && (gone == NULL || strcmp(who, gone) != 0)) {
        note(who, at, size);
        return;
    }
    struct unsent *u = &unsent[unsent_count++];
    *u = (struct unsent){.side = side,
        .sent = is_full ? CORE_FULL : CORE_GONE,
        .bytes = mem_copy(at, size),
        .size = size};
    memcpy(u->who, who, sizeof u->who);
}

static void to_client(
    void *context, const struct core_peer *peer, const void *at, size_t size, enum core_when when) {
    (void)context;
    (void)when;
    to_peer(CORE_CLIENT, peer, at, size);
}

static void to_worker(
    void *context, const struct core_peer *peer, const void *at, size_t size, enum core_when when) {
    (void)context;
    (void)when;
    to_peer(CORE_WORKER, peer, at, size);
}

/* ---- a store ---------------------------------------------------------------------------- */

#define MAX_KEPT 64

/* What the core gave to the store; all of it is committed at once. */
static struct kept_trace {
    struct record_trace record; /* number 0: it has ended */
    char id[RECORD_ID_BYTES + 1], worker[SESSION_NAME_BYTES + 1], client[40];
} kept_traces[MAX_KEPT];
static struct kept_result {
    struct record_result record; /* seq 0: forgotten */
    char id[RECORD_ID_BYTES + 1], stream[TRACE_ID_BYTES + 1];
} kept_results[MAX_KEPT];
static size_t kept_trace_count, kept_result_count;

static void keep_trace(void *context, const struct record_trace *trace) {
    (void)context;
    assert_true(kept_trace_count < MAX_KEPT);
    struct kept_trace *k = &kept_traces[kept_trace_count++];
    k->record = *trace;
    k->record.trace = mem_copy(trace->trace, trace->trace_size);
    (void)snprintf(k->id, sizeof k->id, "%s", trace->id);
    (void)snprintf(k->client, sizeof k->client, "%s", trace->submitter);
    k->worker[0] = '\0';
}

static struct kept_trace *kept_trace(int64_t number) {
    for (size_t i = 0; i < kept_trace_count; i++)
        if (kept_traces[i].record.number == number)
            return &kept_traces[i];
    fail_msg("%d: a trace that was not kept", (int)number);
    return NULL;
}

static void keep_run(void *context, const struct record_run *run) {
    (void)context;
    struct kept_trace *k = kept_trace(run->number);
    k->record.run = *run;
    (void)snprintf(k->worker, sizeof k->worker, "%s", run->worker);
}

static void keep_result(void *context, const struct record_result *result) {
    (void)context;
    assert_true(kept_result_count < MAX_KEPT);
    struct kept_result *k = &kept_results[kept_result_count++];
    kept_trace(result->number)->record.number = 0;
    k->record = *result;
    k->record.trace = mem_copy(result->trace, result->trace_size);
    k->record.result = mem_copy(result->result, result->result_size);
    (void)snprintf(k->id, sizeof k->id, "%s", result->id);
    (void)snprintf(k->stream, sizeof k->stream, "%s", result->stream);
}

/* Questions until they are answered, after the event. */
static struct asked {
    struct record_read read;
    char ids[MAX_KEPT][RECORD_ID_BYTES + 1], stream[TRACE_ID_BYTES + 1];
} asked[4];
static size_t asked_count;

static void read_store(void *context, const struct record_read *read) {
    (void)context;
    assert_true(asked_count < sizeof asked / sizeof asked[0] && read->id_count <= MAX_KEPT);
    struct asked *a = &asked[asked_count++];
    a->read = *read;
    for (size_t i = 0; i < read->id_count; i++)
        (void)snprintf(a->ids[i], sizeof a->ids[i], "%s", read->ids[i]);
    if (read->stream != NULL)
        (void)snprintf(a->stream, sizeof a->stream, "%s", read->stream);
}

static bool is_asked(const struct asked *a, const struct kept_result *k) {
    if (a->read.query == RECORD_AFTER)
        return k->record.seq > a->read.after &&
               (a->read.stream == NULL || strcmp(a->stream, k->stream) == 0);
    for (size_t i = 0; i < a->read.id_count; i++)
        if (k->record.seq > 0 && strcmp(a->ids[i], k->id) == 0)
            return true;
    return false;
}

static void answer(const struct asked *a) {
    struct record_result rows[MAX_KEPT];
    struct record_answer answer = {
        .ticket = a->read.ticket, .rows = rows, .first_seq = 1, .failed = unreadable};
    for (size_t i = 0; i < kept_result_count && !unreadable; i++) {
        struct kept_result *k = &kept_results[i];
        k->record.id = k->id;
        k->record.stream = k->stream;
        if (k->record.seq == 0)
            answer.first_seq = (int64_t)i + 2;
        if (!is_asked(a, k))
            continue;
        if (a->read.query == RECORD_AFTER && (int64_t)answer.count == a->read.limit)
            answer.more = true;
        else
            rows[answer.count++] = k->record;
    }
    core_answer(core, &answer, &now);
}

/* What an event brings about outside of the core. */
static void settle(void) {
    core_shell(core)->kept_seq = core_seq(core);
    while (unsent_count > 0 || asked_count > 0) {
        struct unsent u = unsent[0];
        struct asked a = asked[0];
        if (unsent_count > 0) {
            memmove(unsent, unsent + 1, --unsent_count * sizeof *unsent);
            const struct core_peer peer = {u.who, strlen(u.who), 0, false};
            core_undelivered(core, u.side, &peer, u.bytes, u.size, u.sent, &now);
            free(u.bytes);
        } else {
            memmove(asked, asked + 1, --asked_count * sizeof *asked);
            answer(&a);
        }
    }
}

static void forget_kept(void) {
    for (size_t i = 0; i < kept_trace_count; i++)
        free((void *)(uintptr_t)kept_traces[i].record.trace);
    for (size_t i = 0; i < kept_result_count; i++) {
        free((void *)(uintptr_t)kept_results[i].record.trace);
        free((void *)(uintptr_t)kept_results[i].record.result);
    }
    kept_trace_count = kept_result_count = 0;
}

static const struct core_sink sink;

static void publish(void *context, const char *topic, const void *at, size_t size) {
    (void)context;
    if (strcmp(topic, "alive.") != 0)
        note(topic, at, size);
    else
        remember(at, size);
}

static void say(void *context, enum core_level level, const char *event, const char *detail) {
    (void)context;
    if (level == CORE_WARN)
        transcript_add(&log_text, "log %s %s\n", event, detail);
}

static const struct core_sink sink = {
    NULL, to_client, to_worker, publish, keep_trace, keep_run, keep_result, read_store, say};

static void start(int64_t max_queued) {
    const struct core_config config = {.name = "b1",
        .version = "test",
        .max_queued = max_queued,
        .keep_results = 10000,
        .epoch = 9000,
        .origin = 9000,
        .first_lease = 100,
        .results = {"ipc://r"},
        .result_count = 1};
    now = (struct instant){1000000, 5000000};
    core = core_new(&config, &sink, &now);
}

/* The broker is killed and started again, `down_ms` later. */
static inline void restart(int64_t down_ms) {
    struct core_config config = {.name = "b1",
        .version = "test",
        .max_queued = 10,
        .keep_results = 10000,
        .epoch = 9001,
        .origin = 9000,
        .first_lease = 200,
        .results = {"ipc://r"},
        .result_count = 1};
    core_destroy(&core);
    now = (struct instant){77000000, now.wall_us + down_ms * 1000};
    for (size_t i = 0; i < kept_trace_count; i++)
        if (kept_traces[i].record.number > config.number)
            config.number = kept_traces[i].record.number;
    config.seq = (int64_t)kept_result_count;
    core = core_new(&config, &sink, &now);
    for (size_t i = 0; i < kept_result_count; i++)
        core_restore_stream(core, kept_results[i].stream, kept_results[i].record.stream_seq);
    for (size_t i = 0; i < kept_trace_count; i++) {
        struct kept_trace *k = &kept_traces[i];
        k->record.id = k->id;
        k->record.submitter = k->client;
        k->record.run.worker = k->worker;
        if (k->record.number > 0)
            core_restore_trace(core, &k->record);
    }
    for (size_t i = 0; i < kept_result_count; i++) {
        kept_results[i].record.id = kept_results[i].id;
        if (strchr(kept_results[i].id, '/') != NULL)
            core_restore_member(core, &kept_results[i].record);
    }
    core_restored(core, &now);
    core_tick(core, &now);
    settle();
}

static int set_up(void **state) {
    (void)state;
    gone = full = NULL;
    unreadable = false;
    said_count = 0;
    msgpack_sbuffer_init(&bytes);
    start(10);
    return wire_doc_init(&doc) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    core_destroy(&core);
    forget_kept();
    wire_doc_free(&doc);
    msgpack_sbuffer_destroy(&bytes);
    transcript_free(&log_text);
    return 0;
}

static void say_bytes(const char *who, const void *at, size_t size) {
    struct core_peer peer = {who, strlen(who), 0, false};
    if (who[peer.size - 1] == '+') {
        peer.enveloped = true;
        peer.size--;
    }
    if (who[0] == 'w')
        core_worker_message(core, &peer, at, size, &now);
    else
        core_client_message(core, &peer, at, size, &now);
    settle();
}

static void say_to(const char *who, const char *text) {
    msgpack_sbuffer_clear(&bytes);
    wire_parse_pack(&bytes, text);
    say_bytes(who, bytes.data, bytes.size);
}

static void after_ms(int64_t ms) {
    now.mono_us += ms * 1000;
    now.wall_us += ms * 1000;
    core_tick(core, &now);
    settle();
}

#define EXPECT(...)                                                                                \
    do {                                                                                           \
        assert_true(transcript_is(&log_text, "" __VA_ARGS__));                                     \
        transcript_clear(&log_text);                                                               \
    } while (0)

#define HELLO(name, capacity, more)                                                                \
    "{'v': 1, 'op': 'hello', 'name': '" name "', 'versions': [1, 1], 'prober': 'p', "              \
    "'capacity': " capacity ", 'labels': {" more "}, 'af': [4], 'protocols': ['icmp'], "           \
    "'leases': []}"
#define WELCOME(who)                                                                               \
    who " {'v':1,'op':'welcome','epoch':9000,'heartbeat_ms':1000,'dead_ms':5000,'version':1}\n"
#define SUBMIT(more, fields) "{'v': 1, 'op': 'submit'" more ", 'traces': [" fields "]}"
#define ACCEPTED(who, ids) who " {'v':1,'op':'accepted','ids':[" ids "]}\n"
#define GIVEN(who, lease, run, left, trace)                                                        \
    who " {'v':1,'op':'trace','lease':" lease ",'run':" run ",'deadline_ms':" left                 \
        ",'trace':{" trace "}}\n"
#define RESULT(lease, target, stop)                                                                \
    "{'v': 1, 'op': 'result', 'lease': " lease ", 'body': <{'target': '" target                    \
    "', 'dst': '192.0.2.1', 'src': null, 'protocol': 'icmp', 'first_ttl': 1, 'max_ttl': 30, "      \
    "'started_us': 7, 'finished_us': 8, 'probes_sent': 1, 'stop': '" stop "', 'hops': []}>}"
#define HEAD(seq, stream, stream_seq, id, more)                                                    \
    "'seq':" seq ",'stream':'" stream "','stream_seq':" stream_seq ",'epoch':9000,'id':'" id       \
    "'" more
#define BODY(target, stop)                                                                         \
    "'target':'" target "','dst':'192.0.2.1','src':null,'protocol':'icmp','first_ttl':1,"          \
    "'max_ttl':30,'started_us':7,'finished_us':8,'probes_sent':1,'stop':'" stop "','hops':[]"
#define BROKERS_BODY(target, at, stop, more)                                                       \
    "'target':'" target "','dst':null,'src':null,'protocol':'icmp','first_ttl':1,'max_ttl':30,"    \
    "'started_us':" at ",'finished_us':" at ",'probes_sent':0,'stop':'" stop "'" more ",'hops':[]"
#define DONE(who, lease) who " {'v':1,'op':'done','lease':" lease "}\n"
#define BEAT(leases) "{'v': 1, 'op': 'heartbeat', 'leases': [" leases "], 'stats': {}}"
#define BEAT_BACK(who) who " {'v':1,'op':'heartbeat','epoch':9000}\n"
#define NO_WORKER_WITH(wants)                                                                      \
    ",'error':{'code':'unavailable','message':'no worker that fits was there: " wants "'}"
#define NO_WORKER NO_WORKER_WITH("icmp, IPv4")

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
