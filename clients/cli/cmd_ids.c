/* hopmq status, cancel, fetch: requests that name traces by id, up to REQUEST_MAX_ITEMS in each. */
#include "clients/cli/command.h"
#include "clients/cli/connection.h"
#include "clients/cli/json.h"
#include "clients/cli/output.h"
#include "clients/cli/progress.h"
#include "clients/cli/reply.h"
#include "common/protocol/request.h"
#include "common/protocol/result.h"

#include <bsd/stdlib.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_US INT64_C(10000000)

struct ids_command {
    struct command_options *common;
    const char *op;    /* of the request */
    const char *reply; /* of its answer */
    bool json, text;
    bool printed;     /* a result was printed as text */
    const char **ids; /* those from `next` on are still to be asked for */
    size_t count, next;
    size_t asked; /* in the message without an answer */
    int64_t req;
    int64_t again_us; /* the broker is busy, the request is sent again then; INT64_MAX: no */
    bool unknown;
    struct connection *connection;
};

enum { KEY_JSON = 'j', KEY_TEXT = 't' };

static const struct argp_option json_options[] = {
    {.name = "json", .key = KEY_JSON, .doc = "Print each state as one line of JSON"}, {0}};
static const struct argp_option text_options[] = {
    {.name = "text", .key = KEY_TEXT, .doc = "Print results as `hopmq trace' does, not as JSON"},
    {0}};

static void take_id(struct ids_command *cmd, const char *id) {
    if (!result_is_id(id, strlen(id)))
        command_misuse("ID %s: must be 1..%d of A-Za-z0-9._:-, or two such with / between", id,
            TRACE_ID_BYTES);
    cmd->ids[cmd->count++] = id;
}

static error_t ids_parse(int key, char *arg, struct argp_state *state) {
    struct ids_command *cmd = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = cmd->common;
        return 0;
    case KEY_JSON:
        cmd->json = true;
        return 0;
    case KEY_TEXT:
        cmd->text = true;
        return 0;
    case ARGP_KEY_ARG:
        take_id(cmd, arg);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_usage(state);
        return EX_USAGE;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&command_argp, 0, NULL, 0}, {0}};

static const struct argp status_argp = {json_options, ids_parse, "ID...",
    "Show where traces are: queued and at which position, running and at which worker, done, or "
    "unknown.\v" COMMAND_EXIT_HELP,
    children, NULL, NULL};
static const struct argp cancel_argp = {json_options, ids_parse, "ID...",
    "End traces now. Each still gets a result, with what is known by then. Prints the state in "
    "which each trace was found.\v" COMMAND_EXIT_HELP,
    children, NULL, NULL};
static const struct argp fetch_argp = {text_options, ids_parse, "ID...",
    "Print results that the broker keeps, each as one line of JSON.\v" COMMAND_EXIT_HELP, children,
    NULL, NULL};

/* ---- asking ----------------------------------------------------------------------------- */

static void send_request(struct ids_command *cmd) {
    msgpack_sbuffer bytes;
    msgpack_sbuffer_init(&bytes);
    request_put_ids(&bytes, cmd->op, ++cmd->req, cmd->ids + cmd->next, (uint32_t)cmd->asked);
    connection_send(cmd->connection, &bytes);
    cmd->again_us = INT64_MAX;
}

static void ids_ask(struct ids_command *cmd) {
    size_t left = cmd->count - cmd->next;
    if (left == 0) {
        connection_end(cmd->connection, cmd->unknown ? COMMAND_OTHERWISE : COMMAND_OK);
        return;
    }
    cmd->asked = left < REQUEST_MAX_ITEMS ? left : REQUEST_MAX_ITEMS;
    send_request(cmd);
    connection_give_up_after(cmd->connection, ANSWER_US, "the broker does not answer this request");
}

static void ids_on_up(
    void *context, const struct reply_ping *pong, const msgpack_object *root, int64_t rtt_us) {
    (void)pong;
    (void)root;
    (void)rtt_us;
    ids_ask(context);
}

/* ---- answers ---------------------------------------------------------------------------- */

static bool print_state(
    struct ids_command *cmd, const msgpack_object *map, struct wire_error *err) {
    struct state {
        char id[RESULT_ID_BYTES + 1], state[33], worker[65];
        int64_t position;
    } in = {.position = -1};
    static const struct wire_field fields[] = {
        WIRE_FIELD_TEXT("id", struct state, id, 1, RESULT_ID_CHARS, WIRE_REQUIRED),
        WIRE_FIELD_TEXT("state", struct state, state, 1, WIRE_PRINTABLE, WIRE_REQUIRED),
        WIRE_FIELD_INT("position", struct state, position, 0, INT64_MAX, WIRE_OPTIONAL),
        WIRE_FIELD_TEXT("worker", struct state, worker, 1, WIRE_PRINTABLE, WIRE_OPTIONAL),
    };
    struct text text = {0};
    if (!wire_get(map, fields, sizeof fields / sizeof fields[0], &in, "", err))
        return false;
    cmd->unknown |= strcmp(in.state, "unknown") == 0;
    if (cmd->json) {
        json_line(&text, map, NULL);
    } else {
        text_add(&text, "%-24s %s", in.id, in.state);
        if (in.position >= 0)
            text_add(&text, ", position %lld", (long long)in.position);
        if (in.worker[0] != '\0')
            text_add(&text, ", worker %s", in.worker);
        text_end(&text);
    }
    output_text(&text);
    text_free(&text);
    return true;
}

static bool print_result(
    struct ids_command *cmd, const msgpack_object *map, struct wire_error *err) {
    struct result_head head;
    struct result_body body;
    struct text text = {0};
    if (!result_get_head(&head, map, err) || !result_get_body(&body, map, err))
        return false;
    if (cmd->text && cmd->printed)
        text_end(&text);
    if (cmd->text)
        progress_whole(&text, &head, &body);
    else
        json_line(&text, map, NULL);
    cmd->printed = true;
    output_text(&text);
    text_free(&text);
    return true;
}

static bool holds(const msgpack_object_array *ids, const char *id) {
    for (uint32_t i = 0; i < ids->size; i++)
        if (wire_is(&ids->ptr[i], id))
            return true;
    return false;
}

/* Moves the ids whose results did not fit to the end of those that were asked for, and counts them
 * as not asked for yet. */
static void put_back(struct ids_command *cmd, const msgpack_object_array *more) {
    const char *again[REQUEST_MAX_ITEMS] = {NULL};
    const char **at = cmd->ids + cmd->next;
    size_t back = 0, done = 0;
    for (size_t i = 0; more->size > 0 && i < cmd->asked; i++) {
        if (holds(more, at[i]))
            again[back++] = at[i];
        else
            at[done++] = at[i];
    }
    memcpy(at + cmd->asked - back, again, back * sizeof *again);
    cmd->asked -= back;
}

/* Complains about ids that have no result, and keeps those that did not fit for the next
 * request. */
static bool sort_out(struct ids_command *cmd, const msgpack_object *root, struct wire_error *err) {
    const msgpack_object *missing = wire_find(root, "missing"), *more = wire_find(root, "more");
    const msgpack_object *results = wire_find(root, "results");
    if (missing == NULL || missing->type != MSGPACK_OBJECT_ARRAY || more == NULL ||
        more->type != MSGPACK_OBJECT_ARRAY || more->via.array.size > cmd->asked ||
        (more->via.array.size > 0 && results->via.array.size == 0)) {
        wire_fail(err, "bad-request", "", "missing and more: must be arrays of what was asked for");
        return false;
    }
    for (uint32_t i = 0; i < missing->via.array.size; i++) {
        const msgpack_object *id = &missing->via.array.ptr[i];
        cmd->unknown = true;
        if (id->type == MSGPACK_OBJECT_STR)
            output_warn("%.*s: no result here: not finished, not known, or forgotten",
                (int)id->via.str.size, id->via.str.ptr);
    }
    put_back(cmd, &more->via.array);
    return true;
}

static bool on_answer(struct ids_command *cmd, const msgpack_object *root, struct wire_error *err) {
    bool fetch = strcmp(cmd->op, "fetch") == 0;
    const msgpack_object *list = wire_find(root, fetch ? "results" : "states");
    if (list == NULL || list->type != MSGPACK_OBJECT_ARRAY) {
        wire_fail(err, "bad-request", fetch ? "results" : "states", "must be an array");
        return false;
    }
    for (uint32_t i = 0; i < list->via.array.size; i++) {
        const msgpack_object *map = &list->via.array.ptr[i];
        if (!(fetch ? print_result(cmd, map, err) : print_state(cmd, map, err)))
            return false;
    }
    return !fetch || sort_out(cmd, root, err);
}

static void on_error(struct ids_command *cmd, const struct connection_message *message) {
    struct reply_error refusal;
    reply_error_get(&refusal, message->root);
    if (reply_error_is_busy(&refusal) && refusal.retry_ms > 0)
        cmd->again_us = reactor_now().mono_us + reply_retry_us(refusal.retry_ms, arc4random());
    else
        connection_end(cmd->connection, connection_refused(message));
}

static int64_t ids_on_next(void *context) {
    const struct ids_command *cmd = context;
    return cmd->again_us;
}

static void ids_on_tick(void *context, int64_t now_us) {
    struct ids_command *cmd = context;
    if (cmd->again_us <= now_us)
        send_request(cmd);
}

static void ids_on_message(void *context, const struct connection_message *message) {
    struct ids_command *cmd = context;
    struct wire_error err;
    if (message->req != cmd->req)
        return;
    if (strcmp(message->op, "error") == 0) {
        on_error(cmd, message);
    } else if (strcmp(message->op, cmd->reply) != 0 || !on_answer(cmd, message->root, &err)) {
        if (strcmp(message->op, cmd->reply) != 0)
            wire_fail(&err, "bad-request", "op", "%s: not an answer to %s", message->op, cmd->op);
        connection_nonsense(&err);
        connection_end(cmd->connection, EX_UNAVAILABLE);
    } else {
        cmd->next += cmd->asked;
        ids_ask(cmd);
    }
}

static int run(struct ids_command *cmd, const struct argp *argp, int argc, char **argv) {
    const struct connection_events events = {.context = cmd,
        .up = ids_on_up,
        .message = ids_on_message,
        .next = ids_on_next,
        .tick = ids_on_tick};
    cmd->again_us = INT64_MAX;
    cmd->ids = calloc((size_t)argc + 1, sizeof *cmd->ids);
    if (cmd->ids == NULL)
        return EX_SOFTWARE;
    command_parse(argp, argc, argv, cmd);
    cmd->connection = connection_new(cmd->common, &events);
    int code = connection_run(cmd->connection);
    connection_destroy(&cmd->connection);
    free(cmd->ids);
    return code;
}

int command_status(struct command_options *common, int argc, char **argv) {
    struct ids_command cmd = {.common = common, .op = "status", .reply = "status"};
    return run(&cmd, &status_argp, argc, argv);
}

int command_cancel(struct command_options *common, int argc, char **argv) {
    struct ids_command cmd = {.common = common, .op = "cancel", .reply = "cancelled"};
    return run(&cmd, &cancel_argp, argc, argv);
}

int command_fetch(struct command_options *common, int argc, char **argv) {
    struct ids_command cmd = {.common = common, .op = "fetch", .reply = "results"};
    return run(&cmd, &fetch_argp, argc, argv);
}
