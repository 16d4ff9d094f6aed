#include "common/protocol/request.h"

#include "common/protocol/result.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define REQ_BYTES 64

static const char *const op_names[] = {
    [REQUEST_TRACE] = "trace",
    [REQUEST_SUBMIT] = "submit",
    [REQUEST_STATUS] = "status",
    [REQUEST_FETCH] = "fetch",
    [REQUEST_REPLAY] = "replay",
    [REQUEST_CANCEL] = "cancel",
    [REQUEST_STATS] = "stats",
    [REQUEST_PING] = "ping",
    NULL,
};

static const struct wire_field fields[] = {
    WIRE_FIELD_CHOICE("op", struct request, op, op_names, WIRE_REQUIRED),
    WIRE_FIELD_VALUE("traces", struct request, traces, WIRE_OPTIONAL),
    WIRE_FIELD_VALUE("ids", struct request, ids, WIRE_OPTIONAL),
    WIRE_FIELD_BOOL("notify", struct request, notify, WIRE_OPTIONAL),
};

#define FIELDS (sizeof fields / sizeof fields[0])

static const struct wire_field replay_fields[] = {
    WIRE_FIELD_INT("after", struct request, after, 0, INT64_MAX, WIRE_REQUIRED),
    WIRE_FIELD_TEXT("stream", struct request, stream, 1, WIRE_STREAM_CHARS, WIRE_OPTIONAL),
    WIRE_FIELD_INT("limit", struct request, limit, 1, REQUEST_MAX_ITEMS, WIRE_OPTIONAL),
};

#define REPLAY_FIELDS (sizeof replay_fields / sizeof replay_fields[0])

static bool get_req(struct request *request, const msgpack_object *root, struct wire_error *err) {
    const msgpack_object *req = wire_find(root, "req");
    if (req == NULL)
        return true;
    bool integer = req->type == MSGPACK_OBJECT_POSITIVE_INTEGER ||
                   req->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;
    if (!integer && (req->type != MSGPACK_OBJECT_STR || req->via.str.size > REQ_BYTES)) {
        wire_fail(err, "bad-request", "req", "must be an integer or a string of up to %d bytes",
            REQ_BYTES);
        return false;
    }
    request->req = req;
    return true;
}

static bool get_version(const msgpack_object *root, struct wire_error *err) {
    const msgpack_object *v = wire_find(root, "v");
    if (v == NULL || v->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        wire_fail(err, "unsupported-version", "v", "must be the integer %d", WIRE_VERSION);
    else if (v->via.u64 != WIRE_VERSION)
        wire_fail(err, "unsupported-version", "v", "%" PRIu64 ": this broker speaks %d", v->via.u64,
            WIRE_VERSION);
    else
        return true;
    return false;
}

static bool check_items(const msgpack_object *items, const char *field, struct wire_error *err) {
    if (items == NULL) {
        wire_fail(err, "bad-request", field, "is missing");
        return false;
    }
    if (items->type != MSGPACK_OBJECT_ARRAY) {
        wire_fail(err, "bad-request", field, "must be an array");
        return false;
    }
    if (items->via.array.size < 1 || items->via.array.size > REQUEST_MAX_ITEMS) {
        wire_fail(err, "bad-request", field, "%u elements: must be 1..%d", items->via.array.size,
            REQUEST_MAX_ITEMS);
        return false;
    }
    return true;
}

static bool check_ids(const msgpack_object *ids, struct wire_error *err) {
    if (!check_items(ids, "ids", err))
        return false;
    for (uint32_t i = 0; i < ids->via.array.size; i++) {
        const msgpack_object *id = &ids->via.array.ptr[i];
        if (id->type != MSGPACK_OBJECT_STR || !result_is_id(id->via.str.ptr, id->via.str.size)) {
            char field[32];
            (void)snprintf(field, sizeof field, "ids[%u]", i);
            wire_fail(err, "bad-request", field,
                "must be a string of 1..%d of A-Za-z0-9._:-, or two such with / between",
                TRACE_ID_BYTES);
            return false;
        }
    }
    return true;
}

bool request_get(struct request *request, const msgpack_object *root, struct wire_error *err) {
    memset(request, 0, sizeof *request);
    request->root = root;
    if (!get_req(request, root, err) || !get_version(root, err) ||
        !wire_get(root, fields, FIELDS, request, "", err))
        return false;
    switch ((enum request_op)request->op) {
    case REQUEST_SUBMIT:
        return check_items(request->traces, "traces", err);
    case REQUEST_STATUS:
    case REQUEST_FETCH:
    case REQUEST_CANCEL:
        return check_ids(request->ids, err);
    case REQUEST_REPLAY:
        request->limit = REQUEST_MAX_ITEMS;
        return wire_get(root, replay_fields, REPLAY_FIELDS, request, "", err);
    case REQUEST_TRACE:
    case REQUEST_STATS:
    case REQUEST_PING:
        break;
    }
    return true;
}

void request_put_head(
    msgpack_packer *pk, const char *op, const msgpack_object *req, uint32_t pairs) {
    msgpack_pack_map(pk, 2 + pairs + (req != NULL));
    wire_put_key_int(pk, "v", WIRE_VERSION);
    wire_put_key_text(pk, "op", op);
    if (req != NULL) {
        wire_put_text(pk, "req");
        msgpack_pack_object(pk, *req);
    }
}

static void put_numbered_head(msgpack_packer *pk, const char *op, int64_t req, uint32_t pairs) {
    msgpack_object number = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = (uint64_t)req};
    request_put_head(pk, op, &number, pairs);
}

void request_put_submit(
    msgpack_sbuffer *out, int64_t req, bool notify, const msgpack_sbuffer *traces, uint32_t count) {
    msgpack_packer pk;
    msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
    put_numbered_head(&pk, "submit", req, 1U + notify);
    if (notify) {
        wire_put_text(&pk, "notify");
        msgpack_pack_true(&pk);
    }
    wire_put_text(&pk, "traces");
    msgpack_pack_array(&pk, count);
    (void)msgpack_sbuffer_write(out, traces->data, traces->size);
}

void request_put_ids(
    msgpack_sbuffer *out, const char *op, int64_t req, const char *const *ids, uint32_t count) {
    msgpack_packer pk;
    msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
    put_numbered_head(&pk, op, req, 1);
    wire_put_text(&pk, "ids");
    msgpack_pack_array(&pk, count);
    for (uint32_t i = 0; i < count; i++)
        wire_put_text(&pk, ids[i]);
}

void request_put_replay(
    msgpack_sbuffer *out, int64_t req, int64_t after, const char *stream, int64_t limit) {
    msgpack_packer pk;
    msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
    put_numbered_head(&pk, "replay", req, 2U + (stream != NULL));
    wire_put_key_int(&pk, "after", after);
    if (stream != NULL)
        wire_put_key_text(&pk, "stream", stream);
    wire_put_key_int(&pk, "limit", limit);
}

static uint32_t count_error_pairs(const struct wire_error *err) {
    return 2U + (err->field[0] != '\0') + (err->reason[0] != '\0') + (err->retry_ms != 0);
}

static void put_error_pairs(msgpack_packer *pk, const struct wire_error *err) {
    wire_put_key_text(pk, "code", err->code);
    wire_put_key_text(pk, "message", err->message);
    if (err->field[0] != '\0')
        wire_put_key_text(pk, "field", err->field);
    if (err->reason[0] != '\0')
        wire_put_key_text(pk, "reason", err->reason);
    if (err->retry_ms != 0)
        wire_put_key_int(pk, "retry_ms", err->retry_ms);
}

void request_put_error(
    msgpack_packer *pk, const msgpack_object *req, const struct wire_error *err) {
    request_put_head(pk, "error", req, count_error_pairs(err));
    put_error_pairs(pk, err);
}

void request_put_error_map(msgpack_packer *pk, const struct wire_error *err) {
    msgpack_pack_map(pk, count_error_pairs(err));
    put_error_pairs(pk, err);
}
