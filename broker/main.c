/* hopmq-broker: keeps traces, hands them to workers, publishes results. */
#include "broker/daemon.h"
#include "common/option.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define DEFAULT_SUBMIT "tcp://127.0.0.1:7701"
#define DEFAULT_RESULTS "tcp://127.0.0.1:7702"
#define DEFAULT_WORKERS "tcp://127.0.0.1:7703"
#define DEFAULT_MAX_QUEUED 1000000
#define DEFAULT_KEEP_RESULTS 10000
#define DEFAULT_DRAIN_S 30

const char *argp_program_version = "hopmq-broker " HOPMQ_VERSION;

enum {
    OPT_SUBMIT = 256,
    OPT_RESULTS,
    OPT_WORKERS,
    OPT_NAME,
    OPT_MAX_QUEUED,
    OPT_KEEP_RESULTS,
    OPT_DRAIN,
    OPT_INSECURE,
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
    {"keep-results", OPT_KEEP_RESULTS, "N", 0,
        "Results kept in memory for fetch, 0..100000000 [10000]", 0},
    {"drain", OPT_DRAIN, "SECONDS", 0,
        "On SIGTERM or Ctrl-C, give running traces so long to finish, 0..3600 [30]", 0},
    {"log", OPT_LOG, "LEVEL", 0, "error, warn, info or debug [info]", 0},
    {0},
};

static const char doc[] =
    "Run a hopmq broker: take traces from clients, hand them to workers, publish their results."
    "\vWithout options it listens on loopback only; hopmq-worker and hopmq find it there.\n\n"
    "Example: hopmq-broker --submit ipc:///run/hopmq/submit --results ipc:///run/hopmq/results "
    "--workers ipc:///run/hopmq/workers\n\n"
    "Exit status: 0 after a drain, 64 wrong usage, 69 an endpoint is in use or cannot be had, 71 "
    "the system refused something.";

static void add(
    struct argp_state *state, struct daemon_endpoints *list, const char *option, const char *arg) {
    if (list->count == DAEMON_MAX_ENDPOINTS)
        argp_failure(
            state, EX_USAGE, 0, "%s %s: at most %d endpoints", option, arg, DAEMON_MAX_ENDPOINTS);
    else
        list->at[list->count++] = option_endpoint(state, option, arg);
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    struct daemon_config *config = state->input;
    switch (key) {
    case OPT_SUBMIT:
        add(state, &config->submit, "--submit", arg);
        break;
    case OPT_RESULTS:
        add(state, &config->results, "--results", arg);
        break;
    case OPT_WORKERS:
        add(state, &config->workers, "--workers", arg);
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
    case OPT_KEEP_RESULTS:
        config->keep_results = option_number(state, "--keep-results", arg, 0, 100000000);
        break;
    case OPT_DRAIN:
        config->drain_ms = option_number(state, "--drain", arg, 0, 3600) * 1000;
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

static void default_endpoint(struct daemon_endpoints *list, const char *endpoint) {
    if (list->count == 0)
        list->at[list->count++] = endpoint;
}

int main(int argc, char **argv) {
    struct daemon_config config = {
        .max_queued = DEFAULT_MAX_QUEUED,
        .keep_results = DEFAULT_KEEP_RESULTS,
        .drain_ms = DEFAULT_DRAIN_S * 1000,
    };
    const struct argp argp = {options, parse, NULL, doc, NULL, NULL, NULL};
    argp_err_exit_status = EX_USAGE;
    option_host_name(config.name, sizeof config.name);
    (void)argp_parse(&argp, argc, argv, 0, NULL, &config);
    default_endpoint(&config.submit, DEFAULT_SUBMIT);
    default_endpoint(&config.results, DEFAULT_RESULTS);
    default_endpoint(&config.workers, DEFAULT_WORKERS);
    return daemon_run(&config);
}
