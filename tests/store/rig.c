#include "tests/store/rig.h"

#include "tests/store/sample.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PATIENCE_MS 20000

static msgpack_sbuffer trace, result;

__attribute__((format(printf, 2, 3))) static void say(
    struct rig_state *state, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(state->text + state->size, sizeof state->text - state->size, format, args);
    va_end(args);
    if (n > 0 && state->size + (size_t)n < sizeof state->text)
        state->size += (size_t)n;
}

static void name_of(int64_t number, char id[32]) { (void)snprintf(id, 32, "id-%" PRId64, number); }

/* ---- opening ------------------------------------------------------------------------------ */

static void on_stream(void *context, const char *name, int64_t seq) {
    (void)context;
    (void)name;
    (void)seq;
}

static void on_trace(void *context, const struct record_trace *t) {
    char id[32];
    name_of(t->number, id);
    sample_trace(&trace, id, false);
    bool same = t->trace_size == trace.size && memcmp(t->trace, trace.data, trace.size) == 0;
    say(context, "trace %" PRId64 " %s %s %s lease %" PRId64 " worker %s run %" PRId64 "\n",
        t->number, t->id, t->submitter, same ? "same" : "other", t->run.lease, t->run.worker,
        t->run.run);
}

static void on_member(void *context, const struct record_result *member) {
    say(context, "member %s\n", member->id);
}

bool rig_open(struct rig *rig, const char *path, int64_t keep_us, int64_t keep_results) {
    const struct store_config config = {path, keep_us, keep_results};
    const struct store_loader loader = {&rig->loaded, on_stream, on_trace, on_member};
    memset(rig, 0, sizeof *rig);
    rig->store = store_open(&config, RIG_WALL_US, rig->error);
    if (rig->store == NULL)
        return false;
    rig->start = store_start(rig->store);
    if (store_load(rig->store, &loader, rig->error))
        return true;
    store_close(&rig->store);
    return false;
}

void rig_close(struct rig *rig) { store_close(&rig->store); }

/* ---- records ------------------------------------------------------------------------------ */

void rig_accept(struct rig *rig, int64_t from, int64_t to) {
    char id[32];
    for (int64_t number = from; number <= to; number++) {
        name_of(number, id);
        sample_trace(&trace, id, false);
        store_trace(rig->store, &(struct record_trace){.number = number,
                                    .id = id,
                                    .submitter = "client",
                                    .accepted_us = RIG_WALL_US + number,
                                    .trace = trace.data,
                                    .trace_size = trace.size,
                                    .run = {.number = number, .worker = ""}});
    }
}

void rig_start(struct rig *rig, int64_t from, int64_t to) {
    for (int64_t number = from; number <= to; number++)
        store_run(
            rig->store, &(struct record_run){
                            .number = number, .lease = number + 1000, .worker = "ams1", .run = 1});
}

void rig_finish_as(struct rig *rig, int64_t number, int64_t seq) {
    char id[32];
    struct record_result r = {.seq = seq,
        .stream_seq = seq,
        .number = number,
        .id = id,
        .stream = "daily",
        .finished_us = RIG_WALL_US};
    name_of(number, id);
    sample_trace(&trace, id, false);
    r.trace = trace.data;
    r.trace_size = trace.size;
    sample_result(&result, &r);
    r.result = result.data;
    r.result_size = result.size;
    store_result(rig->store, &r);
}

void rig_finish(struct rig *rig, int64_t from, int64_t to) {
    for (int64_t number = from; number <= to; number++)
        rig_finish_as(rig, number, number);
}

/* ---- events ------------------------------------------------------------------------------- */

static bool take(struct rig *rig, struct store_event *event) {
    if (!store_next(rig->store, event))
        return false;
    if (event->kind == STORE_DEAD) {
        rig->dead = true;
        (void)snprintf(rig->error, sizeof rig->error, "%s", event->why);
    }
    if (event->kind == STORE_FULL || event->kind == STORE_ROOM)
        rig->full = event->kind == STORE_FULL;
    return true;
}

static bool ready(struct rig *rig, int ms) {
    struct pollfd fd = {.fd = store_fd(rig->store), .events = POLLIN};
    return poll(&fd, 1, ms) == 1;
}

void rig_wait(struct rig *rig, int ms) {
    struct store_event event;
    while (take(rig, &event))
        continue;
    if (ready(rig, ms))
        while (take(rig, &event))
            continue;
}

bool rig_commit(struct rig *rig) {
    uint64_t batch = store_batch(rig->store);
    struct store_event event;
    store_flush(rig->store);
    while (!rig->dead && store_committed(rig->store) < batch) {
        if (!ready(rig, PATIENCE_MS))
            return false;
        while (take(rig, &event))
            continue;
    }
    return !rig->dead;
}

bool rig_ask(struct rig *rig, const struct record_read *read, struct record_answer *answer) {
    struct store_event event;
    store_read(rig->store, read);
    store_flush(rig->store);
    while (!rig->dead && ready(rig, PATIENCE_MS))
        while (take(rig, &event))
            if (event.kind == STORE_ANSWER) {
                *answer = event.answer;
                return true;
            }
    return false;
}

/* ---- the workload ------------------------------------------------------------------------- */

/* Each batch accepts three traces, starts the three of the previous batch, and ends two of the
 * three of the batch before that. The first of those three has no result. */
void rig_work(struct rig *rig, int batch) {
    int64_t first = 3 * batch - 2;
    rig_accept(rig, first, first + 2);
    if (batch > 1)
        rig_start(rig, first - 3, first - 1);
    if (batch > 2)
        rig_finish(rig, first - 5, first - 4);
}

static void expect_result(struct rig_state *state, int64_t number) {
    char id[32];
    name_of(number, id);
    sample_trace(&trace, id, false);
    struct record_result r = {.seq = number, .stream_seq = number, .id = id, .stream = "daily"};
    sample_result(&result, &r);
    say(state, "result %" PRId64 " %s %zu bytes\n", number, id, result.size);
}

void rig_expect(struct rig_state *state, int batches) {
    int64_t all = 3 * batches, started = all - 3, ended = all - 6;
    state->size = 0;
    state->text[0] = '\0';
    for (int64_t n = 1; n <= all; n++)
        if (n > ended || n % 3 == 1)
            say(state,
                "trace %" PRId64 " id-%" PRId64 " client same lease %" PRId64 " worker %s run %d\n",
                n, n, n <= started ? n + 1000 : 0, n <= started ? "ams1" : "", n <= started);
    int64_t kept = 0, results = batches > 2 ? 2 * (batches - 2) : 0;
    for (int64_t n = 1; n <= ended; n++)
        if (n % 3 != 1 && ++kept > results - RIG_KEEP)
            expect_result(state, n);
}

bool rig_read_all(struct rig *rig) {
    struct record_answer answer;
    const struct record_read read = {
        .query = RECORD_AFTER, .after = 0, .limit = 1000, .max_bytes = SIZE_MAX};
    if (!rig_ask(rig, &read, &answer))
        return false;
    for (size_t i = 0; i < answer.count; i++) {
        const struct record_result *r = &answer.rows[i];
        sample_result(&result, r);
        bool same =
            r->result_size == result.size && memcmp(r->result, result.data, result.size) == 0;
        say(&rig->loaded, "result %" PRId64 " %s %zu bytes%s\n", r->seq, r->id, r->result_size,
            same ? "" : ", other ones");
    }
    return true;
}
