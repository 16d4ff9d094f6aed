/* daemon: the broker's shell. It owns reactor and sockets and carries out what the core wants. */
#ifndef HOPMQ_BROKER_DAEMON_H
#define HOPMQ_BROKER_DAEMON_H

#include "broker/config.h"

/* Runs until it is told to stop; returns the process's exit status. */
int daemon_run(const struct broker_config *config);

#endif
