/* hopmq-broker: keeps traces, hands them to workers, publishes results. */
#include "broker/daemon.h"
#include "broker/store_path.h"
#include "common/runtime/listen.h"
#include "common/runtime/option.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define DEFAULT_SUBMIT "tcp://127.0.0.1:7701"
#define DEFAULT_RESULTS "tcp://127.0.0.1:7702"
#define DEFAULT_WORKERS "tcp://127.0.0.1:7703"
#define DEFAULT_MAX_QUEUED 1000000
#define DEFAULT_KEEP_S (INT64_C(7) * 86400)
#define MAX_KEEP_S (INT64_C(3650) * 86400)
#define DEFAULT_KEEP_RESULTS 1000000
#define DEFAULT_KEEP_IN_MEMORY 10000
#define DEFAULT_DRAIN_S 30

const char *argp_program_version = "hopmq-broker " HOPMQ_VERSION;

enum {
    OPT_SUBMIT = 256,
    OPT_RESULTS,
    OPT_WORKERS,
    OPT_NAME,
    OPT_MAX_QUEUED,
    OPT_STORE,
    OPT_KEEP,
    OPT_KEEP_RESULTS,
    OPT_DRAIN,
    OPT_INSECURE,
    OPT_METRICS,
    OPT_LOG
};

static const struct argp_option options[] = {
    {"submit", OPT_SUBMIT, "ENDPOINT", 0, "Where clients dial [" DEFAULT_SUBMIT "]", 0},
    {"results", OPT_RESULTS, "ENDPOINT", 0, "Where subscribers dial [" DEFAULT_RESULTS "]", 0},
    {"workers", OPT_WORKERS, "ENDPOINT", 0,
        "Where workers dial [" DEFAULT_WORKERS "]; these three may be repeated, and take "
        "tcp://HOST:PORT or ipc://PATH",
        0},
    {"insecure", OPT_INSECURE, NULL, 0,
        "Listen on other addresses than loopback; whoever reaches them can send traces", 0},
    {"name", OPT_NAME, "NAME", 0, "How replies call this broker, 1..64 of A-Za-z0-9._:- [host]", 0},
    {"max-queued", OPT_MAX_QUEUED, "N", 0,
        "Traces waiting for a worker; beyond it the answer is busy, 1..100000000 [1000000]", 0},
    {"store", OPT_STORE, "PATH", 0,
        "The file that traces and results are kept in, or `memory', which ends with the process "
        "[~/.local/state/hopmq/tcp-127.0.0.1-7701.db: named after the first --submit, in "
        "$STATE_DIRECTORY or $XDG_STATE_HOME/hopmq if set]",
        0},
    {"keep", OPT_KEEP, "AGE", 0,
        "How long results are kept in the file, 1s..3650d, such as 90s, 15m, 12h [7d]", 0},
    {"keep-results", OPT_KEEP_RESULTS, "N", 0,
        "How many results are kept at most, 0..100000000 [1000000; in memory 10000]", 0},
    {"drain", OPT_DRAIN, "SECONDS", 0,
        "On SIGTERM or Ctrl-C, give running traces so long to finish, 0..3600 [30]", 0},
    {"metrics", OPT_METRICS, "ADDR:PORT", 0,
        "Serve metrics for Prometheus there, and /healthz and /readyz, such as 127.0.0.1:7704 "
        "[off]",
        0},
    {"log", OPT_LOG, "LEVEL", 0, "error, warn, info or debug [info]", 0},
    {0},
};

static const char doc[] =
    "Run a hopmq broker: take traces from clients, hand them to workers, publish their results."
    "\vWithout options it listens on loopback only; hopmq-worker and hopmq find it there.\n\n"
    "Example: hopmq-broker --submit ipc:///run/hopmq/submit --results ipc:///run/hopmq/results "
    "--workers ipc:///run/hopmq/workers\n\n"
    "Exit status: 0 after a drain, 64 wrong usage, 69 an endpoint is in use or cannot be had, 71 "
    "the system refused something, 73 the store cannot be opened, 74 it cannot be read, or a write "
    "to it failed.";

struct options {
    struct broker_config config;
    const char *store; /* as given; NULL: not */
};

static void add_endpoint(
    struct argp_state *state, struct broker_endpoints *list, const char *option, const char *arg) {
    if (list->count == BROKER_MAX_ENDPOINTS)
        argp_failure(
            state, EX_USAGE, 0, "%s %s: at most %d endpoints", option, arg, BROKER_MAX_ENDPOINTS);
    else
        list->at[list->count++] = option_endpoint(state, option, arg);
}

static error_t parse_option(int key, char *arg, struct argp_state *state) {
    struct options *given = state->input;
    struct broker_config *config = &given->config;
    switch (key) {
    case OPT_SUBMIT:
        add_endpoint(state, &config->submit, "--submit", arg);
        break;
    case OPT_RESULTS:
        add_endpoint(state, &config->results, "--results", arg);
        break;
    case OPT_WORKERS:
        add_endpoint(state, &config->workers, "--workers", arg);
        break;
    case OPT_INSECURE:
        config->insecure = true;
        break;
    case OPT_NAME:
        option_name(state, "--name", arg, config->name, sizeof config->name);
        break;
    case OPT_MAX_QUEUED:
        config->max_queued = option_number(state, "--max-queued", arg, 1, 100000000);
        break;
    case OPT_STORE:
        if (arg[0] == '\0')
            argp_failure(state, EX_USAGE, 0, "--store: must be a path, or memory");
        given->store = arg;
        break;
    case OPT_KEEP:
        config->keep_us = option_age(state, "--keep", arg, 1, MAX_KEEP_S) * 1000000;
        break;
    case OPT_KEEP_RESULTS:
        config->keep_results = option_number(state, "--keep-results", arg, 0, 100000000);
        break;
    case OPT_DRAIN:
        config->drain_ms = option_seconds(state, "--drain", arg, 0, 3600) * 1000;
        break;
    case OPT_METRICS:
        if (listen_wrong(arg) != NULL)
            argp_failure(state, EX_USAGE, 0, "--metrics %s: %s", arg, listen_wrong(arg));
        config->metrics = arg;
        break;
    case OPT_LOG:
        option_log(state, arg);
        break;
    case ARGP_KEY_ARG:
        argp_failure(state, EX_USAGE, 0, "%s: takes options only", arg);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static void default_endpoint(struct broker_endpoints *list, const char *endpoint) {
    if (list->count == 0)
        list->at[list->count++] = endpoint;
}

/* Where the store is; ends the process if there is no place for it. */
static const char *store_file(
    const char *given, const struct broker_config *config, char *out, size_t size) {
    if (given != NULL)
        return strcmp(given, "memory") == 0 ? NULL : given;
    if (!store_path_default(config->submit.at[0], out, size)) {
        (void)fprintf(stderr, "%s: --store: %s\n", program_invocation_short_name, out);
        exit(EX_CANTCREAT);
    }
    return out;
}

int main(int argc, char **argv) {
    char path[PATH_MAX];
    struct options given = {.config = {.max_queued = DEFAULT_MAX_QUEUED,
                                .keep_us = DEFAULT_KEEP_S * 1000000,
                                .keep_results = -1,
                                .drain_ms = DEFAULT_DRAIN_S * 1000}};
    struct broker_config *config = &given.config;
    const struct argp argp = {options, parse_option, NULL, doc, NULL, NULL, NULL};
    argp_err_exit_status = EX_USAGE;
    option_host_name(config->name, sizeof config->name);
    (void)argp_parse(&argp, argc, argv, 0, NULL, &given);
    default_endpoint(&config->submit, DEFAULT_SUBMIT);
    default_endpoint(&config->results, DEFAULT_RESULTS);
    default_endpoint(&config->workers, DEFAULT_WORKERS);
    config->store = store_file(given.store, config, path, sizeof path);
    if (config->keep_results < 0)
        config->keep_results =
            config->store != NULL ? DEFAULT_KEEP_RESULTS : DEFAULT_KEEP_IN_MEMORY;
    return daemon_run(config);
}
