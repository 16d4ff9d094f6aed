/* hopmq watch: subscribes to results and prints a line for each; tells what it has missed. */
#include "clients/command.h"
#include "clients/dial.h"
#include "clients/gaps.h"
#include "clients/json.h"
#include "clients/output.h"
#include "clients/render.h"
#include "common/hop.h"
#include "common/result.h"
#include "common/sock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define VALUES_MAX 1048576
#define SILENCE_US INT64_C(10000000) /* `alive` comes each second */
#define GIVE_UP "nothing was published for 10 s, not even a sign of life"

struct watch_command {
    struct command_options *common;
    const char *stream; /* NULL: all */
    bool json, hops;
    int64_t count; /* 0: no end */
    int64_t seen;
    bool alive; /* the subscription is known to be set */
    struct gaps gaps;
    struct dial *dial;
    zsock_t *socket;
    struct wire_doc doc;
    char endpoint[PONG_ENDPOINT_BYTES + 1];
};

enum { KEY_JSON = 'j', KEY_HOPS = 0x400, KEY_COUNT = 'n' };

static const struct argp_option options[] = {
    {.name = "json", .key = KEY_JSON, .doc = "Print each result as one line of JSON"},
    {.name = "hops", .key = KEY_HOPS, .doc = "Print also hops, of traces that ask for progress"},
    {.name = "count", .key = KEY_COUNT, .arg = "N", .doc = "End after N results"},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state) {
    struct watch_command *cmd = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = cmd->common;
        return 0;
    case KEY_JSON:
        cmd->json = true;
        return 0;
    case KEY_HOPS:
        cmd->hops = true;
        return 0;
    case KEY_COUNT:
        cmd->count = command_number("--count", arg, 1, INT64_MAX);
        return 0;
    case ARGP_KEY_ARG:
        if (cmd->stream != NULL)
            argp_usage(state);
        if (strlen(arg) < 1 || strlen(arg) > TRACE_ID_BYTES ||
            !wire_allowed(arg, strlen(arg), WIRE_STREAM_CHARS))
            command_misuse("STREAM %s: must be 1..%d of A-Za-z0-9_-", arg, TRACE_ID_BYTES);
        cmd->stream = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&command_argp, 0, NULL, 0}, {0}};

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "[STREAM]",
    .doc = "Print a line for each result of STREAM, or of all streams, as it is published. Results "
           "that were missed are counted on standard error; `hopmq fetch' may still have them.\v"
           "Example:\n"
           "  hopmq watch --json nightly >nightly.jsonl\n\n" COMMAND_EXIT_HELP,
    .children = children,
};

/* ---- what is published ------------------------------------------------------------------ */

static void tell_missed(struct watch_command *cmd, int64_t missed) {
    if (cmd->gaps.restarted)
        output_warn("the broker was started again; results of before may be missed");
    cmd->gaps.restarted = false;
    if (missed > 0)
        output_warn("missed %" PRId64 " result%s", missed, missed == 1 ? "" : "s");
}

static bool on_result(struct watch_command *cmd, struct wire_error *err) {
    struct result_head head;
    struct result_body body;
    struct lines text = {0};
    if (!result_get_head(&head, &cmd->doc.root, err) ||
        !result_get_body(&body, &cmd->doc.root, err))
        return false;
    tell_missed(cmd, gaps_result(&cmd->gaps, head.epoch, head.seq, head.stream_seq));
    if (cmd->json)
        json_line(&text, &cmd->doc.root, "req");
    else
        render_line(&text, &head, &body);
    output_lines(&text);
    lines_free(&text);
    if (++cmd->seen == cmd->count)
        dial_end(cmd->dial, COMMAND_OK);
    return true;
}

static bool on_hop(struct watch_command *cmd, struct wire_error *err) {
    struct names {
        char id[RESULT_ID_BYTES + 1], stream[TRACE_ID_BYTES + 1];
    } in;
    static const struct wire_field fields[] = {
        {"id", WIRE_TEXT, offsetof(struct names, id), 1, RESULT_ID_BYTES, RESULT_ID_CHARS, NULL,
            true, false},
        {"stream", WIRE_TEXT, offsetof(struct names, stream), 1, TRACE_ID_BYTES, WIRE_STREAM_CHARS,
            NULL, true, false},
    };
    const msgpack_object *root = &cmd->doc.root, *probes;
    int64_t ttl;
    char prefix[256];
    struct lines text = {0};
    if (!wire_get(root, fields, 2, &in, "", err) || !hop_get(root, &ttl, &probes, "", err) ||
        !hop_check_probes(probes, "probes", err))
        return false;
    (void)snprintf(prefix, sizeof prefix, "%-20s %-10s %-16s ", "", in.stream, in.id);
    if (cmd->json)
        json_line(&text, root, "req");
    else
        (void)render_hop(&text, prefix, ttl, probes, NULL);
    output_lines(&text);
    lines_free(&text);
    return true;
}

/* The first one comes over a subscription that was set after the others: so all are. */
static bool on_alive(struct watch_command *cmd, struct wire_error *err) {
    int64_t missed;
    if (!gaps_alive(&cmd->gaps, &cmd->doc.root, &missed, err))
        return false;
    tell_missed(cmd, missed);
    dial_give_up_after(cmd->dial, SILENCE_US, GIVE_UP);
    if (cmd->alive)
        return true;
    cmd->alive = true;
    output_warn(
        "watching %s at %s", cmd->stream != NULL ? cmd->stream : "all streams", cmd->endpoint);
    return true;
}

static void on_publication(struct watch_command *cmd, const struct sock_message *message) {
    struct wire_error err;
    const msgpack_object *op;
    const void *bytes = zmq_msg_data((zmq_msg_t *)&message->at[1]);
    size_t size = zmq_msg_size(&message->at[1]);
    bool good = wire_doc_read(&cmd->doc, bytes, size, VALUES_MAX, &err);
    if (good && (op = wire_find(&cmd->doc.root, "op")) != NULL) {
        if (wire_is(op, "result"))
            good = on_result(cmd, &err);
        else if (wire_is(op, "hop"))
            good = on_hop(cmd, &err);
        else if (wire_is(op, "alive"))
            good = on_alive(cmd, &err);
    }
    if (!good)
        dial_nonsense(&err);
}

static void on_socket(void *context) {
    struct watch_command *cmd = context;
    struct sock_message message;
    for (int i = 0; i < REACTOR_DRAIN && !output_failed(); i++) {
        if ((cmd->count > 0 && cmd->seen >= cmd->count) || !sock_receive(cmd->socket, &message))
            break;
        if (message.frames == 2)
            on_publication(cmd, &message);
        sock_message_close(&message);
    }
    if (output_failed())
        dial_end(cmd->dial, EX_IOERR);
}

/* ---- the subscription ------------------------------------------------------------------- */

static void subscribe(struct watch_command *cmd, const char *kind) {
    char topic[TRACE_ID_BYTES + 16];
    (void)snprintf(topic, sizeof topic, "%s.%s%s", kind, cmd->stream != NULL ? cmd->stream : "",
        cmd->stream != NULL ? "." : "");
    zsock_set_subscribe(cmd->socket, topic);
}

static void on_up(
    void *context, const struct pong *pong, const msgpack_object *root, int64_t rtt_us) {
    struct watch_command *cmd = context;
    (void)root;
    (void)rtt_us;
    if (pong_results(pong, cmd->common->broker, cmd->endpoint))
        cmd->socket = sock_new_connected(ZMQ_SUB, cmd->endpoint);
    if (cmd->socket == NULL) {
        output_warn("%s: the broker does not say where it publishes", cmd->common->broker);
        dial_end(cmd->dial, EX_UNAVAILABLE);
        return;
    }
    subscribe(cmd, "result");
    if (cmd->hops)
        subscribe(cmd, "hop");
    zsock_set_subscribe(cmd->socket, "alive.");
    reactor_socket(dial_reactor(cmd->dial), cmd->socket, on_socket, cmd);
    dial_stop_pings(cmd->dial);
    dial_give_up_after(cmd->dial, SILENCE_US, GIVE_UP);
}

static void on_message(void *context, const struct dial_message *message) {
    (void)context;
    (void)message;
}

/* After a pause of the whole process: what has come counts before what is late. */
static void on_tick(void *context, int64_t now_us) {
    (void)now_us;
    on_socket(context);
}

int command_watch(struct command_options *common, int argc, char **argv) {
    struct watch_command cmd = {.common = common};
    const struct dial_events events = {
        .context = &cmd, .up = on_up, .message = on_message, .tick = on_tick};
    command_parse(&argp, argc, argv, &cmd);
    cmd.gaps.stream = cmd.stream;
    cmd.dial = dial_new(common, &events);
    if (!wire_doc_init(&cmd.doc))
        abort();
    int code = dial_run(cmd.dial);
    if (cmd.socket != NULL)
        reactor_socket_end(dial_reactor(cmd.dial), cmd.socket);
    sock_destroy(&cmd.socket, 0);
    dial_destroy(&cmd.dial);
    wire_doc_free(&cmd.doc);
    return code;
}
