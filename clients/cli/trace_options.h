/* trace_options: the fields of a trace as options of a command line, for `trace` and `submit`. */
#ifndef HOPMQ_CLIENT_TRACE_OPTIONS_H
#define HOPMQ_CLIENT_TRACE_OPTIONS_H

#include "common/protocol/labels.h"
#include "common/protocol/trace.h"

#include <argp.h>

/* Must not be moved in memory once trace_options_finish() was called. */
struct trace_options {
    struct trace trace; /* target is empty; progress is the caller's */
    bool id_given;
    struct labels labels;
    struct wire_doc doc;   /* holds what trace.workers points to, */
    msgpack_sbuffer bytes; /* as do these */
};

/* An argp child; its input is a struct trace_options. */
extern const struct argp trace_options_argp;

void trace_options_init(struct trace_options *options);

/* Checks the options together. Ends the process with a message if they are wrong. */
void trace_options_finish(struct trace_options *options);
void trace_options_free(struct trace_options *options);

/* Checks the trace with this target. False, with a line for people in err->message that names the
 * option or the target. */
bool trace_options_target(
    const struct trace_options *options, const char *target, struct wire_error *err);

#endif
