/* command: what all sub-commands of hopmq share: exit codes, options, messages of misuse. */
#ifndef HOPMQ_CLIENT_COMMAND_H
#define HOPMQ_CLIENT_COMMAND_H

#include <argp.h>
#include <stdint.h>
#include <sysexits.h>

#define COMMAND_DEFAULT_BROKER "tcp://127.0.0.1:7701"

/* Documented in --help and hopmq(1); EX_USAGE, EX_NOINPUT, EX_UNAVAILABLE, EX_SOFTWARE, EX_IOERR
 * of sysexits.h and 128 + signal are the others. */
enum command_exit {
    COMMAND_OK = 0,
    COMMAND_OTHERWISE = 1, /* a trace did not reach its target; an id or result is not known */
    COMMAND_REFUSED = 2,   /* some trace, or the request, was refused */
};

#define COMMAND_EXIT_HELP                                                                          \
    "Exit status: 0 success, every trace reached its target; 1 some trace ended otherwise, "       \
    "some id is not known, or some result is no longer kept; 2 the broker refused something; "     \
    "64 wrong usage; 66 an input file cannot be read; 69 no broker answers, or it was lost; "      \
    "70 internal error; 74 standard output cannot be written; 130 interrupted."

/* Options that stand before or after the command. */
struct command_options {
    const char *broker;     /* endpoint; never NULL */
    int64_t wait_broker_us; /* for its first answer */
};

/* Sets the defaults, $HOPMQ_BROKER included. */
void command_defaults(struct command_options *options);

/* --broker and --wait-broker; its input is a struct command_options. */
extern const struct argp command_argp;

/* Parses the arguments of a command. Ends the process if they are wrong, or after --help. */
void command_parse(const struct argp *argp, int argc, char **argv, void *input);

/* A number from the command line; ends the process with "hopmq: OPTION TEXT: must be MIN..MAX". */
int64_t command_number(const char *option, const char *text, int64_t min, int64_t max);

/* Checks the name of a stream; ends the process as command_number() does. */
const char *command_stream(const char *option, const char *text);

/* Ends the process with EX_USAGE and the message. */
_Noreturn void command_misuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The sub-commands, each in a file of its own or with related ones. argv[0] is "hopmq COMMAND".
 * They return the exit code. */
int command_trace(struct command_options *options, int argc, char **argv);
int command_submit(struct command_options *options, int argc, char **argv);
int command_watch(struct command_options *options, int argc, char **argv);
int command_replay(struct command_options *options, int argc, char **argv);
int command_status(struct command_options *options, int argc, char **argv);
int command_cancel(struct command_options *options, int argc, char **argv);
int command_fetch(struct command_options *options, int argc, char **argv);
int command_stats(struct command_options *options, int argc, char **argv);
int command_ping(struct command_options *options, int argc, char **argv);

#endif
