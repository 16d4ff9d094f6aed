/* submission: traces on their way to the broker, and what came of them. Pure.
 *
 * The caller adds targets while there is room, sends the messages that submission_poll() yields,
 * and gives back what the broker answers; events tell what became of each trace.
 *
 * The client names the traces itself. So a message that got no answer can be sent again without
 * tracing twice, and a result finds its trace even if it comes before the answer.
 */
#ifndef HOPMQ_CLIENT_SUBMISSION_H
#define HOPMQ_CLIENT_SUBMISSION_H

#include "clients/cli/submission_item.h"

#define SUBMISSION_BATCHES 4 /* messages without an answer yet */
#define SUBMISSION_WAITING                                                                         \
    5000 /* traces without a result yet; the broker queues 10,000 for one client */
#define SUBMISSION_GRACE_US 5000000 /* how long beyond the deadline a result is awaited */
#define SUBMISSION_PREFIX_BYTES 24

/* What happens to a trace. After `refused`, `result`, `lost`, and `accepted` without notify, the
 * item is no more. */
struct submission_events {
    void *context;
    void (*accepted)(void *context, struct submission_item *item);
    void (*refused)(void *context, struct submission_item *item, const char *message);
    void (*hop)(void *context, struct submission_item *item, const msgpack_object *hop);
    void (*result)(void *context, struct submission_item *item, const msgpack_object *result);
    void (*lost)(
        void *context, struct submission_item *item); /* no result came in time, nor by `fetch` */
    /* The result of one part of a fanout; the item goes on. */
    void (*part)(void *context, struct submission_item *item, const msgpack_object *result);
};

struct submission;

/* `trace` has the fields that all traces share; it and its pointers stay the caller's. With
 * notify the results are waited for. prefix begins every id. `chance` is any number, another one
 * in each process: it spreads the clients of a busy broker. */
struct submission *submission_new(const struct trace *trace, const char *prefix, bool notify,
    int64_t busy_timeout_us, uint32_t chance, const struct submission_events *events);
void submission_destroy(struct submission **submission);

/* How many traces may be added now. */
size_t submission_room(const struct submission *submission);

/* Adds a trace; id NULL makes one. */
struct submission_item *submission_add(
    struct submission *submission, const char *target, const char *id, unsigned line);

/* Puts the next message to be sent into *out, which is empty; false if there is none now. To be
 * called again when something was added or has happened, and at the time of submission_next(). */
bool submission_poll(struct submission *submission, int64_t now_us, msgpack_sbuffer *out);

/* When submission_poll() is wanted although nothing happens; INT64_MAX: never. */
int64_t submission_next(const struct submission *submission);

/* Takes a message from the broker. False, with *err, if it is malformed. */
bool submission_message(struct submission *submission, int64_t now_us, const char *op, int64_t req,
    const msgpack_object *root, struct wire_error *err);

/* The broker was started again. It has the traces that it had accepted, but does not know who waits
 * for them: those without a result are submitted again, under the same names. */
void submission_restarted(struct submission *submission);

/* Drops what was not sent and cancels the other traces, whose results still come. */
void submission_cancel(struct submission *submission);

/* True if no trace is on its way or awaited. */
bool submission_idle(const struct submission *submission);

/* The number of results that are awaited. */
size_t submission_waiting(const struct submission *submission);

/* True if the broker was busy for longer than the timeout, so that pending traces were refused. */
bool submission_gave_up(const struct submission *submission);

#endif
