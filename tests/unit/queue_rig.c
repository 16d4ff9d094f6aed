#include "tests/unit/queue_rig.h"

#include "broker/core/state.h"
#include "common/mem.h"

static void parse(struct rig *rig, const void *at, size_t size) {
    struct wire_error err;
    assert_true(wire_doc_read(&rig->doc, at, size, 1048576, &err));
}

/* Of an error, alone or in the place of an id. */
static void note_error(struct rig *rig, const msgpack_object *error) {
    const msgpack_object *reason = wire_find(error, "reason");
    rig->errors++;
    if (reason != NULL)
        (void)snprintf(rig->reason, sizeof rig->reason, "%.*s", (int)reason->via.str.size,
            reason->via.str.ptr);
}

static void to_client(
    void *context, const struct core_peer *peer, const void *at, size_t size, enum core_when when) {
    struct rig *rig = context;
    (void)peer, (void)when;
    parse(rig, at, size);
    const msgpack_object *ids = wire_find(&rig->doc.root, "ids");
    if (wire_is(wire_find(&rig->doc.root, "op"), "error"))
        note_error(rig, &rig->doc.root);
    for (uint32_t i = 0; ids != NULL && i < ids->via.array.size; i++)
        if (ids->via.array.ptr[i].type == MSGPACK_OBJECT_MAP)
            note_error(rig, &ids->via.array.ptr[i]);
}

static void to_worker(
    void *context, const struct core_peer *peer, const void *at, size_t size, enum core_when when) {
    struct rig *rig = context;
    struct session_msg msg;
    struct wire_error err;
    struct trace trace;
    (void)when;
    parse(rig, at, size);
    assert_true(session_get(&msg, &rig->doc, &err));
    rig->rejected += msg.op == SESSION_REJECT;
    if (msg.op != SESSION_TRACE)
        return;
    assert_true(trace_get(&trace, msg.trace, "", &err));
    assert_true(rig->given_count < RIG_GIVEN);
    rig->given[rig->given_count++] =
        (struct given){*(const char *)peer->id, atoi(trace.id), msg.lease, msg.run};
}

static void publish(void *context, const char *topic, const void *at, size_t size) {
    struct rig *rig = context;
    if (strcmp(topic, "alive.") == 0) {
        msgpack_sbuffer_clear(&rig->alive);
        (void)msgpack_sbuffer_write(&rig->alive, at, size);
    }
    if (strncmp(topic, "result.", 7) != 0)
        return;
    parse(rig, at, size);
    const msgpack_object *stop = wire_find(&rig->doc.root, "stop");
    rig->ended_as[result_stop_of(&rig->doc.root)]++;
    (void)snprintf(rig->ended[rig->ended_count++ % 4], sizeof rig->ended[0], "%s %.*s",
        strrchr(topic, '.') + 1, (int)stop->via.str.size, stop->via.str.ptr);
}

static void keep_trace(void *context, const struct record_trace *trace) {
    (void)context, (void)trace;
}

static void keep_run(void *context, const struct record_run *run) { (void)context, (void)run; }

static void keep_result(void *context, const struct record_result *result) {
    (void)context, (void)result;
}

static void read(void *context, const struct record_read *read) {
    struct rig *rig = context;
    if (rig->store_waits)
        rig->waiting++;
    else
        rig->asked = read->ticket;
}

static void say(void *context, enum core_level level, const char *event, const char *detail) {
    (void)context, (void)level, (void)event, (void)detail;
}

void rig_open(struct rig *rig, int64_t max_queued) { rig_open_keeping(rig, max_queued, 100); }

void rig_open_keeping(struct rig *rig, int64_t max_queued, int64_t keep_results) {
    const struct core_config config = {.name = "b",
        .version = "t",
        .max_queued = max_queued,
        .keep_results = keep_results,
        .epoch = 9000,
        .first_lease = 1};
    const struct core_sink sink = {
        rig, to_client, to_worker, publish, keep_trace, keep_run, keep_result, read, say};
    memset(rig, 0, sizeof *rig);
    rig->now = (struct instant){1000000, 5000000};
    rig->core = core_new(&config, &sink, &rig->now);
    msgpack_sbuffer_init(&rig->bytes);
    msgpack_sbuffer_init(&rig->alive);
    assert_true(wire_doc_init(&rig->doc));
}

void rig_close(struct rig *rig) {
    core_destroy(&rig->core);
    msgpack_sbuffer_destroy(&rig->bytes);
    msgpack_sbuffer_destroy(&rig->alive);
    wire_doc_free(&rig->doc);
}

void rig_event(struct rig *rig) {
    rig->given_count = rig->errors = rig->rejected = 0;
    rig->reason[0] = '\0';
}

void rig_after_ms(struct rig *rig, int64_t ms) {
    rig_event(rig);
    rig->now.mono_us += ms * 1000;
    rig->now.wall_us += ms * 1000;
    core_tick(rig->core, &rig->now);
}

/* ---- clients ---------------------------------------------------------------------------- */

static void put_trace(msgpack_packer *pk, int id, const struct rig_ask *ask) {
    char text[16];
    (void)snprintf(text, sizeof text, "%d", id);
    msgpack_pack_map(pk, 5U + (ask->source != NULL) + ask->flow + (ask->site != NULL) +
                             ask->fanout + ask->coalesce + (ask->stream != NULL));
    wire_put_key_text(pk, "target", ask->target != NULL ? ask->target : "192.0.2.1");
    wire_put_key_text(pk, "id", text);
    wire_put_key_text(pk, "protocol", trace_protocol_names[ask->protocol]);
    wire_put_key_int(pk, "priority", ask->priority);
    wire_put_key_int(pk, "deadline_ms", ask->deadline_ms != 0 ? ask->deadline_ms : 3600000);
    if (ask->source != NULL)
        wire_put_key_text(pk, "source", ask->source);
    if (ask->stream != NULL)
        wire_put_key_text(pk, "stream", ask->stream);
    if (ask->coalesce) {
        wire_put_text(pk, "coalesce");
        msgpack_pack_true(pk);
    }
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

/* The store knows nothing. */
static void answer(struct rig *rig) {
    if (rig->asked != 0)
        core_answer(rig->core, &(struct record_answer){.ticket = rig->asked}, &rig->now);
    rig->asked = 0;
}

static void ask_core(struct rig *rig, const char *client) {
    const struct core_peer peer = {client, strlen(client), 0, false};
    rig_event(rig);
    core_client_message(rig->core, &peer, rig->bytes.data, rig->bytes.size, &rig->now);
    answer(rig);
}

void rig_submit(struct rig *rig, char client, int first, int count, const struct rig_ask *ask) {
    static const struct rig_ask any = {.site = NULL};
    msgpack_packer pk;
    for (int at = 0, some; at < count; at += some) {
        some = count - at < REQUEST_MAX_ITEMS ? count - at : REQUEST_MAX_ITEMS;
        output_packer(&pk, &rig->bytes);
        request_put_head(&pk, "submit", NULL, 1);
        wire_put_text(&pk, "traces");
        msgpack_pack_array(&pk, (size_t)some);
        for (int i = 0; i < some; i++)
            put_trace(&pk, first + at + i, ask != NULL ? ask : &any);
        ask_core(rig, (const char[]){client, '\0'});
    }
}

void rig_submit_as(struct rig *rig, const char *client, int id, const struct rig_ask *ask) {
    msgpack_packer pk;
    output_packer(&pk, &rig->bytes);
    request_put_head(&pk, "submit", NULL, 1);
    wire_put_text(&pk, "traces");
    msgpack_pack_array(&pk, 1);
    put_trace(&pk, id, ask);
    ask_core(rig, client);
}

static struct job *find_job(struct rig *rig, int id) {
    char text[16];
    int size = snprintf(text, sizeof text, "%d", id);
    return job_find(rig->core, text, (size_t)size);
}

/* ---- workers ---------------------------------------------------------------------------- */

void rig_tell_as(struct rig *rig, const char *worker, const struct session_msg *msg) {
    const struct core_peer peer = {worker, strlen(worker), 1, false};
    msgpack_packer pk;
    output_packer(&pk, &rig->bytes);
    session_put(&pk, msg);
    rig_event(rig);
    core_worker_message(rig->core, &peer, rig->bytes.data, rig->bytes.size, &rig->now);
}

void rig_tell(struct rig *rig, char worker, const struct session_msg *msg) {
    rig_tell_as(rig, (const char[]){worker, '\0'}, msg);
}

static struct worker *find_worker(struct rig *rig, char worker) {
    return worker_find(rig->core, &(struct core_peer){&worker, 1, 1, false});
}

struct session_msg rig_hello(char worker, int64_t capacity, const char *site) {
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

void rig_join(struct rig *rig, char worker, int64_t capacity, const char *site) {
    struct session_msg msg = rig_hello(worker, capacity, site);
    rig_tell(rig, worker, &msg);
}

void rig_join_as(struct rig *rig, const char *worker, int64_t capacity) {
    struct session_msg msg = rig_hello('w', capacity, NULL);
    (void)snprintf(msg.name, sizeof msg.name, "%s", worker);
    rig_tell_as(rig, worker, &msg);
}

void rig_bye(struct rig *rig, char worker) {
    rig_tell(rig, worker, &(struct session_msg){.op = SESSION_BYE});
}

void rig_large_result(struct rig *rig, char worker, int64_t lease, size_t more) {
    const struct result_body body = {.flow = -1,
        .target = "192.0.2.1",
        .first_ttl = 1,
        .max_ttl = 30,
        .prober = "p",
        .stop = STOP_REACHED};
    char *padding = mem_new(1, more + 1);
    msgpack_sbuffer bytes;
    msgpack_packer pk;
    msgpack_sbuffer_init(&bytes);
    msgpack_packer_init(&pk, &bytes, msgpack_sbuffer_write);
    result_put_body(&pk, &body, NULL, 0);
    if (more > 0) {
        bytes.data[0]++; /* one key more in its fixmap, or the low byte of its map16 */
        wire_put_text(&pk, "x");
        msgpack_pack_bin(&pk, more);
        msgpack_pack_bin_body(&pk, padding, more);
    }
    rig_tell(rig, worker,
        &(struct session_msg){
            .op = SESSION_RESULT, .lease = lease, .body = bytes.data, .body_size = bytes.size});
    msgpack_sbuffer_destroy(&bytes);
    free(padding);
}

void rig_result(struct rig *rig, char worker, int64_t lease) {
    rig_large_result(rig, worker, lease, 0);
}

void rig_return(struct rig *rig, char worker, int64_t lease) {
    rig_tell(rig, worker, &(struct session_msg){.op = SESSION_RETURN, .lease = lease});
}

/* A heartbeat that lists all that it has. */
void rig_beat(struct rig *rig, char worker) {
    struct session_msg msg = {.op = SESSION_HEARTBEAT};
    int64_t leases[64];
    struct job *job;
    msg.leases = leases;
    TAILQ_FOREACH(job, &find_worker(rig, worker)->jobs, link) {
        assert_true(msg.lease_count < 64);
        leases[msg.lease_count++] = job->lease->number;
    }
    rig_tell(rig, worker, &msg);
}

/* ---- what the broker tells -------------------------------------------------------------- */

/* Asks as client z what changes nothing; the reply is in rig->doc. */
static void query(struct rig *rig) {
    const struct core_peer peer = {"z", 1, 0, false};
    core_client_message(rig->core, &peer, rig->bytes.data, rig->bytes.size, &rig->now);
    answer(rig);
}

static void put_ids(struct rig *rig, msgpack_packer *pk, const char *op, int first, int count) {
    char text[16];
    output_packer(pk, &rig->bytes);
    request_put_head(pk, op, NULL, 1);
    wire_put_text(pk, "ids");
    msgpack_pack_array(pk, (size_t)count);
    for (int id = first; id < first + count; id++) {
        (void)snprintf(text, sizeof text, "%d", id);
        wire_put_text(pk, text);
    }
}

void rig_cancel(struct rig *rig, int id) {
    msgpack_packer pk;
    put_ids(rig, &pk, "cancel", id, 1);
    ask_core(rig, "z");
}

int rig_fetch(struct rig *rig, int first, int count, int *more) {
    msgpack_packer pk;
    put_ids(rig, &pk, "fetch", first, count);
    query(rig);
    *more = (int)wire_find(&rig->doc.root, "more")->via.array.size;
    return (int)wire_find(&rig->doc.root, "results")->via.array.size;
}

void rig_status_padded(struct rig *rig, int id, size_t size) {
    msgpack_packer pk;
    put_ids(rig, &pk, "status", id, 1);
    rig->bytes.data[0]++; /* one key more in its fixmap */
    wire_put_text(&pk, "x");
    size_t more = size - rig->bytes.size - 5;
    char *padding = mem_new(1, more);
    msgpack_pack_bin(&pk, more);
    msgpack_pack_bin_body(&pk, padding, more);
    free(padding);
    assert_int_equal(rig->bytes.size, size);
    ask_core(rig, "z");
}

static const msgpack_object *alive_streams(struct rig *rig) {
    parse(rig, rig->alive.data, rig->alive.size);
    return wire_find(&rig->doc.root, "streams");
}

int rig_alive_streams(struct rig *rig) { return (int)alive_streams(rig)->via.map.size; }

int64_t rig_alive_seq(struct rig *rig, const char *stream) {
    const msgpack_object *seq = wire_find(alive_streams(rig), stream);
    return seq != NULL ? seq->via.i64 : -1;
}

const char *rig_status(struct rig *rig, int id) {
    msgpack_packer pk;
    put_ids(rig, &pk, "status", id, 1);
    query(rig);
    const msgpack_object *map = &wire_find(&rig->doc.root, "states")->via.array.ptr[0];
    const msgpack_object_str *state = &wire_find(map, "state")->via.str;
    const msgpack_object *position = wire_find(map, "position"), *at = wire_find(map, "worker");
    int size = snprintf(rig->status, sizeof rig->status, "%.*s", (int)state->size, state->ptr);
    if (position != NULL)
        (void)snprintf(
            rig->status + size, sizeof rig->status - (size_t)size, " %d", (int)position->via.u64);
    else if (at != NULL)
        (void)snprintf(rig->status + size, sizeof rig->status - (size_t)size, " %.*s",
            (int)at->via.str.size, at->via.str.ptr);
    return rig->status;
}

int rig_position(struct rig *rig, int id) {
    int position = 0;
    (void)sscanf(rig_status(rig, id), "queued %d", &position);
    return position;
}

static int64_t stat(struct rig *rig, const char *map, const char *name) {
    msgpack_packer pk;
    output_packer(&pk, &rig->bytes);
    request_put_head(&pk, "stats", NULL, 0);
    query(rig);
    const msgpack_object *found =
        wire_find(wire_find(wire_find(&rig->doc.root, "stats"), map), name);
    assert_non_null(found);
    return found->via.i64;
}

int64_t rig_queue(struct rig *rig, const char *name) { return stat(rig, "queue", name); }

int64_t rig_counter(struct rig *rig, const char *name) { return stat(rig, "counters", name); }

/* ---- what no answer of the broker tells ------------------------------------------------- */

int64_t rig_lease(struct rig *rig, int id) { return find_job(rig, id)->lease->number; }

int64_t rig_running_of_submitter(struct rig *rig, int id) {
    return find_job(rig, id)->subqueue->submitter->running;
}

char rig_reserved(const struct rig *rig) {
    const struct worker *w = rig->core->quarantine.worker;
    return w != NULL ? w->name[0] : '-';
}

int64_t rig_idle_requirements(const struct rig *rig) { return rig->core->matching.idle_count; }
