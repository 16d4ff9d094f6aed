#include "common/hash.h"
#include "common/order.h"
#include "tests/sim/sim.h"

#include "common/protocol/result.h"

/* A result comes within its deadline and so much more; docs/reliability.md. */
#define MAX_LATE_US SECOND

/* ---- reading ---------------------------------------------------------------------------- */

void text_of(const msgpack_object *value, char *out, size_t room) {
    out[0] = '\0';
    if (value == NULL || value->type != MSGPACK_OBJECT_STR || value->via.str.size >= room)
        return;
    memcpy(out, value->via.str.ptr, value->via.str.size);
    out[value->via.str.size] = '\0';
}

void map_text(const msgpack_object *map, const char *key, char *out, size_t room) {
    text_of(wire_find(map, key), out, room);
}

int64_t map_int(struct sim *s, const msgpack_object *map, const char *key) {
    const msgpack_object *value = wire_find(map, key);
    KEEP(s, value != NULL && value->type == MSGPACK_OBJECT_POSITIVE_INTEGER,
        "%s: is missing, or no integer", key);
    return (int64_t)value->via.u64;
}

const msgpack_object *map_array(struct sim *s, const msgpack_object *map, const char *key) {
    const msgpack_object *value = wire_find(map, key);
    KEEP(s, value != NULL && value->type == MSGPACK_OBJECT_ARRAY, "%s: is missing, or no array",
        key);
    return value;
}

static const msgpack_object *read_map(
    struct sim *s, struct wire_doc *doc, const void *bytes, size_t size) {
    struct wire_error err;
    KEEP(s, wire_doc_read(doc, bytes, size, 1 << 20, &err), "a message is wrong: %s", err.message);
    return &doc->root;
}

/* Of all but `req`, which is the asker's. */
static uint64_t hash_of(struct sim *s, const msgpack_object *map) {
    msgpack_packer pk;
    msgpack_sbuffer_clear(&s->scratch);
    msgpack_packer_init(&pk, &s->scratch, msgpack_sbuffer_write);
    for (uint32_t i = 0; i < map->via.map.size; i++)
        if (!wire_is(&map->via.map.ptr[i].key, "req")) {
            msgpack_pack_object(&pk, map->via.map.ptr[i].key);
            msgpack_pack_object(&pk, map->via.map.ptr[i].val);
        }
    return hash_bytes(HASH_START, s->scratch.data, s->scratch.size);
}

/* ---- results ---------------------------------------------------------------------------- */

/* The last result of an id. */
const struct fact *history_result(const struct sim *s, const char *id) {
    for (int64_t seq = MAX_RESULTS - 1; seq > 0; seq--)
        if (s->history.facts[seq].known && strcmp(s->history.facts[seq].id, id) == 0)
            return &s->history.facts[seq];
    return NULL;
}

static int64_t seq_of(const struct sim *s, const struct fact *fact) {
    return fact - s->history.facts;
}

/* Its result was there and is not kept any more: the id may be used again. */
bool history_deleted(const struct sim *s, const char *id) {
    const struct fact *fact = history_result(s, id);
    return fact != NULL && seq_of(s, fact) < s->disk.first_seq;
}

static void fill(struct sim *s, struct fact *fact, const msgpack_object *map) {
    map_text(map, "id", fact->id, sizeof fact->id);
    map_text(map, "stream", fact->stream, sizeof fact->stream);
    map_text(map, "shared", fact->shared, sizeof fact->shared);
    map_text(map, "worker", fact->worker, sizeof fact->worker);
    map_text(map, "stop", fact->stop, sizeof fact->stop);
    map_text(map, "target", fact->target, sizeof fact->target);
    fact->stream_seq = map_int(s, map, "stream_seq");
    fact->run = map_int(s, map, "run");
    fact->execution = map_int(s, map, "probes_sent");
    fact->hash = hash_of(s, map);
    fact->known = true;
}

/* The result as it was seen first; it must be the same each time. */
static struct fact *look_at(
    struct sim *s, const msgpack_object *map, const void *bytes, size_t size) {
    int64_t seq = map_int(s, map, "seq");
    KEEP(s, seq >= 1 && seq < MAX_RESULTS, "seq %" PRId64, seq);
    struct fact *fact = &s->history.facts[seq];
    if (fact->known) {
        bool same = bytes != NULL && fact->size == size && memcmp(fact->bytes, bytes, size) == 0;
        KEEP(s, same || fact->hash == hash_of(s, map), "seq %" PRId64 " has two bodies", seq);
        return fact;
    }
    struct fact found = {.known = false};
    fill(s, &found, map);
    const struct fact *other = history_result(s, found.id);
    KEEP(s, other == NULL || seq_of(s, other) < s->disk.first_seq,
        "%s has two results, seq %" PRId64 " and %" PRId64, found.id, seq_of(s, other), seq);
    KEEP(s, found.run <= CORE_MAX_RUNS, "%s was started %" PRId64 " times", found.id, found.run);
    *fact = found;
    if (bytes != NULL) {
        fact->bytes = sim_copy(s, bytes, size);
        fact->size = size;
    }
    return fact;
}

void history_left(struct sim *s, const msgpack_object *map, const void *bytes, size_t size) {
    (void)look_at(s, map, bytes, size);
}

void history_publish(struct sim *s, const void *bytes, size_t size) {
    const msgpack_object *map = read_map(s, &s->doc, bytes, size), *op = wire_find(map, "op");
    if (wire_is(op, "result"))
        history_left(s, map, bytes, size);
    else if (wire_is(op, "alive"))
        KEEP(s, map_int(s, map, "seq") <= s->history.last_seq, "alive tells of what is not kept");
}

/* ---- workers ---------------------------------------------------------------------------- */

int64_t history_execute(struct sim *s, int process, int64_t lease, const char *id) {
    struct history *h = &s->history;
    KEEP(s, h->execution_count + 1 < MAX_EXECUTIONS, "traces are started without end");
    int64_t before = 0;
    for (int64_t i = 1; i <= h->execution_count; i++)
        before += h->executions[i].process == process && strcmp(h->executions[i].id, id) == 0;
    KEEP(s, before < CORE_MAX_RUNS + (s->mix.every_us > 0 ? CORE_MAX_RETURNS : 0),
        "%s is run %" PRId64 " times by %s", id, before + 1, sim_name(process));
    struct execution *e = &h->executions[++h->execution_count];
    e->process = process;
    e->lease = lease;
    (void)snprintf(e->id, sizeof e->id, "%s", id);
    return h->execution_count;
}

/* A result is its lease holder's: of the last lease that was given. */
static void check_holder(struct sim *s, const struct fact *fact, const struct kept_trace *trace) {
    if (fact->execution == 0)
        return;
    const struct execution *e = &s->history.executions[fact->execution];
    KEEP(s, strcmp(fact->worker, sim_name(e->process)) == 0, "%s was run by %s, not by %s",
        fact->id, sim_name(e->process), fact->worker);
    if (fact->shared[0] != '\0' || trace == NULL)
        return;
    const struct record_run *last = &trace->record.run;
    KEEP(s,
        last->lease == e->lease && last->run == fact->run &&
            strcmp(last->worker, fact->worker) == 0,
        "%s is of lease %" PRId64 " of %s, but the last one is %" PRId64 " of %s", fact->id,
        e->lease, fact->worker, last->lease, last->worker);
}

static void check_cancelled(struct sim *s, struct promise *p);

/* ---- what is committed ------------------------------------------------------------------ */

static void check_numbers(struct sim *s, const struct fact *fact) {
    struct history *h = &s->history;
    KEEP(s, seq_of(s, fact) == h->last_seq + 1, "seq %" PRId64 " comes after %" PRId64,
        seq_of(s, fact), h->last_seq);
    h->last_seq++;
    int i = 0;
    while (i < h->stream_count && strcmp(h->streams[i].name, fact->stream) != 0)
        i++;
    KEEP(s, i < MAX_STREAMS, "stream %s", fact->stream);
    if (i == h->stream_count)
        memcpy(h->streams[h->stream_count++].name, fact->stream, sizeof fact->stream);
    KEEP(s, fact->stream_seq == h->streams[i].seq + 1,
        "stream_seq %" PRId64 " of %s comes after %" PRId64, fact->stream_seq, fact->stream,
        h->streams[i].seq);
    h->streams[i].seq++;
}

static void check_members(struct sim *s, const struct fact *fact, const msgpack_object *map) {
    const msgpack_object_array *members = &map_array(s, map, "members")->via.array;
    size_t size = strlen(fact->id);
    uint32_t parts = 0;
    for (uint32_t i = 0; i < members->size; i++) {
        char id[ID_ROOM], stop[16], worker[65];
        map_text(&members->ptr[i], "id", id, sizeof id);
        map_text(&members->ptr[i], "stop", stop, sizeof stop);
        map_text(&members->ptr[i], "worker", worker, sizeof worker);
        int64_t seq = map_int(s, &members->ptr[i], "seq");
        KEEP(s, seq >= 1 && seq <= s->history.last_seq, "%s lists seq %" PRId64, fact->id, seq);
        const struct fact *part = &s->history.facts[seq];
        KEEP(s,
            strcmp(part->id, id) == 0 && strcmp(part->stop, stop) == 0 &&
                strncmp(id, fact->id, size) == 0 && strcmp(id + size + 1, worker) == 0,
            "%s lists %s (%s) as seq %" PRId64 ", which is %s (%s)", fact->id, id, stop, seq,
            part->id, part->stop);
    }
    for (int64_t seq = s->disk.first_seq; seq <= s->history.last_seq; seq++) {
        const struct fact *part = &s->history.facts[seq];
        parts += strncmp(part->id, fact->id, size) == 0 && part->id[size] == '/';
    }
    KEEP(s, parts == members->size, "%s lists %u of %u parts", fact->id, members->size, parts);
}

static void check_shared(struct sim *s, const struct fact *fact) {
    static const char *const own[] = {"cancelled", "deadline", "no-worker"};
    const struct fact *leader = history_result(s, fact->shared);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        KEEP(s, strcmp(fact->stop, own[i]) != 0, "%s shares %s's own end, %s", fact->id,
            fact->shared, own[i]);
    KEEP(s, leader != NULL, "%s shares %s, which has no result", fact->id, fact->shared);
    KEEP(s, leader->shared[0] == '\0', "%s shares %s, which shares %s", fact->id, leader->id,
        leader->shared);
    KEEP(s, strcmp(leader->target, fact->target) == 0, "%s shares %s, another trace", fact->id,
        leader->id);
    KEEP(s,
        seq_of(s, leader) < s->disk.first_seq ||
            (leader->execution == fact->execution && strcmp(leader->stop, fact->stop) == 0),
        "%s shares %s, but not its result", fact->id, leader->id);
}

static bool cancel_was_asked(const struct sim *s, const struct fact *fact) {
    size_t whole = strcspn(fact->id, "/");
    for (int i = 0; i < s->ask_count; i++)
        for (int k = 0; k < s->asks[i].count && s->asks[i].op == ASK_CANCEL; k++) {
            const char *id = s->asks[i].ids[k];
            if (strncmp(id, fact->id, whole) == 0 && (id[whole] == '\0' || id[whole] == '/'))
                return true;
        }
    return false;
}

/* Without other faults only the trace that kills its workers loses all of its runs, if all of them
 * were begun: one that was on its way to a worker that had just died counts too. */
static void check_neighbours(struct sim *s, const struct fact *fact) {
    char poison[16], whole[ID_ROOM];
    const char *part = strchr(fact->id, '/');
    int64_t runs = 0;
    (void)snprintf(poison, sizeof poison, "192.0.2.%d", s->mix.poison);
    (void)snprintf(whole, sizeof whole, "%.*s", (int)strcspn(fact->id, "/"), fact->id);
    for (int64_t i = 1; i <= s->history.execution_count; i++)
        runs += strcmp(s->history.executions[i].id, whole) == 0 &&
                (part == NULL || strcmp(part + 1, sim_name(s->history.executions[i].process)) == 0);
    KEEP(s,
        s->mix.every_us > 0 || strcmp(fact->stop, "worker-lost") != 0 || runs < CORE_MAX_RUNS ||
            strcmp(fact->target, poison) == 0,
        "%s is lost with a neighbour's workers", fact->id);
}

static void check_times(
    struct sim *s, const struct fact *fact, const struct kept_trace *trace, int64_t kept_us) {
    const msgpack_object *map =
        read_map(s, &s->inner, trace->record.trace, trace->record.trace_size);
    const struct broker *b = &s->broker;
    int64_t from_us = order_max(trace->kept_us, b->started_us);
    int64_t due_us = from_us + map_int(s, map, "deadline_ms") * MS + MAX_LATE_US;
    int64_t resumed_us = s->processes[BROKER].resumed_us + 100 * MS;
    KEEP(s, kept_us <= due_us || kept_us <= resumed_us, "%s ends %" PRId64 " ms late", fact->id,
        (kept_us - due_us) / MS);
    const struct promise *p = history_find(s, fact->id);
    if (p != NULL && p->cancelled_us > b->started_us && kept_us > resumed_us)
        KEEP(s, kept_us <= p->cancelled_us + CORE_CANCEL_US + 10 * MS,
            "%s ends %" PRId64 " ms after it was cancelled", fact->id,
            (kept_us - p->cancelled_us) / MS);
}

void history_commit(
    struct sim *s, const struct kept_trace *trace, const struct kept_result *result) {
    const struct record_result *r = &result->record;
    const msgpack_object *map = read_map(s, &s->doc, r->result, r->result_size);
    struct fact *fact = look_at(s, map, r->result, r->result_size);
    KEEP(s,
        seq_of(s, fact) == r->seq && fact->stream_seq == r->stream_seq &&
            strcmp(fact->id, r->id) == 0 && strcmp(fact->stream, r->stream) == 0,
        "the record of %s is not its result's", r->id);
    check_numbers(s, fact);
    fact->committed = true;
    check_holder(s, fact, trace);
    if (trace != NULL)
        check_times(s, fact, trace, result->kept_us);
    if (fact->shared[0] != '\0')
        check_shared(s, fact);
    if (strcmp(fact->stop, "summary") == 0)
        check_members(s, fact, map);
    if (history_find(s, fact->id) != NULL)
        check_cancelled(s, history_find(s, fact->id));
    check_neighbours(s, fact);
    KEEP(s, strcmp(fact->stop, "cancelled") != 0 || cancel_was_asked(s, fact),
        "%s is cancelled, but nobody asked for that", fact->id);
}

/* ---- promises --------------------------------------------------------------------------- */

struct promise *history_find(struct sim *s, const char *id) {
    for (int i = s->history.promise_count - 1; i >= 0; i--)
        if (strcmp(s->history.promises[i].id, id) == 0)
            return &s->history.promises[i];
    return NULL;
}

static bool same(const struct spec *a, const struct spec *b) {
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

static void promise(struct sim *s, const char *id, const struct spec *spec) {
    struct promise *p = history_find(s, id);
    KEEP(s, spec->id[0] == '\0' || strcmp(spec->id, id) == 0, "%s is accepted as %s", spec->id, id);
    if (p != NULL && (same(p->spec, spec) && spec->id[0] != '\0'))
        return;
    KEEP(s, p == NULL || history_deleted(s, id), "%s is accepted for two traces", id);
    KEEP(s, s->history.promise_count < MAX_PROMISES, "too many traces are accepted");
    p = &s->history.promises[s->history.promise_count++];
    *p = (struct promise){.spec = spec, .left_us = s->now_us};
    (void)snprintf(p->id, sizeof p->id, "%s", id);
}

static struct ask *ask_of(struct sim *s, const msgpack_object *map) {
    int64_t req = map_int(s, map, "req");
    return req >= 1 && req <= s->ask_count ? &s->asks[req - 1] : NULL;
}

static void accepted(struct sim *s, const msgpack_object *map) {
    const struct ask *ask = ask_of(s, map);
    const msgpack_object_array *ids = &map_array(s, map, "ids")->via.array;
    KEEP(s, ask != NULL && ask->op == ASK_SUBMIT && (int)ids->size == ask->count,
        "accepted, but not as it was asked");
    for (int i = 0; i < ask->count; i++) {
        char id[ID_ROOM];
        text_of(&ids->ptr[i], id, sizeof id);
        if (ids->ptr[i].type == MSGPACK_OBJECT_STR)
            promise(s, id, ask->specs[i]);
    }
}

/* Once it is told that the trace was in the queue, and its result is there. */
static void check_cancelled(struct sim *s, struct promise *p) {
    const struct fact *fact = history_result(s, p->id);
    if (p->cancelled_us == 0 || fact == NULL || !fact->committed || history_deleted(s, p->id))
        return;
    KEEP(s,
        !p->was_queued || strcmp(fact->stop, "cancelled") == 0 ||
            strcmp(fact->stop, "summary") == 0,
        "%s was cancelled in the queue and ends as %s", p->id, fact->stop);
    p->cancelled_us = 0;
}

static void cancelled(struct sim *s, const msgpack_object *map) {
    const msgpack_object_array *states = &map_array(s, map, "states")->via.array;
    for (uint32_t i = 0; i < states->size; i++) {
        char id[ID_ROOM];
        map_text(&states->ptr[i], "id", id, sizeof id);
        const msgpack_object *state = wire_find(&states->ptr[i], "state");
        struct promise *p = history_find(s, id);
        if (p == NULL || p->cancelled_us != 0)
            continue;
        if (!wire_is(state, "queued") && !wire_is(state, "running"))
            continue;
        p->cancelled_us = s->now_us;
        p->was_queued = wire_is(state, "queued");
        check_cancelled(s, p);
    }
}

void history_reply(struct sim *s, const void *bytes, size_t size) {
    const msgpack_object *map = read_map(s, &s->doc, bytes, size), *op = wire_find(map, "op");
    if (wire_is(op, "accepted"))
        accepted(s, map);
    else if (wire_is(op, "cancelled"))
        cancelled(s, map);
    else if (wire_is(op, "result"))
        history_left(s, map, NULL, 0);
    else if (wire_is(op, "results"))
        for (uint32_t i = 0; i < map_array(s, map, "results")->via.array.size; i++)
            history_left(s, &map_array(s, map, "results")->via.array.ptr[i], NULL, 0);
}

/* What was cancelled is not begun any more. */
void history_given(struct sim *s, const void *bytes, size_t size) {
    char id[ID_ROOM];
    const msgpack_object *map = read_map(s, &s->doc, bytes, size);
    if (!wire_is(wire_find(map, "op"), "trace"))
        return;
    map_text(wire_find(map, "trace"), "id", id, sizeof id);
    const struct promise *p = history_find(s, id);
    KEEP(s, p == NULL || p->cancelled_us == 0 || history_deleted(s, id),
        "%s is given to a worker after it was cancelled", id);
}

/* ---- the end ---------------------------------------------------------------------------- */

bool history_complete(const struct sim *s) {
    for (int i = 0; i < s->history.promise_count; i++) {
        const struct fact *fact = history_result(s, s->history.promises[i].id);
        if (fact == NULL || !fact->committed)
            return false;
    }
    return s->disk.traces == NULL;
}

void history_check(struct sim *s) {
    for (int i = 0; i < s->history.promise_count; i++) {
        const struct promise *p = &s->history.promises[i];
        const struct fact *fact = history_result(s, p->id);
        KEEP(s, fact != NULL && fact->committed, "%s was accepted and has no result", p->id);
    }
    KEEP(s, s->disk.traces == NULL, "trace %s has no result",
        s->disk.traces != NULL ? s->disk.traces->record.id : "");
}
