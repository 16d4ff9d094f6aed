/* hopmq stats, ping: questions about the broker itself. */
#include "clients/cli/command.h"
#include "clients/cli/connection.h"
#include "clients/cli/json.h"
#include "clients/cli/output.h"
#include "clients/cli/stats_text.h"
#include "common/protocol/request.h"

#include <string.h>

#define ANSWER_US INT64_C(10000000)
#define STATS_REQ 1

struct stats_command {
    struct command_options *common;
    bool json;
    struct connection *connection;
};

enum { KEY_JSON = 'j' };

static const struct argp_option options[] = {
    {.name = "json", .key = KEY_JSON, .doc = "Print one line of JSON"}, {0}};

static error_t stats_parse(int key, char *arg, struct argp_state *state) {
    struct stats_command *cmd = state->input;
    (void)arg;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = cmd->common;
        return 0;
    case KEY_JSON:
        cmd->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&command_argp, 0, NULL, 0}, {0}};

static const struct argp stats_argp = {.options = options,
    .parser = stats_parse,
    .doc = "Print the broker's queue, rates, workers and counters.\v" COMMAND_EXIT_HELP,
    .children = children};
static const struct argp ping_argp = {.options = options,
    .parser = stats_parse,
    .doc = "Ask the broker who it is, and whether it is there.\v" COMMAND_EXIT_HELP,
    .children = children};

static void stats_finish(struct stats_command *cmd, struct text *text) {
    output_text(text);
    text_free(text);
    connection_end(cmd->connection, output_failed() ? EX_IOERR : COMMAND_OK);
}

static void on_pong(
    void *context, const struct reply_ping *pong, const msgpack_object *root, int64_t rtt_us) {
    struct stats_command *cmd = context;
    struct text text = {0};
    if (cmd->json)
        json_line(&text, root, "req");
    else
        reply_ping_render(&text, pong, cmd->common->broker, rtt_us);
    stats_finish(cmd, &text);
}

static void ask_stats(
    void *context, const struct reply_ping *pong, const msgpack_object *root, int64_t rtt_us) {
    struct stats_command *cmd = context;
    msgpack_sbuffer bytes;
    msgpack_packer pk;
    msgpack_object req = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = STATS_REQ};
    (void)pong;
    (void)root;
    (void)rtt_us;
    msgpack_sbuffer_init(&bytes);
    msgpack_packer_init(&pk, &bytes, msgpack_sbuffer_write);
    request_put_head(&pk, "stats", &req, 0);
    connection_send(cmd->connection, &bytes);
    connection_give_up_after(cmd->connection, ANSWER_US, "the broker does not answer this request");
}

static void stats_on_message(void *context, const struct connection_message *message) {
    struct stats_command *cmd = context;
    struct text text = {0};
    if (message->req != STATS_REQ)
        return;
    const msgpack_object *stats = wire_find(message->root, "stats");
    if (strcmp(message->op, "error") == 0) {
        connection_end(cmd->connection, connection_refused(message));
    } else if (strcmp(message->op, "stats") != 0 || stats == NULL ||
               stats->type != MSGPACK_OBJECT_MAP) {
        struct wire_error err;
        wire_fail(&err, "bad-request", "stats", "must be a map");
        connection_nonsense(&err);
        connection_end(cmd->connection, EX_UNAVAILABLE);
    } else {
        if (cmd->json)
            json_line(&text, stats, NULL);
        else
            stats_text(&text, stats);
        stats_finish(cmd, &text);
    }
}

int command_stats(struct command_options *common, int argc, char **argv) {
    struct stats_command cmd = {.common = common};
    const struct connection_events events = {
        .context = &cmd, .up = ask_stats, .message = stats_on_message};
    command_parse(&stats_argp, argc, argv, &cmd);
    cmd.connection = connection_new(common, &events);
    int code = connection_run(cmd.connection);
    connection_destroy(&cmd.connection);
    return code;
}

static void ignore(void *context, const struct connection_message *message) {
    (void)context;
    (void)message;
}

int command_ping(struct command_options *common, int argc, char **argv) {
    struct stats_command cmd = {.common = common};
    const struct connection_events events = {.context = &cmd, .up = on_pong, .message = ignore};
    command_parse(&ping_argp, argc, argv, &cmd);
    cmd.connection = connection_new(common, &events);
    int code = connection_run(cmd.connection);
    connection_destroy(&cmd.connection);
    return code;
}
