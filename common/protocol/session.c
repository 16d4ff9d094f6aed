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

static bool small_int(const msgpack_object *o, uint64_t max) {
    return o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 <= max;
}

static bool session_refuse(struct wire_error *err, const char *field, const char *what) {
    wire_fail(err, "bad-request", field, "%s", what);
    return false;
}

/* ---- fields of their own kind ----------------------------------------------------------- */

static bool read_versions(struct session_msg *msg, const msgpack_object *o) {
    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size != 2 ||
        !small_int(&o->via.array.ptr[0], 1000) || !small_int(&o->via.array.ptr[1], 1000))
        return false;
    msg->version_min = (int64_t)o->via.array.ptr[0].via.u64;
    msg->version_max = (int64_t)o->via.array.ptr[1].via.u64;
    return msg->version_min <= msg->version_max;
}

static bool get_versions(void *out, const msgpack_object *o, struct wire_error *err) {
    return read_versions(out, o) || session_refuse(err, "versions", "must be [lowest, highest]");
}

static void put_versions(msgpack_packer *pk, const void *in) {
    const struct session_msg *msg = in;
    msgpack_pack_array(pk, 2);
    msgpack_pack_int64(pk, msg->version_min);
    msgpack_pack_int64(pk, msg->version_max);
}

static bool get_labels(void *out, const msgpack_object *o, struct wire_error *err) {
    struct session_msg *msg = out;
    if (!labels_check(o, "labels", err))
        return false;
    labels_get(&msg->labels, o);
    return true;
}

static void put_labels(msgpack_packer *pk, const void *in) {
    labels_put(pk, &((const struct session_msg *)in)->labels);
}

static bool read_families(unsigned *families, const msgpack_object *o) {
    *families = 0;
    if (o->type != MSGPACK_OBJECT_ARRAY)
        return false;
    for (uint32_t i = 0; i < o->via.array.size; i++) {
        if (!small_int(&o->via.array.ptr[i], 6))
            return false;
        *families |= 1U << o->via.array.ptr[i].via.u64;
    }
    return (*families & ~(1U << 4 | 1U << 6)) == 0;
}

static bool get_af(void *out, const msgpack_object *o, struct wire_error *err) {
    struct session_msg *msg = out;
    return read_families(&msg->families, o) ||
           session_refuse(err, "af", "must be an array of 4 and 6");
}

static void put_af(msgpack_packer *pk, const void *in) {
    session_put_families(pk, ((const struct session_msg *)in)->families);
}

static bool get_flows(void *out, const msgpack_object *o, struct wire_error *err) {
    struct session_msg *msg = out;
    msg->flows_given = true;
    return read_families(&msg->flows, o) ||
           session_refuse(err, "flows", "must be an array of 4 and 6");
}

static void put_flows(msgpack_packer *pk, const void *in) {
    session_put_families(pk, ((const struct session_msg *)in)->flows);
}

/* `flows` came with version 2. */
static bool has_flows(const void *in) { return ((const struct session_msg *)in)->version_max >= 2; }

/* A name that this version does not know is left out: a newer worker may have more. */
static bool read_protocols(struct session_msg *msg, const msgpack_object *o) {
    msg->protocols = 0;
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

static bool get_protocols(void *out, const msgpack_object *o, struct wire_error *err) {
    return read_protocols(out, o) || session_refuse(err, "protocols", "must be an array of names");
}

static void put_protocols(msgpack_packer *pk, const void *in) {
    session_put_protocols(pk, ((const struct session_msg *)in)->protocols);
}

static bool read_leases(struct session_msg *msg, const msgpack_object *o) {
    msg->leases_given = true;
    msg->lease_count = 0;
    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size > SESSION_MAX_CAPACITY)
        return false;
    if (o->via.array.size == 0)
        return true;
    int64_t *leases = msgpack_zone_malloc(msg->zone, o->via.array.size * sizeof *leases);
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

static bool get_leases(void *out, const msgpack_object *o, struct wire_error *err) {
    return read_leases(out, o) ||
           session_refuse(err, "leases", "must be an array of at most 100000 integers");
}

static void put_leases(msgpack_packer *pk, const void *in) {
    const struct session_msg *msg = in;
    msgpack_pack_array(pk, msg->lease_count);
    for (size_t i = 0; i < msg->lease_count; i++)
        msgpack_pack_int64(pk, msg->leases[i]);
}

static bool read_address(struct addr *addr, const msgpack_object *o) {
    char text[ADDR_TEXT];
    if (o->type != MSGPACK_OBJECT_STR || o->via.str.size >= sizeof text)
        return false;
    memcpy(text, o->via.str.ptr, o->via.str.size);
    text[o->via.str.size] = '\0';
    return strlen(text) == o->via.str.size && addr_parse(addr, text);
}

static bool read_sources(struct session_msg *msg, const msgpack_object *o) {
    msg->source_count = 0;
    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size > SESSION_MAX_SOURCES)
        return false;
    if (o->via.array.size == 0)
        return true;
    struct addr *sources = msgpack_zone_malloc(msg->zone, o->via.array.size * sizeof *sources);
    if (sources == NULL)
        return false;
    for (uint32_t i = 0; i < o->via.array.size; i++)
        if (!read_address(&sources[i], &o->via.array.ptr[i]))
            return false;
    msg->sources = sources;
    msg->source_count = o->via.array.size;
    return true;
}

static bool get_sources(void *out, const msgpack_object *o, struct wire_error *err) {
    return read_sources(out, o) ||
           session_refuse(err, "sources", "must be an array of at most 64 addresses");
}

static void put_sources(msgpack_packer *pk, const void *in) {
    const struct session_msg *msg = in;
    char text[ADDR_TEXT];
    msgpack_pack_array(pk, msg->source_count);
    for (size_t i = 0; i < msg->source_count; i++)
        wire_put_text(pk, addr_print(&msg->sources[i], text));
}

static bool has_sources(const void *in) {
    return ((const struct session_msg *)in)->source_count > 0;
}

static bool is_stats(const msgpack_object *o) {
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

static bool get_stats(void *out, const msgpack_object *o, struct wire_error *err) {
    ((struct session_msg *)out)->stats = o;
    return is_stats(o) ||
           session_refuse(err, "stats", "must be a map of at most 32 names to integers");
}

static void put_stats(msgpack_packer *pk, const void *in) {
    const struct session_msg *msg = in;
    msgpack_pack_map(pk, msg->stat_count);
    for (size_t i = 0; i < msg->stat_count; i++)
        wire_put_key_int(pk, msg->stat_list[i].name, msg->stat_list[i].value);
}

/* A heartbeat with an epoch is the broker's, which has neither leases nor stats. */
static bool is_workers(const void *in) { return ((const struct session_msg *)in)->epoch == 0; }

static bool get_body(void *out, const msgpack_object *o, struct wire_error *err) {
    struct session_msg *msg = out;
    if (o->type != MSGPACK_OBJECT_BIN)
        return session_refuse(err, "body", "must be bin");
    msg->body = o->via.bin.ptr;
    msg->body_size = o->via.bin.size;
    return true;
}

static void put_body(msgpack_packer *pk, const void *in) {
    const struct session_msg *msg = in;
    msgpack_pack_bin(pk, msg->body_size);
    msgpack_pack_bin_body(pk, msg->body, msg->body_size);
}

static bool get_probes(void *out, const msgpack_object *o, struct wire_error *err) {
    ((struct session_msg *)out)->probes = o;
    return hop_check_probes(o, "", err) && (wire_portable(o, SESSION_PROBES_DEPTH) ||
                                               session_refuse(err, "probes", "not portable"));
}

static void put_probes(msgpack_packer *pk, const void *in) {
    const struct session_msg *msg = in;
    hop_put_probes(pk, msg->hop_probes, msg->hop_probe_count);
}

static bool get_trace(void *out, const msgpack_object *o, struct wire_error *err) {
    (void)err;
    ((struct session_msg *)out)->trace = o;
    return true;
}

static void put_trace(msgpack_packer *pk, const void *in) {
    const struct session_msg *msg = in;
    (void)pk->callback(pk->data, msg->trace_bytes, msg->trace_size);
}

static const struct wire_custom versions_kind = {get_versions, put_versions, NULL};
static const struct wire_custom labels_kind = {get_labels, put_labels, NULL};
static const struct wire_custom af_kind = {get_af, put_af, NULL};
static const struct wire_custom protocols_kind = {get_protocols, put_protocols, NULL};
static const struct wire_custom leases_kind = {get_leases, put_leases, is_workers};
static const struct wire_custom flows_kind = {get_flows, put_flows, has_flows};
static const struct wire_custom sources_kind = {get_sources, put_sources, has_sources};
static const struct wire_custom stats_kind = {get_stats, put_stats, is_workers};
static const struct wire_custom body_kind = {get_body, put_body, NULL};
static const struct wire_custom probes_kind = {get_probes, put_probes, NULL};
static const struct wire_custom trace_kind = {get_trace, put_trace, NULL};

/* ---- messages --------------------------------------------------------------------------- */

#define TEXT(name, min, allowed, flags)                                                            \
    WIRE_FIELD_TEXT(#name, struct session_msg, name, min, allowed, flags)
#define INT(name, min, max, flags) WIRE_FIELD_INT(#name, struct session_msg, name, min, max, flags)
#define CUSTOM(name, flags) WIRE_FIELD_CUSTOM(#name, &name##_kind, flags)
#define LEASE INT(lease, 1, INT64_MAX, WIRE_REQUIRED)
#define TROUBLE TEXT(trouble, 1, WIRE_PRINTABLE, WIRE_OPTIONAL)

static const struct wire_field op_field =
    WIRE_FIELD_CHOICE("op", struct session_msg, op, op_names, WIRE_REQUIRED);

static const struct wire_field hello[] = {
    TEXT(name, 1, WIRE_ID_CHARS, WIRE_REQUIRED),
    CUSTOM(versions, WIRE_REQUIRED),
    TEXT(prober, 1, WIRE_PRINTABLE, WIRE_REQUIRED),
    INT(capacity, 1, SESSION_MAX_CAPACITY, WIRE_REQUIRED),
    CUSTOM(labels, WIRE_REQUIRED),
    CUSTOM(af, WIRE_REQUIRED),
    CUSTOM(protocols, WIRE_REQUIRED),
    CUSTOM(leases, WIRE_REQUIRED),
    CUSTOM(flows, WIRE_OPTIONAL),
    CUSTOM(sources, WIRE_OPTIONAL),
    TROUBLE,
};
/* The worker sends leases, trouble and stats, the broker epoch. */
static const struct wire_field heartbeat[] = {
    CUSTOM(leases, WIRE_OPTIONAL),
    TROUBLE,
    CUSTOM(stats, WIRE_OPTIONAL),
    INT(epoch, 0, INT64_MAX, WIRE_OPTIONAL),
};
static const struct wire_field hop[] = {
    LEASE,
    INT(ttl, 1, 255, WIRE_REQUIRED),
    CUSTOM(probes, WIRE_REQUIRED),
};
static const struct wire_field result[] = {LEASE, CUSTOM(body, WIRE_REQUIRED)};
static const struct wire_field give_back[] = {
    LEASE,
    TEXT(reason, 0, WIRE_PRINTABLE, WIRE_REQUIRED),
};
static const struct wire_field welcome[] = {
    INT(epoch, 0, INT64_MAX, WIRE_REQUIRED),
    INT(heartbeat_ms, 10, 3600000, WIRE_REQUIRED),
    INT(dead_ms, 10, 3600000, WIRE_REQUIRED),
    INT(version, SESSION_VERSION_MIN, SESSION_VERSION_MAX, WIRE_OPTIONAL),
};
static const struct wire_field reject[] = {
    TEXT(code, 1, WIRE_PRINTABLE, WIRE_REQUIRED),
    TEXT(message, 0, WIRE_PRINTABLE, WIRE_REQUIRED),
};
static const struct wire_field dispatch[] = {
    LEASE,
    INT(run, 1, 1000, WIRE_REQUIRED),
    INT(deadline_ms, 0, 86400000, WIRE_REQUIRED),
    CUSTOM(trace, WIRE_REQUIRED),
};
static const struct wire_field lease_only[] = {LEASE};

#define TABLE(rows)                                                                                \
    { (rows), sizeof(rows) / sizeof(rows)[0] }

static const struct table {
    const struct wire_field *fields;
    size_t count;
} tables[] = {
    [SESSION_HELLO] = TABLE(hello),
    [SESSION_HEARTBEAT] = TABLE(heartbeat),
    [SESSION_HOP] = TABLE(hop),
    [SESSION_RESULT] = TABLE(result),
    [SESSION_RETURN] = TABLE(give_back),
    [SESSION_DRAIN] = {NULL, 0},
    [SESSION_BYE] = {NULL, 0},
    [SESSION_WELCOME] = TABLE(welcome),
    [SESSION_REJECT] = TABLE(reject),
    [SESSION_WHO] = {NULL, 0},
    [SESSION_TRACE] = TABLE(dispatch),
    [SESSION_CANCEL] = TABLE(lease_only),
    [SESSION_DONE] = TABLE(lease_only),
};

const char *session_op_name(int op) { return op_names[op]; }

bool session_get(struct session_msg *msg, struct wire_doc *doc, struct wire_error *err) {
    memset(msg, 0, sizeof *msg);
    const msgpack_object *v = wire_find(&doc->root, "v");
    if (v == NULL || !small_int(v, WIRE_VERSION) || v->via.u64 != WIRE_VERSION) {
        wire_fail(err, "unsupported-version", "v", "must be %d", WIRE_VERSION);
        return false;
    }
    if (!wire_get(&doc->root, &op_field, 1, msg, "", err))
        return false;
    msg->zone = doc->zone;
    msg->version = msg->op == SESSION_WELCOME ? 1 : 0;
    const struct table *table = &tables[msg->op];
    if (!wire_get(&doc->root, table->fields, table->count, msg, "", err))
        return false;
    if (!msg->flows_given && (msg->protocols >> TRACE_UDP & 1) != 0)
        msg->flows = msg->families;
    return true;
}

int64_t session_version(const struct session_msg *msg) {
    int64_t highest = order_min(msg->version_max, SESSION_VERSION_MAX);
    return highest >= msg->version_min && highest >= SESSION_VERSION_MIN ? highest : 0;
}

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

void session_put(msgpack_packer *pk, const struct session_msg *msg) {
    static const struct session_msg defaults;
    const struct table *table = &tables[msg->op];
    msgpack_pack_map(pk, 2 + wire_count(table->fields, table->count, msg, &defaults));
    wire_put_key_int(pk, "v", WIRE_VERSION);
    wire_put_key_text(pk, "op", op_names[msg->op]);
    wire_put(pk, table->fields, table->count, msg, &defaults);
}
