#include "tests/sim/sim.h"

#include "common/order.h"
#include "common/protocol/trace.h"

/* A question without an answer is asked again after this time. */
#define SILENCE_US (400 * MS)

static const char *const ops[] = {[ASK_SUBMIT] = "submit",
    [ASK_TRACE] = "trace",
    [ASK_STATUS] = "status",
    [ASK_FETCH] = "fetch",
    [ASK_CANCEL] = "cancel",
    [ASK_PING] = "ping",
    [ASK_STATS] = "stats"};

static void wake(struct sim *s, const struct event *event);

/* ---- traces that are asked for ---------------------------------------------------------- */

static void put_text(msgpack_packer *pk, uint32_t *pairs, const char *key, const char *value) {
    wire_put_key_text(pk, key, value);
    ++*pairs;
}

static void put_int(msgpack_packer *pk, uint32_t *pairs, const char *key, int64_t value) {
    wire_put_key_int(pk, key, value);
    ++*pairs;
}

static void put_bool(msgpack_packer *pk, uint32_t *pairs, const char *key, bool value) {
    wire_put_text(pk, key);
    value ? msgpack_pack_true(pk) : msgpack_pack_false(pk);
    ++*pairs;
}

static void encode(struct sim *s, struct spec *spec) {
    char text[32];
    msgpack_packer pk;
    msgpack_sbuffer_clear(&s->out);
    msgpack_packer_init(&pk, &s->out, msgpack_sbuffer_write);
    (void)snprintf(text, sizeof text, "192.0.2.%d", spec->target);
    put_text(&pk, &spec->pairs, "target", text);
    (void)snprintf(text, sizeof text, "st%d", spec->stream);
    put_text(&pk, &spec->pairs, "stream", text);
    put_int(&pk, &spec->pairs, "deadline_ms", spec->deadline_ms);
    if (spec->id[0] != '\0')
        put_text(&pk, &spec->pairs, "id", spec->id);
    if (spec->priority != 4)
        put_int(&pk, &spec->pairs, "priority", spec->priority);
    if (spec->coalesce)
        put_bool(&pk, &spec->pairs, "coalesce", true);
    if (spec->max_age_ms != 0)
        put_int(&pk, &spec->pairs, "max_age_ms", spec->max_age_ms);
    if (spec->fanout > 0)
        put_int(&pk, &spec->pairs, "fanout", spec->fanout);
    else if (spec->fanout < 0)
        put_text(&pk, &spec->pairs, "fanout", "all");
    if (!spec->wait)
        put_bool(&pk, &spec->pairs, "wait", false);
    if (spec->progress)
        put_bool(&pk, &spec->pairs, "progress", true);
    if (spec->names)
        put_bool(&pk, &spec->pairs, "names", true);
    if (spec->meta)
        put_int(&pk, &spec->pairs, "meta", 7);
    if (spec->site != 0) {
        (void)snprintf(text, sizeof text, "%" PRId64, spec->site);
        wire_put_text(&pk, "workers");
        msgpack_pack_map(&pk, 1);
        wire_put_key_text(&pk, "site", text);
        spec->pairs++;
    }
    spec->bytes = sim_copy(s, s->out.data, s->out.size);
    spec->size = s->out.size;
}

static struct spec *spec_new(struct sim *s) {
    const struct mix *mix = &s->mix;
    if (s->spec_count == MAX_SPECS)
        abort();
    struct spec *spec = &s->specs[s->spec_count++];
    bool named = mix->own_ids && (!mix->made_ids || sim_chance(s, 70));
    if (named)
        (void)snprintf(spec->id, sizeof spec->id, "t%d", s->spec_count);
    spec->target = 1 + (int)sim_draw(s, mix->targets);
    spec->stream = (int)sim_draw(s, mix->streams);
    spec->deadline_ms = 100 + sim_draw(s, mix->deadline_ms);
    spec->priority = mix->priorities ? sim_draw(s, 10) : 4;
    spec->coalesce = mix->coalesce && sim_chance(s, 60);
    spec->max_age_ms = spec->coalesce && sim_chance(s, 50) ? 1 + sim_draw(s, 5000) : 0;
    if (mix->fanout && !spec->coalesce && sim_chance(s, 30))
        spec->fanout = sim_chance(s, 50) ? -1 : 1 + sim_draw(s, MAX_WORKERS);
    /* Site 4 is no worker's. */
    spec->site = mix->labels && sim_chance(s, 40) ? 1 + sim_draw(s, MAX_WORKERS + 1) : 0;
    spec->wait = !mix->no_wait || sim_chance(s, 60);
    spec->progress = mix->progress && sim_chance(s, 50);
    spec->names = mix->names && sim_chance(s, 50);
    spec->meta = sim_chance(s, 20);
    encode(s, spec);
    return spec;
}

/* Another trace under an id that is in use. */
static struct spec *spec_conflicting(struct sim *s, const struct spec *other) {
    if (s->spec_count == MAX_SPECS)
        abort();
    struct spec *spec = &s->specs[s->spec_count++];
    *spec = *other;
    spec->pairs = 0;
    spec->target = other->target + 100;
    encode(s, spec);
    return spec;
}

static struct spec *spec_any(struct sim *s) {
    return s->spec_count == 0 ? NULL : &s->specs[sim_draw(s, s->spec_count)];
}

/* ---- requests --------------------------------------------------------------------------- */

static struct ask *ask_new(struct sim *s, enum ask_op op) {
    KEEP(s, s->ask_count < MAX_ASKS, "requests are refused without end");
    struct ask *ask = &s->asks[s->ask_count++];
    ask->req = s->ask_count;
    ask->op = op;
    ask->client = CLIENT + (int)sim_draw(s, s->mix.clients);
    ask->next_us = sim_draw(s, s->mix.asks_us);
    return ask;
}

static struct spec *spec_to_ask_for(struct sim *s) {
    struct spec *any = spec_any(s);
    bool named = any != NULL && any->id[0] != '\0';
    if (named && s->mix.repeats && sim_chance(s, 20))
        return any;
    if (named && s->mix.conflicts && sim_chance(s, 10))
        return spec_conflicting(s, any);
    return spec_new(s);
}

static void ask_for_traces(struct sim *s) {
    struct ask *ask = ask_new(s, sim_chance(s, 30) ? ASK_TRACE : ASK_SUBMIT);
    ask->count = ask->op == ASK_TRACE ? 1 : 1 + (int)sim_draw(s, ASK_TRACES);
    ask->notify = sim_chance(s, 50);
    for (int i = 0; i < ask->count; i++)
        ask->specs[i] = spec_to_ask_for(s);
}

static void ask_about(struct sim *s, enum ask_op op) {
    if (s->spec_count == 0)
        return;
    struct ask *ask = ask_new(s, op);
    ask->count = 1 + (int)sim_draw(s, ASK_TRACES);
    for (int i = 0; i < ask->count; i++)
        ask->specs[i] = spec_any(s);
}

/* The id of a trace, or of one of its parts, as far as it is known. */
static void name_one(struct sim *s, struct ask *ask, int i) {
    const struct spec *spec = ask->specs[i];
    char *id = ask->ids[i];
    (void)snprintf(id, ID_ROOM, "%s", spec->id[0] != '\0' ? spec->id : "unknown");
    for (int k = 0; spec->id[0] == '\0' && k < s->history.promise_count; k++)
        if (s->history.promises[k].spec == spec)
            memcpy(id, s->history.promises[k].id, ID_ROOM);
    size_t size = strlen(id);
    if (spec->fanout != 0 && sim_chance(s, 30))
        (void)snprintf(id + size, ID_ROOM - size, "/%s", sim_name(WORKER + (int)sim_draw(s, 3)));
    const struct fact *fact = history_result(s, id);
    ask->owed[i] = fact != NULL && fact->committed ? fact - s->history.facts : 0;
}

static void pack(struct sim *s, struct ask *ask) {
    msgpack_packer pk;
    msgpack_sbuffer_clear(&s->out);
    msgpack_packer_init(&pk, &s->out, msgpack_sbuffer_write);
    const struct spec *first = ask->specs[0];
    msgpack_pack_map(&pk, 3 + (ask->op == ASK_SUBMIT     ? 2
                                  : ask->op == ASK_TRACE ? first->pairs
                                  : ask->op >= ASK_PING  ? 0
                                                         : 1));
    wire_put_key_int(&pk, "v", 1);
    wire_put_key_text(&pk, "op", ops[ask->op]);
    wire_put_key_int(&pk, "req", ask->req);
    if (ask->op == ASK_TRACE) {
        (void)msgpack_sbuffer_write(&s->out, first->bytes, first->size);
        return;
    }
    if (ask->op == ASK_PING || ask->op == ASK_STATS)
        return;
    if (ask->op == ASK_SUBMIT) {
        uint32_t ignored = 0;
        put_bool(&pk, &ignored, "notify", ask->notify);
    }
    wire_put_text(&pk, ask->op == ASK_SUBMIT ? "traces" : "ids");
    msgpack_pack_array(&pk, (size_t)ask->count);
    for (int i = 0; i < ask->count; i++)
        if (ask->op == ASK_SUBMIT) {
            msgpack_pack_map(&pk, ask->specs[i]->pairs);
            (void)msgpack_sbuffer_write(&s->out, ask->specs[i]->bytes, ask->specs[i]->size);
        } else {
            if (ask->tries == 0)
                name_one(s, ask, i);
            wire_put_text(&pk, ask->ids[i]);
        }
}

static void ask_now(struct sim *s, struct ask *ask) {
    pack(s, ask);
    ask->tries++;
    ask->next_us = s->now_us + SILENCE_US + sim_draw(s, SILENCE_US * order_min(ask->tries, 4));
    (void)net_to_broker(s, ask->client, s->out.data, s->out.size);
}

static void plan(struct sim *s, int client) {
    int64_t next_us = NEVER;
    for (int i = 0; i < s->ask_count; i++)
        if (s->asks[i].client == client && !s->asks[i].done && s->asks[i].next_us < next_us)
            next_us = s->asks[i].next_us;
    if (next_us != NEVER)
        sim_wake(s, client, next_us + s->processes[client].mono_us, wake);
}

static void wake(struct sim *s, const struct event *event) {
    int client = event->process;
    if (event->number != s->processes[client].timer_us)
        return;
    s->processes[client].timer_us = NEVER;
    for (int i = 0; i < s->ask_count; i++)
        if (s->asks[i].client == client && !s->asks[i].done && s->asks[i].next_us <= s->now_us)
            ask_now(s, &s->asks[i]);
    plan(s, client);
}

void sim_clients_make(struct sim *s) {
    static const enum ask_op questions[] = {ASK_STATUS, ASK_FETCH, ASK_PING};
    for (int i = 0; i < s->mix.asks; i++) {
        if (s->mix.cancels && sim_chance(s, 25))
            ask_about(s, ASK_CANCEL);
        if (s->mix.questions && sim_chance(s, 40))
            ask_about(s, questions[sim_draw(s, 3)]);
        ask_for_traces(s);
    }
    for (int c = CLIENT; c < CLIENT + s->mix.clients; c++) {
        s->processes[c].up = true;
        net_dial(s, c, LINK_REQUESTS);
        plan(s, c);
    }
}

void sim_clients_ask_again(struct sim *s) {
    struct ask *stats = ask_new(s, ASK_STATS);
    stats->next_us = s->now_us;
    plan(s, stats->client);
    for (int i = 0; i < s->history.promise_count && s->ask_count < MAX_ASKS;) {
        struct ask *ask = ask_new(s, ASK_FETCH);
        ask->next_us = s->now_us;
        while (i < s->history.promise_count && ask->count < ASK_TRACES)
            ask->specs[ask->count++] = (struct spec *)s->history.promises[i++].spec;
        plan(s, ask->client);
    }
}

bool sim_clients_answered(const struct sim *s) {
    for (int i = 0; i < s->ask_count; i++)
        if (!s->asks[i].done)
            return false;
    return true;
}

/* ---- answers ---------------------------------------------------------------------------- */

/* Another client, or this one, asks for another trace under this id. */
static bool has_rival(const struct sim *s, const struct spec *spec) {
    for (int i = 0; i < s->spec_count; i++)
        if (strcmp(s->specs[i].id, spec->id) == 0 &&
            (s->specs[i].size != spec->size ||
                memcmp(s->specs[i].bytes, spec->bytes, spec->size) != 0))
            return true;
    return false;
}

/* True if asking again is of no use. */
static bool refused(struct sim *s, const struct spec *spec, const msgpack_object *error) {
    const msgpack_object *code = wire_find(error, "code");
    char message[200];
    if (wire_is(code, "busy"))
        return false;
    map_text(error, "message", message, sizeof message);
    if (wire_is(code, "conflict"))
        KEEP(s, spec->id[0] != '\0' && has_rival(s, spec), "%s is no conflict: %s", spec->id,
            message);
    else
        KEEP(
            s, wire_is(code, "unavailable") && !spec->wait, "%s is refused: %s", spec->id, message);
    return true;
}

/* Traces that were refused are submitted again, without those that were accepted: where the
 * broker makes the ids, these would be new traces. */
static void on_accepted(struct sim *s, struct ask *ask, const msgpack_object *map) {
    const msgpack_object_array *ids = &map_array(s, map, "ids")->via.array;
    struct spec *left[ASK_TRACES];
    int count = 0;
    for (int i = 0; i < ask->count; i++)
        if (ids->ptr[i].type != MSGPACK_OBJECT_STR && !refused(s, ask->specs[i], &ids->ptr[i]))
            left[count++] = ask->specs[i];
    if (count == ask->count)
        return;
    ask->done = true;
    if (count == 0)
        return;
    struct ask *again = ask_new(s, ASK_SUBMIT);
    again->client = ask->client;
    again->notify = ask->notify;
    again->next_us = s->now_us + SILENCE_US;
    again->count = count;
    memcpy(again->specs, left, sizeof left);
    plan(s, ask->client);
}

static bool holds(const msgpack_object_array *list, const char *key, const char *id) {
    for (uint32_t i = 0; i < list->size; i++)
        if (wire_is(key != NULL ? wire_find(&list->ptr[i], key) : &list->ptr[i], id))
            return true;
    return false;
}

static void on_results(struct sim *s, struct ask *ask, const msgpack_object *map) {
    const msgpack_object_array *results = &map_array(s, map, "results")->via.array;
    const msgpack_object_array *more = &map_array(s, map, "more")->via.array;
    for (int i = 0; i < ask->count; i++) {
        const char *id = ask->ids[i];
        KEEP(s,
            ask->owed[i] < s->disk.first_seq || holds(results, "id", id) || holds(more, NULL, id),
            "%s has a result, but fetch does not bring it", id);
    }
    ask->done = true;
}

static void on_states(struct sim *s, struct ask *ask, const msgpack_object *map) {
    const msgpack_object_array *states = &map_array(s, map, "states")->via.array;
    KEEP(s, (int)states->size == ask->count, "%u states of %d ids", states->size, ask->count);
    for (int i = 0; i < ask->count; i++) {
        const msgpack_object *state = wire_find(&states->ptr[i], "state");
        const char *id = ask->ids[i];
        KEEP(s, wire_is(wire_find(&states->ptr[i], "id"), id), "the state of another id than %s",
            id);
        KEEP(s, ask->owed[i] < s->disk.first_seq || wire_is(state, "done"),
            "%s has a result, but is not done", id);
    }
    ask->done = true;
}

/* At the end, when what was under way has come: nothing is left. */
static void on_stats(struct sim *s, struct ask *ask, const msgpack_object *map) {
    const msgpack_object *stats = wire_find(map, "stats");
    const msgpack_object *queue = stats != NULL ? wire_find(stats, "queue") : NULL;
    KEEP(s, queue != NULL, "stats: is wrong");
    ask->done = map_int(s, queue, "queued") == 0 && map_int(s, queue, "running") == 0;
}

void client_message(struct sim *s, int process, const void *bytes, size_t size) {
    struct wire_error err;
    KEEP(
        s, wire_doc_read(&s->doc, bytes, size, 1 << 20, &err), "a reply is wrong: %s", err.message);
    const msgpack_object *map = &s->doc.root, *op = wire_find(map, "op");
    int64_t req = map_int(s, map, "req");
    KEEP(s, req >= 1 && req <= s->ask_count, "req %" PRId64, req);
    struct ask *ask = &s->asks[req - 1];
    KEEP(s, ask->client == process, "%s gets the answer of %s", sim_name(process),
        sim_name(ask->client));
    if (ask->done)
        return;
    if (wire_is(op, "error")) {
        if (ask->op == ASK_TRACE)
            ask->done = refused(s, ask->specs[0], map);
        else
            KEEP(s, wire_is(wire_find(map, "code"), "busy"), "an error in place of an answer");
    } else if (ask->op == ASK_SUBMIT && wire_is(op, "accepted")) {
        on_accepted(s, ask, map);
    } else if (ask->op == ASK_TRACE && wire_is(op, "result")) {
        char id[ID_ROOM];
        map_text(map, "id", id, sizeof id);
        const char *own = ask->specs[0]->id;
        ask->done = strchr(id, '/') == NULL;
        KEEP(s, own[0] == '\0' || strncmp(id, own, strlen(own)) == 0, "%s is answered with %s", own,
            id);
    } else if (ask->op == ASK_FETCH && wire_is(op, "results")) {
        on_results(s, ask, map);
    } else if ((ask->op == ASK_STATUS && wire_is(op, "status")) ||
               (ask->op == ASK_CANCEL && wire_is(op, "cancelled"))) {
        on_states(s, ask, map);
    } else if (ask->op == ASK_STATS) {
        on_stats(s, ask, map);
    } else if (wire_is(op, "pong")) {
        ask->done = true;
    }
}
