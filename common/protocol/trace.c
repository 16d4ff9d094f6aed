#include "common/protocol/trace.h"

#include "common/protocol/labels.h"

#include <stdio.h>
#include <string.h>

#define TARGET_CHARS (WIRE_HOST_CHARS | WIRE_COLON)
#define IPV4_SIZE_MIN 28
#define IPV6_SIZE_MIN 48

const char *const trace_protocol_names[] = {"icmp", "udp", "tcp", "sctp", NULL};

#define AT(member) offsetof(struct trace, member)

/* TRACE_FANOUT_ALL */
static const char *const fanout_names[] = {"all", NULL};

/* What makes two traces the same probing comes first, see trace_probing(). */
static const struct wire_field fields[] = {
    {WIRE_NAME("target"), WIRE_TEXT, AT(target), 1, TRACE_TARGET_BYTES, TARGET_CHARS, NULL, true,
        false},
    {WIRE_NAME("af"), WIRE_INT, AT(af), 0, 6, 0, NULL, false, false},
    {WIRE_NAME("protocol"), WIRE_CHOICE, AT(protocol), 0, 0, 0, trace_protocol_names, false, false},
    {WIRE_NAME("port"), WIRE_INT, AT(port), 1, 65535, 0, NULL, false, false},
    {WIRE_NAME("source"), WIRE_TEXT, AT(source), 2, ADDR_TEXT - 1, 0, NULL, false, false},
    {WIRE_NAME("first_ttl"), WIRE_INT, AT(first_ttl), 1, 255, 0, NULL, false, false},
    {WIRE_NAME("max_ttl"), WIRE_INT, AT(max_ttl), 1, 255, 0, NULL, false, false},
    {WIRE_NAME("probes"), WIRE_INT, AT(probes), 1, 16, 0, NULL, false, false},
    {WIRE_NAME("attempts"), WIRE_INT, AT(attempts), 1, 32, 0, NULL, false, false},
    {WIRE_NAME("timeout_ms"), WIRE_INT, AT(timeout_ms), 100, 30000, 0, NULL, false, false},
    {WIRE_NAME("gap_limit"), WIRE_INT, AT(gap_limit), 0, 255, 0, NULL, false, false},
    {WIRE_NAME("loop_limit"), WIRE_INT, AT(loop_limit), 0, 255, 0, NULL, false, false},
    {WIRE_NAME("window"), WIRE_INT, AT(window), 0, 64, 0, NULL, false, false},
    {WIRE_NAME("flow"), WIRE_INT, AT(flow), 0, 1023, 0, NULL, false, false},
    {WIRE_NAME("size"), WIRE_INT, AT(size), IPV4_SIZE_MIN, 1500, 0, NULL, false, false},
    {WIRE_NAME("tos"), WIRE_INT, AT(tos), 0, 255, 0, NULL, false, false},
    {WIRE_NAME("bit_pattern"), WIRE_INT, AT(bit_pattern), 0, 255, 0, NULL, false, false},
    {WIRE_NAME("names"), WIRE_BOOL, AT(names), 0, 0, 0, NULL, false, false},
    {WIRE_NAME("workers"), WIRE_VALUE, AT(workers), 0, 0, 0, NULL, false, false},

    {WIRE_NAME("id"), WIRE_TEXT, AT(id), 1, TRACE_ID_BYTES, WIRE_ID_CHARS, NULL, false, false},
    {WIRE_NAME("stream"), WIRE_TEXT, AT(stream), 1, TRACE_ID_BYTES, WIRE_STREAM_CHARS, NULL, false,
        false},
    {WIRE_NAME("priority"), WIRE_INT, AT(priority), 0, 9, 0, NULL, false, false},
    {WIRE_NAME("deadline_ms"), WIRE_INT, AT(deadline_ms), 100, 86400000, 0, NULL, false, false},
    {WIRE_NAME("progress"), WIRE_BOOL, AT(progress), 0, 0, 0, NULL, false, false},
    {WIRE_NAME("coalesce"), WIRE_BOOL, AT(coalesce), 0, 0, 0, NULL, false, false},
    {WIRE_NAME("max_age_ms"), WIRE_INT, AT(max_age_ms), 0, 86400000, 0, NULL, false, false},
    {WIRE_NAME("fanout"), WIRE_INT, AT(fanout), 1, TRACE_MAX_FANOUT, 0, fanout_names, false, false},
    {WIRE_NAME("wait"), WIRE_BOOL, AT(wait), 0, 0, 0, NULL, false, false},
    {WIRE_NAME("meta"), WIRE_VALUE, AT(meta), 0, 0, 0, NULL, false, false},
};

#define FIELDS (sizeof fields / sizeof fields[0])
#define PROBING_FIELDS 19

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
    if (size == 0 || wire_value_size(map, size) != size)
        return NULL;
    size_t start = (bytes[0] & 0xf0U) == 0x80 ? 1 : 3; /* fixmap; over 15 pairs a map 16 */
    if (start == 3 && bytes[0] != 0xde)
        return NULL;
    size_t end = start;
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
