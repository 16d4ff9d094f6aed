/* The golden bytes of docs/protocol.md: each is decoded with our codecs and encoded again. */
#include "tests/unit/check.h"

#include "common/mem.h"
#include "common/protocol/hop.h"
#include "common/protocol/request.h"
#include "common/protocol/result.h"
#include "common/protocol/session.h"
#include "common/protocol/trace.h"
#include "tests/unit/golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PROBES 32

static struct golden golden;

/* What a case decoded and encoded again, and why it could not. */
struct again {
    struct wire_doc doc;
    struct wire_error err;
    msgpack_sbuffer bytes;
    msgpack_packer pk;
};

static int read_document(void **state) {
    (void)state;
    return golden_read(&golden);
}

/* ---- cases ------------------------------------------------------------------------------ */

static bool get_request(struct again *a, struct request *request, enum request_op op) {
    if (!request_get(request, &a->doc.root, &a->err))
        return false;
    assert_int_equal(request->op, op);
    return true;
}

static bool again_trace(struct again *a) {
    struct request request;
    struct trace trace;
    if (!get_request(a, &request, REQUEST_TRACE) || !trace_get(&trace, request.root, "", &a->err))
        return false;
    request_put_head(&a->pk, "trace", request.req, trace_count(&trace));
    trace_put(&a->pk, &trace);
    return true;
}

static bool again_submit(struct again *a) {
    struct request request;
    if (!get_request(a, &request, REQUEST_SUBMIT))
        return false;
    request_put_head(&a->pk, "submit", request.req, 1U + request.notify);
    if (request.notify) {
        wire_put_text(&a->pk, "notify");
        msgpack_pack_true(&a->pk);
    }
    wire_put_text(&a->pk, "traces");
    msgpack_pack_array(&a->pk, request.traces->via.array.size);
    for (uint32_t i = 0; i < request.traces->via.array.size; i++) {
        struct trace trace;
        if (!trace_get(&trace, &request.traces->via.array.ptr[i], "", &a->err))
            return false;
        trace_put_map(&a->pk, &trace);
    }
    return true;
}

static bool again_ids(struct again *a, enum request_op op, const char *name) {
    struct request request;
    if (!get_request(a, &request, op))
        return false;
    request_put_head(&a->pk, name, request.req, 1);
    wire_put_text(&a->pk, "ids");
    msgpack_pack_object(&a->pk, *request.ids);
    return true;
}

static bool again_status(struct again *a) { return again_ids(a, REQUEST_STATUS, "status"); }
static bool again_fetch(struct again *a) { return again_ids(a, REQUEST_FETCH, "fetch"); }
static bool again_cancel(struct again *a) { return again_ids(a, REQUEST_CANCEL, "cancel"); }

static bool again_replay(struct again *a) {
    struct request request;
    if (!get_request(a, &request, REQUEST_REPLAY))
        return false;
    request_put_head(&a->pk, "replay", request.req, 3);
    wire_put_key_int(&a->pk, "after", request.after);
    wire_put_key_text(&a->pk, "stream", request.stream);
    wire_put_key_int(&a->pk, "limit", request.limit);
    return true;
}

static bool again_ping(struct again *a) {
    struct request request;
    if (!get_request(a, &request, REQUEST_PING))
        return false;
    request_put_head(&a->pk, "ping", request.req, 0);
    return true;
}

/* Reads what is in an error as a client does. */
static void get_error(struct wire_error *err, const msgpack_object *map, char code[33]) {
    static const struct wire_field fields[] = {
        WIRE_FIELD_TEXT("message", struct wire_error, message, 0, WIRE_PRINTABLE, WIRE_REQUIRED),
        WIRE_FIELD_TEXT("field", struct wire_error, field, 1, WIRE_PRINTABLE, WIRE_OPTIONAL),
        WIRE_FIELD_TEXT("reason", struct wire_error, reason, 1, WIRE_PRINTABLE, WIRE_OPTIONAL),
        WIRE_FIELD_INT("retry_ms", struct wire_error, retry_ms, 1, 86400000, WIRE_OPTIONAL),
    };
    struct wire_error wrong;
    const msgpack_object *name = wire_find(map, "code");
    memset(err, 0, sizeof *err);
    assert_non_null(name);
    assert_int_equal(name->type, MSGPACK_OBJECT_STR);
    (void)snprintf(code, 33, "%.*s", (int)name->via.str.size, name->via.str.ptr);
    err->code = code;
    assert_true(wire_get(map, fields, sizeof fields / sizeof fields[0], err, "", &wrong));
}

static bool again_error(struct again *a) {
    struct wire_error err;
    char code[33];
    get_error(&err, &a->doc.root, code);
    request_put_error(&a->pk, wire_find(&a->doc.root, "req"), &err);
    return true;
}

static bool again_accepted(struct again *a) {
    const msgpack_object *ids = wire_find(&a->doc.root, "ids");
    assert_non_null(ids);
    request_put_head(&a->pk, "accepted", wire_find(&a->doc.root, "req"), 1);
    wire_put_text(&a->pk, "ids");
    msgpack_pack_array(&a->pk, ids->via.array.size);
    for (uint32_t i = 0; i < ids->via.array.size; i++) {
        struct wire_error err;
        char code[33];
        if (ids->via.array.ptr[i].type == MSGPACK_OBJECT_STR) {
            msgpack_pack_object(&a->pk, ids->via.array.ptr[i]);
            continue;
        }
        get_error(&err, &ids->via.array.ptr[i], code);
        request_put_error_map(&a->pk, &err);
    }
    return true;
}

/* Messages that only the broker writes: their keys, in this order, and then our msgpack library
 * must write what Python's did. */
static bool again_keys(struct again *a, const char *keys) {
    char found[256] = "";
    for (uint32_t i = 0; i < a->doc.root.via.map.size; i++) {
        const msgpack_object *key = &a->doc.root.via.map.ptr[i].key;
        assert_int_equal(key->type, MSGPACK_OBJECT_STR);
        (void)snprintf(found + strlen(found), sizeof found - strlen(found), "%s%.*s",
            i > 0 ? " " : "", (int)key->via.str.size, key->via.str.ptr);
    }
    assert_string_equal(found, keys);
    msgpack_pack_object(&a->pk, a->doc.root);
    return true;
}

static bool again_states(struct again *a) { return again_keys(a, "v op states"); }
static bool again_results(struct again *a) { return again_keys(a, "v op results missing more"); }
static bool again_replayed(struct again *a) {
    return again_keys(a, "v op req results more lost epoch origin seq");
}
static bool again_pong(struct again *a) {
    return again_keys(a, "v op broker version versions epoch origin seq results");
}
static bool again_alive(struct again *a) { return again_keys(a, "v op epoch origin seq streams"); }

/* ---- hops and results ------------------------------------------------------------------- */

static struct hop_probe probes[MAX_PROBES];
static struct mpls_label labels[MAX_PROBES][HOP_MPLS_MAX];
static size_t probe_count;

static bool get_hop(struct again *a, const msgpack_object *map) {
    int64_t ttl;
    const msgpack_object *array;
    if (!hop_get(map, &ttl, &array, "", &a->err) || !hop_check_probes(array, "probes", &a->err))
        return false;
    for (uint32_t i = 0; i < array->via.array.size; i++) {
        assert_true(probe_count < MAX_PROBES);
        struct hop_probe *probe = &probes[probe_count];
        if (!hop_get_probe(&array->via.array.ptr[i], probe, labels[probe_count], "", &a->err))
            return false;
        probe->ttl = (uint8_t)ttl;
        probe_count++;
    }
    return true;
}

static bool again_hop(struct again *a) {
    static const char *const texts[] = {"id", "stream"};
    probe_count = 0;
    if (!get_hop(a, &a->doc.root))
        return false;
    request_put_head(&a->pk, "hop", NULL, 4);
    for (int i = 0; i < 2; i++) {
        const msgpack_object *value = wire_find(&a->doc.root, texts[i]);
        assert_non_null(value);
        wire_put_text(&a->pk, texts[i]);
        msgpack_pack_object(&a->pk, *value);
    }
    wire_put_key_int(&a->pk, "ttl", probes[0].ttl);
    wire_put_text(&a->pk, "probes");
    hop_put_probes(&a->pk, probes, probe_count);
    return true;
}

/* Packs the encoded body in `out` again, with the names. */
static void put_names(const msgpack_object *map, msgpack_sbuffer *out) {
    struct result_name names[4];
    char texts[4][RESULT_NAME_BYTES + 1], addr[ADDR_TEXT];
    assert_true(map->via.map.size <= 4);
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object_kv *pair = &map->via.map.ptr[i];
        (void)snprintf(
            addr, sizeof addr, "%.*s", (int)pair->key.via.str.size, pair->key.via.str.ptr);
        (void)snprintf(
            texts[i], sizeof texts[i], "%.*s", (int)pair->val.via.str.size, pair->val.via.str.ptr);
        assert_true(addr_parse(&names[i].addr, addr));
        names[i].name = texts[i];
    }
    msgpack_sbuffer with;
    msgpack_packer pk;
    msgpack_sbuffer_init(&with);
    msgpack_packer_init(&pk, &with, msgpack_sbuffer_write);
    result_put_names(&pk, out->data, out->size, names, map->via.map.size);
    msgpack_sbuffer_destroy(out);
    *out = with;
}

static bool put_summary(struct again *a, const struct result_body *body, msgpack_packer *pk) {
    const msgpack_object_array *members = &body->members->via.array;
    result_put_summary(pk, body, members->size);
    for (uint32_t i = 0; i < members->size; i++) {
        struct result_member member;
        if (!result_get_member(&member, &members->ptr[i], "", &a->err))
            return false;
        result_put_member(pk, &member);
    }
    return true;
}

static bool put_body(struct again *a, struct result_body *body, msgpack_sbuffer *out) {
    msgpack_packer pk;
    probe_count = 0;
    for (uint32_t i = 0; i < body->hops->via.array.size; i++)
        if (!get_hop(a, &body->hops->via.array.ptr[i]))
            return false;
    msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
    if (body->members != NULL)
        return put_summary(a, body, &pk);
    result_put_body(&pk, body, probes, probe_count);
    if (body->names != NULL)
        put_names(body->names, out);
    return true;
}

static bool again_result(struct again *a) {
    struct result_head head;
    struct result_body body;
    if (!result_get_head(&head, &a->doc.root, &a->err) ||
        !result_get_body(&body, &a->doc.root, &a->err))
        return false;
    msgpack_sbuffer encoded;
    msgpack_sbuffer_init(&encoded);
    bool put = put_body(a, &body, &encoded);
    if (put)
        result_merge(&a->pk, &head, encoded.data, encoded.size);
    msgpack_sbuffer_destroy(&encoded);
    return put;
}

/* ---- worker messages -------------------------------------------------------------------- */

static bool put_session_result(struct again *a, struct session_msg *msg) {
    struct again inner = {.err = {0}};
    struct result_body body;
    assert_true(wire_doc_init(&inner.doc));
    msgpack_sbuffer_init(&inner.bytes);
    bool ok = wire_doc_read(&inner.doc, msg->body, msg->body_size, SESSION_MAX_VALUES, &a->err) &&
              result_check_body(&inner.doc.root, &a->err) &&
              result_get_body(&body, &inner.doc.root, &a->err) && put_body(a, &body, &inner.bytes);
    if (ok) {
        msg->body = inner.bytes.data;
        msg->body_size = inner.bytes.size;
        session_put(&a->pk, msg);
    }
    msgpack_sbuffer_destroy(&inner.bytes);
    wire_doc_free(&inner.doc);
    return ok;
}

static bool put_session_trace(struct again *a, struct session_msg *msg) {
    struct trace trace;
    msgpack_sbuffer bytes;
    msgpack_packer pk;
    if (!trace_get(&trace, msg->trace, "trace.", &a->err))
        return false;
    msgpack_sbuffer_init(&bytes);
    msgpack_packer_init(&pk, &bytes, msgpack_sbuffer_write);
    trace_put_map(&pk, &trace);
    msg->trace_bytes = bytes.data;
    msg->trace_size = bytes.size;
    session_put(&a->pk, msg);
    msgpack_sbuffer_destroy(&bytes);
    return true;
}

static void put_session_heartbeat(struct again *a, struct session_msg *msg) {
    static char names[SESSION_MAX_STATS][65];
    static struct session_stat stats[SESSION_MAX_STATS];
    if (msg->stats != NULL)
        for (uint32_t i = 0; i < msg->stats->via.map.size; i++) {
            const msgpack_object_kv *pair = &msg->stats->via.map.ptr[i];
            (void)snprintf(names[i], sizeof names[i], "%.*s", (int)pair->key.via.str.size,
                pair->key.via.str.ptr);
            stats[i] = (struct session_stat){names[i], (int64_t)pair->val.via.u64};
            msg->stat_count++;
        }
    msg->stat_list = stats;
    session_put(&a->pk, msg);
}

/* The block's own bytes must not leak into what is written: session_put() writes from members
 * that session_get() does not fill, so those are filled here by way of the other codecs. */
static bool again_session(struct again *a) {
    struct session_msg msg;
    if (!session_get(&msg, &a->doc, &a->err))
        return false;
    switch (msg.op) {
    case SESSION_RESULT:
        return put_session_result(a, &msg);
    case SESSION_TRACE:
        return put_session_trace(a, &msg);
    case SESSION_HEARTBEAT:
        put_session_heartbeat(a, &msg);
        return true;
    case SESSION_HOP:
        probe_count = 0;
        if (!get_hop(a, &a->doc.root))
            return false;
        msg.hop_probes = probes;
        msg.hop_probe_count = probe_count;
        break;
    default:
        break;
    }
    session_put(&a->pk, &msg);
    return true;
}

/* ---- the test --------------------------------------------------------------------------- */

static const struct kind {
    const char *name;
    bool (*again)(struct again *a);
} kinds[] = {
    {"error", again_error},
    {"error-busy", again_error},
    {"trace", again_trace},
    {"submit", again_submit},
    {"accepted", again_accepted},
    {"status", again_status},
    {"status-reply", again_states},
    {"fetch", again_fetch},
    {"results", again_results},
    {"replay", again_replay},
    {"replay-reply", again_replayed},
    {"cancel", again_cancel},
    {"cancelled", again_states},
    {"ping", again_ping},
    {"pong", again_pong},
    {"result", again_result},
    {"result-names", again_result},
    {"result-summary", again_result},
    {"result-shared", again_result},
    {"hop", again_hop},
    {"alive", again_alive},
    {"worker-hello", again_session},
    {"worker-hello-1", again_session},
    {"worker-hello-trouble", again_session},
    {"worker-welcome", again_session},
    {"worker-reject", again_session},
    {"worker-who", again_session},
    {"worker-trace", again_session},
    {"worker-hop", again_session},
    {"worker-result", again_session},
    {"worker-done", again_session},
    {"worker-cancel", again_session},
    {"worker-return", again_session},
    {"worker-heartbeat", again_session},
    {"worker-heartbeat-trouble", again_session},
    {"worker-heartbeat-reply", again_session},
    {"worker-drain", again_session},
    {"worker-bye", again_session},
};

#define KINDS (sizeof kinds / sizeof kinds[0])

static const struct kind *kind_of(const char *name) {
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

/* False if the block does not come back as it was; says why unless it is expected. */
static bool same_again(const struct golden_block *block, bool expected) {
    struct again a = {.err = {0}};
    const struct kind *kind = kind_of(block->name);
    if (kind == NULL) {
        fprintf(stderr, "golden %s: no case of this test handles it\n", block->name);
        return false;
    }
    assert_true(wire_doc_init(&a.doc));
    msgpack_sbuffer_init(&a.bytes);
    msgpack_packer_init(&a.pk, &a.bytes, msgpack_sbuffer_write);
    bool decoded = block->size > 0 &&
                   wire_doc_read(&a.doc, block->bytes, block->size, REQUEST_MAX_VALUES, &a.err) &&
                   kind->again(&a);
    bool same = decoded && a.bytes.size == block->size &&
                memcmp(a.bytes.data, block->bytes, block->size) == 0;
    if (!decoded && !expected)
        fprintf(stderr, "golden %s: %s\n", block->name, a.err.message);
    else if (!same && !expected)
        (void)golden_same(block, a.bytes.data, a.bytes.size);
    msgpack_sbuffer_destroy(&a.bytes);
    wire_doc_free(&a.doc);
    return same;
}

static void every_block_comes_back_as_it_was(void **state) {
    (void)state;
    unsigned wrong = 0;
    for (size_t i = 0; i < golden.count; i++)
        wrong += !same_again(&golden.blocks[i], false);
    assert_int_equal(wrong, 0);
}

/* A case whose block left the document would pass without ever being run. */
static void every_case_has_its_block(void **state) {
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        size_t found = 0;
        for (size_t j = 0; j < golden.count; j++)
            found += strcmp(golden.blocks[j].name, kinds[i].name) == 0;
        if (found != 1)
            fail_msg("golden %s: %zu times in the document", kinds[i].name, found);
    }
}

/* The comparison must be able to fail. */
static void a_changed_byte_is_found(void **state) {
    (void)state;
    for (size_t i = 0; i < golden.count; i++) {
        struct golden_block changed = golden.blocks[i];
        changed.bytes[1] ^= 1; /* the length of the first key */
        assert_false(same_again(&changed, true));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_block_comes_back_as_it_was),
        cmocka_unit_test(every_case_has_its_block),
        cmocka_unit_test(a_changed_byte_is_found),
    };
    return cmocka_run_group_tests(tests, read_document, NULL);
}
