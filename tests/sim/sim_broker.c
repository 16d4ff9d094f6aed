#include "tests/sim/sim.h"

#include "broker/core/outbox.h"

/* More than this waits for no disk. */
#define MAX_WAITING_BYTES (4 * 1024 * 1024)

/* A message that waits for nothing but the core's return. */
struct prompt {
    struct prompt *next;
    struct outbox_message message;
};

/* ---- steps: it can die at each ---------------------------------------------------------- */

static bool dies(struct sim *s) {
    struct broker *b = &s->broker;
    if (!b->dead && b->crash_in > 0 && --b->crash_in == 0) {
        SAY(s, "the broker dies here");
        b->dead = true;
    }
    return b->dead;
}

void broker_doom(struct sim *s, int64_t steps) { s->broker.crash_in = steps; }

/* ---- what the core says ----------------------------------------------------------------- */

static void put_now(struct sim *s, const struct outbox_message *message) {
    struct prompt *prompt = sim_new(s, sizeof *prompt), **last = &s->broker.prompts;
    prompt->message = *message;
    prompt->message.peer.id = sim_copy(s, message->peer.id, message->peer.size);
    prompt->message.bytes = sim_copy(s, message->bytes, message->size);
    while (*last != NULL)
        last = &(*last)->next;
    *last = prompt;
}

static void put(struct sim *s, const struct outbox_message *message, enum core_when when) {
    if (dies(s))
        return;
    if (when == CORE_NOW) {
        put_now(s, message);
        return;
    }
    outbox_put(s->broker.outbox, disk_batch(s), message);
    KEEP(s, outbox_bytes(s->broker.outbox) < MAX_WAITING_BYTES, "%zu bytes wait to be sent",
        outbox_bytes(s->broker.outbox));
}

static void to_client(void *context, const struct core_peer *peer, const void *bytes, size_t size,
    enum core_when when) {
    put(context, &(struct outbox_message){OUTBOX_CLIENT, *peer, NULL, bytes, size}, when);
}

static void to_worker(void *context, const struct core_peer *peer, const void *bytes, size_t size,
    enum core_when when) {
    put(context, &(struct outbox_message){OUTBOX_WORKER, *peer, NULL, bytes, size}, when);
}

static void publish(void *context, const char *topic, const void *bytes, size_t size) {
    const struct outbox_message message = {
        .kind = OUTBOX_PUBLISH, .topic = topic, .bytes = bytes, .size = size};
    put(context, &message, CORE_KEPT);
}

static void keep_trace(void *context, const struct record_trace *record) {
    if (!dies(context))
        disk_keep_trace(context, record);
}

static void keep_run(void *context, const struct record_run *record) {
    if (!dies(context))
        disk_keep_run(context, record);
}

static void keep_result(void *context, const struct record_result *record) {
    if (!dies(context))
        disk_keep_result(context, record);
}

static void read_store(void *context, const struct record_read *read) {
    if (!dies(context))
        disk_read(context, read);
}

static void say(void *context, enum core_level level, const char *event, const char *detail) {
    (void)level;
    SAY((struct sim *)context, "  log %s %s", event, detail);
}

/* ---- what leaves ------------------------------------------------------------------------ */

static bool next_message(struct sim *s, struct outbox_message *message) {
    struct broker *b = &s->broker;
    if (b->prompts == NULL)
        return outbox_take(b->outbox, s->disk.committed, message);
    *message = b->prompts->message;
    b->prompts = b->prompts->next;
    return true;
}

static const char *receiver(const struct sim *s, const struct core_peer *peer) {
    uint32_t number = 0;
    memcpy(&number, (const char *)peer->id + 1, sizeof number);
    for (int p = WORKER; p < PROCESSES; p++)
        if (s->links[p][LINK_REQUESTS].number == number)
            return sim_name(p);
    return "nobody";
}

static void send_to_peer(struct sim *s, const struct outbox_message *m) {
    bool client = m->kind == OUTBOX_CLIENT;
    enum core_sent why = CORE_GONE;
    struct instant now = sim_time(s, BROKER);
    if (s->verbose) {
        char who[32];
        (void)snprintf(who, sizeof who, "to %s:", receiver(s, &m->peer));
        sim_say_message(s, who, m->bytes, m->size);
    }
    if (net_to_peer(s, &m->peer, m->bytes, m->size, &why)) {
        client ? history_reply(s, m->bytes, m->size) : history_given(s, m->bytes, m->size);
        return;
    }
    SAY(s, "  which is %s", why == CORE_GONE ? "gone" : "full");
    core_undelivered(
        s->broker.core, client ? CORE_CLIENT : CORE_WORKER, &m->peer, m->bytes, m->size, why, &now);
}

static void send_all(struct sim *s) {
    struct outbox_message m;
    while (!s->broker.dead && next_message(s, &m)) {
        if (dies(s))
            return;
        if (m.kind != OUTBOX_PUBLISH) {
            send_to_peer(s, &m);
            continue;
        }
        sim_say_message(s, m.topic, m.bytes, m.size);
        history_publish(s, m.bytes, m.size);
        net_publish(s, m.topic, m.bytes, m.size);
    }
    outbox_release(s->broker.outbox);
}

/* ---- life ------------------------------------------------------------------------------- */

static void start(struct sim *s, const struct event *event) {
    (void)event;
    broker_start(s);
}

static void end(struct sim *s) {
    struct broker *b = &s->broker;
    core_destroy(&b->core);
    outbox_destroy(&b->outbox);
    b->prompts = NULL;
    b->dead = b->draining = false;
    b->crash_in = 0;
    disk_crash(s);
    sim_die(s, BROKER);
    net_break_all(s, BROKER);
    int64_t down_us = s->quiet ? 100 * MS : sim_draw(s, sim_chance(s, 80) ? SECOND : 12 * SECOND);
    sim_at(s, s->now_us + down_us, NOBODY, start, NULL, 0);
}

void broker_crash(struct sim *s) {
    if (!s->processes[BROKER].up)
        return;
    SAY(s, "the broker crashes");
    end(s);
}

void broker_end(struct sim *s) {
    core_destroy(&s->broker.core);
    outbox_destroy(&s->broker.outbox);
}

bool broker_idle(const struct sim *s) {
    return s->processes[BROKER].up && outbox_bytes(s->broker.outbox) == 0 && !s->disk.busy &&
           s->disk.open.first == NULL && s->disk.read_count == 0;
}

static void wake(struct sim *s, const struct event *event);

/* After each event: as the shell does before it waits for the next. */
static void settle(struct sim *s) {
    struct broker *b = &s->broker;
    send_all(s);
    if (!b->dead) {
        disk_flush(s);
        send_all(s);
    }
    if (b->dead) {
        end(s);
        return;
    }
    if (b->draining && core_drained(b->core) && broker_idle(s)) {
        SAY(s, "the broker is drained, and ends");
        end(s);
        return;
    }
    sim_wake(s, BROKER, core_next(b->core), wake);
}

static void wake(struct sim *s, const struct event *event) {
    if (event->number != s->processes[BROKER].timer_us)
        return;
    s->processes[BROKER].timer_us = NEVER;
    struct instant now = sim_time(s, BROKER);
    core_tick(s->broker.core, &now);
    settle(s);
}

static void restore(struct sim *s, const struct instant *now) {
    struct core *core = s->broker.core;
    const struct disk *d = &s->disk;
    for (int i = 0; i < d->stream_count; i++)
        core_restore_stream(core, d->streams[i].name, d->streams[i].seq);
    for (const struct kept_trace *t = d->traces; t != NULL; t = t->next)
        core_restore_trace(core, &t->record);
    for (int64_t seq = d->first_seq; seq <= d->seq; seq++)
        if (d->results[seq] != NULL && disk_is_member(s, d->results[seq]))
            core_restore_member(core, &d->results[seq]->record);
    core_restored(core, now);
}

void broker_start(struct sim *s) {
    struct broker *b = &s->broker;
    struct process *p = &s->processes[BROKER];
    p->up = true;
    if (sim_chance(s, 30))
        p->mono_us = sim_draw(s, 1000 * SECOND) - s->now_us; /* the host was started again */
    struct instant now = sim_time(s, BROKER);
    struct disk_start start = disk_open(s, now.wall_us);
    struct core_config config = {.name = "b1",
        .version = "0",
        .max_queued = s->mix.max_queued,
        .keep_results = s->mix.recent,
        .epoch = start.epoch,
        .origin = start.origin,
        .seq = start.seq,
        .number = start.number,
        .first_lease = 1 + sim_draw(s, INT64_C(1) << 60)};
    b->outbox = outbox_new();
    b->started_us = s->now_us;
    SAY(s, "the broker starts, epoch %" PRId64 ", seq %" PRId64, start.epoch, start.seq);
    const struct core_sink sink = {.context = s,
        .to_client = to_client,
        .to_worker = to_worker,
        .publish = publish,
        .keep_trace = keep_trace,
        .keep_run = keep_run,
        .keep_result = keep_result,
        .read = read_store,
        .say = say};
    b->core = core_new(&config, &sink, &now);
    restore(s, &now);
    settle(s);
}

/* ---- events ----------------------------------------------------------------------------- */

void broker_message(struct sim *s, int process, uint32_t number, const void *bytes, size_t size) {
    unsigned char id[5] = {0};
    memcpy(id + 1, &number, sizeof number);
    struct instant now = sim_time(s, BROKER);
    /* One client has a REQ. */
    const struct core_peer peer = {id, sizeof id, 0, process == CLIENT + 2};
    sim_say_message(s, sim_name(process), bytes, size);
    if (process < CLIENT)
        core_worker_message(s->broker.core, &peer, bytes, size, &now);
    else
        core_client_message(s->broker.core, &peer, bytes, size, &now);
    settle(s);
}

void broker_committed(struct sim *s) { settle(s); }

void broker_answer(struct sim *s, const struct record_answer *answer) {
    struct instant now = sim_time(s, BROKER);
    SAY(s, "  answer to %" PRIu64 ": %zu", answer->ticket, answer->count);
    core_answer(s->broker.core, answer, &now);
    settle(s);
}

void broker_drain(struct sim *s) {
    if (!s->processes[BROKER].up || s->broker.draining)
        return;
    SAY(s, "the broker drains");
    s->broker.draining = true;
    core_drain(s->broker.core);
    settle(s);
}

void broker_room(struct sim *s, bool room) {
    if (!s->processes[BROKER].up)
        return;
    SAY(s, "the disk %s", room ? "has room" : "is full");
    core_refuse(s->broker.core, room ? NULL : "disk", room ? NULL : "store: the disk is full");
    settle(s);
}
