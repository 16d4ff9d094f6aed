/* daemon: the broker's shell: it owns the event loop, and feeds the core with messages and time. */
#ifndef HOPMQ_BROKER_DAEMON_H
#define HOPMQ_BROKER_DAEMON_H

#include "broker/config.h"

/* Runs until a signal ends it; returns the process's exit status. */
int daemon_run(const struct broker_config *config);

#endif
