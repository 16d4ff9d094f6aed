/* bench-load [--one] SUBMIT FILE WINDOW: submits the targets in FILE, one a line (`ADDRESS` or
 * `ADDRESS PROTOCOL`), and takes their results, with little work of its own.
 *
 * At most WINDOW traces are submitted and without a result, in batches of up to 1,000. Prints one
 * JSON object. With --one each trace is submitted when the one before it has ended, and its time
 * is printed, from submit to result, in microseconds. */
#include "common/protocol/request.h"
#include "common/protocol/session.h"
#include "common/runtime/reactor.h"
#include "common/runtime/sock.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_MAX 10000000
#define READY_MS 10000
#define SILENCE_MS 30000 /* without any message, it has failed */

struct load {
    zsock_t *broker;
    FILE *targets;
    struct wire_doc doc;
    msgpack_sbuffer traces, out;
    int64_t window, submitted, finished;
    int64_t reached, probes_sent, hops;
    bool at_end;
};

static void die(const char *what, const char *why) {
    (void)fprintf(stderr, "bench-load: %s: %s\n", what, why);
    exit(1);
}

/* Submits up to most traces; fewer where the file ends. */
static void submit(struct load *l, int64_t most) {
    char line[256];
    uint32_t count = 0;
    msgpack_packer pk;
    msgpack_sbuffer_clear(&l->traces);
    msgpack_packer_init(&pk, &l->traces, msgpack_sbuffer_write);
    while (count < most && !l->at_end) {
        l->at_end = fgets(line, sizeof line, l->targets) == NULL;
        if (l->at_end)
            break;
        line[strcspn(line, "\n")] = '\0';
        char *protocol = strchr(line, ' ');
        if (protocol != NULL)
            *protocol++ = '\0';
        msgpack_pack_map(&pk, protocol != NULL ? 2 : 1);
        wire_put_key_text(&pk, "target", line);
        if (protocol != NULL)
            wire_put_key_text(&pk, "protocol", protocol);
        count++;
    }
    if (count == 0)
        return;
    msgpack_sbuffer_clear(&l->out);
    msgpack_packer_init(&pk, &l->out, msgpack_sbuffer_write);
    request_put_head(&pk, "submit", NULL, 2);
    wire_put_text(&pk, "notify");
    msgpack_pack_true(&pk);
    wire_put_text(&pk, "traces");
    msgpack_pack_array(&pk, count);
    msgpack_sbuffer_write(&l->out, l->traces.data, l->traces.size);
    const struct sock_frame frame = {l->out.data, l->out.size};
    if (!sock_send(l->broker, &frame, 1))
        die("submit", "the broker takes no messages");
    l->submitted += count;
}

static int64_t number(const msgpack_object *map, const char *key) {
    const msgpack_object *value = wire_find(map, key);
    return value != NULL && value->type == MSGPACK_OBJECT_POSITIVE_INTEGER ? (int64_t)value->via.u64
                                                                           : 0;
}

static void take_accepted(const msgpack_object *ids) {
    for (uint32_t i = 0; ids != NULL && i < ids->via.array.size; i++)
        if (ids->via.array.ptr[i].type != MSGPACK_OBJECT_STR)
            die("submit", "a trace was refused");
}

static void take(struct load *l, const struct sock_message *m) {
    struct wire_error err;
    if (!wire_doc_read(&l->doc, zmq_msg_data((zmq_msg_t *)&m->at[0]), zmq_msg_size(&m->at[0]),
            SESSION_MAX_VALUES, &err))
        die("a message", err.message);
    const msgpack_object *op = wire_find(&l->doc.root, "op");
    if (op != NULL && wire_is(op, "accepted")) {
        take_accepted(wire_find(&l->doc.root, "ids"));
        return;
    }
    if (op == NULL || !wire_is(op, "result"))
        die("the broker", "answers with an error");
    const msgpack_object *stop = wire_find(&l->doc.root, "stop");
    const msgpack_object *hops = wire_find(&l->doc.root, "hops");
    l->finished++;
    l->reached += stop != NULL && wire_is(stop, "reached");
    l->hops += hops != NULL && hops->type == MSGPACK_OBJECT_ARRAY ? hops->via.array.size : 0;
    l->probes_sent += number(&l->doc.root, "probes_sent");
}

/* Waits for messages, and takes all that are there. */
static void wait_and_take(struct load *l) {
    zmq_pollitem_t item = {.socket = zsock_resolve(l->broker), .events = ZMQ_POLLIN};
    struct sock_message m;
    if (zmq_poll(&item, 1, SILENCE_MS) != 1)
        die("the broker", "is silent");
    while (sock_receive(l->broker, &m)) {
        take(l, &m);
        sock_message_close(&m);
    }
}

static void submit_all(struct load *l) {
    int64_t batch = l->window / 4 < REQUEST_MAX_ITEMS ? (l->window + 3) / 4 : REQUEST_MAX_ITEMS;
    int64_t started_us = reactor_now().mono_us;
    while (!l->at_end || l->finished < l->submitted) {
        while (!l->at_end && l->submitted - l->finished + batch <= l->window)
            submit(l, batch);
        if (l->finished < l->submitted)
            wait_and_take(l);
    }
    printf("{\"traces\": %" PRId64 ", \"seconds\": %.4f, \"reached\": %" PRId64
           ", \"probes_sent\": %" PRId64 ", \"hops\": %" PRId64 "}\n",
        l->finished, (double)(reactor_now().mono_us - started_us) / 1e6, l->reached, l->probes_sent,
        l->hops);
}

static void submit_each(struct load *l) {
    for (;;) {
        int64_t started_us = reactor_now().mono_us;
        submit(l, 1);
        if (l->at_end)
            return;
        while (l->finished < l->submitted)
            wait_and_take(l);
        printf("%" PRId64 "\n", reactor_now().mono_us - started_us);
    }
}

int main(int argc, char **argv) {
    struct load l = {.at_end = false};
    const char *wrong = NULL;
    bool one = argc > 1 && strcmp(argv[1], "--one") == 0;
    argv += one;
    if (argc - one != 4) {
        (void)fprintf(stderr, "usage: bench-load [--one] SUBMIT FILE WINDOW\n");
        return 64;
    }
    l.window = strtonum(argv[3], 1, WINDOW_MAX, &wrong);
    if (wrong != NULL)
        die(argv[3], "WINDOW is 1..10000000");
    l.targets = fopen(argv[2], "r");
    if (l.targets == NULL)
        die(argv[2], strerror(errno));
    zsys_handler_set(NULL);
    l.broker = sock_new_connected(ZMQ_DEALER, argv[1]);
    if (l.broker == NULL || !wire_doc_init(&l.doc))
        die(argv[1], "cannot be dialled");
    msgpack_sbuffer_init(&l.traces);
    msgpack_sbuffer_init(&l.out);
    /* IMMEDIATE: nothing can be sent before the connection is there. */
    zmq_pollitem_t ready = {.socket = zsock_resolve(l.broker), .events = ZMQ_POLLOUT};
    if (zmq_poll(&ready, 1, READY_MS) != 1)
        die(argv[1], "no broker");
    if (one)
        submit_each(&l);
    else
        submit_all(&l);
    (void)fclose(l.targets);
    msgpack_sbuffer_destroy(&l.traces);
    msgpack_sbuffer_destroy(&l.out);
    wire_doc_free(&l.doc);
    sock_destroy(&l.broker, 0);
    return 0;
}
