/* output: what leaves the core: messages, records for the store, publications and log lines. Pure.
 *
 * All of it goes through the sink that the shell gave to core_new(), in the order of the calls. */
#ifndef HOPMQ_OUTPUT_H
#define HOPMQ_OUTPUT_H

#include "broker/core/types.h"
#include "common/protocol/wire.h"

struct output {
    struct core_sink sink;
    int64_t records; /* given to the store since the start */
};

/* Room to read and to write one message. A user must have done with it before it calls another
 * module that may use the same part. */
struct scratch {
    struct wire_doc message; /* what the event brought */
    struct wire_doc inner;   /* what is encoded inside it, or a stored trace or result */
    msgpack_sbuffer out;     /* a message that is sent at once */
    msgpack_sbuffer reply;   /* `accepted`, while other messages are sent */
    msgpack_sbuffer body;    /* the body of a result, a trace or a requirement */
    msgpack_sbuffer result;  /* a published result */
    msgpack_sbuffer texts;   /* ids that the store is asked for */
};

/* Starts a fresh message in a buffer. */
static inline void output_packer(msgpack_packer *pk, msgpack_sbuffer *buffer) {
    msgpack_sbuffer_clear(buffer);
    msgpack_packer_init(pk, buffer, msgpack_sbuffer_write);
}

void output_init(struct core *core, const struct core_sink *sink);
void output_free(struct core *core);

/* `format` is that of logfmt: key=value pairs. */
void output_log(struct core *core, enum core_level level, const char *event, const char *format,
    ...) __attribute__((format(printf, 4, 5)));
void output_to_client(struct core *core, const struct core_peer *peer, const void *bytes,
    size_t size, enum core_when when);

/* A worker that is absent gets nothing. */
void output_to_worker(
    struct core *core, const struct worker *worker, const struct session_msg *msg);
void output_to_worker_peer(
    struct core *core, const struct core_peer *peer, const struct session_msg *msg);
void output_publish(struct core *core, const char *topic, const void *bytes, size_t size);
void output_keep_trace(struct core *core, const struct record_trace *record);
void output_keep_run(struct core *core, const struct record_run *record);
void output_keep_result(struct core *core, const struct record_result *record);
void output_read(struct core *core, const struct record_read *read);

void peer_id_set(struct peer_id *id, const struct core_peer *peer);

/* Borrows the bytes of `id`. */
struct core_peer peer_id_get(const struct peer_id *id);

#endif
