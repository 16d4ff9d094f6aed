#include "broker/metrics.h"

#include "broker/core/sessions.h"
#include "broker/core/state.h"
#include "common/protocol/result.h"

#include <stdio.h>
#include <string.h>

/* ---- counters --------------------------------------------------------------------------- */

/* Of the counters in state.h. Results are counted by how they ended instead. */
static const struct help {
    const char *counter, *text;
} helps[] = {
    {"requests", "Messages of clients."},
    {"bad_requests", "Requests and traces that were refused as wrong."},
    {"too_large", "Requests that were refused as too large."},
    {"accepted", "Traces that were accepted."},
    {"repeated", "Traces that had been accepted before, by their id."},
    {"busy", "Traces and requests that were refused for lack of room."},
    {"conflicts", "Traces whose id had been used for another one."},
    {"dispatched", "Attempts: traces that were given to a worker."},
    {"requeued", "Attempts that ended without result, by a lost worker or one that gave back."},
    {"returned", "Traces that workers gave back."},
    {"late_results", "Results that were no longer waited for."},
    {"hops", "Hops that were passed on while traces ran."},
    {"hops_dropped", "Hops that were not passed on, because the store was behind."},
    {"shared", "Traces that got the result of another one."},
    {"deferred", "Requests that waited for the store."},
    {"replays", "Requests for results by sequence number."},
    {"restored", "Traces without result that the store held at the start."},
    {"adopted", "Leases of before a restart or a reconnect that went on."},
    {"workers_joined", "Workers that were welcomed."},
    {"workers_lost", "Workers that were lost: silent, or their connection gone."},
    {"leases_lost", "Leases that ended with their worker, or that it did not know."},
    {"worker_messages", "Messages of workers."},
    {"bad_worker_messages", "Messages of workers that were wrong."},
    {"rejected_workers", "Workers that were refused."},
    {"dropped_to_clients", "Messages that a client could not be sent."},
    {"dropped_to_workers", "Messages that a worker could not be sent."},
    {"connections_opened", "Connections that were accepted."},
    {"connections_closed", "Connections that ended."},
};

static void put_counter(struct exposition *e, const char *counter, int64_t value) {
    char name[80];
    const char *text = "?"; /* a test finds it */
    for (size_t i = 0; i < sizeof helps / sizeof helps[0]; i++)
        if (strcmp(helps[i].counter, counter) == 0)
            text = helps[i].text;
    (void)snprintf(name, sizeof name, "hopmq_%s_total", counter);
    exposition_value(e, EXPOSITION_COUNTER, name, text, value);
}

static void put_counters(const struct core *c, struct exposition *e) {
#define X(name)                                                                                    \
    if (strcmp(#name, "results") != 0)                                                             \
        put_counter(e, #name, c->counters.name);
    CORE_COUNTERS(X)
#undef X
    exposition_value(e, EXPOSITION_COUNTER, "hopmq_publish_dropped_total",
        "Times that a subscriber did not read and began to lose publications.",
        c->shell.publish_dropped);
    exposition_family(
        e, EXPOSITION_COUNTER, "hopmq_results_total", "Results, by why the trace ended.");
    for (size_t i = 0; i < sizeof c->results_by_stop / sizeof c->results_by_stop[0]; i++)
        exposition_sample(e, "stop", result_stop_names[i], c->results_by_stop[i]);
}

/* ---- what is there now ------------------------------------------------------------------ */

static void put_queue(const struct core *c, struct exposition *e) {
    exposition_family(e, EXPOSITION_GAUGE, "hopmq_queued_traces", "Traces that wait for a worker.");
    for (int p = 0; p < PRIORITIES; p++)
        exposition_sample(
            e, "priority", (const char[]){(char)('0' + p), '\0'}, c->queued_by_priority[p]);
    exposition_value(e, EXPOSITION_GAUGE, "hopmq_max_queued_traces",
        "How many may wait: beyond it the answer is busy.", c->config.max_queued);
    exposition_value(e, EXPOSITION_GAUGE, "hopmq_running_traces", "Traces at workers.", c->running);
    exposition_value(e, EXPOSITION_GAUGE, "hopmq_streams",
        "Streams that have had a trace, or a result before.", c->stream_count);
    exposition_value(
        e, EXPOSITION_GAUGE, "hopmq_result_seq", "Sequence number of the last result.", c->seq);
    exposition_value_us(e, EXPOSITION_GAUGE, "hopmq_epoch_timestamp_seconds",
        "The epoch, which changes with each start.", c->config.epoch);
}

static int64_t running(const struct worker *w) { return w->running; }

static int64_t capacity(const struct worker *w) { return w->capacity; }

static int64_t serves(const struct worker *w) { return sessions_serves(w); }

static void put_workers(const struct core *c, struct exposition *e) {
    static const struct entry {
        const char *name, *help;
        int64_t (*value)(const struct worker *w);
    } entries[] = {
        {"hopmq_worker_running_traces", "Traces at this worker.", running},
        {"hopmq_worker_capacity_traces", "How many it takes at a time.", capacity},
        {"hopmq_worker_serves", "1 if it takes traces; 0 if it drains, or is in trouble.", serves},
    };
    struct worker_name_tree *names = (struct worker_name_tree *)&c->names; /* RB_ has no const */
    int64_t listed = 0;
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        struct worker *w;
        listed = 0;
        exposition_family(e, EXPOSITION_GAUGE, entries[i].name, entries[i].help);
        RB_FOREACH(w, worker_name_tree, names) {
            if (listed == METRICS_MAX_WORKERS)
                break;
            exposition_sample(e, "worker", w->name, entries[i].value(w));
            listed++;
        }
    }
    exposition_value(e, EXPOSITION_GAUGE, "hopmq_workers", "Workers.", c->worker_count);
    exposition_value(e, EXPOSITION_GAUGE, "hopmq_workers_not_listed",
        "Workers without metrics of their own here, since there are too many.",
        c->worker_count - listed);
}

void metrics_put_core(const struct core *c, struct exposition *e) {
    put_queue(c, e);
    put_workers(c, e);
    put_counters(c, e);
}

/* ---- the store -------------------------------------------------------------------------- */

void metrics_put_store(const struct store_counters *s, struct exposition *e) {
    exposition_histogram(e, "hopmq_store_commit_seconds",
        "How long commits took, with their sync to the disk.", &s->commit_times);
    exposition_value_us(e, EXPOSITION_GAUGE, "hopmq_store_commit_max_seconds",
        "The longest of them.", s->commit_max_us);
    exposition_summary(e, "hopmq_store_batch_records", "How many records were committed at a time.",
        s->commits, s->records);
    exposition_value(
        e, EXPOSITION_GAUGE, "hopmq_store_batch_max_records", "The most of them.", s->batch_max);
    exposition_summary_us(e, "hopmq_store_read_seconds", "How long questions to the store took.",
        s->reads, s->read_us);
    exposition_value(e, EXPOSITION_COUNTER, "hopmq_store_deleted_total",
        "Results that were deleted by age or number.", s->deleted);
    exposition_value(e, EXPOSITION_COUNTER, "hopmq_store_damaged_total",
        "Rows that did not fit their checksum.", s->damaged);
    exposition_value(e, EXPOSITION_COUNTER, "hopmq_store_checkpoints_total",
        "Times that the write-ahead log was taken into the file.", s->checkpoints);
    exposition_value(
        e, EXPOSITION_GAUGE, "hopmq_store_results", "Results that are kept.", s->results);
    exposition_value(
        e, EXPOSITION_GAUGE, "hopmq_store_file_bytes", "The file's size.", s->file_bytes);
    exposition_value(e, EXPOSITION_GAUGE, "hopmq_store_wal_bytes",
        "The size of its write-ahead log.", s->wal_bytes);
}
