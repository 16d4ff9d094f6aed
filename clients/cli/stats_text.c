#include "clients/cli/stats_text.h"

#include <inttypes.h>
#include <stdio.h>

/* Counters of one kind stand together in columns of this width. */
#define NAME_WIDTH 28

static int64_t number(const msgpack_object *map, const char *key) {
    const msgpack_object *value = wire_find(map, key);
    if (value == NULL)
        return 0;
    if (value->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
        return value->via.u64 <= (uint64_t)INT64_MAX ? (int64_t)value->via.u64 : INT64_MAX;
    return value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER ? value->via.i64 : 0;
}

static double rate(const msgpack_object *map, const char *key) {
    const msgpack_object *value = wire_find(map, key);
    bool real = value != NULL &&
                (value->type == MSGPACK_OBJECT_FLOAT32 || value->type == MSGPACK_OBJECT_FLOAT64);
    return real ? value->via.f64 : (double)number(map, key);
}

/* A string's bytes as printf's "%.*s" takes them; empty for anything else. */
struct piece {
    int size;
    const char *bytes;
};

static struct piece text_of(const msgpack_object *value, int max_bytes) {
    if (value == NULL || value->type != MSGPACK_OBJECT_STR)
        return (struct piece){0, ""};
    bool fits = value->via.str.size < (uint32_t)max_bytes;
    return (struct piece){fits ? (int)value->via.str.size : max_bytes, value->via.str.ptr};
}

static struct piece piece(const msgpack_object *value) { return text_of(value, 64); }

static bool is_array(const msgpack_object *value) {
    return value != NULL && value->type == MSGPACK_OBJECT_ARRAY;
}

static void add_duration(struct text *text, int64_t ms) {
    int64_t s = ms / 1000;
    if (s >= 86400)
        text_add(text, "%" PRId64 " d %" PRId64 " h", s / 86400, s % 86400 / 3600);
    else if (s >= 3600)
        text_add(text, "%" PRId64 " h %" PRId64 " min", s / 3600, s % 3600 / 60);
    else if (s >= 60)
        text_add(text, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    else
        text_add(text, "%" PRId64 " s", s);
}

static void add_summary(struct text *text, const msgpack_object *stats) {
    static const msgpack_object none = {.type = MSGPACK_OBJECT_NIL};
    const msgpack_object *queue = wire_find(stats, "queue"), *rates = wire_find(stats, "rates");
    queue = queue != NULL ? queue : &none;
    rates = rates != NULL ? rates : &none;
    text_add(text, "up       ");
    add_duration(text, number(stats, "uptime_ms"));
    text_end(text);
    text_add(text,
        "traces   %" PRId64 " queued (at most %" PRId64 "), %" PRId64 " running, %" PRId64
        " results kept (at most %" PRId64 ")",
        number(queue, "queued"), number(queue, "max_queued"), number(queue, "running"),
        number(queue, "kept"), number(queue, "keep_results"));
    text_end(text);
    text_add(text, "rates    %.1f accepted/s, %.1f results/s, over the last 10 s",
        rate(rates, "accepted_per_s"), rate(rates, "results_per_s"));
    text_end(text);
}

static void add_labels(struct text *text, const msgpack_object *labels) {
    if (labels == NULL || labels->type != MSGPACK_OBJECT_MAP)
        return;
    for (uint32_t i = 0; i < labels->via.map.size; i++) {
        struct piece name = piece(&labels->via.map.ptr[i].key);
        struct piece value = piece(&labels->via.map.ptr[i].val);
        text_add(text, " %.*s=%.*s", name.size, name.bytes, value.size, value.bytes);
    }
}

/* "icmp,udp" or "4,6" */
static void join(char *out, size_t size, const msgpack_object *list) {
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; is_array(list) && i < list->via.array.size && used < size; i++) {
        const msgpack_object *value = &list->via.array.ptr[i];
        struct piece name = piece(value);
        if (value->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
            used += (size_t)snprintf(
                out + used, size - used, "%s%" PRIu64, i > 0 ? "," : "", value->via.u64);
        else
            used += (size_t)snprintf(
                out + used, size - used, "%s%.*s", i > 0 ? "," : "", name.size, name.bytes);
    }
}

static void add_worker(struct text *text, const msgpack_object *worker) {
    char protocols[80], families[16], load[48];
    struct piece name = piece(wire_find(worker, "name"));
    struct piece prober = piece(wire_find(worker, "prober"));
    const msgpack_object *draining = wire_find(worker, "draining");
    join(protocols, sizeof protocols, wire_find(worker, "protocols"));
    join(families, sizeof families, wire_find(worker, "af"));
    (void)snprintf(load, sizeof load, "%" PRId64 "/%" PRId64, number(worker, "running"),
        number(worker, "capacity"));
    text_add(text, "%-16.*s %13s %6.1f s  %-4s %-18s %-18.*s", name.size, name.bytes, load,
        (double)number(worker, "seen_ms") / 1000.0, families, protocols, prober.size, prober.bytes);
    add_labels(text, wire_find(worker, "labels"));
    if (draining != NULL && draining->type == MSGPACK_OBJECT_BOOLEAN && draining->via.boolean)
        text_add(text, " (draining)");
    text_end(text);
    struct piece trouble = text_of(wire_find(worker, "trouble"), 200);
    if (trouble.size == 0)
        return;
    text_add(text, "  takes no traces: %.*s", trouble.size, trouble.bytes);
    text_end(text);
}

static void add_workers(struct text *text, const msgpack_object *workers) {
    text_end(text);
    if (!is_array(workers) || workers->via.array.size == 0) {
        text_add(text, "no workers: nothing runs until one dials in");
        text_end(text);
        return;
    }
    text_add(text, "%-16s %13s %8s  %-4s %-18s %-18s %s", "WORKER", "RUNNING", "SEEN", "IPv",
        "PROTOCOLS", "PROBER", "LABELS");
    text_end(text);
    for (uint32_t i = 0; i < workers->via.array.size; i++)
        add_worker(text, &workers->via.array.ptr[i]);
}

static void add_counters(struct text *text, const msgpack_object *counters) {
    if (counters == NULL || counters->type != MSGPACK_OBJECT_MAP)
        return;
    text_end(text);
    for (uint32_t i = 0; i < counters->via.map.size; i++) {
        struct piece name = piece(&counters->via.map.ptr[i].key);
        const msgpack_object *value = &counters->via.map.ptr[i].val;
        if (value->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
            continue;
        text_add(text, "%-*.*s %12" PRIu64, NAME_WIDTH, name.size, name.bytes, value->via.u64);
        text_end(text);
    }
}

void stats_text(struct text *text, const msgpack_object *stats) {
    add_summary(text, stats);
    add_workers(text, wire_find(stats, "workers"));
    add_counters(text, wire_find(stats, "counters"));
}
