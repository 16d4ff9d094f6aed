/* peer: clients and workers that cost next to nothing, to measure a broker with.
 *
 * A worker of this kind answers each trace at once with the same path. It decodes nothing: it
 * compares the first bytes of a message, and sends the lease back as it came.
 */
#ifndef HOPMQ_BENCH_PEER_H
#define HOPMQ_BENCH_PEER_H

#include "common/protocol/hop.h"
#include "common/runtime/sock.h"

#include <czmq.h>
#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The body of a result with this many hops, 1..30, one probe each. */
#define PEER_MAX_HOPS 30
size_t peer_probes(struct hop_probe probes[PEER_MAX_HOPS], int hops);
void peer_put_body(msgpack_packer *pk, const struct hop_probe *probes, size_t count);

struct peer {
    msgpack_sbuffer trace, done; /* what such a message begins with, up to its lease */
    msgpack_sbuffer head, tail;  /* of a result, before and behind its lease */
    size_t stamp; /* of the 8 bytes of the body's started_us, from the end of the tail, and so from
                     the end of what is published, which ends with the body */
};

enum peer_kind { PEER_TRACE, PEER_DONE, PEER_OTHER };

void peer_init(struct peer *peer, int hops);

/* What a message to a worker is. Of a trace and of done, *lease is the encoded lease. */
enum peer_kind peer_read(
    const struct peer *peer, const char *bytes, size_t all, const char **lease, size_t *size);

/* Sends the result of a lease, or ends the process. */
void peer_answer(const struct peer *peer, zsock_t *socket, const char *lease, size_t size);

/* Packs a heartbeat without leases: what a worker has is answered at once. */
void peer_put_heartbeat(msgpack_sbuffer *out);

/* Packs a hello. */
void peer_put_hello(msgpack_sbuffer *out, const char *name, int64_t capacity);

/* A DEALER that has its connection; ends the process where there is no broker. */
zsock_t *peer_connected(const char *endpoint);

/* A SUB of this topic, not yet known to the broker until peer_subscribed(), which waits for it. */
zsock_t *peer_subscriber(const char *endpoint, const char *topic);
void peer_subscribed(zsock_t *socket);

/* True for a published result: `alive` comes to a new subscriber too. */
bool peer_is_result(struct sock_message *message);

/* Ends the process if it is not `accepted`. */
void peer_must_be_accepted(const void *bytes, size_t size);

/* Sends one frame, or ends the process. */
void peer_send(zsock_t *socket, const void *bytes, size_t size);

/* Packs a submit of `traces` traces to the same target: without a stream, or (first_stream >= 0)
 * with one each, from that number on; after `streams` streams the first one comes again. */
#define PEER_STREAM "s%d"
void peer_put_submit(msgpack_sbuffer *out, int traces, int first_stream, int streams);

/* Monotonic; and user and system time of this process. */
int64_t peer_now_us(void);
int64_t peer_cpu_us(void);

/* Ends the process with a message: the program's name, a colon, what. */
_Noreturn void peer_fail(const char *what);

#endif
