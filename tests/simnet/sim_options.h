/*
 * sim_options: the command line.
 */
#ifndef SIM_OPTIONS_H
#define SIM_OPTIONS_H

#include <stdbool.h>

#include "sim_path.h"
#include "sim_router.h"

enum sim_mode {
    SIM_MODE_RUN,   /* simulate */
    SIM_MODE_TRUTH, /* print paths */
    SIM_MODE_PROBE, /* only find out whether this machine can simulate */
};

struct sim_options {
    enum sim_mode mode;
    struct sim_path_config path;
    struct sim_router_config router;
    const char *stats; /* file for the report, or NULL */
    bool verbose;
    char **command; /* with its arguments, NULL at the end; NULL: no command */
};

/* Reads the command line; ends the program with status 64 and a message if it is wrong. */
void sim_options_parse(struct sim_options *self, int argc, char **argv);

#endif
