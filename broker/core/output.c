#include "broker/core/output.h"

#include "broker/core/state.h"
#include "common/logfmt.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void output_init(struct core *c, const struct core_sink *sink) {
    c->output.sink = *sink;
    msgpack_sbuffer_init(&c->scratch.out);
    msgpack_sbuffer_init(&c->scratch.reply);
    msgpack_sbuffer_init(&c->scratch.body);
    msgpack_sbuffer_init(&c->scratch.result);
    msgpack_sbuffer_init(&c->scratch.texts);
    if (!wire_doc_init(&c->scratch.message) || !wire_doc_init(&c->scratch.inner))
        abort();
}

void output_free(struct core *c) {
    wire_doc_free(&c->scratch.message);
    wire_doc_free(&c->scratch.inner);
    msgpack_sbuffer_destroy(&c->scratch.out);
    msgpack_sbuffer_destroy(&c->scratch.reply);
    msgpack_sbuffer_destroy(&c->scratch.body);
    msgpack_sbuffer_destroy(&c->scratch.result);
    msgpack_sbuffer_destroy(&c->scratch.texts);
}

void output_log(struct core *c, enum core_level level, const char *event, const char *format, ...) {
    char detail[512];
    va_list args;
    va_start(args, format);
    (void)logfmt_vprint(detail, sizeof detail, format, args);
    va_end(args);
    c->output.sink.say(c->output.sink.context, level, event, detail);
}

/* ---- messages --------------------------------------------------------------------------- */

void peer_id_set(struct peer_id *id, const struct core_peer *peer) {
    id->size = (uint8_t)peer->size;
    id->enveloped = peer->enveloped;
    id->socket = peer->socket;
    memcpy(id->bytes, peer->id, peer->size);
}

struct core_peer peer_id_get(const struct peer_id *id) {
    return (struct core_peer){id->bytes, id->size, id->socket, id->enveloped};
}

void output_to_client(struct core *c, const struct core_peer *peer, const void *bytes, size_t size,
    enum core_when when) {
    c->output.sink.to_client(c->output.sink.context, peer, bytes, size, when);
}

/* What gives or takes a lease depends on what is kept; the rest only keeps the session alive. */
static enum core_when when_to_send(int op) {
    return op == SESSION_TRACE || op == SESSION_CANCEL || op == SESSION_DONE ? CORE_KEPT : CORE_NOW;
}

void output_to_worker_peer(
    struct core *c, const struct core_peer *peer, const struct session_msg *msg) {
    msgpack_packer pk;
    output_packer(&pk, &c->scratch.out);
    session_put(&pk, msg);
    c->output.sink.to_worker(c->output.sink.context, peer, c->scratch.out.data, c->scratch.out.size,
        when_to_send(msg->op));
}

void output_to_worker(struct core *c, const struct worker *worker, const struct session_msg *msg) {
    if (worker->absent)
        return;
    struct core_peer peer = peer_id_get(&worker->peer);
    output_to_worker_peer(c, &peer, msg);
}

void output_publish(struct core *c, const char *topic, const void *bytes, size_t size) {
    c->output.sink.publish(c->output.sink.context, topic, bytes, size);
}

/* ---- the store -------------------------------------------------------------------------- */

void output_keep_trace(struct core *c, const struct record_trace *record) {
    c->output.sink.keep_trace(c->output.sink.context, record);
    c->output.records++;
}

void output_keep_run(struct core *c, const struct record_run *record) {
    c->output.sink.keep_run(c->output.sink.context, record);
    c->output.records++;
}

void output_keep_result(struct core *c, const struct record_result *record) {
    c->output.sink.keep_result(c->output.sink.context, record);
    c->output.records++;
}

void output_read(struct core *c, const struct record_read *read) {
    c->output.sink.read(c->output.sink.context, read);
}
