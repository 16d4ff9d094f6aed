#include "tests/unit/world.h"

#include "tests/unit/transcript.h"
#include "worker/probing/mux.h"
#include "worker/probing/pace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORLD_TRACES 48

/* This many traces have the same target. */
#define WORLD_SAME_TARGET 24

#define WORLD_ANSWERS (1 << 12)

#define WORLD_CHECK(rule)                                                                          \
    do {                                                                                           \
        if (!(rule)) {                                                                             \
            fprintf(stderr, "world: %s:%d: broken: %s\n", __FILE__, __LINE__, #rule);              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct world_trace {
    struct world *world;
    struct mux_job *job; /* NULL: free */
    struct trace options;
    struct addr dst;
    int64_t deadline_us, sent;
    int distance, reported; /* the next ttl to be reported */
    size_t probes_reported;
    uint64_t serial; /* tells it from earlier ones in its place */
    int local_port;  /* 0: none seen yet */
    bool terminal;
    bool loops; /* its routers answer in turn */
};

/* An answer that was given, by its label. */
struct world_answer {
    uint64_t serial;
    int ttl;
    bool told;
};

struct world_probe {
    int32_t token;
    int trace; /* -1: its trace is gone */
    int ttl, timeout_s;
    bool tcp;
    int64_t sent_us;
};

struct world {
    struct world_source source;
    unsigned questions[2]; /* skipping commands, and asks, not answered yet */
    struct mux *mux;
    int64_t now_us, start_us, pps, sent, done, added, forgotten;
    uint64_t serial;
    int64_t wall_offset_us;
    bool up, stuck, hung;
    bool limited; /* first hops do not answer all */
    unsigned slots;
    uint32_t number, checked; /* the prober's sequence number, and the last sequence check's */
    struct world_trace traces[WORLD_TRACES];
    struct world_probe out[SLOTS_MAX];
    unsigned out_count;
    struct world_answer answers[WORLD_ANSWERS];
    uint32_t answer_count;
};

static uint32_t world_draw(struct world *w, uint32_t limit) {
    return w->source.below(w->source.context, limit);
}

/* ---- what the mux does ------------------------------------------------------------------ */

/* The number after `name` in a probe line. */
static long world_argument(const char *line, const char *name) {
    const char *at = strstr(line, name);
    WORLD_CHECK(at != NULL);
    return strtol(at + strlen(name), NULL, 10);
}

/* The traces of one flow to one target have a port each, from the first probe to the end. */
static void world_check_port(struct world *w, struct world_trace *trace, const char *line) {
    bool has_port = strstr(line, " local-port ") != NULL;
    WORLD_CHECK(has_port == (trace->options.flow >= 0));
    if (!has_port)
        return;
    int port = (int)world_argument(line, " local-port ");
    WORLD_CHECK(port >= 1024 && port < 33000);
    WORLD_CHECK(trace->local_port == 0 || trace->local_port == port);
    trace->local_port = port;
    for (int i = 0; i < WORLD_TRACES; i++) {
        const struct world_trace *other = &w->traces[i];
        WORLD_CHECK(other == trace || other->job == NULL || other->local_port != port ||
                    !addr_equal(&other->dst, &trace->dst));
    }
}

static void world_on_send(void *context, const char *bytes, size_t size) {
    struct world *w = context;
    char line[MTR_LINE_BYTES + 1], target[ADDR_TEXT], source[ADDR_TEXT];
    struct addr dst, src;
    WORLD_CHECK(size > 0 && size < MTR_LINE_BYTES && bytes[size - 1] == '\n');
    memcpy(line, bytes, size);
    line[size] = '\0';
    WORLD_CHECK(w->up);
    long token = strtol(line, NULL, 10);
    w->number += token != MTR_TOKEN_HEALTH;
    if (token == MTR_TOKEN_SKIP || token == MTR_TOKEN_HEALTH) {
        w->questions[token == MTR_TOKEN_HEALTH]++;
        return;
    }
    if (token == MTR_TOKEN_SEQ_CHECK) {
        WORLD_CHECK(world_argument(line, " port ") == 4711);
        w->checked = w->number - 1;
        return;
    }
    WORLD_CHECK(w->out_count < w->slots);
    WORLD_CHECK(token >= MTR_TOKEN_PROBES && token <= MTR_TOKEN_MAX);
    for (unsigned i = 0; i < w->out_count; i++)
        WORLD_CHECK(w->out[i].token != token);
    WORLD_CHECK(sscanf(line, "%*d send-probe ip-4 %45s local-ip-4 %45s ", target, source) == 2);
    WORLD_CHECK(addr_parse(&dst, target) && addr_parse(&src, source));
    int number = src.bytes[3];
    struct world_trace *trace = &w->traces[number];
    WORLD_CHECK(number < WORLD_TRACES && trace->job != NULL && addr_equal(&dst, &trace->dst));
    world_check_port(w, trace, line);
    long ttl = world_argument(line, " ttl "), timeout_s = world_argument(line, " timeout ");
    WORLD_CHECK(ttl >= trace->options.first_ttl && ttl <= trace->options.max_ttl);
    WORLD_CHECK(timeout_s >= 1 && timeout_s <= 30);
    w->out[w->out_count++] = (struct world_probe){(int32_t)token, number, (int)ttl, (int)timeout_s,
        strstr(line, " protocol tcp ") != NULL, w->now_us};
    if (w->out[w->out_count - 1].tcp && w->sent % 16 == 0)
        w->number += 3; /* ports that were in use */
    trace->sent++;
    w->sent++;
    if (w->pps > 0) {
        int64_t interval_ns = 1000000000 / w->pps;
        int64_t time_ns = (w->now_us - w->start_us) * 1000;
        WORLD_CHECK((w->sent - pace_burst(w->pps)) * interval_ns <= time_ns);
    }
}

static bool world_terminal(const struct hop_probe *probe) {
    return probe->verdict == HOP_REPLY || probe->verdict == HOP_UNREACHABLE;
}

static void world_check_probe(
    const struct world_trace *trace, const struct hop_probe *probe, int ttl, size_t attempt) {
    WORLD_CHECK(probe->ttl == ttl);
    WORLD_CHECK(probe->attempt == attempt);
    WORLD_CHECK(probe->attempt <= trace->options.attempts);
    bool untimed = (probe->flags & HOP_CLOCK_STEP) != 0;
    WORLD_CHECK((probe->addr.af != 0) == (probe->rtt_us >= 0 || untimed));
    WORLD_CHECK(!untimed || probe->rtt_us == -1);
    WORLD_CHECK(
        probe->rtt_us <= trace->options.timeout_ms * 1000 || (probe->flags & HOP_LATE) != 0);
    WORLD_CHECK((probe->addr.af != 0) == (probe->mpls_count == 1));
    if (probe->mpls_count == 0)
        return;
    const struct world_answer *answer = &trace->world->answers[probe->mpls[0].label];
    WORLD_CHECK(probe->mpls[0].label < trace->world->answer_count);
    WORLD_CHECK(answer->serial == trace->serial && answer->ttl == ttl);
    WORLD_CHECK(probe->sent_us >= 0);
}

/* The next hop of a trace, which the sink got or which is in its result. */
static void world_check_hop(
    struct world_trace *trace, const struct hop_probe *probes, size_t count) {
    WORLD_CHECK(count >= 1);
    WORLD_CHECK(!trace->terminal);
    WORLD_CHECK(trace->reported <= trace->options.max_ttl);
    for (size_t i = 0; i < count; i++) {
        world_check_probe(trace, &probes[i], trace->reported, i + 1);
        trace->terminal |= world_terminal(&probes[i]);
    }
    trace->reported++;
    trace->probes_reported += count;
}

static void world_on_hop(void *context, void *owner, const struct hop_probe *probes, size_t count) {
    struct world_trace *trace = owner;
    WORLD_CHECK(trace->world == context && trace->job != NULL);
    WORLD_CHECK(trace->options.progress);
    world_check_hop(trace, probes, count);
}

/* The sink got no hops before the end: the result has all of them. */
static void world_check_untold(
    struct world_trace *trace, const struct hop_probe *probes, size_t count) {
    WORLD_CHECK(trace->probes_reported == 0);
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && probes[to].ttl == probes[from].ttl; to++)
            continue;
        world_check_hop(trace, &probes[from], to - from);
    }
}

/* The probes of a trace that is gone are still in the prober. */
static void world_leave(struct world *w, struct world_trace *trace) {
    for (unsigned i = 0; i < w->out_count; i++)
        if (w->out[i].trace == trace - w->traces)
            w->out[i].trace = -1;
    trace->job = NULL;
}

static void world_on_done(void *context, void *owner, const struct result_body *end,
    const struct hop_probe *probes, size_t count, int64_t now_us) {
    struct world *w = context;
    struct world_trace *trace = owner;
    WORLD_CHECK(trace->world == w && trace->job != NULL && now_us == w->now_us);
    if (!trace->options.progress)
        world_check_untold(trace, probes, count);
    WORLD_CHECK(count == trace->probes_reported);
    WORLD_CHECK(end->probes_sent == trace->sent);
    int ttl = (int)trace->options.first_ttl;
    size_t attempt = 0;
    for (size_t i = 0; i < count; i++) {
        if (probes[i].ttl != ttl) {
            WORLD_CHECK(attempt > 0);
            ttl++;
            attempt = 0;
        }
        world_check_probe(trace, &probes[i], ttl, ++attempt);
        if (probes[i].mpls_count == 0)
            continue;
        struct world_answer *answer = &w->answers[probes[i].mpls[0].label];
        WORLD_CHECK(!answer->told);
        answer->told = true;
    }
    WORLD_CHECK(count == 0 || ttl == trace->reported - 1);
    bool terminal_stop = end->stop == STOP_REACHED || end->stop == STOP_UNREACHABLE;
    WORLD_CHECK(trace->terminal == terminal_stop);
    WORLD_CHECK(end->stop != STOP_MAX_TTL || trace->reported == trace->options.max_ttl + 1);
    WORLD_CHECK(end->stop != STOP_DEADLINE || now_us >= trace->deadline_us);
    WORLD_CHECK(end->dst[0] != '\0' && end->src[0] != '\0');
    WORLD_CHECK(end->stop != STOP_LOOP || trace->options.loop_limit > 0);
    WORLD_CHECK(end->constant_flow == (end->src_port != 0));
    WORLD_CHECK(trace->local_port == 0 || end->src_port == trace->local_port);
    w->done++;
    world_leave(w, trace);
}

static bool world_on_seq_check(
    void *context, struct addr *from, struct addr *to, uint16_t *to_port) {
    struct world *w = context;
    *from = (struct addr){4, {127, 1, 2, 3}};
    *to = (struct addr){4, {127, 0, 0, 1}};
    *to_port = 4711;
    return world_draw(w, 2) == 0;
}

static void world_on_stuck(void *context) {
    struct world *w = context;
    WORLD_CHECK(!w->stuck && w->up);
    w->stuck = true;
}

/* ---- what happens to it ----------------------------------------------------------------- */

static void world_add(struct world *w) {
    static const int64_t timeouts[] = {100, 999, 1000, 1001, 2000, 30000};
    unsigned number = world_draw(w, WORLD_TRACES);
    struct world_trace *trace = &w->traces[number];
    struct trace *o = &trace->options;
    struct addr src = {4, {198, 51, 100, (uint8_t)number}};
    if (trace->job != NULL)
        return;
    memset(trace, 0, sizeof *trace);
    trace->world = w;
    trace->serial = ++w->serial;
    trace->dst = (struct addr){4, {192, 0, 2, (uint8_t)(number / WORLD_SAME_TARGET)}};
    trace_defaults(o);
    o->progress = world_draw(w, 2) == 0;
    o->protocol = (int)world_draw(w, 4);
    o->first_ttl = 1 + world_draw(w, 4);
    o->max_ttl = o->first_ttl + world_draw(w, 20);
    o->probes = 1 + world_draw(w, 4);
    o->attempts = o->probes + world_draw(w, 3);
    o->timeout_ms = timeouts[world_draw(w, 6)];
    o->gap_limit = world_draw(w, 8);
    o->window = world_draw(w, 2) == 0 ? 0 : world_draw(w, 12);
    o->loop_limit = world_draw(w, 4);
    trace->loops = world_draw(w, 4) == 0;
    if (o->protocol == TRACE_UDP && world_draw(w, 2) == 0)
        o->flow = world_draw(w, 2);
    trace->distance = 1 + (int)world_draw(w, 24);
    trace->reported = (int)o->first_ttl;
    trace->deadline_us = w->now_us + 1000 * (100 + (int64_t)world_draw(w, 200000));
    w->added++;
    trace->job = mux_add(w->mux, o, &trace->dst, &src, trace, trace->deadline_us, w->now_us);
}

/* An answer, with a label that tells what it is the answer to. */
static void world_answer_add(struct world *w, const struct world_probe *probe,
    struct transcript *line, const char *word, const char *prefix, int last, int64_t rtt_us) {
    if (w->answer_count == WORLD_ANSWERS) {
        transcript_add(line, "no-reply");
        return;
    }
    w->answers[w->answer_count] = (struct world_answer){
        probe->trace >= 0 ? w->traces[probe->trace].serial : 0, probe->ttl, false};
    transcript_add(line, "%s ip-4 %s%d round-trip-time %" PRId64 " mpls %u,0,1,1", word, prefix,
        last, rtt_us, w->answer_count++);
}

/* A line that fits a path of `distance` hops, or one of the others. */
static void world_answer_text(
    struct world *w, const struct world_probe *probe, unsigned kind, struct transcript *line) {
    const struct world_trace *trace = probe->trace >= 0 ? &w->traces[probe->trace] : NULL;
    bool there = trace == NULL || probe->ttl >= trace->distance;
    int64_t waited = w->now_us - probe->sent_us;
    static const char *const words[] = {"no-reply", "no-route", "probes-exhausted", "no-route-host",
        "unexpected-error errno 90", "invalid-argument", "permission-denied", "reply",
        "feature-support support ok", "wait-tcp-respone-timeout", "a-word-of-tomorrow"};
    transcript_clear(line);
    transcript_add(line, "%d ", probe->token);
    if (w->limited && probe->ttl < 3 && kind % 2 == 0)
        transcript_add(line, "no-reply");
    else if (kind < 20 && there)
        world_answer_add(
            w, probe, line, "reply", "192.0.2.", trace != NULL ? trace->dst.bytes[3] : 1, waited);
    else if (kind < 20)
        world_answer_add(w, probe, line, "ttl-expired", trace->loops ? "10.0.1." : "10.0.0.",
            trace->loops ? probe->ttl % 2 : probe->ttl, waited);
    else if (kind < 22)
        world_answer_add(w, probe, line, "no-route", "10.0.0.", 9, waited);
    else if (kind == 22) /* the prober's wall clock was set */
        world_answer_add(w, probe, line, "reply", "192.0.2.", 7, waited + 2000);
    else
        transcript_add(line, "%s", words[kind < 28 ? 0 : kind - 28 < 11 ? kind - 28 : 0]);
}

static void world_reply(struct world *w, unsigned at, unsigned kind) {
    struct world_probe probe = w->out[at];
    struct transcript line = {0};
    struct mtr_reply reply;
    struct mux_counters before = *mux_counters(w->mux);
    world_answer_text(w, &probe, kind, &line);
    WORLD_CHECK(mtr_line_parse(&reply, line.at, line.used));
    transcript_free(&line);
    w->out[at] = w->out[--w->out_count];
    mux_reply(w->mux, &reply, w->now_us);
    const struct mux_counters *after = mux_counters(w->mux);
    WORLD_CHECK(after->bad_tokens == before.bad_tokens);
    /* the same line again belongs to nobody */
    mux_reply(w->mux, &reply, w->now_us);
    WORLD_CHECK(after->bad_tokens == before.bad_tokens + 1);
}

static void world_stray(struct world *w) {
    struct mtr_reply reply = {.class = MTR_SILENT, .rtt_us = -1};
    reply.token = (int32_t)(world_draw(w, 1 << 16) << 15 | world_draw(w, 1 << 15));
    for (unsigned i = 0; i < w->out_count; i++)
        if (w->out[i].token == reply.token)
            return;
    int64_t before = mux_counters(w->mux)->bad_tokens;
    mux_reply(w->mux, &reply, w->now_us);
    WORLD_CHECK(mux_counters(w->mux)->bad_tokens == before + 1);
}

static void world_prober(struct world *w, bool up) {
    if (!up) {
        w->out_count = 0;
        w->stuck = false;
        w->hung = false;
    }
    w->questions[0] = w->questions[1] = 0;
    w->up = up;
    bool newer = up && world_draw(w, 2) == 0;
    w->slots = newer ? SLOTS_MAX : SLOTS_BEFORE_0_96;
    w->number = MUX_SHELL_PROBES;
    mux_prober(w->mux, up ? newer ? "0.96" : "0.95" : NULL, w->now_us);
}

/* Commands that send nothing are answered after the mux has returned: a sink must not call it. */
static void world_answer_questions(struct world *w) {
    for (int kind = 0; kind < 2; kind++)
        while (w->questions[kind] > 0) {
            w->questions[kind]--;
            mux_reply(w->mux,
                &(struct mtr_reply){.token = kind == 0 ? MTR_TOKEN_SKIP : MTR_TOKEN_HEALTH},
                w->now_us);
            mux_tick(w->mux, w->now_us);
        }
}

/* With nothing out, a trace waits at most for a turn at a first hop, for its timeout_ms, and
 * for a sequence number, as long and a second; the deadlines may come before that. */
static void world_check_alive(struct world *w) {
    int64_t patient_us = w->now_us + 61 * INT64_C(1000000), deadline_us = INT64_MAX;
    if (!w->up || w->stuck || w->out_count > 0)
        return;
    for (int i = 0; i < WORLD_TRACES; i++)
        if (w->traces[i].job != NULL && w->traces[i].deadline_us < deadline_us)
            deadline_us = w->traces[i].deadline_us;
    WORLD_CHECK(deadline_us <= patient_us || deadline_us == INT64_MAX ||
                mux_next(w->mux, w->now_us) <= patient_us);
}

static void world_tick(struct world *w) {
    mux_tick(w->mux, w->now_us);
    while (w->up && w->questions[0] + w->questions[1] > 0)
        world_answer_questions(w);
    WORLD_CHECK(mux_next(w->mux, w->now_us) > w->now_us);
    for (int i = 0; i < WORLD_TRACES; i++)
        WORLD_CHECK(w->traces[i].job == NULL || w->traces[i].deadline_us > w->now_us);
    WORLD_CHECK(mux_counters(w->mux)->probes_in_flight == w->out_count);
    WORLD_CHECK(mux_counters(w->mux)->probes_sent == w->sent);
    WORLD_CHECK(w->added == w->done + w->forgotten || mux_next(w->mux, w->now_us) < INT64_MAX);
    world_check_alive(w);
}

/* Time passes; a prober that does not hang answers what it has waited for long enough. */
static void world_wait(struct world *w, int64_t us) {
    int64_t until = w->now_us + us;
    while (w->now_us < until) {
        int64_t next = mux_next(w->mux, w->now_us);
        w->now_us = next > w->now_us ? (next < until ? next : until) : w->now_us + 1;
        for (unsigned i = w->out_count; !w->hung && i-- > 0;)
            if (w->now_us - w->out[i].sent_us >= w->out[i].timeout_s * INT64_C(1000000))
                world_reply(w, i, 23);
        world_tick(w);
        if (w->stuck) {
            world_prober(w, false);
            world_prober(w, true);
        }
    }
}

static void world_end_one(struct world *w, bool cancel) {
    struct world_trace *trace = &w->traces[world_draw(w, WORLD_TRACES)];
    if (trace->job == NULL)
        return;
    if (cancel) {
        mux_cancel(w->mux, trace->job, w->now_us);
        WORLD_CHECK(trace->job == NULL);
        return;
    }
    struct mux_job *job = trace->job;
    world_leave(w, trace);
    w->forgotten++;
    mux_forget(w->mux, job);
}

/* Somebody sets the wall clock; what the prober measures meanwhile is wrong. */
static void world_set_clock(struct world *w) {
    static const int64_t steps_us[] = {1, 999, 1000, 1000000, INT64_C(86400000000)};
    int64_t step_us = steps_us[world_draw(w, 5)];
    w->wall_offset_us += world_draw(w, 2) == 0 ? step_us : -step_us;
    mux_wall_offset(w->mux, w->wall_offset_us);
}

/* The last sequence check, or now and then a stranger, shows its port. */
static void world_seq_checked(struct world *w) {
    uint32_t numbers = w->slots == SLOTS_MAX ? 32102 : 32536;
    uint32_t number = world_draw(w, 16) == 0 ? world_draw(w, 65536) : w->checked % numbers;
    mux_seq_checked(w->mux, (uint16_t)(65536 - numbers + number % numbers), w->now_us);
}

static void world_step(struct world *w) {
    unsigned what = world_draw(w, 64);
    if (what < 8)
        world_add(w);
    else if (what < 40 && w->out_count > 0)
        world_reply(w, world_draw(w, w->out_count), world_draw(w, 39));
    else if (what < 52)
        world_wait(w, 1 + (int64_t)world_draw(w, 5000));
    else if (what < 55)
        world_wait(w, 1 + 1000 * (int64_t)world_draw(w, 3000));
    else if (what < 56)
        world_stray(w);
    else if (what < 58)
        world_end_one(w, true);
    else if (what < 59)
        world_end_one(w, false);
    else if (what < 60)
        world_prober(w, !w->up);
    else if (what < 61)
        w->hung = true;
    else if (what < 62)
        world_set_clock(w);
    else if (what < 63)
        world_seq_checked(w);
    else if (world_draw(w, 4) == 0)
        w->limited = !w->limited;
    else
        world_tick(w);
}

struct world_done world_run(const struct world_source *source) {
    static struct world world;
    struct world *w = &world;
    static const int64_t rates[] = {0, 10, 1000, 7919, 100000, 1000000};
    memset(w, 0, sizeof *w);
    w->source = *source;
    w->pps = rates[world_draw(w, 6)];
    w->start_us = w->now_us = 1000000 * (int64_t)world_draw(w, 3);
    w->mux = mux_new(w->pps, &(struct mux_sink){w, world_on_send, world_on_hop, world_on_done,
                                 world_on_stuck, world_on_seq_check});
    if (world_draw(w, 4) != 0)
        world_prober(w, true);
    while (source->more(source->context))
        world_step(w);
    if (!w->up)
        world_prober(w, true);
    for (int i = 0; i < WORLD_TRACES; i++)
        if (w->traces[i].job != NULL && w->traces[i].deadline_us > w->now_us)
            world_wait(w, w->traces[i].deadline_us - w->now_us);
    world_tick(w);
    WORLD_CHECK(w->added == w->done + w->forgotten);
    mux_destroy(&w->mux);
    WORLD_CHECK(w->mux == NULL);
    return (struct world_done){w->done, w->sent};
}
