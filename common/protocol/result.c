#include "common/protocol/result.h"

#include "common/protocol/hop.h"
#include "common/protocol/wire_head.h"

#include <stdio.h>
#include <string.h>

const char *const result_stop_names[] = {
    [STOP_REACHED] = "reached",
    [STOP_UNREACHABLE] = "unreachable",
    [STOP_GAP_LIMIT] = "gap-limit",
    [STOP_MAX_TTL] = "max-ttl",
    [STOP_LOOP] = "loop",
    [STOP_DEADLINE] = "deadline",
    [STOP_CANCELLED] = "cancelled",
    [STOP_UNRESOLVED] = "unresolved",
    [STOP_NO_ROUTE] = "no-route",
    [STOP_DENIED] = "denied",
    [STOP_PROBER_ERROR] = "prober-error",
    [STOP_WORKER_LOST] = "worker-lost",
    [STOP_NO_WORKER] = "no-worker",
    [STOP_SUMMARY] = "summary",
    NULL,
};

/* `error`, `hops`, `names` and `members` come last and are packed by hand. */
static const struct wire_field body_fields[] = {
    WIRE_FIELD_TEXT("target", struct result_body, target, 1, WIRE_PRINTABLE, WIRE_REQUIRED),
    WIRE_FIELD_TEXT(
        "dst", struct result_body, dst, 2, WIRE_PRINTABLE, WIRE_REQUIRED | WIRE_NULLABLE),
    WIRE_FIELD_TEXT(
        "src", struct result_body, src, 2, WIRE_PRINTABLE, WIRE_REQUIRED | WIRE_NULLABLE),
    WIRE_FIELD_CHOICE(
        "protocol", struct result_body, protocol, trace_protocol_names, WIRE_REQUIRED),
    WIRE_FIELD_INT("port", struct result_body, port, 1, 65535, WIRE_OPTIONAL),
    WIRE_FIELD_INT("flow", struct result_body, flow, 0, 1023, WIRE_OPTIONAL),
    WIRE_FIELD_BOOL("constant_flow", struct result_body, constant_flow, WIRE_OPTIONAL),
    WIRE_FIELD_INT("src_port", struct result_body, src_port, 1, 65535, WIRE_OPTIONAL),
    WIRE_FIELD_INT("first_ttl", struct result_body, first_ttl, 1, 255, WIRE_REQUIRED),
    WIRE_FIELD_INT("max_ttl", struct result_body, max_ttl, 1, 255, WIRE_REQUIRED),
    WIRE_FIELD_INT("started_us", struct result_body, started_us, 0, INT64_MAX, WIRE_REQUIRED),
    WIRE_FIELD_INT("finished_us", struct result_body, finished_us, 0, INT64_MAX, WIRE_REQUIRED),
    WIRE_FIELD_TEXT("prober", struct result_body, prober, 1, WIRE_PRINTABLE, WIRE_OPTIONAL),
    WIRE_FIELD_INT("probes_sent", struct result_body, probes_sent, 0, INT64_MAX, WIRE_REQUIRED),
    WIRE_FIELD_CHOICE("stop", struct result_body, stop, result_stop_names, WIRE_REQUIRED),
    WIRE_FIELD_VALUE("error", struct result_body, error, WIRE_OPTIONAL),
    WIRE_FIELD_VALUE("hops", struct result_body, hops, WIRE_REQUIRED),
    WIRE_FIELD_VALUE("names", struct result_body, names, WIRE_OPTIONAL),
    WIRE_FIELD_VALUE("members", struct result_body, members, WIRE_OPTIONAL),
};

#define BODY_FIELDS (sizeof body_fields / sizeof body_fields[0])
#define PLAIN_BODY_FIELDS (BODY_FIELDS - 4)

static const struct wire_field error_fields[] = {
    WIRE_FIELD_TEXT("code", struct result_body, error_code, 1, WIRE_PRINTABLE, WIRE_REQUIRED),
    WIRE_FIELD_TEXT("message", struct result_body, error_message, 0, WIRE_PRINTABLE, WIRE_REQUIRED),
};

static const struct wire_field member_fields[] = {
    WIRE_FIELD_TEXT("worker", struct result_member, worker, 1, WIRE_ID_CHARS, WIRE_REQUIRED),
    WIRE_FIELD_TEXT("id", struct result_member, id, 1, RESULT_ID_CHARS, WIRE_REQUIRED),
    WIRE_FIELD_CHOICE("stop", struct result_member, stop, result_stop_names, WIRE_REQUIRED),
    WIRE_FIELD_INT("seq", struct result_member, seq, 1, INT64_MAX, WIRE_REQUIRED),
};

#define MEMBER_FIELDS (sizeof member_fields / sizeof member_fields[0])

static const struct wire_field head_fields[] = {
    WIRE_FIELD_VALUE("req", struct result_head, req, WIRE_OPTIONAL),
    WIRE_FIELD_INT("seq", struct result_head, seq, 1, INT64_MAX, WIRE_REQUIRED),
    WIRE_FIELD_TEXT("stream", struct result_head, stream, 1, WIRE_STREAM_CHARS, WIRE_REQUIRED),
    WIRE_FIELD_INT("stream_seq", struct result_head, stream_seq, 1, INT64_MAX, WIRE_REQUIRED),
    WIRE_FIELD_INT("epoch", struct result_head, epoch, 0, INT64_MAX, WIRE_REQUIRED),
    WIRE_FIELD_TEXT("id", struct result_head, id, 1, RESULT_ID_CHARS, WIRE_REQUIRED),
    WIRE_FIELD_VALUE("meta", struct result_head, meta, WIRE_OPTIONAL),
    WIRE_FIELD_INT("accepted_us", struct result_head, accepted_us, 0, INT64_MAX, WIRE_REQUIRED),
    WIRE_FIELD_TEXT("worker", struct result_head, worker, 1, WIRE_ID_CHARS, WIRE_OPTIONAL),
    WIRE_FIELD_INT("run", struct result_head, run, 0, 1000, WIRE_REQUIRED),
    WIRE_FIELD_TEXT("shared", struct result_head, shared, 1, RESULT_ID_CHARS, WIRE_OPTIONAL),
};

#define HEAD_FIELDS (sizeof head_fields / sizeof head_fields[0])

static const struct result_body plain_body = {.flow = -1};
static const struct result_head plain_head;

void result_from_trace(struct result_body *body, const struct trace *trace) {
    memset(body, 0, sizeof *body);
    (void)snprintf(body->target, sizeof body->target, "%s", trace->target);
    body->protocol = trace->protocol;
    body->port = trace->port;
    body->flow = trace->flow;
    body->first_ttl = trace->first_ttl;
    body->max_ttl = trace->max_ttl;
}

bool result_is_id(const char *text, size_t size) {
    const char *slash = memchr(text, '/', size);
    size_t first = slash != NULL ? (size_t)(slash - text) : size;
    if (first < 1 || first > TRACE_ID_BYTES || !wire_allowed(text, first, WIRE_ID_CHARS))
        return false;
    if (slash == NULL)
        return true;
    size_t second = size - first - 1;
    return second >= 1 && second <= TRACE_ID_BYTES &&
           wire_allowed(slash + 1, second, WIRE_ID_CHARS);
}

/* All but the values of what comes behind `hops`, of which there are `more`. */
static void put_body(msgpack_packer *pk, const struct result_body *body,
    const struct hop_probe *probes, size_t count, uint32_t more) {
    bool failed = body->error_code[0] != '\0';
    msgpack_pack_map(
        pk, wire_count(body_fields, PLAIN_BODY_FIELDS, body, &plain_body) + failed + 1 + more);
    wire_put(pk, body_fields, PLAIN_BODY_FIELDS, body, &plain_body);
    if (failed) {
        wire_put_text(pk, "error");
        msgpack_pack_map(pk, 2);
        wire_put(pk, error_fields, 2, body, &plain_body);
    }
    wire_put_text(pk, "hops");
    hop_put_hops(pk, probes, count);
}

void result_put_body(msgpack_packer *pk, const struct result_body *body,
    const struct hop_probe *probes, size_t count) {
    put_body(pk, body, probes, count, 0);
}

void result_put_summary(msgpack_packer *pk, const struct result_body *body, size_t count) {
    put_body(pk, body, NULL, 0, 1);
    wire_put_text(pk, "members");
    msgpack_pack_array(pk, count);
}

void result_put_member(msgpack_packer *pk, const struct result_member *member) {
    msgpack_pack_map(pk, MEMBER_FIELDS);
    wire_put(pk, member_fields, MEMBER_FIELDS, member, member);
}

static bool check_id(const char *id, const char *path, struct wire_error *err) {
    if (result_is_id(id, strlen(id)))
        return true;
    char field[80];
    (void)snprintf(field, sizeof field, "%sid", path);
    wire_fail(err, "bad-request", field, "%.64s: must be an id, or an id, / and a worker", id);
    return false;
}

bool result_get_member(struct result_member *member, const msgpack_object *map, const char *path,
    struct wire_error *err) {
    return wire_get(map, member_fields, MEMBER_FIELDS, member, path, err) &&
           check_id(member->id, path, err);
}

static bool check_members(const msgpack_object *members, struct wire_error *err) {
    if (members->type != MSGPACK_OBJECT_ARRAY || members->via.array.size > RESULT_MAX_MEMBERS) {
        wire_fail(
            err, "bad-request", "members", "must be an array of at most %d", RESULT_MAX_MEMBERS);
        return false;
    }
    for (uint32_t i = 0; i < members->via.array.size; i++) {
        struct result_member member;
        char path[32];
        (void)snprintf(path, sizeof path, "members[%u].", i);
        if (!result_get_member(&member, &members->via.array.ptr[i], path, err))
            return false;
    }
    return true;
}

bool result_is_name(const char *text, size_t size) {
    char name[RESULT_NAME_BYTES + 1];
    struct addr addr;
    if (size < 1 || size > RESULT_NAME_BYTES || text[0] == '.' ||
        !wire_allowed(text, size, WIRE_HOST_CHARS))
        return false;
    memcpy(name, text, size);
    name[size] = '\0';
    return !addr_parse(&addr, name);
}

static bool is_address(const char *text, size_t size) {
    char copy[ADDR_TEXT], canonical[ADDR_TEXT];
    struct addr addr;
    if (size >= sizeof copy)
        return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    return strlen(copy) == size && addr_parse(&addr, copy) &&
           strcmp(addr_print(&addr, canonical), copy) == 0;
}

static bool check_names(const msgpack_object *names, struct wire_error *err) {
    bool good = names->type == MSGPACK_OBJECT_MAP && names->via.map.size <= RESULT_MAX_NAMES;
    for (uint32_t i = 0; good && i < names->via.map.size; i++) {
        const msgpack_object *key = &names->via.map.ptr[i].key;
        const msgpack_object *value = &names->via.map.ptr[i].val;
        good = key->type == MSGPACK_OBJECT_STR && value->type == MSGPACK_OBJECT_STR &&
               is_address(key->via.str.ptr, key->via.str.size) &&
               result_is_name(value->via.str.ptr, value->via.str.size);
    }
    if (!good)
        wire_fail(err, "bad-request", "names",
            "must be a map from at most %d addresses to host names of 1..%d of A-Za-z0-9._-",
            RESULT_MAX_NAMES, RESULT_NAME_BYTES);
    return good;
}

static bool get_body(struct result_body *body, const msgpack_object *map, uint32_t *unknown,
    struct wire_error *err) {
    *body = plain_body;
    if (!wire_get_known(map, body_fields, BODY_FIELDS, body, "", unknown, err) ||
        !hop_check_hops(body->hops, body->first_ttl, unknown, err) ||
        (body->names != NULL && !check_names(body->names, err)) ||
        (body->members != NULL && !check_members(body->members, err)))
        return false;
    return body->error == NULL ||
           wire_get_known(body->error, error_fields, 2, body, "error.", unknown, err);
}

bool result_get_body(struct result_body *body, const msgpack_object *map, struct wire_error *err) {
    uint32_t unknown = 0;
    return get_body(body, map, &unknown, err);
}

/* Pairs that the tables do not know are passed on, so they must be portable. */
static bool check_unknown(const msgpack_object *map, struct wire_error *err) {
    if (!wire_portable(map, RESULT_MAX_DEPTH)) {
        wire_fail(err, "bad-request", "body",
            "must have strings as map keys, UTF-8 in strings, and nest at most %d deep",
            RESULT_MAX_DEPTH);
        return false;
    }
    for (size_t i = 0; i < HEAD_FIELDS; i++)
        if (wire_find(map, head_fields[i].name) != NULL) {
            wire_fail(err, "bad-request", head_fields[i].name, "only the broker may set it");
            return false;
        }
    if (wire_find(map, "v") == NULL && wire_find(map, "op") == NULL)
        return true;
    wire_fail(err, "bad-request", "body", "only the broker may set v and op");
    return false;
}

bool result_check_body(const msgpack_object *map, struct wire_error *err) {
    uint32_t unknown = 0;
    struct result_body body;
    if (!get_body(&body, map, &unknown, err))
        return false;
    if (body.stop == STOP_SUMMARY || body.members != NULL) {
        wire_fail(err, "bad-request", "members", "only the broker makes a summary");
        return false;
    }
    return unknown == 0 || check_unknown(map, err);
}

int result_stop_of(const msgpack_object *map) {
    const msgpack_object *stop = wire_find(map, "stop");
    int i = 0;
    while (i < RESULT_STOPS - 1 && (stop == NULL || !wire_is(stop, result_stop_names[i])))
        i++;
    return i;
}

static bool is_head(const msgpack_object *key) {
    for (size_t i = 0; i < HEAD_FIELDS; i++)
        if (wire_is_name(key, &head_fields[i]))
            return true;
    return wire_is(key, "v") || wire_is(key, "op");
}

void result_put_body_of(msgpack_packer *pk, const msgpack_object *result) {
    const msgpack_object_map *map = &result->via.map;
    uint32_t pairs = 0;
    for (uint32_t i = 0; i < map->size; i++)
        pairs += !is_head(&map->ptr[i].key);
    msgpack_pack_map(pk, pairs);
    for (uint32_t i = 0; i < map->size; i++)
        if (!is_head(&map->ptr[i].key)) {
            msgpack_pack_object(pk, map->ptr[i].key);
            msgpack_pack_object(pk, map->ptr[i].val);
        }
}

bool result_get_head(struct result_head *head, const msgpack_object *map, struct wire_error *err) {
    *head = plain_head;
    return wire_get(map, head_fields, HEAD_FIELDS, head, "", err) && check_id(head->id, "", err);
}

/* What put_v_and_op() writes. */
#define V_AND_OP_BYTES (sizeof "\xa1v\x01\xa2op\xa6result" - 1)

static void put_v_and_op(msgpack_packer *pk) {
    wire_put_key_int(pk, "v", WIRE_VERSION);
    wire_put_key_text(pk, "op", "result");
}

static bool is_known(const struct result_name *n) { return n->name != NULL && n->name[0] != '\0'; }

void result_put_names(msgpack_packer *pk, const void *body, size_t size,
    const struct result_name *names, size_t count) {
    uint32_t pairs, known = 0;
    char text[ADDR_TEXT];
    size_t skip = wire_map_head(body, size, &pairs);
    msgpack_pack_map(pk, pairs + 1);
    (void)pk->callback(pk->data, (const char *)body + skip, size - skip);
    for (size_t i = 0; i < count; i++)
        known += is_known(&names[i]);
    wire_put_text(pk, "names");
    msgpack_pack_map(pk, known);
    for (size_t i = 0; i < count; i++)
        if (is_known(&names[i]))
            wire_put_key_text(pk, addr_print(&names[i].addr, text), names[i].name);
}

void result_merge(
    msgpack_packer *pk, const struct result_head *head, const void *body, size_t size) {
    uint32_t pairs;
    size_t skip = wire_map_head(body, size, &pairs);
    msgpack_pack_map(pk, 2 + wire_count(head_fields, HEAD_FIELDS, head, &plain_head) + pairs);
    put_v_and_op(pk);
    wire_put(pk, head_fields, HEAD_FIELDS, head, &plain_head);
    (void)pk->callback(pk->data, (const char *)body + skip, size - skip);
}

void result_put_with_req(
    msgpack_packer *pk, const void *result, size_t size, const msgpack_object *req) {
    uint32_t pairs;
    size_t skip = wire_map_head(result, size, &pairs) + V_AND_OP_BYTES;
    msgpack_pack_map(pk, pairs + 1);
    put_v_and_op(pk);
    wire_put_text(pk, "req");
    msgpack_pack_object(pk, *req);
    (void)pk->callback(pk->data, (const char *)result + skip, size - skip);
}
