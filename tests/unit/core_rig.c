#include "tests/unit/core_rig.h"

#include "common/mem.h"
#include "common/order.h"
#include "common/protocol/trace.h"
#include "tests/unit/wire_parse.h"

struct rig rig;
static struct transcript log_text; /* what the broker sent since it was last compared */
static struct wire_doc doc;
static msgpack_sbuffer bytes;

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
    if (rig.quiet)
        return;
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
    bool is_full = rig.full != NULL && strcmp(who, rig.full) == 0;
    if (!is_full && (rig.gone == NULL || strcmp(who, rig.gone) != 0)) {
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
    char id[RECORD_ID_BYTES + 1], worker[SESSION_NAME_BYTES + 1], submitter[40];
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
    (void)snprintf(k->submitter, sizeof k->submitter, "%s", trace->submitter);
    k->worker[0] = '\0';
}

static struct kept_trace *kept_trace(int64_t number) {
    for (size_t i = 0; i < kept_trace_count; i++)
        if (kept_traces[i].record.number == number)
            return &kept_traces[i];
    fail_msg("%d: a trace that was not kept", (int)number);
    return NULL;
}

static int64_t last_lease;

int64_t rig_lease(void) { return last_lease; }

static void keep_run(void *context, const struct record_run *run) {
    (void)context;
    last_lease = order_max(last_lease, run->lease);
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
        .ticket = a->read.ticket, .rows = rows, .first_seq = 1, .failed = rig.unreadable};
    for (size_t i = 0; i < kept_result_count && !rig.unreadable; i++) {
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
        if (k->record.seq == rig.no_room_for) {
            rows[answer.count - 1].result = NULL;
            rows[answer.count - 1].result_size = 0;
        }
    }
    core_answer(rig.core, &answer, &rig.now);
}

/* What an event brings about outside of the core. */
static void settle(void) {
    core_shell(rig.core)->kept_seq = core_seq(rig.core);
    while (unsent_count > 0 || asked_count > 0) {
        struct unsent u = unsent[0];
        struct asked a = asked[0];
        if (unsent_count > 0) {
            memmove(unsent, unsent + 1, --unsent_count * sizeof *unsent);
            const struct core_peer peer = {u.who, strlen(u.who), 0, false};
            core_undelivered(rig.core, u.side, &peer, u.bytes, u.size, u.sent, &rig.now);
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

void rig_start(const struct core_config *config) {
    core_destroy(&rig.core);
    forget_kept();
    rig.now = (struct instant){1000000, 5000000};
    rig.core = core_new(config, &sink, &rig.now);
}

static struct core_config configuration(int64_t epoch, int64_t first_lease) {
    return (struct core_config){.name = "b1",
        .version = "test",
        .max_queued = 10,
        .keep_results = 10000,
        .epoch = epoch,
        .origin = 9000,
        .first_lease = first_lease,
        .results = {"ipc://r"},
        .result_count = 1};
}

static void restore(void) {
    for (size_t i = 0; i < kept_result_count; i++)
        core_restore_stream(rig.core, kept_results[i].stream, kept_results[i].record.stream_seq);
    for (size_t i = 0; i < kept_trace_count; i++) {
        struct kept_trace *k = &kept_traces[i];
        k->record.id = k->id;
        k->record.submitter = k->submitter;
        k->record.run.worker = k->worker;
        if (k->record.number > 0)
            core_restore_trace(rig.core, &k->record);
    }
    for (size_t i = 0; i < kept_result_count; i++) {
        kept_results[i].record.id = kept_results[i].id;
        if (strchr(kept_results[i].id, '/') != NULL)
            core_restore_member(rig.core, &kept_results[i].record);
    }
    core_restored(rig.core, &rig.now);
}

void rig_restart(int64_t down_ms) {
    struct core_config config = configuration(9001, 200);
    for (size_t i = 0; i < kept_trace_count; i++)
        config.number = order_max(config.number, kept_traces[i].record.number);
    config.seq = (int64_t)kept_result_count;
    core_destroy(&rig.core);
    rig.now = (struct instant){77000000, rig.now.wall_us + down_ms * 1000};
    rig.core = core_new(&config, &sink, &rig.now);
    restore();
    core_tick(rig.core, &rig.now);
    settle();
}

void rig_forget_oldest(void) {
    for (size_t i = 0; i < kept_result_count; i++)
        if (kept_results[i].record.seq > 0) {
            kept_results[i].record.seq = 0;
            return;
        }
    fail_msg("the store has no result to forget");
}

size_t rig_kept_results(void) { return kept_result_count; }

int rig_setup(void **state) {
    (void)state;
    const struct core_config config = configuration(9000, 100);
    rig = (struct rig){.core = NULL};
    said_count = 0;
    last_lease = 0;
    msgpack_sbuffer_init(&bytes);
    rig_start(&config);
    return wire_doc_init(&doc) ? 0 : -1;
}

int rig_teardown(void **state) {
    (void)state;
    core_destroy(&rig.core);
    forget_kept();
    wire_doc_free(&doc);
    msgpack_sbuffer_destroy(&bytes);
    transcript_free(&log_text);
    return 0;
}

void rig_say_bytes(const char *who, const void *at, size_t size) {
    struct core_peer peer = {who, strlen(who), 0, false};
    if (who[peer.size - 1] == '+') {
        peer.enveloped = true;
        peer.size--;
    }
    if (who[0] == 'w')
        core_worker_message(rig.core, &peer, at, size, &rig.now);
    else
        core_client_message(rig.core, &peer, at, size, &rig.now);
    settle();
}

void rig_say(const char *who, const char *text) {
    msgpack_sbuffer_clear(&bytes);
    wire_parse_pack(&bytes, text);
    rig_say_bytes(who, bytes.data, bytes.size);
}

void rig_say_result(const char *who, int64_t lease, const void *body, size_t size) {
    msgpack_packer pk;
    msgpack_sbuffer_clear(&bytes);
    msgpack_packer_init(&pk, &bytes, msgpack_sbuffer_write);
    session_put(&pk, &(struct session_msg){
                         .op = SESSION_RESULT, .lease = lease, .body = body, .body_size = size});
    rig_say_bytes(who, bytes.data, bytes.size);
}

void rig_after_ms(int64_t ms) {
    rig.now.mono_us += ms * 1000;
    rig.now.wall_us += ms * 1000;
    core_tick(rig.core, &rig.now);
    settle();
}

/* ---- what it said ----------------------------------------------------------------------- */

void rig_skip(void) { transcript_clear(&log_text); }

bool rig_is(const char *expected) {
    bool is = transcript_is(&log_text, expected);
    rig_skip();
    return is;
}

bool rig_has(const char *text) { return log_text.at != NULL && strstr(log_text.at, text) != NULL; }

bool rig_said(const struct golden_block *block) {
    size_t count = said_count < MAX_SAID ? said_count : MAX_SAID;
    for (size_t i = 0; i < count; i++)
        if (said[i].size == block->size && memcmp(said[i].bytes, block->bytes, block->size) == 0)
            return true;
    for (size_t i = 0; i < count; i++)
        (void)golden_same(block, said[i].bytes, said[i].size); /* prints both */
    return false;
}

int64_t rig_stat(const char *map, const char *name) {
    struct wire_error err;
    rig.quiet = true;
    rig_say("c", "{'v': 1, 'op': 'stats'}");
    rig.quiet = false;
    const struct said *reply = &said[(said_count - 1) % MAX_SAID];
    assert_true(wire_doc_read(&doc, reply->bytes, reply->size, 1048576, &err));
    const msgpack_object *found = wire_find(wire_find(wire_find(&doc.root, "stats"), map), name);
    assert_non_null(found);
    return found->via.i64;
}

int64_t rig_counter(const char *name) { return rig_stat("counters", name); }
