#include "common/protocol/trace.h"

#include "common/protocol/labels.h"
#include "common/protocol/wire_head.h"

#include <stdio.h>
#include <string.h>

#define TARGET_CHARS (WIRE_HOST_CHARS | WIRE_COLON)
#define IPV4_SIZE_MIN 28
#define IPV6_SIZE_MIN 48

const char *const trace_protocol_names[] = {"icmp", "udp", "tcp", "sctp", NULL};

/* TRACE_FANOUT_ALL */
static const char *const fanout_names[] = {"all", NULL};

/* What makes two traces the same probing comes first, see trace_probing(). */
static const struct wire_field fields[] = {
    WIRE_FIELD_TEXT("target", struct trace, target, 1, TARGET_CHARS, WIRE_REQUIRED),
    WIRE_FIELD_INT("af", struct trace, af, 0, 6, WIRE_OPTIONAL),
    WIRE_FIELD_CHOICE("protocol", struct trace, protocol, trace_protocol_names, WIRE_OPTIONAL),
    WIRE_FIELD_INT("port", struct trace, port, 1, 65535, WIRE_OPTIONAL),
    WIRE_FIELD_TEXT("source", struct trace, source, 2, WIRE_PRINTABLE, WIRE_OPTIONAL),
    WIRE_FIELD_INT("first_ttl", struct trace, first_ttl, 1, 255, WIRE_OPTIONAL),
    WIRE_FIELD_INT("max_ttl", struct trace, max_ttl, 1, 255, WIRE_OPTIONAL),
    WIRE_FIELD_INT("probes", struct trace, probes, 1, 16, WIRE_OPTIONAL),
    WIRE_FIELD_INT("attempts", struct trace, attempts, 1, 32, WIRE_OPTIONAL),
    WIRE_FIELD_INT("timeout_ms", struct trace, timeout_ms, 100, 30000, WIRE_OPTIONAL),
    WIRE_FIELD_INT("gap_limit", struct trace, gap_limit, 0, 255, WIRE_OPTIONAL),
    WIRE_FIELD_INT("loop_limit", struct trace, loop_limit, 0, 255, WIRE_OPTIONAL),
    WIRE_FIELD_INT("window", struct trace, window, 0, 64, WIRE_OPTIONAL),
    WIRE_FIELD_INT("flow", struct trace, flow, 0, 1023, WIRE_OPTIONAL),
    WIRE_FIELD_INT("size", struct trace, size, IPV4_SIZE_MIN, 1500, WIRE_OPTIONAL),
    WIRE_FIELD_INT("tos", struct trace, tos, 0, 255, WIRE_OPTIONAL),
    WIRE_FIELD_INT("bit_pattern", struct trace, bit_pattern, 0, 255, WIRE_OPTIONAL),
    WIRE_FIELD_BOOL("names", struct trace, names, WIRE_OPTIONAL),
    WIRE_FIELD_VALUE("workers", struct trace, workers, WIRE_OPTIONAL),

    WIRE_FIELD_TEXT("id", struct trace, id, 1, WIRE_ID_CHARS, WIRE_OPTIONAL),
    WIRE_FIELD_TEXT("stream", struct trace, stream, 1, WIRE_STREAM_CHARS, WIRE_OPTIONAL),
    WIRE_FIELD_INT("priority", struct trace, priority, 0, 9, WIRE_OPTIONAL),
    WIRE_FIELD_INT("deadline_ms", struct trace, deadline_ms, 100, 86400000, WIRE_OPTIONAL),
    WIRE_FIELD_BOOL("progress", struct trace, progress, WIRE_OPTIONAL),
    WIRE_FIELD_BOOL("coalesce", struct trace, coalesce, WIRE_OPTIONAL),
    WIRE_FIELD_INT("max_age_ms", struct trace, max_age_ms, 0, 86400000, WIRE_OPTIONAL),
    WIRE_FIELD_INT_OR(
        "fanout", struct trace, fanout, 1, TRACE_MAX_FANOUT, fanout_names, WIRE_OPTIONAL),
    WIRE_FIELD_BOOL("wait", struct trace, wait, WIRE_OPTIONAL),
    WIRE_FIELD_VALUE("meta", struct trace, meta, WIRE_OPTIONAL),
};

#define FIELDS (sizeof fields / sizeof fields[0])
#define PROBING_FIELDS 19

const struct wire_field *trace_field(const char *name) {
    for (size_t i = 0; i < FIELDS; i++)
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

bool trace_is_tcp_like(int protocol) { return protocol == TRACE_TCP || protocol == TRACE_SCTP; }

static int64_t default_port(const struct trace *trace) {
    return trace_is_tcp_like(trace->protocol) ? 80 : 0;
}

/* What a trace with these probes and this protocol is without the fields that depend on them. */
static void dependent_defaults(struct trace *plain, const struct trace *trace) {
    trace_defaults(plain);
    plain->attempts = trace->probes + 1;
    plain->port = default_port(trace);
}

void trace_defaults(struct trace *trace) {
    memset(trace, 0, sizeof *trace);
    memcpy(trace->stream, "default", sizeof "default");
    trace->first_ttl = 1;
    trace->max_ttl = 30;
    trace->probes = 1;
    trace->timeout_ms = 2000;
    trace->gap_limit = 5;
    trace->loop_limit = 3;
    trace->flow = -1;
    trace->size = 64;
    trace->priority = 4;
    trace->deadline_ms = 120000;
    trace->wait = true;
}

static bool wrong(struct wire_error *err, const char *path, const char *name, const char *text) {
    char field[80];
    (void)snprintf(field, sizeof field, "%s%s", path, name);
    wire_fail(err, "bad-request", field, "%s", text);
    return false;
}

static bool check_target(struct trace *trace, const char *path, struct wire_error *err) {
    char text[TRACE_TARGET_BYTES + 64];
    struct addr target, source;
    if (addr_parse(&target, trace->target)) {
        (void)addr_print(&target, trace->target);
        if (!addr_traceable(&target)) {
            (void)snprintf(text, sizeof text, "%s: no trace can go there", trace->target);
            return wrong(err, path, "target", text);
        }
        if (trace->af != 0 && trace->af != target.af) {
            (void)snprintf(text, sizeof text, "%d: but target %s is IPv%d", (int)trace->af,
                trace->target, target.af);
            return wrong(err, path, "af", text);
        }
    } else if (strchr(trace->target, ':') != NULL) {
        (void)snprintf(text, sizeof text, "%s: neither an address nor a host name", trace->target);
        return wrong(err, path, "target", text);
    }
    if (trace->source[0] == '\0')
        return true;
    if (!addr_parse(&source, trace->source) || !addr_traceable(&source)) {
        (void)snprintf(text, sizeof text, "%s: must be an address of the worker", trace->source);
        return wrong(err, path, "source", text);
    }
    (void)addr_print(&source, trace->source);
    int64_t af = target.af != 0 ? target.af : trace->af;
    if (af != 0 && af != source.af) {
        (void)snprintf(text, sizeof text, "%s: is IPv%d, the trace is IPv%d", trace->source,
            source.af, (int)af);
        return wrong(err, path, "source", text);
    }
    return true;
}

static bool check_meta(const struct trace *trace, const char *path, struct wire_error *err) {
    if (trace->meta == NULL)
        return true;
    msgpack_sbuffer bytes;
    msgpack_packer pk;
    msgpack_sbuffer_init(&bytes);
    msgpack_packer_init(&pk, &bytes, msgpack_sbuffer_write);
    msgpack_pack_object(&pk, *trace->meta);
    bool fits = bytes.size <= TRACE_META_BYTES;
    msgpack_sbuffer_destroy(&bytes);
    if (!wire_portable(trace->meta, TRACE_META_DEPTH))
        return wrong(err, path, "meta",
            "must have strings as map keys, UTF-8 in strings, and nest at most 12 deep");
    return fits || wrong(err, path, "meta", "must be at most 1024 bytes encoded");
}

bool trace_check(struct trace *trace, const char *path, struct wire_error *err) {
    char text[128];
    if (trace->attempts == 0)
        trace->attempts = trace->probes + 1;
    if (trace->port == 0)
        trace->port = default_port(trace);
    if (!check_target(trace, path, err) || !check_meta(trace, path, err))
        return false;
    if (trace->af != 0 && trace->af != 4 && trace->af != 6)
        return wrong(err, path, "af", "must be 4, 6 or 0");
    if (trace->attempts < trace->probes) {
        (void)snprintf(text, sizeof text, "%d: must be at least probes, %d", (int)trace->attempts,
            (int)trace->probes);
        return wrong(err, path, "attempts", text);
    }
    if (trace->first_ttl > trace->max_ttl) {
        (void)snprintf(text, sizeof text, "%d: must be at most max_ttl, %d", (int)trace->first_ttl,
            (int)trace->max_ttl);
        return wrong(err, path, "first_ttl", text);
    }
    if (trace->protocol == TRACE_ICMP && trace->port != 0)
        return wrong(err, path, "port", "icmp has no ports; use protocol udp or tcp");
    if (trace->flow >= 0 && trace->protocol != TRACE_UDP)
        return wrong(err, path, "flow", "only with protocol udp");
    if (trace->size < IPV6_SIZE_MIN && strchr(trace->target, ':') != NULL)
        return wrong(err, path, "size", "must be 48..1500 for IPv6");
    if (trace->max_age_ms > 0 && !trace->coalesce)
        return wrong(err, path, "max_age_ms", "only with coalesce");
    if (trace->fanout != 0 && trace->coalesce)
        return wrong(err, path, "fanout", "not with coalesce");
    if (trace->workers == NULL)
        return true;
    (void)snprintf(text, sizeof text, "%sworkers", path);
    return labels_check(trace->workers, text, err);
}

bool trace_get(
    struct trace *trace, const msgpack_object *map, const char *path, struct wire_error *err) {
    trace_defaults(trace);
    return wire_get(map, fields, FIELDS, trace, path, err) && trace_check(trace, path, err);
}

uint32_t trace_count(const struct trace *trace) {
    struct trace plain;
    dependent_defaults(&plain, trace);
    return wire_count(fields, FIELDS, trace, &plain);
}

void trace_put(msgpack_packer *pk, const struct trace *trace) {
    struct trace plain;
    dependent_defaults(&plain, trace);
    wire_put(pk, fields, FIELDS, trace, &plain);
}

void trace_put_map(msgpack_packer *pk, const struct trace *trace) {
    struct trace plain;
    dependent_defaults(&plain, trace);
    msgpack_pack_map(pk, wire_count(fields, FIELDS, trace, &plain));
    wire_put(pk, fields, FIELDS, trace, &plain);
}

static bool is_probing_key(const unsigned char *key, size_t size) {
    for (size_t i = 0; i < PROBING_FIELDS; i++) {
        size_t length = fields[i].name_size; /* below 32: one byte stands before the text */
        if (size == 1 + length && key[0] == (0xa0 | length) &&
            memcmp(key + 1, fields[i].name, length) == 0)
            return true;
    }
    return false;
}

const void *trace_probing(const void *map, size_t size, size_t *probing_size) {
    const unsigned char *bytes = map;
    uint32_t pairs;
    size_t start = wire_map_head(map, size, &pairs), end = start;
    if (start == 0 || wire_value_size(map, size) != size)
        return NULL;
    while (end < size) {
        size_t key = wire_value_size(bytes + end, size - end);
        if (!is_probing_key(bytes + end, key))
            break;
        end += key;
        end += wire_value_size(bytes + end, size - end);
    }
    *probing_size = end - start;
    return bytes + start;
}
