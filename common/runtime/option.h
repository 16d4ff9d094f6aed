/* option: reads values of command-line options, for argp parsers. A wrong value ends the process
 * with EX_USAGE and a message such as `hopmq-worker: --pps 0: must be 1..1000000`. */
#ifndef HOPMQ_OPTION_H
#define HOPMQ_OPTION_H

#include <argp.h>
#include <stddef.h>
#include <stdint.h>

int64_t option_number(
    struct argp_state *state, const char *option, const char *arg, int64_t min, int64_t max);

/* Seconds: a number, with or without an s at its end. */
int64_t option_seconds(
    struct argp_state *state, const char *option, const char *arg, int64_t min_s, int64_t max_s);

/* An age in seconds: a number and s, m, h or d. max_s must be whole days. */
int64_t option_age(
    struct argp_state *state, const char *option, const char *arg, int64_t min_s, int64_t max_s);

/* Copies a name of 1..size - 1 of A-Za-z0-9._:- to out. */
void option_name(
    struct argp_state *state, const char *option, const char *arg, char *out, size_t size);

/* Checks that arg is an endpoint, and returns it. */
const char *option_endpoint(struct argp_state *state, const char *option, const char *arg);

/* This host's name as a name for option_name(): other characters become '-', and it is cut to size.
 */
void option_host_name(char *out, size_t size);

/* Sets the level of log_event(). */
void option_log(struct argp_state *state, const char *arg);

#endif
