/* bench-broker SUBMIT RESULTS WORKERS TRACES [WINDOW]: how many traces a second go through a broker
 * whose worker answers at once, with a result of 12 hops. Client, null worker and a subscriber of
 * all results share this one process, whose own cost is told: it must not be what is measured.
 *
 * WINDOW traces are on their way at a time. Prints one JSON object. Each trace is 4 messages of the
 * broker, and its share of a submit and its answer: trace, result, done, and the publication. The
 * end is when all were accepted, published and acknowledged to the worker. */
#include "tests/bench/peer.h"

#include <bsd/stdlib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BATCH 100
#define WINDOW 2000
#define HOPS 12
/* From the first message of a pass to taking all that came: few passes, little CPU. The broker has
 * work for much longer in a full window. */
#define NAP_US 300
#define LIMIT_US INT64_C(120000000)
#define MESSAGES_A_TRACE (4.0 + 2.0 / BATCH)

struct bench {
    zsock_t *client, *worker, *subscriber;
    struct peer peer;
    msgpack_sbuffer submit;
    int64_t wanted, window;
    int64_t submitted, answers, published, done;
    size_t result_bytes;
};

static void take_traces(struct bench *b) {
    struct sock_message m;
    const char *lease;
    size_t size;
    for (; sock_receive(b->worker, &m); sock_message_close(&m))
        switch (
            peer_read(&b->peer, zmq_msg_data(&m.at[0]), zmq_msg_size(&m.at[0]), &lease, &size)) {
        case PEER_TRACE:
            peer_answer(&b->peer, b->worker, lease, size);
            break;
        case PEER_DONE:
            b->done++;
            break;
        case PEER_OTHER:
            break;
        }
}

static void take_results(struct bench *b) {
    struct sock_message m;
    for (; sock_receive(b->subscriber, &m); sock_message_close(&m))
        if (peer_is_result(&m)) {
            b->published++;
            b->result_bytes = zmq_msg_size(&m.at[1]);
        }
}

/* Each is the answer to a whole submit. */
static void take_answers(struct bench *b) {
    struct sock_message m;
    for (; sock_receive(b->client, &m); sock_message_close(&m)) {
        peer_must_be_accepted(zmq_msg_data(&m.at[0]), zmq_msg_size(&m.at[0]));
        b->answers++;
    }
}

static void submit(struct bench *b) {
    while (b->submitted < b->wanted && b->submitted - b->published + BATCH <= b->window) {
        peer_send(b->client, b->submit.data, b->submit.size);
        b->submitted += BATCH;
    }
}

static bool finished(const struct bench *b) {
    return b->published == b->wanted && b->done == b->wanted && b->answers * BATCH == b->wanted;
}

static int run(struct bench *b) {
    zmq_pollitem_t items[3] = {{.socket = zsock_resolve(b->worker), .events = ZMQ_POLLIN},
        {.socket = zsock_resolve(b->subscriber), .events = ZMQ_POLLIN},
        {.socket = zsock_resolve(b->client), .events = ZMQ_POLLIN}};
    int64_t started_us = peer_now_us(), now_us = started_us, cpu_us = peer_cpu_us();
    while (!finished(b) && now_us - started_us < LIMIT_US) {
        submit(b);
        (void)zmq_poll(items, 3, 100);
        (void)usleep(NAP_US);
        take_traces(b);
        take_results(b);
        take_answers(b);
        now_us = peer_now_us();
    }
    double took_s = (double)(now_us - started_us) / 1e6;
    double rate = (double)b->published / took_s;
    printf("{\"traces\": %" PRId64 ", \"seconds\": %.3f, \"traces_per_s\": %.0f, "
           "\"messages_per_s\": %.0f, \"own_cpu_us_per_trace\": %.2f, \"result_bytes\": %zu}\n",
        b->published, took_s, rate, rate * MESSAGES_A_TRACE,
        (double)(peer_cpu_us() - cpu_us) / (double)b->wanted, b->result_bytes);
    return finished(b) ? 0 : 1;
}

int main(int argc, char **argv) {
    const char *wrong = NULL, *wrong_window = NULL;
    if (argc == 5 || argc == 6) {
        struct bench b = {.wanted = strtonum(argv[4], BATCH, 100000000, &wrong),
            .window = argc > 5 ? strtonum(argv[5], BATCH, 10000, &wrong_window) : WINDOW};
        b.wanted -= b.wanted % BATCH;
        if (wrong == NULL && wrong_window == NULL) {
            msgpack_sbuffer hello;
            zsys_handler_set(NULL);
            peer_init(&b.peer, HOPS);
            peer_put_submit(&b.submit, BATCH, -1, 0);
            b.subscriber = peer_subscriber(argv[2], "result.");
            b.client = peer_connected(argv[1]);
            b.worker = peer_connected(argv[3]);
            peer_subscribed(b.subscriber);
            peer_put_hello(&hello, "null", b.window);
            peer_send(b.worker, hello.data, hello.size);
            int status = run(&b);
            sock_destroy(&b.subscriber, 0);
            sock_destroy(&b.client, 0);
            sock_destroy(&b.worker, 0);
            return status;
        }
    }
    (void)fprintf(
        stderr, "usage: bench-broker SUBMIT RESULTS WORKERS TRACES [WINDOW, 100..10000]\n");
    return 64;
}
