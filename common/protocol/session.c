#include "common/protocol/session.h"

#include "common/order.h"

#include <string.h>

static const char *const op_names[] = {
    [SESSION_HELLO] = "hello",
    [SESSION_HEARTBEAT] = "heartbeat",
    [SESSION_HOP] = "hop",
    [SESSION_RESULT] = "result",
    [SESSION_RETURN] = "return",
    [SESSION_DRAIN] = "drain",
    [SESSION_BYE] = "bye",
    [SESSION_WELCOME] = "welcome",
    [SESSION_REJECT] = "reject",
    [SESSION_WHO] = "who",
    [SESSION_TRACE] = "trace",
    [SESSION_CANCEL] = "cancel",
    [SESSION_DONE] = "done",
    NULL,
};

#define MSG(member) offsetof(struct session_msg, member)
#define TEXT(name, min, max, allowed)                                                              \
    { WIRE_NAME(#name), WIRE_TEXT, MSG(name), min, max, allowed, NULL, true, false }
#define INT(name, min, max)                                                                        \
    { WIRE_NAME(#name), WIRE_INT, MSG(name), min, max, 0, NULL, true, false }
#define VALUE(name, member, required)                                                              \
    { WIRE_NAME(name), WIRE_VALUE, MSG(member), 0, 0, 0, NULL, required, false }

#define LEASE INT(lease, 1, INT64_MAX)
#define TROUBLE                                                                                    \
    {                                                                                              \
        WIRE_NAME("trouble"), WIRE_TEXT, MSG(trouble), 1, SESSION_TROUBLE_BYTES, 0, NULL, false,   \
            false                                                                                  \
    }

static const struct wire_field op_field = {
    WIRE_NAME("op"), WIRE_CHOICE, MSG(op), 0, 0, 0, op_names, true, false};

static const struct wire_field hello[] = {
    TEXT(name, 1, SESSION_NAME_BYTES, WIRE_ID_CHARS),
    VALUE("versions", values.versions, true),
    TEXT(prober, 1, 64, 0),
    INT(capacity, 1, SESSION_MAX_CAPACITY),
    VALUE("labels", values.labels, true),
    VALUE("af", values.af, true),
    VALUE("protocols", values.protocols, true),
    VALUE("leases", values.leases, true),
    VALUE("flows", values.flows, false),
    VALUE("sources", values.sources, false),
    TROUBLE,
};
/* The worker sends leases, trouble and stats, the broker epoch. */
static const struct wire_field heartbeat[] = {
    VALUE("leases", values.leases, false),
    TROUBLE,
    VALUE("stats", stats, false),
    {WIRE_NAME("epoch"), WIRE_INT, MSG(epoch), 0, INT64_MAX, 0, NULL, false, false},
};
static const struct wire_field hop[] = {
    LEASE,
    INT(ttl, 1, 255),
    VALUE("probes", probes, true),
};
static const struct wire_field result[] = {LEASE, VALUE("body", values.body, true)};
static const struct wire_field give_back[] = {LEASE, TEXT(reason, 0, 200, 0)};
static const struct wire_field welcome[] = {
    INT(epoch, 0, INT64_MAX),
    INT(heartbeat_ms, 10, 3600000),
    INT(dead_ms, 10, 3600000),
    {WIRE_NAME("version"), WIRE_INT, MSG(version), SESSION_VERSION_MIN, SESSION_VERSION_MAX, 0,
        NULL, false, false},
};
static const struct wire_field reject[] = {TEXT(code, 1, 32, 0), TEXT(message, 0, 224, 0)};
static const struct wire_field dispatch[] = {
    LEASE,
    INT(run, 1, 1000),
    INT(deadline_ms, 0, 86400000),
    VALUE("trace", trace, true),
};
static const struct wire_field lease_only[] = {LEASE};

static const struct table {
    const struct wire_field *fields;
    size_t count;
} tables[] = {
    [SESSION_HELLO] = {hello, sizeof hello / sizeof hello[0]},
    [SESSION_HEARTBEAT] = {heartbeat, sizeof heartbeat / sizeof heartbeat[0]},
    [SESSION_HOP] = {hop, sizeof hop / sizeof hop[0]},
    [SESSION_RESULT] = {result, sizeof result / sizeof result[0]},
    [SESSION_RETURN] = {give_back, sizeof give_back / sizeof give_back[0]},
    [SESSION_DRAIN] = {NULL, 0},
    [SESSION_BYE] = {NULL, 0},
    [SESSION_WELCOME] = {welcome, sizeof welcome / sizeof welcome[0]},
    [SESSION_REJECT] = {reject, sizeof reject / sizeof reject[0]},
    [SESSION_WHO] = {NULL, 0},
    [SESSION_TRACE] = {dispatch, sizeof dispatch / sizeof dispatch[0]},
    [SESSION_CANCEL] = {lease_only, 1},
    [SESSION_DONE] = {lease_only, 1},
};

const char *session_op_name(int op) { return op_names[op]; }

/* ---- reading ---------------------------------------------------------------------------- */

static bool small_int(const msgpack_object *o, uint64_t max) {
    return o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 <= max;
}

static bool get_versions(struct session_msg *msg, const msgpack_object *o) {
    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size != 2 ||
        !small_int(&o->via.array.ptr[0], 1000) || !small_int(&o->via.array.ptr[1], 1000))
        return false;
    msg->version_min = (int64_t)o->via.array.ptr[0].via.u64;
    msg->version_max = (int64_t)o->via.array.ptr[1].via.u64;
    return msg->version_min <= msg->version_max;
}

static bool get_families(unsigned *families, const msgpack_object *o) {
    if (o->type != MSGPACK_OBJECT_ARRAY)
        return false;
    for (uint32_t i = 0; i < o->via.array.size; i++) {
        if (!small_int(&o->via.array.ptr[i], 6))
            return false;
        *families |= 1U << o->via.array.ptr[i].via.u64;
    }
    return (*families & ~(1U << 4 | 1U << 6)) == 0;
}

/* A name that this version does not know is left out: a newer worker may have more. */
static bool get_protocols(struct session_msg *msg, const msgpack_object *o) {
    if (o->type != MSGPACK_OBJECT_ARRAY)
        return false;
    for (uint32_t i = 0; i < o->via.array.size; i++) {
        if (o->via.array.ptr[i].type != MSGPACK_OBJECT_STR)
            return false;
        for (unsigned p = 0; trace_protocol_names[p] != NULL; p++)
            if (wire_is(&o->via.array.ptr[i], trace_protocol_names[p]))
                msg->protocols |= 1U << p;
    }
    return true;
}

static bool get_source(struct addr *addr, const msgpack_object *o) {
    char text[ADDR_TEXT];
    if (o->type != MSGPACK_OBJECT_STR || o->via.str.size >= sizeof text)
        return false;
    memcpy(text, o->via.str.ptr, o->via.str.size);
    text[o->via.str.size] = '\0';
    return strlen(text) == o->via.str.size && addr_parse(addr, text);
}

static bool get_leases(struct session_msg *msg, const msgpack_object *o, msgpack_zone *zone) {
    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size > SESSION_MAX_CAPACITY)
        return false;
    if (o->via.array.size == 0)
        return true;
    int64_t *leases = msgpack_zone_malloc(zone, o->via.array.size * sizeof *leases);
    if (leases == NULL)
        return false;
    for (uint32_t i = 0; i < o->via.array.size; i++) {
        if (!small_int(&o->via.array.ptr[i], INT64_MAX) || o->via.array.ptr[i].via.u64 == 0)
            return false;
        leases[i] = (int64_t)o->via.array.ptr[i].via.u64;
    }
    msg->leases = leases;
    msg->lease_count = o->via.array.size;
    return true;
}

static bool get_sources(struct session_msg *msg, const msgpack_object *o, msgpack_zone *zone) {
    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size > SESSION_MAX_SOURCES)
        return false;
    if (o->via.array.size == 0)
        return true;
    struct addr *sources = msgpack_zone_malloc(zone, o->via.array.size * sizeof *sources);
    if (sources == NULL)
        return false;
    for (uint32_t i = 0; i < o->via.array.size; i++)
        if (!get_source(&sources[i], &o->via.array.ptr[i]))
            return false;
    msg->sources = sources;
    msg->source_count = o->via.array.size;
    return true;
}

static bool check_stats(const msgpack_object *o) {
    if (o->type != MSGPACK_OBJECT_MAP || o->via.map.size > SESSION_MAX_STATS)
        return false;
    for (uint32_t i = 0; i < o->via.map.size; i++) {
        const msgpack_object_kv *pair = &o->via.map.ptr[i];
        if (pair->key.type != MSGPACK_OBJECT_STR || pair->key.via.str.size > 64 ||
            !wire_allowed(pair->key.via.str.ptr, pair->key.via.str.size, WIRE_ID_CHARS) ||
            !small_int(&pair->val, INT64_MAX))
            return false;
    }
    return true;
}

static bool session_refuse(struct wire_error *err, const char *field, const char *what) {
    wire_fail(err, "bad-request", field, "%s", what);
    return false;
}

static bool get_values(struct session_msg *msg, msgpack_zone *zone, struct wire_error *err) {
    const struct session_values *in = &msg->values;
    if (in->versions != NULL && !get_versions(msg, in->versions))
        return session_refuse(err, "versions", "must be [lowest, highest]");
    if (in->af != NULL && !get_families(&msg->families, in->af))
        return session_refuse(err, "af", "must be an array of 4 and 6");
    if (in->protocols != NULL && !get_protocols(msg, in->protocols))
        return session_refuse(err, "protocols", "must be an array of names");
    if (in->flows != NULL && !get_families(&msg->flows, in->flows))
        return session_refuse(err, "flows", "must be an array of 4 and 6");
    if (in->flows == NULL && (msg->protocols >> TRACE_UDP & 1) != 0)
        msg->flows = msg->families;
    if (in->sources != NULL && !get_sources(msg, in->sources, zone))
        return session_refuse(err, "sources", "must be an array of at most 64 addresses");
    if (in->leases != NULL && !get_leases(msg, in->leases, zone))
        return session_refuse(err, "leases", "must be an array of at most 100000 integers");
    if (msg->stats != NULL && !check_stats(msg->stats))
        return session_refuse(err, "stats", "must be a map of at most 32 names to integers");
    if (in->body != NULL && in->body->type != MSGPACK_OBJECT_BIN)
        return session_refuse(err, "body", "must be bin");
    return (in->labels == NULL || labels_check(in->labels, "labels", err)) &&
           (msg->probes == NULL || (hop_check_probes(msg->probes, "", err) &&
                                       (wire_portable(msg->probes, SESSION_PROBES_DEPTH) ||
                                           session_refuse(err, "probes", "not portable"))));
}

bool session_get(struct session_msg *msg, struct wire_doc *doc, struct wire_error *err) {
    memset(msg, 0, sizeof *msg);
    const msgpack_object *v = wire_find(&doc->root, "v");
    if (v == NULL || !small_int(v, WIRE_VERSION) || v->via.u64 != WIRE_VERSION) {
        wire_fail(err, "unsupported-version", "v", "must be %d", WIRE_VERSION);
        return false;
    }
    if (!wire_get(&doc->root, &op_field, 1, msg, "", err))
        return false;
    const struct table *table = &tables[msg->op];
    msg->version = msg->op == SESSION_WELCOME ? 1 : 0;
    if (!wire_get(&doc->root, table->fields, table->count, msg, "", err) ||
        !get_values(msg, doc->zone, err))
        return false;
    if (msg->values.labels != NULL)
        labels_get(&msg->labels, msg->values.labels);
    if (msg->values.body != NULL) {
        msg->body = msg->values.body->via.bin.ptr;
        msg->body_size = msg->values.body->via.bin.size;
    }
    return true;
}

int64_t session_version(const struct session_msg *msg) {
    int64_t highest = order_min(msg->version_max, SESSION_VERSION_MAX);
    return highest >= msg->version_min && highest >= SESSION_VERSION_MIN ? highest : 0;
}

/* ---- writing ---------------------------------------------------------------------------- */

void session_put_families(msgpack_packer *pk, unsigned families) {
    msgpack_pack_array(pk, (size_t)__builtin_popcount(families));
    for (unsigned af = 4; af <= 6; af += 2)
        if ((families >> af & 1) != 0)
            msgpack_pack_uint8(pk, (uint8_t)af);
}

void session_put_protocols(msgpack_packer *pk, unsigned protocols) {
    msgpack_pack_array(pk, (size_t)__builtin_popcount(protocols));
    for (unsigned p = 0; trace_protocol_names[p] != NULL; p++)
        if ((protocols >> p & 1) != 0)
            wire_put_text(pk, trace_protocol_names[p]);
}

static void put_leases(msgpack_packer *pk, const struct session_msg *msg) {
    msgpack_pack_array(pk, msg->lease_count);
    for (size_t i = 0; i < msg->lease_count; i++)
        msgpack_pack_int64(pk, msg->leases[i]);
}

static void put_sources(msgpack_packer *pk, const struct session_msg *msg) {
    char text[ADDR_TEXT];
    msgpack_pack_array(pk, msg->source_count);
    for (size_t i = 0; i < msg->source_count; i++)
        wire_put_text(pk, addr_print(&msg->sources[i], text));
}

static void put_stats(msgpack_packer *pk, const struct session_msg *msg) {
    msgpack_pack_map(pk, msg->stat_count);
    for (size_t i = 0; i < msg->stat_count; i++)
        wire_put_key_int(pk, msg->stat_list[i].name, msg->stat_list[i].value);
}

static void put_value(msgpack_packer *pk, const struct session_msg *msg, size_t offset) {
    if (offset == MSG(values.versions)) {
        msgpack_pack_array(pk, 2);
        msgpack_pack_int64(pk, msg->version_min);
        msgpack_pack_int64(pk, msg->version_max);
    } else if (offset == MSG(values.labels)) {
        labels_put(pk, &msg->labels);
    } else if (offset == MSG(values.af)) {
        session_put_families(pk, msg->families);
    } else if (offset == MSG(values.flows)) {
        session_put_families(pk, msg->flows);
    } else if (offset == MSG(values.sources)) {
        put_sources(pk, msg);
    } else if (offset == MSG(values.protocols)) {
        session_put_protocols(pk, msg->protocols);
    } else if (offset == MSG(values.leases)) {
        put_leases(pk, msg);
    } else if (offset == MSG(stats)) {
        put_stats(pk, msg);
    } else if (offset == MSG(values.body)) {
        msgpack_pack_bin(pk, msg->body_size);
        msgpack_pack_bin_body(pk, msg->body, msg->body_size);
    } else if (offset == MSG(probes)) {
        hop_put_probes(pk, msg->hop_probes, msg->hop_probe_count);
    } else if (offset == MSG(trace)) {
        (void)pk->callback(pk->data, msg->trace_bytes, msg->trace_size);
    }
}

/* Trouble is said while there is any, and what came with version 2 by those who speak it. A
 * worker's heartbeat has leases and stats, the broker's has the epoch. */
static bool left_out(const struct session_msg *msg, const struct wire_field *field) {
    if ((field->offset == MSG(trouble) && msg->trouble[0] == '\0') ||
        (field->offset == MSG(values.flows) && msg->version_max < 2) ||
        (field->offset == MSG(values.sources) && msg->source_count == 0) ||
        (field->offset == MSG(version) && msg->version == 0))
        return true;
    return msg->op == SESSION_HEARTBEAT && (field->offset == MSG(epoch)) != (msg->epoch != 0);
}

void session_put(msgpack_packer *pk, const struct session_msg *msg) {
    const struct table *table = &tables[msg->op];
    uint32_t pairs = 2;
    for (size_t i = 0; i < table->count; i++)
        pairs += !left_out(msg, &table->fields[i]);
    msgpack_pack_map(pk, pairs);
    wire_put_key_int(pk, "v", WIRE_VERSION);
    wire_put_key_text(pk, "op", op_names[msg->op]);
    for (size_t i = 0; i < table->count; i++) {
        const struct wire_field *field = &table->fields[i];
        if (left_out(msg, field))
            continue;
        if (field->kind == WIRE_VALUE) {
            wire_put_text(pk, field->name);
            put_value(pk, msg, field->offset);
        } else {
            struct wire_field present = *field;
            present.required = true;
            wire_put(pk, &present, 1, msg, msg);
        }
    }
}
