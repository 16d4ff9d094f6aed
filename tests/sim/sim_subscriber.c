#include "tests/sim/sim.h"

/* A question without an answer is asked again after this time. */
#define SILENCE_US (500 * MS)

static void wake(struct sim *s, const struct event *event);

static struct subscriber *subscriber_of(struct sim *s, int process) {
    return &s->subscribers[process - SUBSCRIBER];
}

static void stream_name(const struct subscriber *sub, char name[16]) {
    (void)snprintf(name, 16, "st%d", sub->stream);
}

static int64_t place_of(struct sim *s, const struct subscriber *sub, const msgpack_object *result) {
    int64_t seq = map_int(s, result, sub->stream < 0 ? "seq" : "stream_seq");
    KEEP(s, seq >= 1 && seq < MAX_RESULTS, "seq %" PRId64, seq);
    return seq;
}

static void take(struct sim *s, struct subscriber *sub, const msgpack_object *result) {
    int64_t place = place_of(s, sub, result);
    sub->has[place] = true;
    sub->at[place] = map_int(s, result, "seq");
    if (sub->at[place] > sub->last)
        sub->last = sub->at[place];
    if (place > sub->after + 1 && sub->checked > sub->after_seq)
        sub->checked = sub->after_seq;
}

static void advance(struct subscriber *sub) {
    while (sub->after + 1 < MAX_RESULTS && sub->has[sub->after + 1]) {
        sub->after++;
        if (sub->at[sub->after] > sub->after_seq)
            sub->after_seq = sub->at[sub->after];
    }
}

static bool misses(const struct subscriber *sub) {
    return (sub->stream < 0 ? sub->after : sub->checked) < sub->last;
}

/* It has all that was published, or knows that it is not kept. */
bool subscriber_complete(const struct sim *s, int process) {
    const struct subscriber *sub = &s->subscribers[process - SUBSCRIBER];
    char name[16];
    stream_name(sub, name);
    for (int64_t seq = s->disk.first_seq; seq <= s->history.last_seq; seq++) {
        const struct fact *fact = &s->history.facts[seq];
        if (sub->stream < 0 ? sub->after < seq
                            : strcmp(fact->stream, name) == 0 && sub->after < fact->stream_seq)
            return false;
    }
    return true;
}

/* ---- the feed --------------------------------------------------------------------------- */

static void plan(struct sim *s, int process, int64_t within_us) {
    struct subscriber *sub = subscriber_of(s, process);
    advance(sub);
    if (misses(sub) && sub->next_us == NEVER)
        sub->next_us = s->now_us + sim_draw(s, within_us);
    if (sub->next_us != NEVER)
        sim_wake(s, process, sub->next_us + s->processes[process].mono_us, wake);
}

static void on_alive(struct sim *s, struct subscriber *sub, const msgpack_object *map) {
    int64_t origin = map_int(s, map, "origin"), last = map_int(s, map, "seq");
    KEEP(s, sub->origin == 0 || sub->origin == origin, "another origin, %" PRId64, origin);
    sub->origin = origin;
    if (last > sub->last)
        sub->last = last;
}

void subscriber_feed(
    struct sim *s, int process, const char *topic, const void *bytes, size_t size) {
    struct wire_error err;
    struct subscriber *sub = subscriber_of(s, process);
    char name[16];
    KEEP(s, wire_doc_read(&s->doc, bytes, size, 1 << 20, &err), "a publication is wrong");
    const msgpack_object *map = &s->doc.root;
    stream_name(sub, name);
    if (strncmp(topic, "alive.", 6) == 0)
        on_alive(s, sub, map);
    else if (strncmp(topic, "result.", 7) == 0 &&
             (sub->stream < 0 || wire_is(wire_find(map, "stream"), name)))
        take(s, sub, map);
    plan(s, process, 100 * MS);
}

/* ---- replay ----------------------------------------------------------------------------- */

static void ask(struct sim *s, int process) {
    struct subscriber *sub = subscriber_of(s, process);
    msgpack_packer pk;
    char name[16];
    sub->asked_after = sub->after;
    sub->asked_after_seq = sub->after_seq;
    sub->asked_last = sub->last;
    msgpack_sbuffer_clear(&s->out);
    msgpack_packer_init(&pk, &s->out, msgpack_sbuffer_write);
    msgpack_pack_map(&pk, sub->stream < 0 ? 5 : 6);
    wire_put_key_int(&pk, "v", 1);
    wire_put_key_text(&pk, "op", "replay");
    wire_put_key_int(&pk, "req", ++sub->req);
    wire_put_key_int(&pk, "after", sub->after_seq);
    wire_put_key_int(&pk, "limit", sim_chance(s, 50) ? 1000 : 1 + sim_draw(s, 4));
    stream_name(sub, name);
    if (sub->stream >= 0)
        wire_put_key_text(&pk, "stream", name);
    (void)net_to_broker(s, process, s->out.data, s->out.size);
    sub->next_us = s->now_us + SILENCE_US;
}

static void wake(struct sim *s, const struct event *event) {
    struct subscriber *sub = subscriber_of(s, event->process);
    if (event->number != s->processes[event->process].timer_us)
        return;
    s->processes[event->process].timer_us = NEVER;
    if (!misses(sub))
        sub->next_us = NEVER;
    else if (sub->next_us <= s->now_us)
        ask(s, event->process);
    plan(s, event->process, 1);
}

/* What is no longer kept; that must be true. */
static void lose(struct sim *s, struct subscriber *sub, const msgpack_object *lost) {
    KEEP(s, lost->type == MSGPACK_OBJECT_ARRAY && lost->via.array.size == 2, "lost: is wrong");
    int64_t from = (int64_t)lost->via.array.ptr[0].via.u64;
    int64_t to = (int64_t)lost->via.array.ptr[1].via.u64;
    KEEP(s, from == sub->asked_after_seq + 1 && to >= from && to < s->disk.first_seq,
        "%" PRId64 "..%" PRId64 " is told as lost after %" PRId64 ", but %" PRId64
        " is the oldest kept",
        from, to, sub->asked_after_seq, s->disk.first_seq);
    sub->skips = sub->stream >= 0;
    for (int64_t seq = from; seq <= to && sub->stream < 0; seq++) {
        sub->has[seq] = true;
        sub->at[seq] = seq;
    }
}

/* The results come one behind the other; behind what is lost, of a stream the first may be any. */
static void replayed(
    struct sim *s, struct subscriber *sub, const msgpack_object_array *results, bool lost) {
    int64_t before = sub->asked_after;
    for (uint32_t i = 0; i < results->size; i++) {
        int64_t place = place_of(s, sub, &results->ptr[i]);
        for (int64_t p = before + 1; p < place; p++)
            if (sub->skips)
                sub->has[p] = true;
            else
                KEEP(s, lost && sub->has[p], "replay skips %" PRId64, p);
        sub->skips = false;
        KEEP(s, place > before, "replay brings %" PRId64 " after %" PRId64, place, before);
        take(s, sub, &results->ptr[i]);
        before = place;
    }
}

void subscriber_message(struct sim *s, int process, const void *bytes, size_t size) {
    struct wire_error err;
    struct subscriber *sub = subscriber_of(s, process);
    KEEP(
        s, wire_doc_read(&s->doc, bytes, size, 1 << 20, &err), "a reply is wrong: %s", err.message);
    const msgpack_object *map = &s->doc.root;
    if (map_int(s, map, "req") != sub->req)
        return; /* of an earlier question */
    if (wire_is(wire_find(map, "op"), "error")) {
        KEEP(s, wire_is(wire_find(map, "code"), "busy"), "replay is refused");
        return;
    }
    const msgpack_object *lost = wire_find(map, "lost"), *more = wire_find(map, "more");
    const msgpack_object_array *results = &map_array(s, map, "results")->via.array;
    KEEP(s, more != NULL && more->type == MSGPACK_OBJECT_BOOLEAN, "more: is missing");
    if (lost != NULL)
        lose(s, sub, lost);
    replayed(s, sub, results, lost != NULL);
    if (!more->via.boolean) {
        sub->checked = sub->asked_last;
        int64_t to = lost != NULL ? (int64_t)lost->via.array.ptr[1].via.u64 : 0;
        if (results->size == 0 && to > sub->after_seq)
            sub->after_seq = to; /* nothing of the stream is behind that */
    }
    KEEP(s,
        more->via.boolean || sub->stream >= 0 || lost != NULL || results->size > 0 ||
            sub->asked_last <= sub->asked_after,
        "replay brings nothing after %" PRId64 ", but %" PRId64 " was published", sub->asked_after,
        sub->asked_last);
    sub->req++; /* it was answered */
    sub->next_us = NEVER;
    plan(s, process, 20 * MS);
}

/* ---- life ------------------------------------------------------------------------------- */

void subscribers_make(struct sim *s) {
    for (int i = 0; i < s->mix.subscribers; i++) {
        struct subscriber *sub = &s->subscribers[i];
        sub->stream = i == 0 ? -1 : 0;
        sub->next_us = NEVER;
        s->processes[SUBSCRIBER + i].up = true;
        net_dial(s, SUBSCRIBER + i, LINK_REQUESTS);
        net_dial(s, SUBSCRIBER + i, LINK_FEED);
    }
}
