/*
 * sim_truth: prints what a perfect traceroute would find.
 */
#ifndef SIM_TRUTH_H
#define SIM_TRUTH_H

#include <stdio.h>

#include "sim_path.h"

/*
 * Reads lines "PROTOCOL DESTINATION" and writes one JSON object a line for each, at once. Returns
 * 0 at the end of the input, or the number of the first line that is none of these.
 */
unsigned long sim_truth_print(const struct sim_path_config *config, FILE *in, FILE *out);

#endif
