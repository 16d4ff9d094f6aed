/* hopmq trace: prints each hop as it settles.
 *
 * Traces run at the same time, but are printed one after the other: the first that has not ended
 * is live, what the others bring is kept until their turn.
 */
#include "clients/cli/command.h"
#include "clients/cli/output.h"
#include "clients/cli/progress.h"
#include "clients/cli/submit_run.h"
#include "common/mem.h"

#include <stdlib.h>

/* What is printed of one trace. */
struct page {
    TAILQ_ENTRY(page) link;
    struct progress progress;
    struct text text;
    bool begun, ended;
};

struct trace_command {
    struct command_options *common;
    struct trace_options trace;
    bool json;
    char **targets;
    int target_count;
    bool printed; /* a page was printed, so that a blank line comes before the next */
    TAILQ_HEAD(, page) pages;
};

enum { KEY_JSON = 'j' };

static const struct argp_option options[] = {
    {.name = "json", .key = KEY_JSON, .doc = "Print results only, each one line of JSON"},
    {0},
};

static error_t trace_parse(int key, char *arg, struct argp_state *state) {
    struct trace_command *cmd = state->input;
    (void)arg;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &cmd->trace;
        state->child_inputs[1] = cmd->common;
        return 0;
    case KEY_JSON:
        cmd->json = true;
        return 0;
    case ARGP_KEY_ARGS:
        cmd->targets = state->argv + state->next;
        cmd->target_count = state->argc - state->next;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_usage(state);
        return EX_USAGE;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {
    {&trace_options_argp, 0, NULL, 0}, {&command_argp, 0, NULL, 0}, {0}};

static const struct argp argp = {
    .options = options,
    .parser = trace_parse,
    .args_doc = "TARGET...",
    .doc = "Trace the path to each TARGET, an address or a host name that the worker resolves, "
           "and print each hop as it settles. TARGET - reads targets from standard input.\v"
           "Examples:\n"
           "  hopmq trace 192.0.2.1\n"
           "  hopmq trace --tcp --port 443 --probes 3 --label site=ams "
           "www.example.net\n\n" RENDER_MARKS "\n\nCtrl-C cancels the traces and prints what is "
           "known; a second Ctrl-C ends at once.\n\n" COMMAND_EXIT_HELP,
    .children = children,
};

static void page_free(struct trace_command *cmd, struct page *page) {
    TAILQ_REMOVE(&cmd->pages, page, link);
    text_free(&page->text);
    free(page);
}

/* Prints what the current page has so far, and the pages behind it whose traces have ended. */
static void print(struct trace_command *cmd) {
    struct page *page, *next;
    TAILQ_FOREACH_SAFE(page, &cmd->pages, link, next) {
        if (!page->begun && cmd->printed) {
            struct text blank = {0};
            text_end(&blank);
            output_text(&blank);
            text_free(&blank);
        }
        page->begun = cmd->printed = true;
        output_text(&page->text);
        if (!page->ended)
            return;
        page_free(cmd, page);
    }
}

static void on_added(void *context, struct submission_item *item) {
    struct trace_command *cmd = context;
    struct trace trace = cmd->trace.trace;
    struct page *page = mem_new(1, sizeof *page);
    (void)snprintf(trace.target, sizeof trace.target, "%s", item->target);
    progress_begin(&page->progress, &page->text, &trace);
    TAILQ_INSERT_TAIL(&cmd->pages, page, link);
    item->data = page;
}

static void trace_on_accepted(void *context, struct submission_item *item) {
    (void)item;
    print(context);
}

static void on_hop(void *context, struct submission_item *item, const msgpack_object *hop) {
    struct page *page = item->data;
    progress_hop(&page->progress, &page->text, hop);
    print(context);
}

static void on_failed(void *context, struct submission_item *item) {
    page_free(context, item->data);
    print(context);
}

static void trace_on_result(void *context, struct submission_item *item,
    const struct result_head *head, const struct result_body *body, const msgpack_object *root) {
    struct page *page = item->data;
    (void)root;
    progress_end(&page->progress, &page->text, head, body);
    page->ended = true;
    print(context);
}

static void on_part(void *context, struct submission_item *item, const struct result_head *head,
    const struct result_body *body, const msgpack_object *root) {
    struct page *page = item->data;
    (void)root;
    progress_part(&page->text, head, body);
    print(context);
}

static void on_json(void *context, struct submission_item *item, const struct result_head *head,
    const struct result_body *body, const msgpack_object *root) {
    (void)context;
    (void)item;
    output_result(head, body, root, true);
}

int command_trace(struct command_options *common, int argc, char **argv) {
    struct trace_command cmd = {.common = common};
    struct wire_error err;
    TAILQ_INIT(&cmd.pages);
    trace_options_init(&cmd.trace);
    command_parse(&argp, argc, argv, &cmd);
    trace_options_finish(&cmd.trace);
    if (cmd.trace.id_given && cmd.target_count > 1)
        command_misuse("--id %s: only with a single target", cmd.trace.trace.id);
    for (int i = 0; i < cmd.target_count; i++)
        if (!trace_options_target(&cmd.trace, cmd.targets[i], &err))
            command_misuse("%s", err.message);
    /* Names come with the result, and each hop is printed once; and parts run at the same time. */
    cmd.trace.trace.progress = !cmd.json && !cmd.trace.trace.names && cmd.trace.trace.fanout == 0;
    struct submit_plan plan = {
        .options = common,
        .trace = &cmd.trace,
        .targets = targets_new(cmd.targets, cmd.target_count, NULL),
        .wait = true,
        .busy_timeout_us = INT64_C(60000000),
        .context = &cmd,
        .result = on_json,
        .part = on_json,
    };
    if (!cmd.json) {
        plan.added = on_added;
        plan.accepted = trace_on_accepted;
        plan.hop = on_hop;
        plan.result = trace_on_result;
        plan.part = on_part;
        plan.failed = on_failed;
    }
    int code = submit_run(&plan);
    struct page *page, *next;
    TAILQ_FOREACH_SAFE(page, &cmd.pages, link, next)
    page_free(&cmd, page);
    targets_destroy(&plan.targets);
    trace_options_free(&cmd.trace);
    return code;
}
