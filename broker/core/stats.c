#include "broker/core/stats.h"

#include "broker/core/state.h"

static void put_counters(struct core *c, msgpack_packer *pk) {
    static const struct entry {
        const char *name;
        size_t offset;
    } entries[] = {
#define X(name, help) {#name, offsetof(struct counters, name)},
        CORE_COUNTERS(X)
#undef X
    };
    size_t count = sizeof entries / sizeof entries[0];
    msgpack_pack_map(pk, count + 1);
    wire_put_key_int(pk, "publish_dropped", c->shell.publish_dropped);
    for (size_t i = 0; i < count; i++)
        wire_put_key_int(pk, entries[i].name,
            *(const int64_t *)((const char *)&c->counters + entries[i].offset));
}

static void put_rates(struct core *c, msgpack_packer *pk) {
    const struct rate *then = &c->rates[c->rate_at];
    msgpack_pack_map(pk, 2);
    wire_put_key_int(
        pk, "accepted_per_s", (c->counters.accepted - then->accepted) / CORE_RATE_SECONDS);
    wire_put_key_int(
        pk, "results_per_s", (c->counters.results - then->results) / CORE_RATE_SECONDS);
}

static void put_worker(struct core *c, msgpack_packer *pk, const struct worker *w) {
    msgpack_pack_map(pk, 9U + (w->trouble[0] != '\0') + (w->stats != NULL));
    wire_put_key_text(pk, "name", w->name);
    wire_put_text(pk, "labels");
    labels_put(pk, &w->labels);
    wire_put_key_int(pk, "capacity", w->capacity);
    wire_put_key_int(pk, "running", w->running);
    wire_put_key_text(pk, "prober", w->prober);
    wire_put_text(pk, "af");
    session_put_families(pk, w->families);
    wire_put_text(pk, "protocols");
    session_put_protocols(pk, w->protocols);
    wire_put_text(pk, "draining");
    if (w->draining)
        msgpack_pack_true(pk);
    else
        msgpack_pack_false(pk);
    wire_put_key_int(pk, "seen_ms", (c->now.mono_us - w->heard_us) / 1000);
    if (w->trouble[0] != '\0')
        wire_put_key_text(pk, "trouble", w->trouble);
    if (w->stats != NULL) {
        wire_put_text(pk, "stats");
        (void)pk->callback(pk->data, w->stats, w->stats_size);
    }
}

static void put_workers(struct core *c, msgpack_packer *pk) {
    struct worker *w;
    msgpack_pack_array(pk, (size_t)c->workers.count);
    RB_FOREACH(w, worker_name_tree, &c->workers.by_name)
    if (!w->absent)
        put_worker(c, pk, w);
}

void stats_put(struct core *c, const struct request *request) {
    msgpack_packer pk;
    output_packer(&pk, &c->scratch.out);
    request_put_head(&pk, "stats", request->req, 1);
    wire_put_text(&pk, "stats");
    msgpack_pack_map(&pk, 5);
    wire_put_key_int(&pk, "uptime_ms", (c->now.mono_us - c->started_us) / 1000);
    wire_put_text(&pk, "queue");
    msgpack_pack_map(&pk, 5);
    wire_put_key_int(&pk, "queued", c->queue.count + c->coalesce.riding);
    wire_put_key_int(&pk, "running", c->leases.count);
    wire_put_key_int(&pk, "kept", c->shell.results_kept);
    wire_put_key_int(&pk, "max_queued", c->config.max_queued);
    wire_put_key_int(&pk, "keep_results", c->config.keep_results);
    wire_put_text(&pk, "rates");
    put_rates(c, &pk);
    wire_put_text(&pk, "counters");
    put_counters(c, &pk);
    wire_put_text(&pk, "workers");
    put_workers(c, &pk);
}
