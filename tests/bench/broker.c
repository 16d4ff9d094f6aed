/* bench-broker SUBMIT WORKERS TRACES: how many traces a second go through a broker whose worker
 * answers at once, with a result of 12 hops. Client and null worker share this one process.
 *
 * Prints one JSON object. Each trace is 5 messages of the broker: its share of a submit and its
 * answer (1/50 each), trace, result, done, and the notification. */
#include "common/hop.h"
#include "common/reactor.h"
#include "common/request.h"
#include "common/result.h"
#include "common/session.h"
#include "common/sock.h"

#include <bsd/stdlib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH 50
#define WINDOW 2000
#define HOPS 12
#define LIMIT_US 60000000
#define MESSAGES_A_TRACE (4.0 + 2.0 / BATCH)

struct bench {
    zsock_t *client, *worker;
    struct wire_doc doc;
    msgpack_sbuffer out, body;
    int64_t submitted, finished, wanted;
};

static void begin(struct bench *b, msgpack_packer *pk) {
    msgpack_sbuffer_clear(&b->out);
    msgpack_packer_init(pk, &b->out, msgpack_sbuffer_write);
}

static void send_out(struct bench *b, zsock_t *socket) {
    const struct sock_frame frame = {b->out.data, b->out.size};
    if (!sock_send(socket, &frame, 1)) {
        (void)fprintf(stderr, "bench-broker: the broker takes no messages\n");
        exit(1);
    }
}

static void tell(struct bench *b, const struct session_msg *msg) {
    msgpack_packer pk;
    begin(b, &pk);
    session_put(&pk, msg);
    send_out(b, b->worker);
}

static void make_body(struct bench *b) {
    struct hop_probe probes[HOPS] = {{.ttl = 0}};
    struct result_body body = {.flow = -1,
        .target = "192.0.2.1",
        .dst = "192.0.2.1",
        .src = "198.51.100.2",
        .first_ttl = 1,
        .max_ttl = 30,
        .started_us = INT64_C(1700000000000000),
        .finished_us = INT64_C(1700000000040000),
        .prober = "mtr-packet 0.95",
        .probes_sent = HOPS};
    msgpack_packer pk;
    for (int i = 0; i < HOPS; i++) {
        probes[i] = (struct hop_probe){.ttl = (uint8_t)(i + 1),
            .attempt = 1,
            .rtt_us = 3000 * (i + 1),
            .sent_us = 1000 * i,
            .verdict = i == HOPS - 1 ? HOP_REPLY : HOP_TTL_EXPIRED};
        (void)addr_parse(&probes[i].addr, i == HOPS - 1 ? "192.0.2.1" : "10.123.45.67");
    }
    msgpack_sbuffer_init(&b->body);
    msgpack_packer_init(&pk, &b->body, msgpack_sbuffer_write);
    result_put_body(&pk, &body, probes, HOPS);
}

static void submit(struct bench *b) {
    msgpack_packer pk;
    begin(b, &pk);
    request_put_head(&pk, "submit", NULL, 2);
    wire_put_text(&pk, "notify");
    msgpack_pack_true(&pk);
    wire_put_text(&pk, "traces");
    msgpack_pack_array(&pk, BATCH);
    for (int i = 0; i < BATCH; i++) {
        msgpack_pack_map(&pk, 1);
        wire_put_key_text(&pk, "target", "192.0.2.1");
    }
    send_out(b, b->client);
    b->submitted += BATCH;
}

/* The worker's part: every trace is answered at once. */
static void work(struct bench *b) {
    struct wire_error err;
    struct session_msg msg;
    struct sock_message m;
    for (int i = 0; i < REACTOR_DRAIN && sock_receive(b->worker, &m); i++) {
        if (wire_doc_read(&b->doc, zmq_msg_data(&m.at[0]), zmq_msg_size(&m.at[0]),
                SESSION_MAX_VALUES, &err) &&
            session_get(&msg, &b->doc, &err) && msg.op == SESSION_TRACE)
            tell(b, &(struct session_msg){.op = SESSION_RESULT,
                        .lease = msg.lease,
                        .body = b->body.data,
                        .body_size = b->body.size});
        sock_message_close(&m);
    }
}

static void take_results(struct bench *b) {
    struct wire_error err;
    struct sock_message m;
    for (int i = 0; i < REACTOR_DRAIN && sock_receive(b->client, &m); i++) {
        if (wire_doc_read(&b->doc, zmq_msg_data(&m.at[0]), zmq_msg_size(&m.at[0]),
                SESSION_MAX_VALUES, &err)) {
            const msgpack_object *op = wire_find(&b->doc.root, "op");
            b->finished += op != NULL && wire_is(op, "result");
        }
        sock_message_close(&m);
    }
}

static int run(struct bench *b) {
    struct session_msg hello = {.op = SESSION_HELLO,
        .version_min = SESSION_VERSION_MIN,
        .version_max = SESSION_VERSION_MAX,
        .name = "null",
        .prober = "none",
        .capacity = WINDOW,
        .families = 1U << 4,
        .protocols = 1};
    zmq_pollitem_t items[2] = {{.socket = zsock_resolve(b->client), .events = ZMQ_POLLIN},
        {.socket = zsock_resolve(b->worker), .events = ZMQ_POLLIN}};
    /* IMMEDIATE: nothing can be sent before the connections are there. */
    zmq_pollitem_t ready[2] = {items[0], items[1]};
    for (int i = 0; i < 2; i++) {
        ready[i].events = ZMQ_POLLOUT;
        if (zmq_poll(&ready[i], 1, 5000) != 1) {
            (void)fprintf(stderr, "bench-broker: no broker\n");
            return 1;
        }
    }
    tell(b, &hello);
    int64_t started_us = reactor_now().mono_us, now_us = started_us;
    while (b->finished < b->wanted && now_us - started_us < LIMIT_US) {
        while (b->submitted < b->wanted && b->submitted - b->finished + BATCH <= WINDOW)
            submit(b);
        (void)zmq_poll(items, 2, 100);
        work(b);
        take_results(b);
        now_us = reactor_now().mono_us;
    }
    double took_s = (double)(now_us - started_us) / 1e6;
    double rate = (double)b->finished / took_s;
    printf("{\"traces\": %" PRId64 ", \"seconds\": %.3f, \"traces_per_s\": %.0f, "
           "\"messages_per_s\": %.0f}\n",
        b->finished, took_s, rate, rate * MESSAGES_A_TRACE);
    return b->finished == b->wanted ? 0 : 1;
}

int main(int argc, char **argv) {
    const char *wrong = NULL;
    if (argc == 4) {
        struct bench b = {.wanted = strtonum(argv[3], BATCH, 100000000, &wrong)};
        b.wanted -= b.wanted % BATCH;
        if (wrong == NULL && wire_doc_init(&b.doc)) {
            zsys_handler_set(NULL);
            msgpack_sbuffer_init(&b.out);
            make_body(&b);
            b.client = sock_new_connected(ZMQ_DEALER, argv[1]);
            b.worker = sock_new_connected(ZMQ_DEALER, argv[2]);
            if (b.client != NULL && b.worker != NULL) {
                int status = run(&b);
                sock_destroy(&b.client, 0);
                sock_destroy(&b.worker, 0);
                return status;
            }
        }
    }
    (void)fprintf(stderr, "usage: bench-broker SUBMIT WORKERS TRACES\n");
    return 64;
}
