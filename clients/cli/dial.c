#include "clients/cli/dial.h"

#include "clients/cli/output.h"
#include "common/mem.h"
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

struct dial {
    const struct command_options *options;
    struct dial_events events;
    struct reactor *reactor;
    zsock_t *socket;
    struct wire_doc doc;
    STAILQ_HEAD(, parcel) unsent; /* bounded by what the commands keep outstanding */
    bool up, pings_stopped, ended, stopping;
    int code;
    const char *give_up_message;
    int64_t epoch, origin;
    int64_t started_us, ping_at_us, pinged_us, send_at_us, give_up_us;
    int64_t unanswered_us; /* the first ping since the broker was heard; 0: none */
};

static int64_t now_us(void) { return reactor_now().mono_us; }

void dial_end(struct dial *d, int code) {
    if (!d->ended && !(d->stopping && code == DIAL_STOPPED))
        d->code = code;
    d->ended = true;
    reactor_stop(d->reactor);
}

/* ---- sending ---------------------------------------------------------------------------- */

static bool send_now(struct dial *d, const msgpack_sbuffer *bytes) {
    struct sock_frame frame = {bytes->data, bytes->size};
    return sock_send(d->socket, &frame, 1);
}

static void send_unsent(struct dial *d) {
    struct parcel *p;
    while ((p = STAILQ_FIRST(&d->unsent)) != NULL && send_now(d, &p->bytes)) {
        STAILQ_REMOVE_HEAD(&d->unsent, link);
        msgpack_sbuffer_destroy(&p->bytes);
        free(p);
    }
    d->send_at_us = p != NULL ? now_us() + SEND_AGAIN_US : INT64_MAX;
}

void dial_send(struct dial *d, msgpack_sbuffer *bytes) {
    struct parcel *p = mem_new(1, sizeof *p);
    p->bytes = *bytes;
    msgpack_sbuffer_init(bytes);
    STAILQ_INSERT_TAIL(&d->unsent, p, link);
    send_unsent(d);
}

static void ping(struct dial *d) {
    msgpack_sbuffer bytes;
    msgpack_packer pk;
    msgpack_sbuffer_init(&bytes);
    msgpack_packer_init(&pk, &bytes, msgpack_sbuffer_write);
    request_put_head(&pk, "ping", NULL, 0);
    int64_t now = now_us();
    if (d->unanswered_us == 0)
        d->unanswered_us = now;
    bool sent = send_now(d, &bytes);
    if (sent)
        d->pinged_us = now;
    /* Before the connection is there, a send fails: look again soon. */
    d->ping_at_us = now + (d->up ? PING_US : sent ? FIRST_PING_US : SEND_AGAIN_US);
    msgpack_sbuffer_destroy(&bytes);
}

/* Lets the command end what it has begun, if it can and was not asked before. */
static void stop_softly(struct dial *d, int code) {
    bool first = !d->stopping;
    d->stopping = true;
    if (first && d->up && d->events.interrupted != NULL) {
        d->code = code;
        d->events.interrupted(d->events.context);
    } else {
        dial_end(d, code);
    }
}

static void check_output(struct dial *d) {
    if (output_failed() && !d->stopping)
        stop_softly(d, EX_IOERR);
}

/* ---- receiving -------------------------------------------------------------------------- */

void dial_nonsense(const struct wire_error *err) {
    static bool said;
    if (!said)
        output_warn("the broker sent something that makes no sense: %s", err->message);
    said = true;
}

int dial_refused(const struct dial_message *message) {
    const msgpack_object *text = wire_find(message->root, "message");
    if (text != NULL && text->type == MSGPACK_OBJECT_STR)
        output_warn("refused: %.*s", (int)text->via.str.size, text->via.str.ptr);
    else
        output_warn("refused, but the reason makes no sense");
    return COMMAND_REFUSED;
}

static void on_pong(struct dial *d, const msgpack_object *root) {
    struct pong pong;
    struct wire_error err;
    if (!pong_get(&pong, root, &err)) {
        dial_nonsense(&err);
        return;
    }
    if (pong.version_min > WIRE_VERSION || pong.version_max < WIRE_VERSION) {
        output_warn("%s: the broker speaks protocol %d..%d, this is %d", d->options->broker,
            (int)pong.version_min, (int)pong.version_max, WIRE_VERSION);
        dial_end(d, EX_UNAVAILABLE);
        return;
    }
    if (!d->up) {
        d->up = true;
        d->epoch = pong.epoch;
        d->origin = pong.origin;
        d->ping_at_us = now_us() + PING_US;
        if (d->events.up != NULL)
            d->events.up(d->events.context, &pong, root, now_us() - d->pinged_us);
    } else if (pong.epoch != d->epoch && !d->pings_stopped) {
        bool kept = pong.origin == d->origin;
        d->epoch = pong.epoch;
        if (kept && d->events.restarted != NULL) {
            d->events.restarted(d->events.context);
            return;
        }
        output_warn("%s: the broker was started again%s", d->options->broker,
            kept ? "" : "; the traces that it had are gone");
        dial_end(d, EX_UNAVAILABLE);
    }
}

static bool read_message(struct dial *d, zmq_msg_t *frame, struct dial_message *message) {
    struct header {
        int64_t v;
        char op[33];
        const msgpack_object *req;
    } in = {0, "", NULL};
#define AT(member) offsetof(struct header, member)
    static const struct wire_field fields[] = {
        {WIRE_NAME("v"), WIRE_INT, AT(v), WIRE_VERSION, WIRE_VERSION, 0, NULL, true, false},
        {WIRE_NAME("op"), WIRE_TEXT, AT(op), 1, 32, 0, NULL, true, false},
        {WIRE_NAME("req"), WIRE_VALUE, AT(req), 0, 0, 0, NULL, false, false},
    };
    struct wire_error err;
    if (!wire_doc_read(&d->doc, zmq_msg_data(frame), zmq_msg_size(frame), VALUES_MAX, &err) ||
        !wire_get(&d->doc.root, fields, 3, &in, "", &err)) {
        dial_nonsense(&err);
        return false;
    }
    memcpy(message->op, in.op, sizeof message->op);
    bool ours = in.req != NULL && in.req->type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
                in.req->via.u64 <= (uint64_t)INT64_MAX;
    message->req = ours ? (int64_t)in.req->via.u64 : 0;
    message->root = &d->doc.root;
    return true;
}

static void on_frame(struct dial *d, zmq_msg_t *frame) {
    struct dial_message message;
    if (!read_message(d, frame, &message))
        return;
    if (strcmp(message.op, "pong") == 0)
        on_pong(d, message.root);
    else if (d->up)
        d->events.message(d->events.context, &message);
    else if (strcmp(message.op, "error") == 0)
        dial_end(d, dial_refused(&message));
}

static void on_socket(void *context) {
    struct dial *d = context;
    struct sock_message message;
    for (int i = 0; i < REACTOR_DRAIN && !d->ended; i++) {
        if (!sock_receive(d->socket, &message))
            break;
        d->unanswered_us = 0;
        if (message.frames == 1)
            on_frame(d, &message.at[0]);
        sock_message_close(&message);
    }
    check_output(d);
}

/* ---- time and signals ------------------------------------------------------------------- */

static int64_t silence_at(const struct dial *d) {
    if (!d->up)
        return d->started_us + d->options->wait_broker_us;
    return d->pings_stopped || d->unanswered_us == 0 ? INT64_MAX : d->unanswered_us + SILENCE_US;
}

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t next(void *context) {
    struct dial *d = context;
    int64_t at = min64(min64(silence_at(d), d->give_up_us), d->send_at_us);
    if (!d->pings_stopped)
        at = min64(at, d->ping_at_us);
    if (d->up && d->events.next != NULL)
        at = min64(at, d->events.next(d->events.context));
    return at;
}

static void tick(void *context) {
    struct dial *d = context;
    /* After a pause of the whole process what has come counts before what is late. */
    on_socket(d);
    int64_t now = now_us();
    if (d->ended)
        return;
    if (d->send_at_us <= now)
        send_unsent(d);
    if (!d->pings_stopped && d->ping_at_us <= now)
        ping(d);
    if (d->up && d->events.tick != NULL)
        d->events.tick(d->events.context, now);
    if (!d->ended && silence_at(d) <= now) {
        if (d->up)
            output_warn("%s: the broker has been silent for %d s; giving up", d->options->broker,
                (int)(SILENCE_US / SECOND_US));
        else
            output_warn("%s: no answer from a broker within %d s; is hopmq-broker running?",
                d->options->broker, (int)(d->options->wait_broker_us / SECOND_US));
        dial_end(d, EX_UNAVAILABLE);
    } else if (!d->ended && d->give_up_us <= now) {
        output_warn("%s: %s", d->options->broker, d->give_up_message);
        dial_end(d, EX_UNAVAILABLE);
    }
    check_output(d);
}

static void on_signal(void *context, int signal) { stop_softly(context, 128 + signal); }

/* ---- life ------------------------------------------------------------------------------- */

struct dial *dial_new(const struct command_options *options, const struct dial_events *events) {
    struct dial *d = mem_new(1, sizeof *d);
    d->options = options;
    d->events = *events;
    d->started_us = d->ping_at_us = now_us();
    d->send_at_us = d->give_up_us = INT64_MAX;
    STAILQ_INIT(&d->unsent);
    d->reactor = reactor_new(0);
    if (!wire_doc_init(&d->doc))
        abort();
    d->socket = sock_new_connected(ZMQ_DEALER, options->broker);
    if (d->socket == NULL)
        command_misuse(
            "--broker %s: not an endpoint; tcp://HOST:PORT or ipc://PATH is one", options->broker);
    reactor_socket(d->reactor, d->socket, on_socket, d);
    reactor_on_tick(d->reactor, next, tick, d);
    reactor_on_signal(d->reactor, on_signal, d);
    return d;
}

void dial_destroy(struct dial **dial) {
    struct dial *d = *dial;
    if (d == NULL)
        return;
    struct parcel *p;
    while ((p = STAILQ_FIRST(&d->unsent)) != NULL) {
        STAILQ_REMOVE_HEAD(&d->unsent, link);
        msgpack_sbuffer_destroy(&p->bytes);
        free(p);
    }
    reactor_destroy(&d->reactor);
    sock_destroy(&d->socket, 200);
    wire_doc_free(&d->doc);
    free(d);
    *dial = NULL;
}

int dial_run(struct dial *d) {
    reactor_run(d->reactor);
    return d->code;
}

void dial_stop_pings(struct dial *d) { d->pings_stopped = true; }

void dial_give_up_after(struct dial *d, int64_t after_us, const char *message) {
    d->give_up_us = now_us() + after_us;
    d->give_up_message = message;
}

struct reactor *dial_reactor(struct dial *d) {
    return d->reactor;
}
