/* check_facts: reads the facts about this host, has check.c judge them, and shows the findings. */
#ifndef HOPMQ_WORKER_CHECK_FACTS_H
#define HOPMQ_WORKER_CHECK_FACTS_H

#include <stdint.h>

/* For --check: prints a line for each finding on standard output. It starts an mtr-packet and sends
 * one UDP probe to 127.0.0.1, and nothing else. `pps` is as for mux_new(). Returns EX_OK, or
 * EX_UNAVAILABLE if something prevents traces, within PROBER_START_US. */
int check_facts_run(int64_t pps);

/* For a worker that starts: logs as event `check` what is not right about ports, slices and routes.
 * It starts nothing and sends nothing; the worker's own prober shows the rest. */
void check_facts_log(void);

#endif
