#include "broker/metrics.h"

#include "broker/core/state.h"
#include "common/protocol/result.h"

#include <stdio.h>
#include <string.h>

/* ---- the core --------------------------------------------------------------------------- */

/* Results are counted by why their trace ended instead. */
static void put_counters(const struct core *c, struct exposition *e) {
#define X(name, help)                                                                              \
    if (strcmp(#name, "results") != 0)                                                             \
        exposition_value(e, EXPOSITION_COUNTER, "hopmq_" #name "_total", help, c->counters.name);
    CORE_COUNTERS(X)
#undef X
    exposition_value(e, EXPOSITION_COUNTER, "hopmq_publish_dropped_total",
        "Times that a subscriber read too slowly and began to lose publications.",
        c->shell.publish_dropped);
    exposition_family(
        e, EXPOSITION_COUNTER, "hopmq_results_total", "Results, by why their trace ended.");
    for (size_t i = 0; i < sizeof c->results_by_stop / sizeof c->results_by_stop[0]; i++)
        exposition_sample(e, "stop", result_stop_names[i], c->results_by_stop[i]);
}

static void put_queue(const struct core *c, struct exposition *e) {
    exposition_family(
        e, EXPOSITION_GAUGE, "hopmq_queued_traces", "Traces waiting for a worker, by priority.");
    for (int p = 0; p < PRIORITIES; p++)
        exposition_sample(
            e, "priority", (const char[]){(char)('0' + p), '\0'}, c->queue.by_priority[p]);
    exposition_value(e, EXPOSITION_GAUGE, "hopmq_max_queued_traces",
        "Traces that may wait for a worker; more are refused as busy.", c->config.max_queued);
    exposition_value(
        e, EXPOSITION_GAUGE, "hopmq_running_traces", "Traces running at workers.", c->leases.count);
    exposition_value(
        e, EXPOSITION_GAUGE, "hopmq_streams", "Streams that the broker knows.", c->streams.count);
    exposition_value(e, EXPOSITION_GAUGE, "hopmq_result_seq", "Sequence number of the last result.",
        c->streams.seq);
    exposition_value_us(e, EXPOSITION_GAUGE, "hopmq_epoch_timestamp_seconds",
        "The broker's epoch: a time that is new with each start.", c->config.epoch);
}

static int64_t running(const struct worker *w) { return w->running; }

static int64_t capacity(const struct worker *w) { return w->capacity; }

static int64_t serves(const struct worker *w) { return worker_serves(w); }

static void put_workers(const struct core *c, struct exposition *e) {
    static const struct entry {
        const char *name, *help;
        int64_t (*value)(const struct worker *w);
    } entries[] = {
        {"hopmq_worker_running_traces", "Traces running at this worker.", running},
        {"hopmq_worker_capacity_traces", "Traces that this worker can run at a time.", capacity},
        {"hopmq_worker_serves",
            "1 if this worker takes traces, 0 if it drains or has no working prober.", serves},
    };
    struct worker_name_tree *names =
        (struct worker_name_tree *)&c->workers.by_name; /* RB_ has no const */
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
    exposition_value(e, EXPOSITION_GAUGE, "hopmq_workers",
        "Workers that have joined and are still heard.", c->workers.count);
    exposition_value(e, EXPOSITION_GAUGE, "hopmq_workers_not_listed",
        "Workers that have no series of their own here because there are too many.",
        c->workers.count - listed);
}

void metrics_put_core(const struct core *c, struct exposition *e) {
    put_queue(c, e);
    put_workers(c, e);
    put_counters(c, e);
}

/* ---- the store -------------------------------------------------------------------------- */

void metrics_put_store(const struct store_counters *s, struct exposition *e) {
    exposition_histogram(e, "hopmq_store_commit_seconds",
        "Duration of commits, including the sync to disk.", &s->commit_times);
    exposition_value_us(e, EXPOSITION_GAUGE, "hopmq_store_commit_max_seconds",
        "Duration of the longest commit.", s->commit_max_us);
    exposition_summary(
        e, "hopmq_store_batch_records", "Records per commit.", s->commits, s->records);
    exposition_summary_us(
        e, "hopmq_store_read_seconds", "Duration of queries to the store.", s->reads, s->read_us);
#define X(name, help)                                                                              \
    exposition_value(e, EXPOSITION_COUNTER, "hopmq_store_" #name "_total", help, s->name);
    STORE_COUNTERS(X)
#undef X
#define X(name, help) exposition_value(e, EXPOSITION_GAUGE, "hopmq_store_" #name, help, s->name);
    STORE_GAUGES(X)
#undef X
}
