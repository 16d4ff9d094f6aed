/* hopmq submit: hands many targets to the broker; prints their ids, or waits for the results. */
#include "clients/cli/command.h"
#include "clients/cli/output.h"
#include "clients/cli/render.h"
#include "clients/cli/submit_run.h"

#include <stdlib.h>

#define BUSY_TIMEOUT_S 60

struct submit_command {
    struct command_options *common;
    struct trace_options trace;
    bool wait, json, headed;
    const char *file;
    int64_t busy_timeout_us;
    char **targets;
    int target_count;
};

enum { KEY_JSON = 'j', KEY_FILE = 'f', KEY_WAIT = 'w', KEY_BUSY_TIMEOUT = 0x300 };

static const struct argp_option options[] = {
    {.name = "file",
        .key = KEY_FILE,
        .arg = "FILE",
        .doc = "Targets, one a line; # begins a comment; - is standard input"},
    {.name = "wait", .key = KEY_WAIT, .doc = "Wait for the results and print a line for each"},
    {.name = "json", .key = KEY_JSON, .doc = "With --wait: each result as one line of JSON"},
    {.name = "busy-timeout",
        .key = KEY_BUSY_TIMEOUT,
        .arg = "SECONDS",
        .doc = "How long to try again while the broker is busy [60]"},
    {0},
};

static error_t submit_parse(int key, char *arg, struct argp_state *state) {
    struct submit_command *cmd = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &cmd->trace;
        state->child_inputs[1] = cmd->common;
        return 0;
    case KEY_FILE:
        cmd->file = arg;
        return 0;
    case KEY_WAIT:
        cmd->wait = true;
        return 0;
    case KEY_JSON:
        cmd->json = true;
        return 0;
    case KEY_BUSY_TIMEOUT:
        cmd->busy_timeout_us = command_number("--busy-timeout", arg, 1, 86400) * 1000000;
        return 0;
    case ARGP_KEY_ARGS:
        cmd->targets = state->argv + state->next;
        cmd->target_count = state->argc - state->next;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {
    {&trace_options_argp, 0, NULL, 0}, {&command_argp, 0, NULL, 0}, {0}};

static const struct argp argp = {
    .options = options,
    .parser = submit_parse,
    .args_doc = "[TARGET...]",
    .doc = "Submit a trace for each TARGET, for each line of FILE, or, without either, for each "
           "line of standard input. Prints \"ID TARGET\" for each that was accepted, and waits "
           "for results only with --wait. `hopmq watch' and `hopmq fetch' print them, too.\v"
           "Examples:\n"
           "  hopmq submit --stream nightly --file targets.txt\n"
           "  hopmq submit --wait --json 192.0.2.1 2001:db8::1 | jq .stop\n\n"
           "--deadline counts from acceptance: allow for the time that traces wait in a long "
           "queue.\n\n" COMMAND_EXIT_HELP,
    .children = children,
};

static void submit_on_accepted(void *context, struct submission_item *item) {
    struct text text = {0};
    (void)context;
    text_add(&text, "%s %s", item->id, item->target);
    text_end(&text);
    output_text(&text);
    text_free(&text);
}

static void submit_on_result(void *context, struct submission_item *item,
    const struct result_head *head, const struct result_body *body, const msgpack_object *root) {
    struct submit_command *cmd = context;
    struct text text = {0};
    (void)item;
    if (!cmd->json && !cmd->headed)
        render_columns(&text);
    cmd->headed = true;
    output_text(&text);
    text_free(&text);
    output_result(head, body, root, cmd->json);
}

int command_submit(struct command_options *common, int argc, char **argv) {
    struct submit_command cmd = {
        .common = common, .busy_timeout_us = BUSY_TIMEOUT_S * INT64_C(1000000)};
    trace_options_init(&cmd.trace);
    command_parse(&argp, argc, argv, &cmd);
    trace_options_finish(&cmd.trace);
    if (cmd.json && !cmd.wait)
        command_misuse("--json: only with --wait, which brings results");
    if (cmd.target_count == 0 && cmd.file == NULL)
        cmd.file = "-";
    if (cmd.trace.id_given && (cmd.target_count != 1 || cmd.file != NULL))
        command_misuse("--id %s: only with a single target", cmd.trace.trace.id);
    struct submit_plan plan = {
        .options = common,
        .trace = &cmd.trace,
        .targets = targets_new(cmd.targets, cmd.target_count, cmd.file),
        .wait = cmd.wait,
        .busy_timeout_us = cmd.busy_timeout_us,
        .context = &cmd,
        .accepted = cmd.wait ? NULL : submit_on_accepted,
        .result = submit_on_result,
        .part = submit_on_result,
    };
    int code = submit_run(&plan);
    targets_destroy(&plan.targets);
    trace_options_free(&cmd.trace);
    return code;
}
