#include "clients/cli/command.h"

#include "clients/cli/output.h"
#include "common/protocol/trace.h"

#include <bsd/stdlib.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BROKER = 'b', KEY_WAIT_BROKER = 0x100 };

static const struct argp_option options[] = {
    {.name = NULL, .doc = "The broker:", .group = 90},
    {.name = "broker",
        .key = KEY_BROKER,
        .arg = "ENDPOINT",
        .doc = "The broker's submit endpoint [$HOPMQ_BROKER, or else " COMMAND_DEFAULT_BROKER "]"},
    {.name = "wait-broker",
        .key = KEY_WAIT_BROKER,
        .arg = "SECONDS",
        .doc = "How long to wait for its first answer [5]"},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state) {
    struct command_options *out = state->input;
    switch (key) {
    case KEY_BROKER:
        out->broker = arg;
        break;
    case KEY_WAIT_BROKER:
        out->wait_broker_us = command_number("--wait-broker", arg, 1, 86400) * 1000000;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

const struct argp command_argp = {.options = options, .parser = parse};

void command_defaults(struct command_options *out) {
    const char *set = getenv("HOPMQ_BROKER");
    out->broker = set != NULL && set[0] != '\0' ? set : COMMAND_DEFAULT_BROKER;
    out->wait_broker_us = 5000000;
}

void command_parse(const struct argp *argp, int argc, char **argv, void *input) {
    if (argp_parse(argp, argc, argv, 0, NULL, input) != 0)
        exit(EX_USAGE);
}

int64_t command_number(const char *option, const char *text, int64_t min, int64_t max) {
    const char *wrong;
    long long value = strtonum(text, min, max, &wrong);
    if (wrong != NULL)
        command_misuse("%s %s: must be %" PRId64 "..%" PRId64, option, text, min, max);
    return value;
}

const char *command_stream(const char *option, const char *text) {
    if (strlen(text) < 1 || strlen(text) > TRACE_ID_BYTES ||
        !wire_allowed(text, strlen(text), WIRE_STREAM_CHARS))
        command_misuse("%s %s: must be 1..%d of A-Za-z0-9_-", option, text, TRACE_ID_BYTES);
    return text;
}

void command_misuse(const char *format, ...) {
    char message[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    output_warn("%s", message);
    exit(EX_USAGE);
}
