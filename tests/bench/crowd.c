/* bench-crowd SUBMIT RESULTS WORKERS PEERS TRACES [PER_S]: a broker with so many workers, that
 * answer at once with a result of 12 hops, and as many subscribers, each of a stream of its own.
 * One client submits to all streams in turn. All of them are in this one process, at ipc endpoints.
 *
 * Without PER_S, 10 traces a worker are on their way: how many a second go through. With it, they
 * are submitted at that rate, and the times are those from a result's leaving its worker to its
 * coming to its subscriber: each result carries its time. Prints one JSON object. */
#include "tests/bench/peer.h"
#include "tests/bench/zmtp.h"

#include <bsd/stdlib.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define BATCH 20
#define EACH 10
#define HOPS 12
#define CAPACITY 100
#define LIMIT_US INT64_C(120000000)
#define EVENTS 512
#define NAP_US 300 /* as bench-broker's */

enum kind { CLIENT, WORKER, SUBSCRIBER };

struct end {
    struct zmtp z;
    enum kind kind;
    bool is_result; /* a subscriber's frame that comes next */
    bool greeted;   /* a worker's `welcome`, a subscriber's `alive` has come */
};

struct bench {
    struct end *ends; /* the client, the workers, the subscribers */
    int peers, epoll;
    struct peer peer;
    msgpack_sbuffer *submits; /* one for each BATCH of streams */
    msgpack_sbuffer heartbeat;
    int64_t wanted, per_s;
    int64_t submitted, answers, published, done, greeted, beats;
    int32_t *took_us;
};

static void send_one(const struct end *end, const void *bytes, size_t size) {
    zmtp_send(&end->z, &(struct iovec){(void *)(uintptr_t)bytes, size}, 1);
}

static void open_end(struct bench *b, int at, enum kind kind, const char *endpoint) {
    struct end *end = &b->ends[at];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = end};
    end->kind = kind;
    zmtp_open(&end->z, endpoint, kind == SUBSCRIBER ? "SUB" : "DEALER");
    if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, end->z.fd, &event) != 0)
        peer_fail("epoll_ctl");
}

static void open_worker(struct bench *b, int number, const char *endpoint) {
    char name[16];
    msgpack_sbuffer hello;
    open_end(b, 1 + number, WORKER, endpoint);
    (void)snprintf(name, sizeof name, "null%d", number);
    peer_put_hello(&hello, name, CAPACITY);
    send_one(&b->ends[1 + number], hello.data, hello.size);
    msgpack_sbuffer_destroy(&hello);
}

/* To `alive.` too, until the first one has come. */
#define SUBSCRIBE_ALIVE                                                                            \
    "\x01"                                                                                         \
    "alive."
#define UNSUBSCRIBE_ALIVE                                                                          \
    "\0"                                                                                           \
    "alive."

static void open_subscriber(struct bench *b, int number, const char *endpoint) {
    char topic[32];
    int at = 1 + b->peers + number;
    open_end(b, at, SUBSCRIBER, endpoint);
    int size = snprintf(topic, sizeof topic, "\x01result." PEER_STREAM ".", number);
    send_one(&b->ends[at], topic, (size_t)size);
    send_one(&b->ends[at], SUBSCRIBE_ALIVE, sizeof SUBSCRIBE_ALIVE - 1);
}

static void greet(struct bench *b, struct end *end) {
    b->greeted += !end->greeted;
    end->greeted = true;
}

static void answer(struct bench *b, const struct end *end, const char *lease, size_t size) {
    msgpack_sbuffer *head = &b->peer.head, *tail = &b->peer.tail;
    uint64_t now_us = htobe64((uint64_t)peer_now_us());
    memcpy(tail->data + tail->size - b->peer.stamp, &now_us, sizeof now_us);
    zmtp_send(&end->z,
        (struct iovec[]){
            {head->data, head->size}, {(void *)(uintptr_t)lease, size}, {tail->data, tail->size}},
        3);
}

static void take_result(struct bench *b, const struct zmtp_frame *frame) {
    uint64_t sent_us;
    if (frame->size < b->peer.tail.size || b->published == b->wanted)
        peer_fail("a result that is none of ours");
    memcpy(&sent_us, frame->bytes + frame->size - b->peer.stamp, sizeof sent_us);
    b->took_us[b->published++] = (int32_t)(peer_now_us() - (int64_t)be64toh(sent_us));
}

static void take(struct bench *b, struct end *end, const struct zmtp_frame *frame) {
    const char *lease;
    size_t size;
    switch (end->kind) {
    case CLIENT:
        peer_must_be_accepted(frame->bytes, frame->size);
        b->answers++;
        break;
    case WORKER:
        switch (peer_read(&b->peer, frame->bytes, frame->size, &lease, &size)) {
        case PEER_TRACE:
            answer(b, end, lease, size);
            break;
        case PEER_DONE:
            b->done++;
            break;
        case PEER_OTHER:
            greet(b, end);
            break;
        }
        break;
    case SUBSCRIBER:
        if (frame->more)
            end->is_result = frame->size > 0 && frame->bytes[0] == 'r';
        else if (end->is_result)
            take_result(b, frame);
        else if (!end->greeted) {
            send_one(end, UNSUBSCRIBE_ALIVE, sizeof UNSUBSCRIBE_ALIVE - 1);
            greet(b, end);
        }
        break;
    }
}

static void pass(struct bench *b, int timeout_ms, useconds_t nap_us) {
    struct epoll_event events[EVENTS];
    struct zmtp_frame frame;
    int n = epoll_wait(b->epoll, events, EVENTS, timeout_ms);
    if (n > 0 && n < EVENTS && nap_us > 0) {
        (void)usleep(nap_us);
        n = epoll_wait(b->epoll, events, EVENTS, 0);
    }
    for (int i = 0; i < n; i++) {
        struct end *end = events[i].data.ptr;
        zmtp_read(&end->z);
        while (zmtp_next(&end->z, &frame))
            take(b, end, &frame);
    }
}

/* Each worker once a second, one after the other: few traces do not come to all of them. */
static void beat(struct bench *b, int64_t since_us) {
    for (; b->beats < since_us * b->peers / 1000000; b->beats++)
        send_one(&b->ends[1 + b->beats % b->peers], b->heartbeat.data, b->heartbeat.size);
}

static void submit(struct bench *b, int64_t since_us) {
    int64_t may =
        b->per_s > 0 ? since_us * b->per_s / 1000000 : b->published + (int64_t)EACH * b->peers;
    while (b->submitted < b->wanted && b->submitted + BATCH <= may) {
        const msgpack_sbuffer *next = &b->submits[b->submitted / BATCH % (b->peers / BATCH)];
        send_one(&b->ends[0], next->data, next->size);
        b->submitted += BATCH;
    }
}

static bool finished(const struct bench *b) {
    return b->published == b->wanted && b->done == b->wanted && b->answers * BATCH == b->wanted;
}

static int compare(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static int run(struct bench *b) {
    int64_t started_us = peer_now_us(), now_us = started_us;
    for (; b->greeted < 2 * b->peers && now_us - started_us < LIMIT_US; now_us = peer_now_us())
        pass(b, 100, 0);
    int64_t cpu_us = peer_cpu_us();
    started_us = now_us = peer_now_us();
    while (!finished(b) && now_us - started_us < LIMIT_US) {
        beat(b, now_us - started_us);
        submit(b, now_us - started_us);
        pass(b, b->per_s > 0 ? 1 : 100, b->per_s > 0 ? 0 : NAP_US);
        now_us = peer_now_us();
    }
    double took_s = (double)(now_us - started_us) / 1e6;
    qsort(b->took_us, (size_t)b->published, sizeof *b->took_us, compare);
    printf("{\"traces\": %" PRId64 ", \"seconds\": %.3f, \"traces_per_s\": %.0f, "
           "\"own_cpu_us_per_trace\": %.2f, \"result_p50_us\": %d, \"result_p99_us\": %d, "
           "\"result_max_us\": %d}\n",
        b->published, took_s, (double)b->published / took_s,
        (double)(peer_cpu_us() - cpu_us) / (double)b->wanted, b->took_us[b->published / 2],
        b->took_us[b->published * 99 / 100], b->took_us[b->published > 0 ? b->published - 1 : 0]);
    return finished(b) ? 0 : 1;
}

static void begin(struct bench *b, char **endpoints) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    peer_init(&b->peer, HOPS);
    peer_put_heartbeat(&b->heartbeat);
    b->ends = calloc(1 + 2 * (size_t)b->peers, sizeof *b->ends);
    b->submits = calloc((size_t)(b->peers / BATCH), sizeof *b->submits);
    b->took_us = calloc((size_t)b->wanted, sizeof *b->took_us);
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (b->ends == NULL || b->submits == NULL || b->took_us == NULL || b->epoll < 0)
        peer_fail("no memory");
    for (int i = 0; i < b->peers / BATCH; i++)
        peer_put_submit(&b->submits[i], BATCH, i * BATCH);
    open_end(b, 0, CLIENT, endpoints[0]);
    for (int i = 0; i < b->peers; i++)
        open_subscriber(b, i, endpoints[1]);
    for (int i = 0; i < b->peers; i++)
        open_worker(b, i, endpoints[2]);
}

static bool number(const char *text, int64_t max, int64_t *value) {
    const char *wrong = NULL;
    *value = strtonum(text, BATCH, max, &wrong);
    *value -= *value % BATCH;
    return wrong == NULL;
}

int main(int argc, char **argv) {
    struct bench b = {.per_s = 0};
    int64_t peers;
    if (argc < 6 || argc > 7 || !number(argv[4], 5000, &peers) ||
        !number(argv[5], 10000000, &b.wanted) ||
        (argc > 6 && !number(argv[6], 1000000, &b.per_s))) {
        (void)fprintf(stderr, "usage: bench-crowd SUBMIT RESULTS WORKERS PEERS TRACES [PER_S]\n");
        return 64;
    }
    b.peers = (int)peers;
    begin(&b, argv + 1);
    return run(&b);
}
