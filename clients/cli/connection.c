#include "clients/cli/connection.h"

#include "clients/cli/output.h"
#include "common/mem.h"
#include "common/order.h"
#include "common/protocol/request.h"
#include "common/runtime/sock.h"

#include <bsd/sys/queue.h>
#include <stdlib.h>
#include <string.h>

#define VALUES_MAX 1048576
#define PING_US INT64_C(2000000)
#define FIRST_PING_US INT64_C(500000)
#define SILENCE_US INT64_C(10000000)
#define SEND_AGAIN_US INT64_C(20000)
#define SECOND_US 1000000

struct parcel {
    STAILQ_ENTRY(parcel) link;
    msgpack_sbuffer bytes;
};

struct connection {
    const struct command_options *options;
    struct connection_events events;
    struct reactor *reactor;
    zsock_t *socket;
    struct wire_doc doc;
    STAILQ_HEAD(, parcel) unsent; /* bounded by the requests that a command keeps outstanding */
    bool up, pings_stopped, ended, stopping;
    int code;
    const char *give_up_message;
    int64_t epoch, origin;
    int64_t started_us, ping_at_us, pinged_us, send_at_us, give_up_us;
    int64_t unanswered_us; /* the first ping since the broker was heard; 0: none */
};

static int64_t now_us(void) { return reactor_now().mono_us; }

void connection_end(struct connection *c, int code) {
    if (!c->ended && !(c->stopping && code == CONNECTION_STOPPED))
        c->code = code;
    c->ended = true;
    reactor_stop(c->reactor);
}

/* ---- sending ---------------------------------------------------------------------------- */

static bool connection_send_now(struct connection *c, const msgpack_sbuffer *bytes) {
    struct sock_frame frame = {bytes->data, bytes->size};
    return sock_send(c->socket, &frame, 1);
}

static void send_unsent(struct connection *c) {
    struct parcel *p;
    while ((p = STAILQ_FIRST(&c->unsent)) != NULL && connection_send_now(c, &p->bytes)) {
        STAILQ_REMOVE_HEAD(&c->unsent, link);
        msgpack_sbuffer_destroy(&p->bytes);
        free(p);
    }
    c->send_at_us = p != NULL ? now_us() + SEND_AGAIN_US : INT64_MAX;
}

void connection_send(struct connection *c, msgpack_sbuffer *bytes) {
    struct parcel *p = mem_new(1, sizeof *p);
    p->bytes = *bytes;
    msgpack_sbuffer_init(bytes);
    STAILQ_INSERT_TAIL(&c->unsent, p, link);
    send_unsent(c);
}

static void ping(struct connection *c) {
    msgpack_sbuffer bytes;
    msgpack_packer pk;
    msgpack_sbuffer_init(&bytes);
    msgpack_packer_init(&pk, &bytes, msgpack_sbuffer_write);
    request_put_head(&pk, "ping", NULL, 0);
    int64_t now = now_us();
    if (c->unanswered_us == 0)
        c->unanswered_us = now;
    bool sent = connection_send_now(c, &bytes);
    if (sent)
        c->pinged_us = now;
    /* A send fails until the connection is established: try again soon. */
    c->ping_at_us = now + (c->up ? PING_US : sent ? FIRST_PING_US : SEND_AGAIN_US);
    msgpack_sbuffer_destroy(&bytes);
}

/* Lets the command finish what it has begun, unless it was asked before. */
static void stop_softly(struct connection *c, int code) {
    bool first = !c->stopping;
    c->stopping = true;
    if (first && c->up && c->events.interrupted != NULL) {
        c->code = code;
        c->events.interrupted(c->events.context);
    } else {
        connection_end(c, code);
    }
}

static void check_output(struct connection *c) {
    if (output_failed() && !c->stopping)
        stop_softly(c, EX_IOERR);
}

/* ---- receiving -------------------------------------------------------------------------- */

void connection_nonsense(const struct wire_error *err) {
    static bool said;
    if (!said)
        output_warn("the broker sent a malformed message: %s", err->message);
    said = true;
}

int connection_refused(const struct connection_message *message) {
    const msgpack_object *text = wire_find(message->root, "message");
    if (text != NULL && text->type == MSGPACK_OBJECT_STR)
        output_warn("refused: %.*s", (int)text->via.str.size, text->via.str.ptr);
    else
        output_warn("refused, with a malformed reason");
    return COMMAND_REFUSED;
}

static void on_pong(struct connection *c, const msgpack_object *root) {
    struct reply_ping pong;
    struct wire_error err;
    if (!reply_ping_get(&pong, root, &err)) {
        connection_nonsense(&err);
        return;
    }
    if (pong.version_min > WIRE_VERSION || pong.version_max < WIRE_VERSION) {
        output_warn("%s: the broker speaks protocol %d..%d, this is %d", c->options->broker,
            (int)pong.version_min, (int)pong.version_max, WIRE_VERSION);
        connection_end(c, EX_UNAVAILABLE);
        return;
    }
    if (!c->up) {
        c->up = true;
        c->epoch = pong.epoch;
        c->origin = pong.origin;
        c->ping_at_us = now_us() + PING_US;
        if (c->events.up != NULL)
            c->events.up(c->events.context, &pong, root, now_us() - c->pinged_us);
    } else if (pong.epoch != c->epoch && !c->pings_stopped) {
        bool kept = pong.origin == c->origin;
        c->epoch = pong.epoch;
        if (kept && c->events.restarted != NULL) {
            c->events.restarted(c->events.context);
            return;
        }
        output_warn("%s: the broker was started again%s", c->options->broker,
            kept ? "" : "; the traces that it had are gone");
        connection_end(c, EX_UNAVAILABLE);
    }
}

static bool read_message(
    struct connection *c, zmq_msg_t *frame, struct connection_message *message) {
    struct header {
        int64_t v;
        char op[33];
        const msgpack_object *req;
    } in = {0, "", NULL};
    static const struct wire_field fields[] = {
        WIRE_FIELD_INT("v", struct header, v, WIRE_VERSION, WIRE_VERSION, WIRE_REQUIRED),
        WIRE_FIELD_TEXT("op", struct header, op, 1, WIRE_PRINTABLE, WIRE_REQUIRED),
        WIRE_FIELD_VALUE("req", struct header, req, WIRE_OPTIONAL),
    };
    struct wire_error err;
    if (!wire_doc_read(&c->doc, zmq_msg_data(frame), zmq_msg_size(frame), VALUES_MAX, &err) ||
        !wire_get(&c->doc.root, fields, 3, &in, "", &err)) {
        connection_nonsense(&err);
        return false;
    }
    memcpy(message->op, in.op, sizeof message->op);
    bool ours = in.req != NULL && in.req->type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
                in.req->via.u64 <= (uint64_t)INT64_MAX;
    message->req = ours ? (int64_t)in.req->via.u64 : 0;
    message->root = &c->doc.root;
    return true;
}

static void on_frame(struct connection *c, zmq_msg_t *frame) {
    struct connection_message message;
    if (!read_message(c, frame, &message))
        return;
    if (strcmp(message.op, "pong") == 0)
        on_pong(c, message.root);
    else if (c->up)
        c->events.message(c->events.context, &message);
    else if (strcmp(message.op, "error") == 0)
        connection_end(c, connection_refused(&message));
}

static void on_socket(void *context) {
    struct connection *c = context;
    struct sock_message message;
    for (int i = 0; i < REACTOR_DRAIN && !c->ended; i++) {
        if (!sock_receive(c->socket, &message))
            break;
        c->unanswered_us = 0;
        if (message.frames == 1)
            on_frame(c, &message.at[0]);
        sock_message_close(&message);
    }
    check_output(c);
}

/* ---- time and signals ------------------------------------------------------------------- */

static int64_t silence_at(const struct connection *c) {
    if (!c->up)
        return c->started_us + c->options->wait_broker_us;
    return c->pings_stopped || c->unanswered_us == 0 ? INT64_MAX : c->unanswered_us + SILENCE_US;
}

static int64_t next(void *context) {
    struct connection *c = context;
    int64_t at = order_min(order_min(silence_at(c), c->give_up_us), c->send_at_us);
    if (!c->pings_stopped)
        at = order_min(at, c->ping_at_us);
    if (c->up && c->events.next != NULL)
        at = order_min(at, c->events.next(c->events.context));
    return at;
}

static void tick(void *context) {
    struct connection *c = context;
    /* After a pause of the whole process, read what has arrived before judging what is late. */
    on_socket(c);
    int64_t now = now_us();
    if (c->ended)
        return;
    if (c->send_at_us <= now)
        send_unsent(c);
    if (!c->pings_stopped && c->ping_at_us <= now)
        ping(c);
    if (c->up && c->events.tick != NULL)
        c->events.tick(c->events.context, now);
    if (!c->ended && silence_at(c) <= now) {
        if (c->up)
            output_warn("%s: the broker has been silent for %d s; giving up", c->options->broker,
                (int)(SILENCE_US / SECOND_US));
        else
            output_warn("%s: no answer from a broker within %d s; is hopmq-broker running?",
                c->options->broker, (int)(c->options->wait_broker_us / SECOND_US));
        connection_end(c, EX_UNAVAILABLE);
    } else if (!c->ended && c->give_up_us <= now) {
        output_warn("%s: %s", c->options->broker, c->give_up_message);
        connection_end(c, EX_UNAVAILABLE);
    }
    check_output(c);
}

static void connection_on_signal(void *context, int signal) { stop_softly(context, 128 + signal); }

/* ---- life ------------------------------------------------------------------------------- */

struct connection *connection_new(
    const struct command_options *options, const struct connection_events *events) {
    struct connection *c = mem_new(1, sizeof *c);
    c->options = options;
    c->events = *events;
    c->started_us = c->ping_at_us = now_us();
    c->send_at_us = c->give_up_us = INT64_MAX;
    STAILQ_INIT(&c->unsent);
    c->reactor = reactor_new(0);
    if (!wire_doc_init(&c->doc))
        abort();
    c->socket = sock_new_connected(ZMQ_DEALER, options->broker);
    if (c->socket == NULL)
        command_misuse(
            "--broker %s: not an endpoint; tcp://HOST:PORT or ipc://PATH is one", options->broker);
    reactor_socket(c->reactor, c->socket, on_socket, c);
    reactor_on_tick(c->reactor, next, tick, c);
    reactor_on_signal(c->reactor, connection_on_signal, c);
    return c;
}

void connection_destroy(struct connection **connection) {
    struct connection *c = *connection;
    if (c == NULL)
        return;
    struct parcel *p;
    while ((p = STAILQ_FIRST(&c->unsent)) != NULL) {
        STAILQ_REMOVE_HEAD(&c->unsent, link);
        msgpack_sbuffer_destroy(&p->bytes);
        free(p);
    }
    reactor_destroy(&c->reactor);
    sock_destroy(&c->socket, 200);
    wire_doc_free(&c->doc);
    free(c);
    *connection = NULL;
}

int connection_run(struct connection *c) {
    reactor_run(c->reactor);
    return c->code;
}

void connection_stop_pings(struct connection *c) { c->pings_stopped = true; }

void connection_give_up_after(struct connection *c, int64_t after_us, const char *message) {
    c->give_up_us = now_us() + after_us;
    c->give_up_message = message;
}

struct reactor *connection_reactor(struct connection *c) {
    return c->reactor;
}
