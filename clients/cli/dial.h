/* dial: the line to the broker, and the loop of every command.
 *
 * It pings until the broker answers, tells the command, and pings on, so that no command waits for
 * a broker that is gone, or for traces that ended with the process that had them.
 */
#ifndef HOPMQ_CLIENT_DIAL_H
#define HOPMQ_CLIENT_DIAL_H

#include "clients/cli/command.h"
#include "clients/cli/pong.h"
#include "common/runtime/reactor.h"

struct dial;

/* A message from the broker, checked to be a map with `v` and `op`. */
struct dial_message {
    char op[33];
    int64_t req; /* 0 if it has none of ours */
    const msgpack_object *root;
};

/* All but `message` may be NULL. */
struct dial_events {
    void *context;
    void (*up)(void *context, const struct pong *pong, const msgpack_object *root, int64_t rtt_us);
    void (*message)(void *context, const struct dial_message *message);
    /* The broker was started again, and has what it had. Without this the loop ends. */
    void (*restarted)(void *context);
    int64_t (*next)(void *context); /* when tick is wanted, monotonic; INT64_MAX: never */
    void (*tick)(void *context, int64_t now_us);
    /* A signal, or nobody reads the output any more. The second signal ends the loop, and so does
     * the first without this. */
    void (*interrupted)(void *context);
};

/* Ends the process if the endpoint cannot be dialled. The options stay the caller's. */
struct dial *dial_new(const struct command_options *options, const struct dial_events *events);
void dial_destroy(struct dial **dial);

/* Runs until dial_end() and returns its code; DIAL_STOPPED stands for the code of what led to
 * `interrupted`. */
#define DIAL_STOPPED (-1)
int dial_run(struct dial *dial);
void dial_end(struct dial *dial, int code);

/* Sends the bytes, later if they cannot go now, and empties the buffer. */
void dial_send(struct dial *dial, msgpack_sbuffer *bytes);

/* From now on the command looks itself after the broker. */
void dial_stop_pings(struct dial *dial);

/* Ends with EX_UNAVAILABLE and a message in so many microseconds, unless called again by then. */
void dial_give_up_after(struct dial *dial, int64_t after_us, const char *message);

struct reactor *dial_reactor(struct dial *dial);

/* Complains, once a process, about what the broker sent. */
void dial_nonsense(const struct wire_error *err);

/* Prints what an `error` says; returns the exit code that fits. */
int dial_refused(const struct dial_message *message);

#endif
