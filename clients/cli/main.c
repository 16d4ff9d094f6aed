/* hopmq: the command line. Finds the sub-command and passes the other arguments to it. */
#include "clients/cli/command.h"

#include <stdio.h>
#include <string.h>

static const struct command {
    const char *name;
    int (*run)(struct command_options *options, int argc, char **argv);
} commands[] = {
    {"trace", command_trace},
    {"submit", command_submit},
    {"watch", command_watch},
    {"replay", command_replay},
    {"status", command_status},
    {"fetch", command_fetch},
    {"cancel", command_cancel},
    {"stats", command_stats},
    {"ping", command_ping},
};

#define COMMANDS (sizeof commands / sizeof commands[0])

static const char doc[] =
    "Traceroute as a message queue: asks a hopmq broker for traces and shows their results.\v"
    "Commands:\n"
    "  trace TARGET...     trace now, print each hop as it settles\n"
    "  submit [TARGET...]  submit many, print their ids or wait for results\n"
    "  watch [STREAM]      print results as they are published\n"
    "  replay [SEQ]        print results that were published before\n"
    "  status ID...        show where traces are\n"
    "  fetch ID...         print results again\n"
    "  cancel ID...        end traces now\n"
    "  stats               show the broker's queue, workers and counters\n"
    "  ping                check that a broker answers\n\n"
    "Examples:\n"
    "  hopmq trace 192.0.2.1\n"
    "  hopmq submit --file targets.txt --wait\n"
    "  hopmq trace --help\n\n" COMMAND_EXIT_HELP;

struct top {
    struct command_options options;
    int at; /* of the command in argv; 0: none */
};

static error_t main_parse(int key, char *arg, struct argp_state *state) {
    struct top *top = state->input;
    (void)arg;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &top->options;
        return 0;
    case ARGP_KEY_ARG:
        /* What follows is the command's. */
        top->at = state->next - 1;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_usage(state);
        return EX_USAGE;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&command_argp, 0, NULL, 0}, {0}};

static const struct argp argp = {
    .parser = main_parse, .args_doc = "COMMAND [ARGUMENT...]", .doc = doc, .children = children};

int main(int argc, char **argv) {
    struct top top = {.at = 0};
    char name[32];
    argp_program_version = "hopmq " HOPMQ_VERSION;
    argp_err_exit_status = EX_USAGE;
    command_defaults(&top.options);
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &top) != 0)
        return EX_USAGE;
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(argv[top.at], commands[i].name) == 0) {
            (void)snprintf(name, sizeof name, "hopmq %s", commands[i].name);
            argv[top.at] = name;
            return commands[i].run(&top.options, argc - top.at, argv + top.at);
        }
    command_misuse("%s: not a command; `hopmq --help' lists them", argv[top.at]);
}
