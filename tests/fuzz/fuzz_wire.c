/* Frames of strangers, as the broker, its store, the worker and a client read them. What is
 * accepted is within its limits, and what is written of it is read again as the same. */
#include "broker/store/columns.h"
#include "common/logfmt.h"
#include "common/protocol/request.h"
#include "common/protocol/result.h"
#include "common/protocol/session.h"
#include "common/protocol/trace.h"
#include "common/protocol/wire_text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_VALUES 4096 /* keeps one input fast; the limit itself is tested elsewhere */
#define MAX_PROBES 512

#define CHECK(rule)                                                                                \
    do {                                                                                           \
        if (!(rule)) {                                                                             \
            fprintf(stderr, "fuzz_wire: broken: %s\n", #rule);                                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Something to write into and to read again from. */
struct page {
    struct wire_doc doc;
    msgpack_sbuffer bytes;
    msgpack_packer pk;
};

static void page_open(struct page *page) {
    CHECK(wire_doc_init(&page->doc));
    msgpack_sbuffer_init(&page->bytes);
    msgpack_packer_init(&page->pk, &page->bytes, msgpack_sbuffer_write);
}

static void page_close(struct page *page) {
    wire_doc_free(&page->doc);
    msgpack_sbuffer_destroy(&page->bytes);
}

static bool page_read(struct page *page) {
    struct wire_error err;
    return wire_doc_read(&page->doc, page->bytes.data, page->bytes.size, SESSION_MAX_VALUES, &err);
}

static bool same_bytes(const struct page *a, const struct page *b) {
    return a->bytes.size == b->bytes.size &&
           memcmp(a->bytes.data, b->bytes.data, a->bytes.size) == 0;
}

/* An error that goes to a peer must be readable by it. */
static void check_error(const struct wire_error *err) {
    struct page page;
    page_open(&page);
    CHECK(err->code != NULL && err->message[0] != '\0');
    for (const char *c = err->message; *c != '\0'; c++)
        CHECK(*c >= 0x20 && *c < 0x7f);
    request_put_error(&page.pk, NULL, err);
    CHECK(page_read(&page));
    page_close(&page);
}

/* ---- traces and requests ---------------------------------------------------------------- */

static void check_ranges(const struct trace *t) {
    CHECK(t->target[0] != '\0' && strlen(t->target) <= TRACE_TARGET_BYTES);
    CHECK(t->af == 0 || t->af == 4 || t->af == 6);
    CHECK(t->port >= 0 && t->port <= 65535);
    CHECK(t->first_ttl >= 1 && t->first_ttl <= t->max_ttl && t->max_ttl <= 255);
    CHECK(t->probes >= 1 && t->probes <= t->attempts && t->attempts <= 32);
    CHECK(t->timeout_ms >= 100 && t->timeout_ms <= 30000);
    CHECK(t->gap_limit >= 0 && t->gap_limit <= 255);
    CHECK(t->window >= 0 && t->window <= 64);
    CHECK(t->flow >= -1 && t->flow <= 1023);
    CHECK(t->size >= 28 && t->size <= 1500);
    CHECK(t->tos >= 0 && t->tos <= 255 && t->bit_pattern >= 0 && t->bit_pattern <= 255);
    CHECK(t->priority >= 0 && t->priority <= 9);
    CHECK(t->deadline_ms >= 100 && t->deadline_ms <= 86400000);
    CHECK(t->max_age_ms >= 0 && t->max_age_ms <= 86400000 && (t->coalesce || t->max_age_ms == 0));
    CHECK(t->fanout >= TRACE_FANOUT_ALL && t->fanout <= TRACE_MAX_FANOUT);
    CHECK(t->fanout == 0 || !t->coalesce);
    /* nothing that could end a word or a line of the prober's protocol */
    CHECK(strpbrk(t->target, " \t\r\n") == NULL && strpbrk(t->source, " \t\r\n") == NULL);
}

/* Written and read again it is the same trace, and written again the same bytes. */
static void fuzz_trace(const msgpack_object *map) {
    struct trace trace, again;
    struct wire_error err;
    struct page one, two;
    size_t probing_size;
    if (!trace_get(&trace, map, "traces[7].", &err)) {
        check_error(&err);
        return;
    }
    check_ranges(&trace);
    page_open(&one);
    page_open(&two);
    trace_put_map(&one.pk, &trace);
    CHECK(page_read(&one));
    CHECK(trace_get(&again, &one.doc.root, "", &err));
    trace_put_map(&two.pk, &again);
    CHECK(same_bytes(&one, &two));
    CHECK(trace_probing(one.bytes.data, one.bytes.size, &probing_size) != NULL);
    CHECK(probing_size > 0 && probing_size < one.bytes.size);
    CHECK((trace.workers != NULL) == (again.workers != NULL));
    CHECK((trace.meta != NULL) == (again.meta != NULL));
    CHECK(trace.attempts == again.attempts && trace.port == again.port);
    page_close(&one);
    page_close(&two);
}

static void fuzz_request(const struct wire_doc *doc) {
    struct request request;
    struct wire_error err;
    if (!request_get(&request, &doc->root, &err)) {
        check_error(&err);
        return;
    }
    if (request.op == REQUEST_TRACE)
        fuzz_trace(request.root);
    if (request.op == REQUEST_SUBMIT)
        for (uint32_t i = 0; i < request.traces->via.array.size; i++)
            fuzz_trace(&request.traces->via.array.ptr[i]);
}

/* ---- results ---------------------------------------------------------------------------- */

static struct hop_probe probes[MAX_PROBES];
static struct mpls_label labels[MAX_PROBES][HOP_MPLS_MAX];

/* The probes of a checked body; false if there are more than we keep. */
static bool collect(const msgpack_object *hops, size_t *count) {
    struct wire_error err;
    *count = 0;
    for (uint32_t i = 0; i < hops->via.array.size; i++) {
        int64_t ttl;
        const msgpack_object *list;
        CHECK(hop_get(&hops->via.array.ptr[i], &ttl, &list, "", &err));
        for (uint32_t j = 0; j < list->via.array.size; j++, (*count)++) {
            if (*count == MAX_PROBES)
                return false;
            struct hop_probe *probe = &probes[*count];
            CHECK(hop_get_probe(&list->via.array.ptr[j], probe, labels[*count], "", &err));
            CHECK((probe->addr.af != 0) == (probe->rtt_us >= 0));
            probe->ttl = (uint8_t)ttl;
        }
    }
    return true;
}

/* What the broker publishes of a body can be read by whoever gets it. */
static void check_merged(const struct page *body) {
    static const struct result_head head = {.seq = 1,
        .stream_seq = 1,
        .epoch = 1,
        .accepted_us = 1,
        .run = 1,
        .id = "i",
        .stream = "s"};
    struct result_head got;
    struct result_body inner;
    struct wire_error err;
    struct page merged;
    page_open(&merged);
    result_merge(&merged.pk, &head, body->bytes.data, body->bytes.size);
    CHECK(page_read(&merged));
    CHECK(result_get_head(&got, &merged.doc.root, &err));
    CHECK(strcmp(got.id, "i") == 0 && got.seq == 1);
    CHECK(result_get_body(&inner, &merged.doc.root, &err));
    page_close(&merged);
}

static bool same_text(struct wire_string text, const char *expected) {
    return text.at == NULL
               ? expected[0] == '\0'
               : text.size == strlen(expected) && memcmp(text.at, expected, text.size) == 0;
}

static int64_t element(const json_t *row, size_t at) {
    const json_t *value = json_array_get(row, at);
    CHECK(value != NULL && (json_is_integer(value) || json_is_null(value)));
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

/* The store's columns of a checked body, encoded as it came, say what everybody else reads in it.
 * `count` of `probes` are its own. */
static void check_columns(
    const struct result_body *body, size_t count, const void *bytes, size_t size) {
    struct columns o;
    msgpack_sbuffer json;
    msgpack_sbuffer_init(&json);
    columns_read_result(&o, &json, bytes, size);
    CHECK(same_text(o.target, body->target) && same_text(o.stop, result_stop_names[body->stop]));
    CHECK((o.dst.at == NULL) == (body->dst[0] == '\0'));
    CHECK((o.src.at == NULL) == (body->src[0] == '\0'));
    CHECK(same_text(o.error, body->error_code));
    CHECK(o.started_us == body->started_us && o.finished_us == body->finished_us);
    CHECK(o.probes_sent == body->probes_sent);
    json_t *rows = json_loadb(json.data, json.size, 0, NULL);
    CHECK(rows != NULL && json_array_size(rows) == count);
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(rows, i);
        CHECK(json_array_size(row) == 6);
        CHECK(element(row, 0) == probes[i].ttl && element(row, 1) == probes[i].attempt);
        CHECK(json_is_string(json_array_get(row, 2)) == (probes[i].addr.af != 0));
        CHECK(element(row, 3) == probes[i].rtt_us && element(row, 4) == probes[i].sent_us);
        CHECK(json_is_string(json_array_get(row, 5)));
    }
    json_decref(rows);
    msgpack_sbuffer_destroy(&json);
}

static void fuzz_body(const msgpack_object *map, const void *bytes, size_t size) {
    struct result_body body;
    struct wire_error err;
    struct page raw, one, two;
    size_t count;
    if (!result_check_body(map, &err)) {
        check_error(&err);
        return;
    }
    CHECK(result_get_body(&body, map, &err));
    page_open(&raw);
    msgpack_pack_object(&raw.pk, *map);
    check_merged(&raw);
    page_close(&raw);
    if (!collect(body.hops, &count))
        return;
    check_columns(&body, count, bytes, size);
    page_open(&one);
    page_open(&two);
    result_put_body(&one.pk, &body, probes, count);
    CHECK(page_read(&one));
    CHECK(result_check_body(&one.doc.root, &err));
    CHECK(result_get_body(&body, &one.doc.root, &err));
    CHECK(collect(body.hops, &count));
    result_put_body(&two.pk, &body, probes, count);
    CHECK(same_bytes(&one, &two));
    page_close(&one);
    page_close(&two);
}

static void put_summary(struct page *page, const struct result_body *body) {
    const msgpack_object_array *members = &body->members->via.array;
    result_put_summary(&page->pk, body, members->size);
    for (uint32_t i = 0; i < members->size; i++) {
        struct result_member member;
        struct wire_error err;
        CHECK(result_get_member(&member, &members->ptr[i], "", &err));
        CHECK(result_is_id(member.id, strlen(member.id)) && member.seq >= 1);
        result_put_member(&page->pk, &member);
    }
}

/* What a client reads of the broker. */
static void fuzz_result(const msgpack_object *map) {
    struct result_head head;
    struct result_body body;
    struct wire_error err;
    struct page one, two;
    if (!result_get_head(&head, map, &err))
        check_error(&err);
    else
        CHECK(result_is_id(head.id, strlen(head.id)));
    if (!result_get_body(&body, map, &err)) {
        check_error(&err);
        return;
    }
    if (body.members == NULL)
        return;
    page_open(&one);
    page_open(&two);
    put_summary(&one, &body);
    CHECK(page_read(&one));
    CHECK(result_get_body(&body, &one.doc.root, &err));
    put_summary(&two, &body);
    CHECK(same_bytes(&one, &two));
    page_close(&one);
    page_close(&two);
}

/* ---- sessions --------------------------------------------------------------------------- */

/* Fills the fields of `msg` that session_put() needs and that session_get() does not decode. */
static void complete(
    struct session_msg *msg, struct session_stat *stats, char names[][65], size_t *probe_count) {
    if (msg->stats != NULL)
        for (uint32_t i = 0; i < msg->stats->via.map.size; i++) {
            const msgpack_object_kv *pair = &msg->stats->via.map.ptr[i];
            memcpy(names[i], pair->key.via.str.ptr, pair->key.via.str.size);
            names[i][pair->key.via.str.size] = '\0';
            stats[i] = (struct session_stat){names[i], (int64_t)pair->val.via.u64};
            msg->stat_count = i + 1U;
        }
    msg->stat_list = stats;
    *probe_count = 0;
    if (msg->probes != NULL)
        for (uint32_t i = 0; i < msg->probes->via.array.size; i++, (*probe_count)++) {
            struct wire_error err;
            CHECK(hop_get_probe(&msg->probes->via.array.ptr[i], &probes[i], labels[i], "", &err));
        }
    msg->hop_probes = probes;
    msg->hop_probe_count = *probe_count;
}

static void write_session(struct page *page, const struct session_msg *read) {
    struct session_msg msg = *read;
    struct session_stat stats[SESSION_MAX_STATS];
    char names[SESSION_MAX_STATS][65];
    struct page trace;
    size_t count;
    page_open(&trace);
    complete(&msg, stats, names, &count);
    if (msg.trace != NULL) {
        msgpack_pack_object(&trace.pk, *msg.trace);
        msg.trace_bytes = trace.bytes.data;
        msg.trace_size = trace.bytes.size;
    }
    session_put(&page->pk, &msg);
    page_close(&trace);
}

static void fuzz_session(struct wire_doc *doc) {
    struct session_msg msg, again;
    struct wire_error err;
    struct page one, two, body;
    if (!session_get(&msg, doc, &err)) {
        check_error(&err);
        return;
    }
    CHECK(msg.lease >= 0 && msg.lease_count <= SESSION_MAX_CAPACITY);
    CHECK(msg.source_count <= SESSION_MAX_SOURCES && (msg.flows & ~(1U << 4 | 1U << 6)) == 0);
    for (size_t i = 0; i < msg.source_count; i++)
        CHECK(msg.sources[i].af == 4 || msg.sources[i].af == 6);
    CHECK(msg.version == 0 || (msg.op == SESSION_WELCOME && msg.version <= SESSION_VERSION_MAX));
    if (msg.op == SESSION_TRACE)
        fuzz_trace(msg.trace);
    page_open(&one);
    page_open(&two);
    page_open(&body);
    write_session(&one, &msg);
    CHECK(page_read(&one));
    CHECK(session_get(&again, &one.doc, &err));
    CHECK(again.op == msg.op && again.lease == msg.lease);
    write_session(&two, &again);
    CHECK(same_bytes(&one, &two));
    if (msg.op == SESSION_RESULT &&
        wire_doc_read(&body.doc, msg.body, msg.body_size, MAX_VALUES, &err))
        fuzz_body(&body.doc.root, msg.body, msg.body_size);
    page_close(&one);
    page_close(&two);
    page_close(&body);
}

/* What the log shows of a message has no control characters, and an end. */
static void fuzz_line(const uint8_t *data, size_t size) {
    char text[300], pairs[200];
    for (size_t room = 8; room <= sizeof text; room += 97) {
        bool whole = wire_text_message(text, room, data, size);
        size_t length = strnlen(text, room);
        CHECK(length < room);
        CHECK(whole || strcmp(text + length - 3, "...") == 0);
    }
    for (const char *c = text; *c != '\0'; c++)
        CHECK((unsigned char)*c >= 0x20 && (unsigned char)*c < 0x7f);
    size_t length =
        logfmt_print(pairs, sizeof pairs, "a=\"%.*s\" b=%s", (int)size, (const char *)data, text);
    CHECK(length < sizeof pairs && strlen(pairs) == length);
    for (const char *c = pairs; *c != '\0'; c++)
        CHECK((unsigned char)*c >= 0x20 && (unsigned char)*c < 0x7f);
}

/* What the store makes columns of was checked before; but that it never reads beyond the end is
 * true of all bytes. */
static void fuzz_columns(const uint8_t *data, size_t size) {
    struct columns o;
    msgpack_sbuffer json;
    msgpack_sbuffer_init(&json);
    columns_read_result(&o, &json, data, size);
    msgpack_sbuffer_destroy(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct wire_doc doc;
    struct wire_error err;
    CHECK(wire_doc_init(&doc));
    fuzz_line(data, size);
    fuzz_columns(data, size);
    if (wire_doc_read(&doc, data, size, MAX_VALUES, &err)) {
        CHECK(doc.root.type == MSGPACK_OBJECT_MAP);
        fuzz_request(&doc);
        fuzz_trace(&doc.root);
        fuzz_body(&doc.root, data, size);
        fuzz_result(&doc.root);
        fuzz_session(&doc);
    } else {
        check_error(&err);
    }
    wire_doc_free(&doc);
    return 0;
}
