/* hopmq watch: subscribes to results and prints a line for each, in order and each once.
 *
 * While it waits for a replay that fills a gap, it does not read the subscription: what is
 * published meanwhile waits in the socket's queue. What that queue cannot take is the next gap.
 */
#include "clients/cli/feed.h"
#include "clients/cli/json.h"
#include "clients/cli/output.h"
#include "clients/cli/render.h"
#include "clients/cli/replay_request.h"
#include "common/protocol/hop.h"
#include "common/protocol/request.h"
#include "common/protocol/result.h"
#include "common/runtime/sock.h"

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
    bool lost;  /* some result will never be shown */
    struct feed feed;
    struct replay_request request;
    struct connection *connection;
    zsock_t *socket;
    struct wire_doc doc;
    char endpoint[REPLY_ENDPOINT_BYTES + 1];
};

enum { KEY_JSON = 'j', KEY_HOPS = 0x400, KEY_AFTER, KEY_COUNT = 'n' };

static const struct argp_option options[] = {
    {.name = "json", .key = KEY_JSON, .doc = "Print each result as one line of JSON"},
    {.name = "hops", .key = KEY_HOPS, .doc = "Also print the hops of traces that ask for progress"},
    {.name = "after",
        .key = KEY_AFTER,
        .arg = "SEQ",
        .doc = "Begin with the results after number SEQ, as far as the broker keeps them; 0: all"},
    {.name = "count", .key = KEY_COUNT, .arg = "N", .doc = "End after N results"},
    {0},
};

static error_t watch_parse(int key, char *arg, struct argp_state *state) {
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
    case KEY_AFTER:
        cmd->feed.after = command_number("--after", arg, 0, INT64_MAX);
        return 0;
    case KEY_COUNT:
        cmd->count = command_number("--count", arg, 1, INT64_MAX);
        return 0;
    case ARGP_KEY_ARG:
        if (cmd->stream != NULL)
            argp_usage(state);
        cmd->stream = command_stream("STREAM", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&command_argp, 0, NULL, 0}, {0}};

static const struct argp argp = {
    .options = options,
    .parser = watch_parse,
    .args_doc = "[STREAM]",
    .doc = "Print a line for each result of STREAM, or of all streams, as it is published, in the "
           "order of their numbers and each once. Results that were missed, such as while the "
           "connection was lost, are asked for again; those that the broker no longer keeps are "
           "reported on standard error, and make the exit status 1.\v"
           "Example:\n"
           "  hopmq watch --json nightly >nightly.jsonl\n\n" COMMAND_EXIT_HELP,
    .children = children,
};

/* ---- what is published ------------------------------------------------------------------ */

static bool full(const struct watch_command *cmd) {
    return cmd->count > 0 && cmd->seen >= cmd->count;
}

static void show(struct watch_command *cmd, const struct result_head *head,
    const struct result_body *body, const msgpack_object *map) {
    output_result(head, body, map, cmd->json);
    cmd->seen++;
    if (full(cmd))
        connection_end(cmd->connection, cmd->lost ? COMMAND_OTHERWISE : COMMAND_OK);
}

static void tell_changes(struct watch_command *cmd) {
    if (cmd->feed.renewed) {
        output_warn("the broker has begun to count again; earlier results may be missing");
        cmd->lost = true;
    }
    if (cmd->feed.ahead)
        output_warn("--after: the broker has counted to %" PRId64 " only; watching from there",
            cmd->feed.after);
    cmd->feed.renewed = cmd->feed.ahead = false;
}

static void watch_ask(struct watch_command *cmd) {
    replay_request_send(&cmd->request, cmd->feed.after, REQUEST_MAX_ITEMS);
}

static bool watch_on_result(struct watch_command *cmd, struct wire_error *err) {
    struct result_head head;
    struct result_body body;
    if (!result_get_head(&head, &cmd->doc.root, err) ||
        !result_get_body(&body, &cmd->doc.root, err))
        return false;
    enum feed_verdict verdict = feed_result(&cmd->feed, head.epoch, head.seq, head.stream_seq);
    if (verdict == FEED_SHOW)
        show(cmd, &head, &body, &cmd->doc.root);
    else if (verdict == FEED_ASK)
        watch_ask(cmd);
    return true;
}

static bool on_hop(struct watch_command *cmd, struct wire_error *err) {
    struct names {
        char id[RESULT_ID_BYTES + 1], stream[TRACE_ID_BYTES + 1];
    } in;
    static const struct wire_field fields[] = {
        WIRE_FIELD_TEXT("id", struct names, id, 1, RESULT_ID_CHARS, WIRE_REQUIRED),
        WIRE_FIELD_TEXT("stream", struct names, stream, 1, WIRE_STREAM_CHARS, WIRE_REQUIRED),
    };
    const msgpack_object *root = &cmd->doc.root, *probes;
    int64_t ttl;
    char prefix[256];
    struct text text = {0};
    if (!wire_get(root, fields, 2, &in, "", err) || !hop_get(root, &ttl, &probes, "", err) ||
        !hop_check_probes(probes, "probes", err))
        return false;
    (void)snprintf(prefix, sizeof prefix, "%-20s %-10s %-16s ", "", in.stream, in.id);
    if (cmd->json)
        json_line(&text, root, "req");
    else
        (void)render_hop(&text, prefix, ttl, probes, NULL);
    output_text(&text);
    text_free(&text);
    return true;
}

/* The subscription to `alive` is set last: when the first one comes, all subscriptions are set. */
static bool on_alive(struct watch_command *cmd, struct wire_error *err) {
    enum feed_verdict verdict;
    if (!feed_alive(&cmd->feed, &cmd->doc.root, reactor_now().mono_us, &verdict, err))
        return false;
    tell_changes(cmd);
    connection_give_up_after(cmd->connection, SILENCE_US, GIVE_UP);
    if (!cmd->alive)
        output_warn(
            "watching %s at %s", cmd->stream != NULL ? cmd->stream : "all streams", cmd->endpoint);
    cmd->alive = true;
    if (verdict == FEED_ASK)
        watch_ask(cmd);
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
            good = watch_on_result(cmd, &err);
        else if (wire_is(op, "hop"))
            good = on_hop(cmd, &err);
        else if (wire_is(op, "alive"))
            good = on_alive(cmd, &err);
    }
    if (!good)
        connection_nonsense(&err);
}

static void on_socket(void *context);

static void watch_on(struct watch_command *cmd) {
    reactor_socket(connection_reactor(cmd->connection), cmd->socket, on_socket, cmd);
    connection_give_up_after(cmd->connection, SILENCE_US, GIVE_UP);
}

static void on_socket(void *context) {
    struct watch_command *cmd = context;
    struct sock_message message;
    for (int i = 0; i < REACTOR_DRAIN && !output_failed() && !cmd->request.waiting; i++) {
        if (full(cmd) || !sock_receive(cmd->socket, &message))
            break;
        if (message.frames == 2)
            on_publication(cmd, &message);
        sock_message_close(&message);
    }
    if (output_failed())
        connection_end(cmd->connection, EX_IOERR);
    else if (cmd->request.waiting)
        reactor_socket_end(connection_reactor(cmd->connection), cmd->socket);
}

/* ---- replays ---------------------------------------------------------------------------- */

static bool show_replayed(
    struct watch_command *cmd, const msgpack_object *map, struct wire_error *err) {
    struct result_head head;
    struct result_body body;
    if (!result_get_head(&head, map, err) || !result_get_body(&body, map, err))
        return false;
    if (feed_replay_result(&cmd->feed, head.seq, head.stream_seq))
        show(cmd, &head, &body, map);
    return true;
}

static bool on_replay(
    struct watch_command *cmd, const struct reply_replay *replay, struct wire_error *err) {
    const msgpack_object_array *results = &replay->results->via.array;
    int64_t before = cmd->feed.after;
    bool same = feed_replay(&cmd->feed, replay);
    tell_changes(cmd);
    if (!same) {
        watch_ask(cmd);
        return true;
    }
    if (replay->lost_to > 0) {
        output_lost(replay->lost_from, replay->lost_to, cmd->stream);
        cmd->lost = true;
    }
    for (uint32_t i = 0; i < results->size && !full(cmd) && !output_failed(); i++)
        if (!show_replayed(cmd, &results->ptr[i], err))
            return false;
    if (replay->more && cmd->feed.after == before) {
        wire_fail(err, "bad-request", "results", "must be behind %" PRId64, before);
        return false;
    }
    if (feed_replay_end(&cmd->feed, replay) == FEED_ASK)
        watch_ask(cmd);
    return true;
}

/* Without a replay a gap remains. What is published behind it is still shown. */
static void on_refusal(struct watch_command *cmd, const struct connection_message *message) {
    int64_t missed = feed_give_up(&cmd->feed);
    (void)connection_refused(message);
    output_warn("missed %" PRId64 " result%s", missed, missed == 1 ? "" : "s");
    cmd->lost = true;
}

static void watch_on_message(void *context, const struct connection_message *message) {
    struct watch_command *cmd = context;
    struct reply_replay replay;
    struct wire_error err;
    enum replay_request_got got = replay_request_message(&cmd->request, message, &replay);
    if (got == REPLAY_REQUEST_NOTHING)
        return;
    if (got == REPLAY_REQUEST_REFUSED)
        on_refusal(cmd, message);
    bool good = got != REPLAY_REQUEST_NONSENSE;
    if (got == REPLAY_REQUEST_ANSWER && !on_replay(cmd, &replay, &err)) {
        connection_nonsense(&err);
        good = false;
    }
    if (!good)
        connection_end(cmd->connection, EX_UNAVAILABLE);
    else if (output_failed())
        connection_end(cmd->connection, EX_IOERR);
    else if (!cmd->request.waiting && !full(cmd))
        watch_on(cmd);
}

/* ---- the subscription ------------------------------------------------------------------- */

static void subscribe(struct watch_command *cmd, const char *kind) {
    char topic[TRACE_ID_BYTES + 16];
    (void)snprintf(topic, sizeof topic, "%s.%s%s", kind, cmd->stream != NULL ? cmd->stream : "",
        cmd->stream != NULL ? "." : "");
    zsock_set_subscribe(cmd->socket, topic);
}

static void watch_on_up(
    void *context, const struct reply_ping *pong, const msgpack_object *root, int64_t rtt_us) {
    struct watch_command *cmd = context;
    (void)root;
    (void)rtt_us;
    if (reply_ping_results(pong, cmd->common->broker, cmd->endpoint))
        cmd->socket = sock_new_connected(ZMQ_SUB, cmd->endpoint);
    if (cmd->socket == NULL) {
        output_warn("%s: the broker does not say where it publishes", cmd->common->broker);
        connection_end(cmd->connection, EX_UNAVAILABLE);
        return;
    }
    subscribe(cmd, "result");
    if (cmd->hops)
        subscribe(cmd, "hop");
    zsock_set_subscribe(cmd->socket, "alive.");
    connection_stop_pings(cmd->connection);
    watch_on(cmd);
}

static int64_t watch_on_next(void *context) {
    const struct watch_command *cmd = context;
    return replay_request_next(&cmd->request);
}

/* After a pause of the whole process, read what has arrived before judging what is late. */
static void watch_on_tick(void *context, int64_t now_us) {
    struct watch_command *cmd = context;
    replay_request_tick(&cmd->request, now_us);
    if (cmd->socket != NULL && !cmd->request.waiting)
        on_socket(context);
}

int command_watch(struct command_options *common, int argc, char **argv) {
    struct watch_command cmd = {.common = common, .feed = {.after = -1}};
    const struct connection_events events = {.context = &cmd,
        .up = watch_on_up,
        .message = watch_on_message,
        .next = watch_on_next,
        .tick = watch_on_tick};
    command_parse(&argp, argc, argv, &cmd);
    cmd.connection = connection_new(common, &events);
    cmd.feed.stream = cmd.request.stream = cmd.stream;
    cmd.request.connection = cmd.connection;
    if (!wire_doc_init(&cmd.doc))
        abort();
    int code = connection_run(cmd.connection);
    if (cmd.socket != NULL)
        reactor_socket_end(connection_reactor(cmd.connection), cmd.socket);
    sock_destroy(&cmd.socket, 0);
    connection_destroy(&cmd.connection);
    wire_doc_free(&cmd.doc);
    return code;
}
