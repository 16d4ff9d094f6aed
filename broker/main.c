/* hopmq-broker: accepts traces, gives them to workers and publishes their results. */
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
    {"submit", OPT_SUBMIT, "ENDPOINT", 0, "Listen for clients here [" DEFAULT_SUBMIT "]", 0},
    {"results", OPT_RESULTS, "ENDPOINT", 0, "Listen for subscribers here [" DEFAULT_RESULTS "]", 0},
    {"workers", OPT_WORKERS, "ENDPOINT", 0,
        "Listen for workers here [" DEFAULT_WORKERS
        "]. --submit, --results and --workers may each be "
        "given up to 8 times; an ENDPOINT is tcp://HOST:PORT or ipc://PATH",
        0},
    {"insecure", OPT_INSECURE, NULL, 0,
        "Allow endpoints beyond loopback. Whoever reaches them can send traces", 0},
    {"name", OPT_NAME, "NAME", 0,
        "Name of this broker in its replies, 1..64 of A-Za-z0-9._:- [the host's name]", 0},
    {"max-queued", OPT_MAX_QUEUED, "N", 0,
        "Traces that may wait for a worker; more are refused as busy, 1..100000000 [1000000]", 0},
    {"store", OPT_STORE, "PATH", 0,
        "Keep traces and results in this file, or with `memory' in the process, which loses them "
        "when it ends [~/.local/state/hopmq/tcp-127.0.0.1-7701.db: named after the first --submit, "
        "in $STATE_DIRECTORY or $XDG_STATE_HOME/hopmq if one is set]",
        0},
    {"keep", OPT_KEEP, "AGE", 0,
        "Delete results from the file at this age, 1s..3650d, such as 90s, 15m or 12h [7d]", 0},
    {"keep-results", OPT_KEEP_RESULTS, "N", 0,
        "Keep at most N results, 0..100000000 [1000000; 10000 in memory]", 0},
    {"drain", OPT_DRAIN, "SECONDS", 0,
        "After SIGTERM or Ctrl-C, wait up to this time for running traces, 0..3600 [30]", 0},
    {"metrics", OPT_METRICS, "ADDR:PORT", 0,
        "Serve metrics for Prometheus, /healthz and /readyz at this address, such as "
        "127.0.0.1:7704 [off]",
        0},
    {"log", OPT_LOG, "LEVEL", 0,
        "Log events of this level and above: error, warn, info or debug [info]", 0},
    {0},
};

static const char doc[] =
    "Run a hopmq broker: accept traces from clients, give them to workers and publish the results."
    "\vWithout options the broker listens on loopback only, where hopmq-worker and hopmq look for "
    "it.\n\n"
    "Example: hopmq-broker --submit ipc:///run/hopmq/submit --results ipc:///run/hopmq/results "
    "--workers ipc:///run/hopmq/workers\n\n"
    "Exit status: 0 after a drain; 64 wrong usage; 69 an endpoint cannot be bound; 71 the system "
    "refused something; 73 the store cannot be opened; 74 the store cannot be read, or a write to "
    "it failed.";

struct options {
    struct broker_config config;
    const char *store; /* the value of --store; NULL if it was not given */
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
            argp_failure(state, EX_USAGE, 0, "--store: must be a path or memory, not empty");
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

/* The path of the store; NULL for memory. Ends the process if there is no path. */
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
