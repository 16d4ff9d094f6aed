#include "clients/cli/submit_run.h"

#include "clients/cli/connection.h"
#include "clients/cli/output.h"
#include "common/order.h"

#include <stdlib.h>
#include <string.h>

#define CANCEL_US INT64_C(1000000) /* how long results are taken after Ctrl-C */

struct run {
    const struct submit_plan *plan;
    struct connection *connection;
    struct submission *submission;
    int fd; /* watched by the reactor for more lines; -1: none */
    bool input_ended, interrupted;
    int64_t stop_us; /* after Ctrl-C */
    bool otherwise, refused, lost, input_broken;
};

static void pump(struct run *run);

/* ---- input ------------------------------------------------------------------------------ */

static void on_input(void *context, int fd, short events) {
    (void)fd;
    (void)events;
    pump(context);
}

static void watch_input(struct run *run, int fd) {
    if (fd == run->fd)
        return;
    if (run->fd >= 0)
        reactor_fd_end(connection_reactor(run->connection), run->fd);
    if (fd >= 0)
        reactor_fd(connection_reactor(run->connection), fd, ZMQ_POLLIN, on_input, run);
    run->fd = fd;
}

static void add(struct run *run, const char *target, unsigned line) {
    const struct trace_options *trace = run->plan->trace;
    struct wire_error err;
    if (!trace_options_target(trace, target, &err)) {
        if (line > 0)
            output_warn("%s:%u: %s", targets_file(run->plan->targets), line, err.message);
        else
            output_warn("%s", err.message);
        run->refused = true;
        return;
    }
    struct submission_item *item =
        submission_add(run->submission, target, trace->id_given ? trace->trace.id : NULL, line);
    if (run->plan->added != NULL)
        run->plan->added(run->plan->context, item);
}

static void read_input(struct run *run) {
    const char *target;
    unsigned line;
    while (!run->input_ended && submission_room(run->submission) > 0) {
        enum targets_got got = targets_next(run->plan->targets, &target, &line);
        if (got == TARGETS_ONE) {
            add(run, target, line);
        } else if (got == TARGETS_LATER) {
            watch_input(run, targets_fd(run->plan->targets));
            return;
        } else {
            run->input_ended = true;
            run->input_broken = got == TARGETS_BROKEN;
        }
    }
    watch_input(run, -1);
}

/* ---- the end ---------------------------------------------------------------------------- */

static void submit_run_finish(struct run *run) {
    int code = COMMAND_OK;
    if (run->interrupted)
        code = CONNECTION_STOPPED;
    else if (run->lost)
        code = EX_UNAVAILABLE;
    else if (run->input_broken)
        code = EX_NOINPUT;
    else if (run->refused)
        code = COMMAND_REFUSED;
    else if (run->otherwise)
        code = COMMAND_OTHERWISE;
    connection_end(run->connection, code);
}

static void pump(struct run *run) {
    msgpack_sbuffer bytes;
    if (!run->interrupted)
        read_input(run);
    for (;;) {
        msgpack_sbuffer_init(&bytes);
        if (!submission_poll(run->submission, reactor_now().mono_us, &bytes))
            break;
        connection_send(run->connection, &bytes);
    }
    msgpack_sbuffer_destroy(&bytes);
    if (submission_gave_up(run->submission)) {
        run->input_ended = true;
        watch_input(run, -1);
    }
    if (submission_idle(run->submission) && (run->input_ended || run->interrupted))
        submit_run_finish(run);
}

/* ---- what became of the traces ---------------------------------------------------------- */

static void accepted(void *context, struct submission_item *item) {
    struct run *run = context;
    if (run->plan->accepted != NULL)
        run->plan->accepted(run->plan->context, item);
}

static void complain(struct run *run, struct submission_item *item, const char *message) {
    if (item->line > 0)
        output_warn(
            "%s:%u: %s: %s", targets_file(run->plan->targets), item->line, item->target, message);
    else
        output_warn("%s: %s", item->target, message);
    if (run->plan->failed != NULL)
        run->plan->failed(run->plan->context, item);
}

static void refused(void *context, struct submission_item *item, const char *message) {
    struct run *run = context;
    run->refused = true;
    complain(run, item, message);
}

static void lost(void *context, struct submission_item *item) {
    struct run *run = context;
    run->lost = true;
    complain(run, item, "no result came in time, and the broker does not have it");
}

static void hop(void *context, struct submission_item *item, const msgpack_object *message) {
    struct run *run = context;
    if (run->plan->hop != NULL)
        run->plan->hop(run->plan->context, item, message);
}

/* Warns of results of parts that a summary lists and that have not come. */
static void tell_missing(
    struct run *run, const struct submission_item *item, const msgpack_object *members) {
    for (uint32_t i = 0; members != NULL && i < members->via.array.size; i++) {
        struct result_member member;
        struct wire_error err;
        if (!result_get_member(&member, &members->via.array.ptr[i], "", &err) ||
            submission_item_has_part(item, member.seq))
            continue;
        run->lost = true;
        output_warn("%s: the result did not come here; `hopmq fetch' may have it", member.id);
    }
}

static void result(void *context, struct submission_item *item, const msgpack_object *root) {
    struct run *run = context;
    struct result_head head;
    struct result_body body;
    struct wire_error err;
    if (!result_get_head(&head, root, &err) || !result_get_body(&body, root, &err)) {
        run->lost = true;
        complain(run, item, err.message);
        return;
    }
    if (body.stop != STOP_REACHED && body.stop != STOP_SUMMARY)
        run->otherwise = true;
    run->plan->result(run->plan->context, item, &head, &body, root);
    tell_missing(run, item, body.members);
}

static void part(void *context, struct submission_item *item, const msgpack_object *root) {
    struct run *run = context;
    struct result_head head;
    struct result_body body;
    struct wire_error err;
    if (!result_get_head(&head, root, &err) || !result_get_body(&body, root, &err)) {
        complain(run, item, err.message);
        return;
    }
    if (body.stop != STOP_REACHED)
        run->otherwise = true;
    if (run->plan->part != NULL)
        run->plan->part(run->plan->context, item, &head, &body, root);
}

/* ---- events of the connection ----------------------------------------------------------- */

static void submit_run_on_up(
    void *context, const struct reply_ping *pong, const msgpack_object *root, int64_t rtt_us) {
    (void)pong;
    (void)root;
    (void)rtt_us;
    pump(context);
}

static void submit_run_on_message(void *context, const struct connection_message *message) {
    struct run *run = context;
    struct wire_error err;
    if (!submission_message(
            run->submission, reactor_now().mono_us, message->op, message->req, message->root, &err))
        connection_nonsense(&err);
    pump(run);
}

static void on_restart(void *context) {
    struct run *run = context;
    submission_restarted(run->submission);
    pump(run);
}

static int64_t submit_run_on_next(void *context) {
    const struct run *run = context;
    int64_t next = submission_next(run->submission);
    return run->interrupted ? order_min(run->stop_us, next) : next;
}

static void submit_run_on_tick(void *context, int64_t now_us) {
    struct run *run = context;
    if (run->interrupted && run->stop_us <= now_us)
        submit_run_finish(run);
    else
        pump(run);
}

static void on_interrupt(void *context) {
    struct run *run = context;
    run->interrupted = true;
    run->stop_us = reactor_now().mono_us + CANCEL_US;
    watch_input(run, -1);
    if (run->plan->wait)
        submission_cancel(run->submission);
    else
        run->stop_us = 0; /* what was submitted is not cancelled */
    pump(run);
}

/* Ten random characters of 32, so that no two runs give their traces the same ids. */
static void make_prefix(char prefix[11]) {
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    unsigned char random[10];
    arc4random_buf(random, sizeof random);
    for (int i = 0; i < 10; i++)
        prefix[i] = digits[random[i] % 32];
    prefix[10] = '\0';
}

int submit_run(const struct submit_plan *plan) {
    char prefix[11];
    struct run run = {.plan = plan, .fd = -1};
    const struct submission_events results = {&run, accepted, refused, hop, result, lost, part};
    const struct connection_events events = {&run, submit_run_on_up, submit_run_on_message,
        on_restart, submit_run_on_next, submit_run_on_tick, on_interrupt};
    make_prefix(prefix);
    run.connection = connection_new(plan->options, &events);
    run.submission = submission_new(
        &plan->trace->trace, prefix, plan->wait, plan->busy_timeout_us, arc4random(), &results);
    int code = connection_run(run.connection);
    submission_destroy(&run.submission);
    connection_destroy(&run.connection);
    return code;
}
