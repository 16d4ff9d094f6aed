/* check_facts: reads the facts about this host, for check.c to judge, and shows what it found. */
#ifndef HOPMQ_WORKER_CHECK_FACTS_H
#define HOPMQ_WORKER_CHECK_FACTS_H

#include <stdint.h>

/* Prints a line for each check on standard output. Starts an mtr-packet for it, and sends nothing
 * but one UDP probe to 127.0.0.1. `pps` as for mux_new(). Returns EX_OK, or EX_UNAVAILABLE if
 * something prevents traces; within PROBER_START_US. */
int check_facts_run(int64_t pps);

/* For a worker that starts: logs as `check` what is not right of ports, slices and routes. Of the
 * rest its own prober tells. Starts nothing and sends nothing. */
void check_facts_log(void);

#endif
