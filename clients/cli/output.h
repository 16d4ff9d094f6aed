/* output: what goes to standard output and standard error. */
#ifndef HOPMQ_CLIENT_OUTPUT_H
#define HOPMQ_CLIENT_OUTPUT_H

#include "clients/cli/text.h"

#include <stdbool.h>

/* Writes the text to standard output, at once, and empties it. */
void output_text(struct text *text);

/* True if standard output cannot be written to; the first failure is reported, unless it is a
 * reader that has gone. */
bool output_failed(void);

/* One line on standard error: "hopmq: " and the message, made safe for a terminal. */
void output_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
