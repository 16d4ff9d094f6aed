/* submit_run: carries targets to the broker and results back; the shell around submission.
 *
 * It reads targets while there is room for them, keeps the connection, and cancels at Ctrl-C.
 */
#ifndef HOPMQ_CLIENT_SUBMIT_RUN_H
#define HOPMQ_CLIENT_SUBMIT_RUN_H

#include "clients/cli/command.h"
#include "clients/cli/submission.h"
#include "clients/cli/targets.h"
#include "clients/cli/trace_options.h"
#include "common/protocol/result.h"

struct submit_plan {
    const struct command_options *options;
    const struct trace_options *trace;
    struct targets *targets;
    bool wait; /* for the results */
    int64_t busy_timeout_us;
    void *context;
    /* A trace was read and is about to be sent; may be NULL. */
    void (*added)(void *context, struct submission_item *item);
    void (*accepted)(void *context, struct submission_item *item); /* may be NULL */
    void (*hop)(
        void *context, struct submission_item *item, const msgpack_object *hop); /* may be NULL */
    /* The result has come and was checked. */
    void (*result)(void *context, struct submission_item *item, const struct result_head *head,
        const struct result_body *body, const msgpack_object *root);
    /* The result of one part of a fanout was checked; may be NULL. */
    void (*part)(void *context, struct submission_item *item, const struct result_head *head,
        const struct result_body *body, const msgpack_object *root);
    /* There will be no result; the reason is on standard error. */
    void (*failed)(void *context, struct submission_item *item); /* may be NULL */
};

/* Runs until all is done and returns the exit code. */
int submit_run(const struct submit_plan *plan);

#endif
