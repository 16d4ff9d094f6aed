/* output: what goes to standard output and standard error. Shell. */
#ifndef HOPMQ_CLIENT_OUTPUT_H
#define HOPMQ_CLIENT_OUTPUT_H

#include "clients/cli/text.h"
#include "common/protocol/result.h"

#include <stdbool.h>

/* Writes the text to standard output, at once, and empties it. */
void output_text(struct text *text);

/* True if standard output cannot be written to. The first failure is reported, unless the reader of
 * a pipe has gone. */
bool output_failed(void);

/* One line on standard error: "hopmq: " and the message, made safe for a terminal. */
void output_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A result on standard output: a line for people or, with json, the map without its `req`. */
void output_result(const struct result_head *head, const struct result_body *body,
    const msgpack_object *map, bool json);

/* One line on standard error: results with these seqs are no longer kept. stream is the one that
 * was asked for, or NULL for all. */
void output_lost(int64_t from, int64_t to, const char *stream);

#endif
