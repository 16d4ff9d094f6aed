/* hopmq-worker: runs traces for a broker through its own mtr-packet. */
#include "common/runtime/listen.h"
#include "common/runtime/option.h"
#include "worker/daemon.h"
#include "worker/host/check_facts.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define DEFAULT_BROKER "tcp://127.0.0.1:7703"
#define DEFAULT_PPS 1000
#define MAX_PPS 1000000
#define DEFAULT_CAPACITY 500
#define DEFAULT_DRAIN_S 30

const char *argp_program_version = "hopmq-worker " HOPMQ_VERSION;

enum {
    OPT_BROKER = 256,
    OPT_NAME,
    OPT_LABEL,
    OPT_PPS,
    OPT_CAPACITY,
    OPT_DRAIN,
    OPT_INSECURE,
    OPT_METRICS,
    OPT_LOG,
    OPT_CHECK,
};

struct command {
    struct daemon_config config;
    bool check;
};

static const struct argp_option options[] = {
    {"broker", OPT_BROKER, "ENDPOINT", 0,
        "Connect to this workers endpoint of a broker; repeat the option for several brokers "
        "[" DEFAULT_BROKER "]",
        0},
    {"name", OPT_NAME, "NAME", 0,
        "Name of this worker at brokers and in results: 1..64 of A-Za-z0-9._:-. No two workers "
        "may have the same [HOST-PID]",
        0},
    {"label", OPT_LABEL, "NAME=VALUE", 0,
        "Label that traces can require of their worker, such as site=ams; repeat the option for "
        "more labels",
        0},
    {"pps", OPT_PPS, "N", 0,
        "Send at most N probes a second, spread evenly: 1..1000000, or `max' for no limit [1000]",
        0},
    {"capacity", OPT_CAPACITY, "N", 0,
        "Run at most N traces at a time for each broker, 1..100000 [500]", 0},
    {"drain", OPT_DRAIN, "SECONDS", 0,
        "On SIGTERM or Ctrl-C, let running traces finish for up to SECONDS, 0..3600 [30]", 0},
    {"metrics", OPT_METRICS, "ADDR:PORT", 0,
        "Serve metrics for Prometheus, /healthz and /readyz at this address, such as "
        "127.0.0.1:7705 [off]",
        0},
    {"insecure", OPT_INSECURE, NULL, 0,
        "Allow an address for --metrics that is not a loopback address. Everybody who reaches it "
        "can read the metrics",
        0},
    {"log", OPT_LOG, "LEVEL", 0,
        "Log events of this level and above: error, warn, info or debug [info]", 0},
    {"check", OPT_CHECK, NULL, 0,
        "Check whether a worker can run on this host, print how to fix what is not right, and "
        "exit",
        0},
    {0},
};

static const char doc[] =
    "Run traces for a hopmq broker: connect to it, accept traces, send their probes through an "
    "mtr-packet child, and return hops and results."
    "\vThe environment variable MTR_PACKET is the path of mtr-packet; without it, PATH is "
    "searched. "
    "mtr-packet needs the right to open raw sockets, which Debian's package gives it.\n\n"
    "Example: hopmq-worker --broker tcp://127.0.0.1:7703 --name ams1 --label site=ams --pps "
    "5000\n\n"
    "Exit status: 0 after a drain; 64 if the usage is wrong; 69 if there is no prober or, with "
    "--check, if something prevents traces; 71 if the system refused something.";

static error_t worker_parse(int key, char *arg, struct argp_state *state) {
    struct command *command = state->input;
    struct daemon_config *config = &command->config;
    switch (key) {
    case OPT_BROKER:
        if (config->broker_count == DAEMON_MAX_BROKERS)
            argp_failure(state, EX_USAGE, 0, "--broker %s: a worker connects to at most %d brokers",
                arg, DAEMON_MAX_BROKERS);
        else
            config->brokers[config->broker_count++] = option_endpoint(state, "--broker", arg);
        break;
    case OPT_NAME:
        option_name(state, "--name", arg, config->agent.name, sizeof config->agent.name);
        break;
    case OPT_LABEL:
        if (!labels_add(&config->agent.labels, arg))
            argp_failure(state, EX_USAGE, 0,
                "--label %s: must be NAME=VALUE, each 1..64 of A-Za-z0-9._:-, at most %d labels",
                arg, LABELS_MAX);
        break;
    case OPT_PPS:
        config->pps = strcmp(arg, "max") == 0 ? 0 : option_number(state, "--pps", arg, 1, MAX_PPS);
        break;
    case OPT_CAPACITY:
        config->agent.capacity = option_number(state, "--capacity", arg, 1, SESSION_MAX_CAPACITY);
        break;
    case OPT_DRAIN:
        config->drain_ms = option_seconds(state, "--drain", arg, 0, 3600) * 1000;
        break;
    case OPT_INSECURE:
        config->insecure = true;
        break;
    case OPT_METRICS:
        if (listen_wrong(arg) != NULL)
            argp_failure(state, EX_USAGE, 0, "--metrics %s: %s", arg, listen_wrong(arg));
        config->metrics = arg;
        break;
    case OPT_LOG:
        option_log(state, arg);
        break;
    case OPT_CHECK:
        command->check = true;
        break;
    case ARGP_KEY_ARG:
        argp_failure(state, EX_USAGE, 0, "%s: takes options only; see --help", arg);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static void default_name(struct agent_config *config) {
    char host[48];
    option_host_name(host, sizeof host);
    (void)snprintf(config->name, sizeof config->name, "%s-%d", host, (int)getpid());
}

int main(int argc, char **argv) {
    struct command command = {.config = {
                                  .agent = {.capacity = DEFAULT_CAPACITY},
                                  .pps = DEFAULT_PPS,
                                  .drain_ms = DEFAULT_DRAIN_S * 1000,
                              }};
    struct daemon_config *config = &command.config;
    const struct argp argp = {options, worker_parse, NULL, doc, NULL, NULL, NULL};
    argp_err_exit_status = EX_USAGE;
    default_name(&config->agent);
    (void)argp_parse(&argp, argc, argv, 0, NULL, &command);
    if (command.check)
        return check_facts_run(config->pps);
    if (config->broker_count == 0)
        config->brokers[config->broker_count++] = DEFAULT_BROKER;
    return daemon_run(config);
}
