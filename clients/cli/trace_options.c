#include "clients/cli/trace_options.h"

#include "clients/cli/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum key {
    KEY_PROTOCOL = 0x200,
    KEY_UDP,
    KEY_TCP,
    KEY_ICMP,
    KEY_PORT,
    KEY_SOURCE,
    KEY_FIRST_TTL,
    KEY_MAX_TTL,
    KEY_PROBES,
    KEY_ATTEMPTS,
    KEY_TIMEOUT,
    KEY_GAP_LIMIT,
    KEY_LOOP_LIMIT,
    KEY_WINDOW,
    KEY_FLOW,
    KEY_SIZE,
    KEY_TOS,
    KEY_BIT_PATTERN,
    KEY_PRIORITY,
    KEY_DEADLINE,
    KEY_STREAM,
    KEY_ID,
    KEY_LABEL,
    KEY_NAMES,
    KEY_COALESCE,
    KEY_MAX_AGE,
    KEY_FANOUT,
    KEY_NO_WAIT,
};

#define OPTION(k, n, a, d)                                                                         \
    { .name = (n), .key = (k), .arg = (a), .doc = (d) }

static const struct argp_option options[] = {
    {.doc = "What is sent:", .group = 10},
    OPTION(KEY_PROTOCOL, "protocol", "NAME", "icmp, udp, tcp or sctp [icmp]"),
    OPTION(KEY_ICMP, "icmp", NULL, "Same as --protocol icmp"),
    OPTION(KEY_UDP, "udp", NULL, "Same as --protocol udp"),
    OPTION(KEY_TCP, "tcp", NULL, "Same as --protocol tcp"),
    OPTION('4', NULL, NULL, "IPv4 only"),
    OPTION('6', NULL, NULL, "IPv6 only"),
    OPTION(KEY_PORT, "port", "N", "Destination port [tcp and sctp: 80, udp: none]"),
    OPTION(KEY_SOURCE, "source", "ADDRESS", "Source address, one of the worker's"),
    OPTION(KEY_FLOW, "flow", "N",
        "Keep the path constant, 0..1023, udp only; other numbers "
        "take other paths"),
    OPTION(KEY_SIZE, "size", "BYTES", "Size of the probe's IP packet, 28..1500 [64]"),
    OPTION(KEY_TOS, "tos", "N", "Type of service, 0..255 [0]"),
    OPTION(KEY_BIT_PATTERN, "bit-pattern", "N", "Byte that fills the probe, 0..255 [0]"),
    OPTION(KEY_NAMES, "names", NULL,
        "Look up the host names of those that answer; `hopmq trace' then prints the hops at the "
        "end"),
    {.doc = "How far, how often, how long:", .group = 20},
    OPTION(KEY_FIRST_TTL, "first-ttl", "N", "First hop, 1..255 [1]"),
    OPTION(KEY_MAX_TTL, "max-ttl", "N", "Last hop at most, 1..255 [30]"),
    OPTION(KEY_PROBES, "probes", "N", "Answers wanted of each hop, 1..16 [1]"),
    OPTION(KEY_ATTEMPTS, "attempts", "N", "Probes sent to each hop at most, ..32 [--probes + 1]"),
    OPTION(KEY_TIMEOUT, "timeout", "MS", "Milliseconds to wait for an answer, 100..30000 [2000]"),
    OPTION(KEY_GAP_LIMIT, "gap-limit", "N",
        "Silent hops in a row that end the trace, 0 (off)..255 [5]"),
    OPTION(KEY_LOOP_LIMIT, "loop-limit", "N",
        "Times that a responder may answer again behind another one, 0 (any)..255 [3]"),
    OPTION(KEY_WINDOW, "window", "N", "Hops in flight at once, 1..64; 0: the worker chooses [0]"),
    OPTION(KEY_DEADLINE, "deadline", "MS",
        "Milliseconds until the trace must have ended, waiting in the queue included [120000]"),
    {.doc = "Who does it, and under what name:", .group = 30},
    OPTION(KEY_LABEL, "label", "NAME=VALUE", "Only workers that have this label; repeatable"),
    OPTION(KEY_FANOUT, "fanout", "N",
        "Trace from N workers that fit, 1..1000, or `all' of them, each with a result of its own"),
    OPTION(KEY_COALESCE, "coalesce", NULL,
        "Share the probes of another trace that asks for the same and is queued or running"),
    OPTION(KEY_MAX_AGE, "max-age", "MS",
        "With --coalesce: take also a result that is at most MS milliseconds old"),
    OPTION(KEY_NO_WAIT, "no-wait", NULL,
        "Refuse the trace at once if there is no worker that could ever run it"),
    OPTION(KEY_PRIORITY, "priority", "N", "0 (first)..9 [4]"),
    OPTION(KEY_STREAM, "stream", "NAME", "Topic of the result for subscribers [default]"),
    OPTION(KEY_ID, "id", "ID", "Name of the trace, for a single target; made up if not given"),
    {0},
};

/* The option of each field that has one. */
static const struct known {
    int key;
    const char *option, *field;
} known[] = {
    {KEY_PORT, "--port", "port"},
    {KEY_FIRST_TTL, "--first-ttl", "first_ttl"},
    {KEY_MAX_TTL, "--max-ttl", "max_ttl"},
    {KEY_PROBES, "--probes", "probes"},
    {KEY_ATTEMPTS, "--attempts", "attempts"},
    {KEY_TIMEOUT, "--timeout", "timeout_ms"},
    {KEY_GAP_LIMIT, "--gap-limit", "gap_limit"},
    {KEY_LOOP_LIMIT, "--loop-limit", "loop_limit"},
    {KEY_WINDOW, "--window", "window"},
    {KEY_FLOW, "--flow", "flow"},
    {KEY_SIZE, "--size", "size"},
    {KEY_TOS, "--tos", "tos"},
    {KEY_BIT_PATTERN, "--bit-pattern", "bit_pattern"},
    {KEY_PRIORITY, "--priority", "priority"},
    {KEY_DEADLINE, "--deadline", "deadline_ms"},
    {KEY_MAX_AGE, "--max-age", "max_age_ms"},
    {KEY_FANOUT, "--fanout", "fanout"},
    {KEY_SOURCE, "--source", "source"},
    {KEY_STREAM, "--stream", "stream"},
    {KEY_ID, "--id", "id"},
    {KEY_LABEL, "--label", "workers"},
    {KEY_PROTOCOL, "--protocol", "protocol"},
};

#define KNOWN (sizeof known / sizeof known[0])

/* True for an option whose field is a number, or the word that stands for -1. */
static bool take_number(struct trace *trace, int key, const char *arg) {
    const struct known *option = known;
    while (option < known + KNOWN && option->key != key)
        option++;
    if (option == known + KNOWN)
        return false;
    const struct wire_field *field = trace_field(option->field);
    if (field->kind != WIRE_INT)
        return false;
    bool word = field->choices != NULL && strcmp(arg, field->choices[0]) == 0;
    *(int64_t *)((char *)trace + field->offset) =
        word ? -1 : command_number(option->option, arg, field->min, field->max);
    return true;
}

static void take_name(const char *option, const char *arg, unsigned allowed, char *out) {
    size_t size = strlen(arg);
    if (size < 1 || size > TRACE_ID_BYTES || !wire_allowed(arg, size, allowed))
        command_misuse("%s %s: must be 1..%d of %s", option, arg, TRACE_ID_BYTES,
            (allowed & WIRE_DOT) != 0 ? "A-Za-z0-9._:-" : "A-Za-z0-9_-");
    memcpy(out, arg, size + 1);
}

static void take_protocol(struct trace *trace, const char *arg) {
    for (int i = 0; trace_protocol_names[i] != NULL; i++)
        if (strcmp(arg, trace_protocol_names[i]) == 0) {
            trace->protocol = i;
            return;
        }
    command_misuse("--protocol %s: must be icmp, udp, tcp or sctp", arg);
}

static void take_family(struct trace *trace, int64_t af) {
    if (trace->af != 0 && trace->af != af)
        command_misuse("-4 and -6: only one of them");
    trace->af = af;
}

static error_t trace_options_parse(int key, char *arg, struct argp_state *state) {
    struct trace_options *out = state->input;
    struct trace *trace = &out->trace;
    if (take_number(trace, key, arg))
        return 0;
    switch (key) {
    case KEY_PROTOCOL:
        take_protocol(trace, arg);
        return 0;
    case KEY_ICMP:
        trace->protocol = TRACE_ICMP;
        return 0;
    case KEY_UDP:
        trace->protocol = TRACE_UDP;
        return 0;
    case KEY_TCP:
        trace->protocol = TRACE_TCP;
        return 0;
    case KEY_COALESCE:
        trace->coalesce = true;
        return 0;
    case KEY_NO_WAIT:
        trace->wait = false;
        return 0;
    case KEY_NAMES:
        trace->names = true;
        return 0;
    case '4':
    case '6':
        take_family(trace, key - '0');
        return 0;
    case KEY_SOURCE:
        if (strlen(arg) >= sizeof trace->source)
            command_misuse("--source %s: must be an address of the worker", arg);
        (void)snprintf(trace->source, sizeof trace->source, "%s", arg);
        return 0;
    case KEY_STREAM:
        take_name("--stream", arg, WIRE_STREAM_CHARS, trace->stream);
        return 0;
    case KEY_ID:
        take_name("--id", arg, WIRE_ID_CHARS, trace->id);
        out->id_given = true;
        return 0;
    case KEY_LABEL:
        if (!labels_add(&out->labels, arg))
            command_misuse(
                "--label %s: must be NAME=VALUE, each 1..%d of A-Za-z0-9._:-, at most %d "
                "labels",
                arg, LABEL_BYTES, LABELS_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp trace_options_argp = {.options = options, .parser = trace_options_parse};

void trace_options_init(struct trace_options *out) {
    memset(out, 0, sizeof *out);
    trace_defaults(&out->trace);
    if (!wire_doc_init(&out->doc))
        abort();
}

void trace_options_free(struct trace_options *out) {
    wire_doc_free(&out->doc);
    msgpack_sbuffer_destroy(&out->bytes);
}

/* "max_ttl: 9: must be" becomes "--max-ttl 9: must be", and "target: 0.0.0.0: no" the same
 * without the word. */
static void name_option(struct wire_error *err, const char *target) {
    char text[sizeof err->message];
    size_t skip = strlen(err->field) + 2;
    if (err->field[0] == '\0' || strlen(err->message) < skip)
        return;
    const char *rest = err->message + skip;
    const char *option = err->field;
    for (size_t i = 0; i < KNOWN; i++)
        if (strcmp(known[i].field, err->field) == 0)
            option = known[i].option;
    bool has_value = strstr(rest, ": ") != NULL;
    if (strcmp(err->field, "af") == 0)
        (void)snprintf(text, sizeof text, "-%s", rest);
    else if (strcmp(err->field, "target") != 0)
        (void)snprintf(text, sizeof text, "%s%s%s", option, has_value ? " " : ": ", rest);
    else if (has_value)
        (void)snprintf(text, sizeof text, "%s", rest);
    else
        (void)snprintf(text, sizeof text, "%.64s: %s", target, rest);
    memcpy(err->message, text, sizeof text);
}

/* Packs the trace and reads it again, so that one set of rules holds for the command line and
 * for the broker. */
static bool check(const struct trace *trace, struct wire_error *err) {
    msgpack_sbuffer bytes;
    msgpack_packer pk;
    struct wire_doc doc;
    struct trace read;
    if (!wire_doc_init(&doc))
        abort();
    msgpack_sbuffer_init(&bytes);
    msgpack_packer_init(&pk, &bytes, msgpack_sbuffer_write);
    trace_put_map(&pk, trace);
    bool good = wire_doc_read(&doc, bytes.data, bytes.size, 1000, err) &&
                trace_get(&read, &doc.root, "", err);
    msgpack_sbuffer_destroy(&bytes);
    wire_doc_free(&doc);
    return good;
}

bool trace_options_target(
    const struct trace_options *out, const char *target, struct wire_error *err) {
    struct trace trace = out->trace;
    if (strlen(target) > TRACE_TARGET_BYTES) {
        wire_fail(
            err, "bad-request", "", "%.32s...: longer than %d bytes", target, TRACE_TARGET_BYTES);
        return false;
    }
    (void)snprintf(trace.target, sizeof trace.target, "%s", target);
    if (check(&trace, err))
        return true;
    name_option(err, target);
    return false;
}

void trace_options_finish(struct trace_options *out) {
    struct wire_error err;
    if (out->labels.count > 0) {
        msgpack_sbuffer bytes;
        msgpack_packer pk;
        msgpack_sbuffer_init(&bytes);
        msgpack_packer_init(&pk, &bytes, msgpack_sbuffer_write);
        labels_put(&pk, &out->labels);
        if (!wire_doc_read(&out->doc, bytes.data, bytes.size, 1000, &err))
            command_misuse("--label: %s", err.message);
        out->trace.workers = &out->doc.root;
        out->bytes = bytes; /* the document points into them */
    }
    /* Any name will do: what is wrong with it is wrong with every target. This also fills in what
     * depends on other options. */
    static const char any[] = "any.example";
    memcpy(out->trace.target, any, sizeof any);
    if (!trace_check(&out->trace, "", &err)) {
        name_option(&err, any);
        command_misuse("%s", err.message);
    }
    out->trace.target[0] = '\0';
}
