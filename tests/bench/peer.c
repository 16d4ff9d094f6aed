#include "tests/bench/peer.h"

#include "common/protocol/request.h"
#include "common/protocol/result.h"
#include "common/protocol/session.h"
#include "common/runtime/reactor.h"
#include "common/runtime/sock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define CONNECT_MS 10000
#define ALIVE "alive."
#define STAMP "started_us\xcf"

_Noreturn void peer_fail(const char *what) {
    (void)fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
    exit(1);
}

size_t peer_probes(struct hop_probe probes[PEER_MAX_HOPS], int hops) {
    for (int i = 0; i < hops; i++) {
        probes[i] = (struct hop_probe){.ttl = (uint8_t)(i + 1),
            .attempt = 1,
            .rtt_us = 3000 * (i + 1),
            .sent_us = 1000 * i,
            .verdict = i == hops - 1 ? HOP_REPLY : HOP_TTL_EXPIRED};
        (void)addr_parse(&probes[i].addr, i == hops - 1 ? "192.0.2.1" : "10.123.45.67");
    }
    return (size_t)hops;
}

void peer_put_body(msgpack_packer *pk, const struct hop_probe *probes, size_t count) {
    const struct result_body body = {.flow = -1,
        .target = "192.0.2.1",
        .dst = "192.0.2.1",
        .src = "198.51.100.2",
        .first_ttl = 1,
        .max_ttl = 30,
        .started_us = INT64_C(1700000000000000),
        .finished_us = INT64_C(1700000000040000),
        .prober = "mtr-packet 0.95",
        .probes_sent = (int64_t)count};
    result_put_body(pk, &body, probes, count);
}

/* Packs a message and cuts it at the value of its lease, which is one byte here. */
static void put_cut(
    msgpack_sbuffer *head, msgpack_sbuffer *tail, int op, const msgpack_sbuffer *body) {
    static const char key[] = "\xa5lease";
    const struct session_msg msg = {.op = op,
        .lease = 1,
        .body = body != NULL ? body->data : NULL,
        .body_size = body != NULL ? body->size : 0,
        .trace_bytes = "\x80",
        .trace_size = 1};
    msgpack_sbuffer whole;
    msgpack_packer pk;
    msgpack_sbuffer_init(&whole);
    msgpack_packer_init(&pk, &whole, msgpack_sbuffer_write);
    session_put(&pk, &msg);
    const char *found = memmem(whole.data, whole.size, key, sizeof key - 1);
    if (found == NULL)
        peer_fail("a message without lease");
    size_t at = (size_t)(found - whole.data) + sizeof key - 1;
    msgpack_sbuffer_init(head);
    (void)msgpack_sbuffer_write(head, whole.data, at);
    if (tail != NULL) {
        msgpack_sbuffer_init(tail);
        (void)msgpack_sbuffer_write(tail, whole.data + at + 1, whole.size - at - 1);
    }
    msgpack_sbuffer_destroy(&whole);
}

void peer_init(struct peer *peer, int hops) {
    struct hop_probe probes[PEER_MAX_HOPS];
    msgpack_sbuffer body;
    msgpack_packer pk;
    msgpack_sbuffer_init(&body);
    msgpack_packer_init(&pk, &body, msgpack_sbuffer_write);
    peer_put_body(&pk, probes, peer_probes(probes, hops));
    put_cut(&peer->trace, NULL, SESSION_TRACE, NULL);
    put_cut(&peer->done, NULL, SESSION_DONE, NULL);
    put_cut(&peer->head, &peer->tail, SESSION_RESULT, &body);
    const char *stamp = memmem(peer->tail.data, peer->tail.size, STAMP, sizeof STAMP - 1);
    if (stamp == NULL)
        peer_fail("a body without started_us");
    peer->stamp = (size_t)(peer->tail.data + peer->tail.size - stamp) - (sizeof STAMP - 1);
    msgpack_sbuffer_destroy(&body);
}

/* But for the first byte, which counts the keys. */
static bool begins(const char *bytes, size_t size, const msgpack_sbuffer *head) {
    return size > head->size && memcmp(bytes + 1, head->data + 1, head->size - 1) == 0;
}

enum peer_kind peer_read(
    const struct peer *peer, const char *bytes, size_t all, const char **lease, size_t *size) {
    const msgpack_sbuffer *head = begins(bytes, all, &peer->trace)  ? &peer->trace
                                  : begins(bytes, all, &peer->done) ? &peer->done
                                                                    : NULL;
    if (head == NULL)
        return PEER_OTHER;
    *lease = bytes + head->size;
    *size = wire_value_size(*lease, all - head->size);
    return head == &peer->trace ? PEER_TRACE : PEER_DONE;
}

void peer_answer(const struct peer *peer, zsock_t *socket, const char *lease, size_t size) {
    const msgpack_sbuffer *head = &peer->head, *tail = &peer->tail;
    zmq_msg_t message;
    if (zmq_msg_init_size(&message, head->size + size + tail->size) != 0)
        peer_fail("no memory");
    char *to = zmq_msg_data(&message);
    memcpy(to, head->data, head->size);
    memcpy(to + head->size, lease, size);
    memcpy(to + head->size + size, tail->data, tail->size);
    if (zmq_msg_send(&message, zsock_resolve(socket), ZMQ_DONTWAIT) < 0)
        peer_fail("the broker takes no messages");
}

void peer_send(zsock_t *socket, const void *bytes, size_t size) {
    if (!sock_send(socket, &(struct sock_frame){bytes, size}, 1))
        peer_fail("the broker takes no messages");
}

void peer_put_heartbeat(msgpack_sbuffer *out) {
    msgpack_packer pk;
    msgpack_sbuffer_init(out);
    msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
    session_put(&pk, &(struct session_msg){.op = SESSION_HEARTBEAT});
}

void peer_put_hello(msgpack_sbuffer *out, const char *name, int64_t capacity) {
    struct session_msg hello = {.op = SESSION_HELLO,
        .version_min = SESSION_VERSION_MIN,
        .version_max = SESSION_VERSION_MAX,
        .prober = "none",
        .capacity = capacity,
        .families = 1U << 4,
        .protocols = 1U << TRACE_ICMP};
    msgpack_packer pk;
    (void)snprintf(hello.name, sizeof hello.name, "%s", name);
    msgpack_sbuffer_init(out);
    msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
    session_put(&pk, &hello);
}

zsock_t *peer_connected(const char *endpoint) {
    zsock_t *socket = sock_new_connected(ZMQ_DEALER, endpoint);
    if (socket == NULL)
        peer_fail("no such endpoint, or no descriptor left");
    /* IMMEDIATE: nothing can be sent before the connection is there. */
    zmq_pollitem_t item = {.socket = zsock_resolve(socket), .events = ZMQ_POLLOUT};
    if (zmq_poll(&item, 1, CONNECT_MS) != 1)
        peer_fail("no broker");
    return socket;
}

zsock_t *peer_subscriber(const char *endpoint, const char *topic) {
    zsock_t *socket = sock_new_connected(ZMQ_SUB, endpoint);
    if (socket == NULL)
        peer_fail("no such endpoint, or no descriptor left");
    zsock_set_subscribe(socket, topic);
    zsock_set_subscribe(socket, ALIVE);
    return socket;
}

void peer_subscribed(zsock_t *socket) {
    struct sock_message m;
    zmq_pollitem_t item = {.socket = zsock_resolve(socket), .events = ZMQ_POLLIN};
    if (zmq_poll(&item, 1, CONNECT_MS) != 1 || !sock_receive(socket, &m))
        peer_fail("no broker");
    sock_message_close(&m);
    zsock_set_unsubscribe(socket, ALIVE);
}

bool peer_is_result(struct sock_message *m) {
    static const char topic[] = "result.";
    return m->frames == 2 && zmq_msg_size(&m->at[0]) > sizeof topic &&
           memcmp(zmq_msg_data(&m->at[0]), topic, sizeof topic - 1) == 0;
}

void peer_must_be_accepted(const void *bytes, size_t size) {
    static const char op[] = "\xa2op\xa8"
                             "accepted";
    if (memmem(bytes, size, op, sizeof op - 1) == NULL)
        peer_fail("a submit was not accepted");
}

void peer_put_submit(msgpack_sbuffer *out, int traces, int first_stream, int streams) {
    msgpack_packer pk;
    char stream[16];
    msgpack_sbuffer_init(out);
    msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
    request_put_head(&pk, "submit", NULL, 1);
    wire_put_text(&pk, "traces");
    msgpack_pack_array(&pk, (size_t)traces);
    for (int i = 0; i < traces; i++) {
        msgpack_pack_map(&pk, first_stream >= 0 ? 2 : 1);
        wire_put_key_text(&pk, "target", "192.0.2.1");
        if (first_stream >= 0) {
            (void)snprintf(stream, sizeof stream, PEER_STREAM, (first_stream + i) % streams);
            wire_put_key_text(&pk, "stream", stream);
        }
    }
}

int64_t peer_now_us(void) { return reactor_now().mono_us; }

int64_t peer_cpu_us(void) {
    struct rusage used;
    (void)getrusage(RUSAGE_SELF, &used);
    return (int64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
           used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}
