/* hopmq replay: prints results that were published before, as far as the broker keeps them. */
#include "clients/cli/output.h"
#include "clients/cli/replay_request.h"

#include <inttypes.h>
#include <string.h>

struct replay_command {
    struct command_options *common;
    struct replay_request request;
    bool json, lost, after_given;
    int64_t after;
    int64_t left;   /* how many results may still be printed */
    int64_t origin; /* 0: no answer yet */
};

enum { KEY_JSON = 'j', KEY_STREAM = 0x500, KEY_LIMIT = 'n' };

static const struct argp_option options[] = {
    {.name = "json", .key = KEY_JSON, .doc = "Print each result as one line of JSON"},
    {.name = "stream", .key = KEY_STREAM, .arg = "NAME", .doc = "Results of this stream only"},
    {.name = "limit", .key = KEY_LIMIT, .arg = "N", .doc = "End after N results"},
    {0},
};

static error_t replay_parse(int key, char *arg, struct argp_state *state) {
    struct replay_command *cmd = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = cmd->common;
        return 0;
    case KEY_JSON:
        cmd->json = true;
        return 0;
    case KEY_STREAM:
        cmd->request.stream = command_stream("--stream", arg);
        return 0;
    case KEY_LIMIT:
        cmd->left = command_number("--limit", arg, 1, INT64_MAX);
        return 0;
    case ARGP_KEY_ARG:
        if (cmd->after_given)
            argp_usage(state);
        cmd->after = command_number("SEQ", arg, 0, INT64_MAX);
        cmd->after_given = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&command_argp, 0, NULL, 0}, {0}};

static const struct argp argp = {
    .options = options,
    .parser = replay_parse,
    .args_doc = "[SEQ]",
    .doc = "Print a line for each result after number SEQ [0], in the order in which they were "
           "published, as far as the broker keeps them. Results that it no longer keeps are "
           "reported on standard error, and make the exit status 1.\v"
           "Example:\n"
           "  hopmq replay --json --stream nightly >nightly.jsonl\n\n" COMMAND_EXIT_HELP,
    .children = children,
};

static void replay_on_up(
    void *context, const struct reply_ping *pong, const msgpack_object *root, int64_t rtt_us) {
    struct replay_command *cmd = context;
    (void)pong;
    (void)root;
    (void)rtt_us;
    replay_request_send(&cmd->request, cmd->after, cmd->left);
}

static bool print(
    struct replay_command *cmd, const struct reply_replay *replay, struct wire_error *err) {
    const msgpack_object_array *results = &replay->results->via.array;
    for (uint32_t i = 0; i < results->size && cmd->left > 0 && !output_failed(); i++) {
        struct result_head head;
        struct result_body body;
        if (!result_get_head(&head, &results->ptr[i], err) ||
            !result_get_body(&body, &results->ptr[i], err))
            return false;
        if (head.seq <= cmd->after) {
            wire_fail(err, "bad-request", "seq", "%" PRId64 ": must be over %" PRId64, head.seq,
                cmd->after);
            return false;
        }
        output_result(&head, &body, &results->ptr[i], cmd->json);
        cmd->after = head.seq;
        cmd->left--;
    }
    return true;
}

static void on_replay(struct replay_command *cmd, const struct reply_replay *replay) {
    struct wire_error err;
    if (cmd->origin != 0 && replay->origin != cmd->origin) {
        output_warn("the broker has begun to count again; the results that it had are gone");
        connection_end(cmd->request.connection, EX_UNAVAILABLE);
        return;
    }
    cmd->origin = replay->origin;
    if (replay->lost_to > 0) {
        output_lost(replay->lost_from, replay->lost_to, cmd->request.stream);
        cmd->lost = true;
    }
    if (!print(cmd, replay, &err)) {
        connection_nonsense(&err);
        connection_end(cmd->request.connection, EX_UNAVAILABLE);
    } else if (output_failed()) {
        connection_end(cmd->request.connection, EX_IOERR);
    } else if (replay->more && cmd->left > 0) {
        replay_request_send(&cmd->request, cmd->after, cmd->left);
    } else {
        connection_end(cmd->request.connection, cmd->lost ? COMMAND_OTHERWISE : COMMAND_OK);
    }
}

static void replay_on_message(void *context, const struct connection_message *message) {
    struct replay_command *cmd = context;
    struct reply_replay replay;
    switch (replay_request_message(&cmd->request, message, &replay)) {
    case REPLAY_REQUEST_ANSWER:
        on_replay(cmd, &replay);
        break;
    case REPLAY_REQUEST_REFUSED:
        connection_end(cmd->request.connection, connection_refused(message));
        break;
    case REPLAY_REQUEST_NONSENSE:
        connection_end(cmd->request.connection, EX_UNAVAILABLE);
        break;
    case REPLAY_REQUEST_NOTHING:
        break;
    }
}

static void on_restart(void *context) {
    struct replay_command *cmd = context;
    replay_request_resend(&cmd->request);
}

static int64_t replay_on_next(void *context) {
    const struct replay_command *cmd = context;
    return replay_request_next(&cmd->request);
}

static void replay_on_tick(void *context, int64_t now_us) {
    struct replay_command *cmd = context;
    replay_request_tick(&cmd->request, now_us);
}

int command_replay(struct command_options *common, int argc, char **argv) {
    struct replay_command cmd = {.common = common, .left = INT64_MAX};
    const struct connection_events events = {.context = &cmd,
        .up = replay_on_up,
        .message = replay_on_message,
        .restarted = on_restart,
        .next = replay_on_next,
        .tick = replay_on_tick};
    command_parse(&argp, argc, argv, &cmd);
    cmd.request.connection = connection_new(common, &events);
    int code = connection_run(cmd.request.connection);
    connection_destroy(&cmd.request.connection);
    return code;
}
