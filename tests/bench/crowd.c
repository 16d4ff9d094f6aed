/* bench-crowd SUBMIT RESULTS WORKERS PEERS TRACES [PER_S]: a broker with PEERS workers, which
 * answer at once with a result of 12 hops, and as many subscribers, each of a stream of its own.
 * PEERS may be N/STREAMS: N workers, STREAMS streams, and one subscriber of all of them.
 * One client submits to all streams in turn. All of them are in this one process, at ipc endpoints.
 * Traces that others have queued before are worked on in their turn, and count as well.
 *
 * Without PER_S, 10 traces a worker are on their way: how many a second go through. With it, they
 * are submitted at that rate, and the times are those from a result's leaving its worker to its
 * coming to its subscriber: each result carries its time. Prints one JSON object. */
#include "common/order.h"
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
#define WINDOW 2000 /* on their way at a time, with one subscriber of all: half of them queued */
#define CAPACITY 100
#define LIMIT_US INT64_C(120000000)
#define EVENTS 512
#define LEAVE_PASSES 4
#define LEAVE_MS 20
#define MAX_PEERS 5000
#define MAX_STREAMS 100000
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
    int workers, subscribers, streams, epoll;
    bool to_all; /* one subscriber has all streams */
    struct peer peer;
    msgpack_sbuffer *submits; /* one for each BATCH of streams */
    int messages;             /* of those */
    msgpack_sbuffer heartbeat;
    int64_t wanted, per_s, window;
    int64_t submitted, answers, answered, published, done, greeted, beats;
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
    int64_t half = b->window / 2 / b->workers;
    int64_t capacity = b->to_all && half > CAPACITY ? half : CAPACITY;
    open_end(b, 1 + number, WORKER, endpoint);
    (void)snprintf(name, sizeof name, "null%d", number);
    peer_put_hello(&hello, name, capacity);
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
    int at = 1 + b->workers + number;
    open_end(b, at, SUBSCRIBER, endpoint);
    int size = b->to_all ? snprintf(topic, sizeof topic, "\x01result.")
                         : snprintf(topic, sizeof topic, "\x01result." PEER_STREAM ".", number);
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
    if (b->published == b->wanted)
        return;
    if (frame->size < b->peer.tail.size)
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
            b->answered++;
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
    for (; b->beats < since_us * b->workers / 1000000; b->beats++)
        send_one(&b->ends[1 + b->beats % b->workers], b->heartbeat.data, b->heartbeat.size);
}

static void submit(struct bench *b, int64_t since_us) {
    int64_t may = b->per_s > 0 ? since_us * b->per_s / 1000000 : b->published + b->window;
    while (b->submitted < b->wanted && b->submitted + BATCH <= may) {
        const msgpack_sbuffer *next = &b->submits[b->submitted / BATCH % b->messages];
        send_one(&b->ends[0], next->data, next->size);
        b->submitted += BATCH;
    }
}

static bool finished(const struct bench *b) {
    return b->published == b->wanted && b->done >= b->wanted && b->answers * BATCH == b->wanted;
}

static int compare(const void *a, const void *b) {
    return order_compare(*(const int32_t *)a, *(const int32_t *)b);
}

#define OP(size, name) "\x82\xa1v\x01\xa2op" size name

static void tell_workers(struct bench *b, const char *message) {
    for (int i = 0; i < b->workers; i++)
        send_one(&b->ends[1 + i], message, strlen(message));
}

/* No lease is left behind, where others' traces are queued: they would be taken for lost. */
static void leave(struct bench *b) {
    tell_workers(b, OP("\xa5", "drain"));
    for (int i = 0; i < LEAVE_PASSES || (b->done < b->answered && i < 100 * LEAVE_PASSES); i++)
        pass(b, LEAVE_MS, 0);
    tell_workers(b, OP("\xa3", "bye"));
}

static int run(struct bench *b) {
    int64_t cpu_us = peer_cpu_us(), started_us = peer_now_us(), now_us = started_us;
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
    if (!finished(b))
        return 1;
    leave(b);
    return 0;
}

static void wait_for_greetings(struct bench *b, int count) {
    int64_t until_us = peer_now_us() + LIMIT_US;
    while (b->greeted < count && peer_now_us() < until_us)
        pass(b, 100, 0);
}

static void begin(struct bench *b, char **endpoints) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    peer_init(&b->peer, HOPS);
    peer_put_heartbeat(&b->heartbeat);
    b->ends = calloc(1 + (size_t)(b->workers + b->subscribers), sizeof *b->ends);
    b->messages = b->streams > BATCH ? b->streams / BATCH : 1;
    b->submits = calloc((size_t)b->messages, sizeof *b->submits);
    b->took_us = calloc((size_t)b->wanted, sizeof *b->took_us);
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (b->ends == NULL || b->submits == NULL || b->took_us == NULL || b->epoll < 0)
        peer_fail("no memory");
    for (int i = 0; i < b->messages; i++)
        peer_put_submit(&b->submits[i], BATCH, i * BATCH, b->streams);
    open_end(b, 0, CLIENT, endpoints[0]);
    for (int i = 0; i < b->subscribers; i++)
        open_subscriber(b, i, endpoints[1]);
    wait_for_greetings(b, b->subscribers); /* a worker may get traces at once */
    for (int i = 0; i < b->workers; i++)
        open_worker(b, i, endpoints[2]);
    wait_for_greetings(b, b->subscribers + b->workers);
}

/* A number of at least `least`, and a multiple of it. */
static bool number(const char *text, int64_t least, int64_t max, int64_t *value) {
    const char *wrong = NULL;
    *value = strtonum(text, least, max, &wrong);
    *value -= *value % least;
    return wrong == NULL;
}

/* PEERS, or WORKERS/STREAMS. */
static bool peers(struct bench *b, char *text) {
    int64_t workers, streams;
    char *slash = strchr(text, '/');
    if (slash != NULL)
        *slash = '\0';
    if (!number(text, slash != NULL ? 1 : BATCH, MAX_PEERS, &workers) ||
        (slash != NULL && !number(slash + 1, 1, MAX_STREAMS, &streams)))
        return false;
    b->workers = (int)workers;
    b->streams = slash != NULL ? (int)streams : b->workers;
    b->to_all = slash != NULL;
    b->subscribers = b->to_all ? 1 : b->workers;
    b->window = b->to_all ? WINDOW : EACH * workers;
    return true;
}

int main(int argc, char **argv) {
    struct bench b = {.per_s = 0};
    if (argc < 6 || argc > 7 || !peers(&b, argv[4]) ||
        !number(argv[5], BATCH, 10000000, &b.wanted) ||
        (argc > 6 && !number(argv[6], BATCH, 1000000, &b.per_s))) {
        (void)fprintf(
            stderr, "usage: bench-crowd SUBMIT RESULTS WORKERS PEERS[/STREAMS] TRACES [PER_S]\n");
        return 64;
    }
    begin(&b, argv + 1);
    return run(&b);
}
