#include "sim_options.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "sim_random.h"

#define MAX_LATE_MS 60000
#define MAX_JITTER_US 10000000
#define MAX_ICMP_LIMIT 1000000
#define MAX_CODE 15
#define CODE_FRAGMENTATION 4

enum key {
    KEY_SEED = 0x100,
    KEY_HOPS,
    KEY_RTT,
    KEY_JITTER,
    KEY_LOSS,
    KEY_SILENT_ROUTER,
    KEY_SILENT_TARGET,
    KEY_UNREACHABLE,
    KEY_CODE,
    KEY_BALANCED,
    KEY_MPLS,
    KEY_LIMIT,
    KEY_DUPLICATE,
    KEY_LATE,
    KEY_SHARED,
    KEY_TCP_OPEN,
    KEY_TRUTH,
    KEY_PROBE,
    KEY_STATS,
    KEY_VERBOSE,
};

static const char doc[] =
    "Answers probes like the Internet, behind a TUN device in a network namespace of its own, and "
    "runs COMMAND in it. Without COMMAND it prints \"ready PID\" and runs until SIGTERM, SIGINT or "
    "the end of its standard input."
    "\v"
    "PCT is a percentage and can have a fraction. The same seed and options give the same paths. "
    "Exit status: that of COMMAND (128 + signal if one ended it, 126 or 127 if it could not be "
    "run), 64 for a wrong option, 65 for a wrong line to --truth, 73 if --stats cannot be "
    "written, 77 if this machine does not "
    "allow a namespace or a TUN device.";

static const struct argp_option options[] = {
    {0, 0, 0, 0, "Paths:", 1},
    {"seed", KEY_SEED, "N", 0, "draw another internet [1]", 1},
    {"hops", KEY_HOPS, "MIN-MAX", 0, "distance to a target [8-16]", 1},
    {"shared-hops", KEY_SHARED, "N", 0, "first hops that all targets share [2]", 1},
    {"rtt-us", KEY_RTT, "N", 0, "round-trip time that each hop adds [3000]", 1},
    {"silent-router", KEY_SILENT_ROUTER, "PCT", 0, "hops that never answer [0]", 1},
    {"silent-target", KEY_SILENT_TARGET, "PCT", 0, "targets that never answer [0]", 1},
    {"unreachable", KEY_UNREACHABLE, "PCT", 0,
        "targets that a router before them calls unreachable [0]", 1},
    {"unreachable-code", KEY_CODE, "N", 0,
        "ICMPv4 code of these targets, 0..15 but not 4 [1: host]; ICMPv6 uses the nearest code", 1},
    {"balanced", KEY_BALANCED, "PCT", 0, "hops where flows are spread over 2..4 routers [0]", 1},
    {"mpls", KEY_MPLS, "PCT", 0, "hops that quote 1..3 MPLS labels [0]", 1},
    {"tcp-open", KEY_TCP_OPEN, "PCT", 0, "targets that accept TCP connections [50]", 1},
    {0, 0, 0, 0, "Weather:", 2},
    {"loss", KEY_LOSS, "PCT", 0, "round trips that are lost [0]", 2},
    {"jitter-us", KEY_JITTER, "N", 0, "each reply takes 0..N longer [0]", 2},
    {"duplicate", KEY_DUPLICATE, "PCT[:MS]", 0,
        "replies that are sent twice, the second time up to MS later [0:0]", 2},
    {"late", KEY_LATE, "PCT:MS", 0, "replies that come MS late [0:0]", 2},
    {"icmp-limit", KEY_LIMIT, "PPS", 0,
        "ICMP errors a second of each address, in bursts of a tenth of that [0: no limit]", 2},
    {0, 0, 0, 0, "Instead of simulating:", 3},
    {"truth", KEY_TRUTH, 0, 0,
        "read lines \"PROTOCOL DESTINATION\" (icmp, udp or tcp) and print each path as JSON", 3},
    {"probe", KEY_PROBE, 0, 0, "exit with 0 if this machine can simulate, else with 77", 3},
    {0, 0, 0, 0, "Reports:", 4},
    {"stats", KEY_STATS, "FILE", 0, "write what happened to FILE at the end, as JSON", 4},
    {"verbose", KEY_VERBOSE, 0, 0, "the same on standard error", 4},
    {0},
};

/* The option's long name, for messages. */
static const char *name_of(int key) {
    for (const struct argp_option *option = options; option->name || option->doc; option++)
        if (option->key == key)
            return option->name;
    return "?";
}

static void refuse(struct argp_state *state, int key, const char *arg, const char *range) {
    argp_failure(state, EX_USAGE, 0, "--%s %s: must be %s", name_of(key), arg, range);
}

static bool parse_number(
    const char *text, uint64_t min, uint64_t max, uint64_t *value, char **end) {
    errno = 0;
    *value = strtoull(text, end, 10);
    /* strtoull() would accept a sign and leading blanks. */
    return text[0] >= '0' && text[0] <= '9' && errno == 0 && *value >= min && *value <= max;
}

static uint64_t number(
    struct argp_state *state, int key, const char *arg, uint64_t max, const char *range) {
    uint64_t value;
    char *end;

    if (!parse_number(arg, 0, max, &value, &end) || *end)
        refuse(state, key, arg, range);
    return value;
}

/* A percentage as parts per million; what follows it is left at `end`. */
static bool parse_percent(const char *text, uint32_t *ppm, char **end) {
    size_t length = strspn(text, "0123456789.");
    double value = strtod(text, end);

    /* Digits and a point only: no sign, exponent, "inf" or "nan". */
    if (length == 0 || *end != text + length || !(value >= 0 && value <= 100))
        return false;
    *ppm = (uint32_t)(value * SIM_RANDOM_ALL / 100 + 0.5);
    return true;
}

static uint32_t percent(struct argp_state *state, int key, const char *arg) {
    uint32_t ppm = 0;
    char *end;

    if (!parse_percent(arg, &ppm, &end) || *end)
        refuse(state, key, arg, "0..100");
    return ppm;
}

static void parse_hops(struct argp_state *state, const char *arg, struct sim_path_config *path) {
    uint64_t min = 0, max = 0;
    char *end;

    if (!parse_number(arg, 1, SIM_PATH_MAX_HOPS, &min, &end) || *end != '-' ||
        !parse_number(end + 1, min, SIM_PATH_MAX_HOPS, &max, &end) || *end)
        refuse(state, KEY_HOPS, arg, "MIN-MAX with 1 <= MIN <= MAX <= 64");
    path->min_hops = (uint32_t)min;
    path->max_hops = (uint32_t)max;
}

/* PCT:MS. */
static bool parse_share(const char *arg, uint32_t *ppm, uint32_t *ms) {
    uint64_t value = 0;
    char *end;

    if (!parse_percent(arg, ppm, &end) || *end != ':' ||
        !parse_number(end + 1, 0, MAX_LATE_MS, &value, &end) || *end)
        return false;
    *ms = (uint32_t)value;
    return true;
}

static error_t parse_weather(int key, char *arg, struct argp_state *state) {
    struct sim_options *self = state->input;

    switch (key) {
    case KEY_LOSS:
        self->router.loss = percent(state, key, arg);
        return 0;
    case KEY_JITTER:
        self->router.jitter_us = (uint32_t)number(state, key, arg, MAX_JITTER_US, "0..10000000");
        return 0;
    case KEY_DUPLICATE:
        self->router.duplicate_ms = 0;
        if (strchr(arg, ':') == NULL)
            self->router.duplicate = percent(state, key, arg);
        else if (!parse_share(arg, &self->router.duplicate, &self->router.duplicate_ms))
            refuse(state, key, arg, "PCT or PCT:MS with 0..100:0..60000");
        return 0;
    case KEY_LATE:
        if (!parse_share(arg, &self->router.late, &self->router.late_ms))
            refuse(state, key, arg, "PCT:MS with 0..100:0..60000");
        return 0;
    case KEY_LIMIT:
        self->router.icmp_limit = (uint32_t)number(state, key, arg, MAX_ICMP_LIMIT, "0..1000000");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_path(int key, char *arg, struct argp_state *state) {
    struct sim_options *self = state->input;

    switch (key) {
    case KEY_SEED:
        self->path.seed = number(state, key, arg, UINT64_MAX, "0..18446744073709551615");
        return 0;
    case KEY_HOPS:
        parse_hops(state, arg, &self->path);
        return 0;
    case KEY_SHARED:
        self->path.shared_hops = (uint32_t)number(state, key, arg, SIM_PATH_MAX_HOPS, "0..64");
        return 0;
    case KEY_RTT:
        self->path.rtt_us = (uint32_t)number(state, key, arg, SIM_PATH_MAX_RTT_US, "0..1000000");
        return 0;
    case KEY_SILENT_ROUTER:
        self->path.silent_router = percent(state, key, arg);
        return 0;
    case KEY_SILENT_TARGET:
        self->path.silent_target = percent(state, key, arg);
        return 0;
    case KEY_UNREACHABLE:
        self->path.unreachable = percent(state, key, arg);
        return 0;
    case KEY_CODE:
        self->path.unreachable_code = (uint8_t)number(state, key, arg, MAX_CODE, "0..15");
        /* The host's kernel would read a path MTU in it, and change what it sends. */
        if (self->path.unreachable_code == CODE_FRAGMENTATION)
            refuse(state, key, arg, "0..15, but not 4");
        return 0;
    case KEY_BALANCED:
        self->path.balanced = percent(state, key, arg);
        return 0;
    case KEY_MPLS:
        self->path.mpls = percent(state, key, arg);
        return 0;
    case KEY_TCP_OPEN:
        self->path.tcp_open = percent(state, key, arg);
        return 0;
    default:
        return parse_weather(key, arg, state);
    }
}

static error_t parse_option(int key, char *arg, struct argp_state *state) {
    struct sim_options *self = state->input;

    switch (key) {
    case KEY_TRUTH:
        self->mode = SIM_MODE_TRUTH;
        return 0;
    case KEY_PROBE:
        self->mode = SIM_MODE_PROBE;
        return 0;
    case KEY_STATS:
        self->stats = arg;
        return 0;
    case KEY_VERBOSE:
        self->verbose = true;
        return 0;
    case ARGP_KEY_ARGS:
        self->command = state->argv + state->next;
        if (self->mode != SIM_MODE_RUN)
            argp_failure(state, EX_USAGE, 0, "%s: takes no COMMAND",
                self->mode == SIM_MODE_TRUTH ? "--truth" : "--probe");
        return 0;
    case ARGP_KEY_END:
        if (self->path.silent_target + self->path.unreachable > SIM_RANDOM_ALL)
            argp_failure(state, EX_USAGE, 0,
                "--silent-target and --unreachable: must be 100 together at most");
        return 0;
    default:
        return parse_path(key, arg, state);
    }
}

void sim_options_parse(struct sim_options *self, int argc, char **argv) {
    static const struct argp argp = {options, parse_option, "[-- COMMAND ARG...]", doc, 0, 0, 0};

    memset(self, 0, sizeof *self);
    self->path.seed = 1;
    self->path.min_hops = 8;
    self->path.max_hops = 16;
    self->path.shared_hops = 2;
    self->path.rtt_us = 3000;
    self->path.unreachable_code = 1;
    self->path.tcp_open = SIM_RANDOM_ALL / 2;
    argp_err_exit_status = EX_USAGE;
    argv[0] = program_invocation_short_name; /* getopt() would print all of its path */
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, 0, self);
}
