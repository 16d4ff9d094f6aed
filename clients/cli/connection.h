/* connection: the connection to the broker, and the main loop of every command. Shell.
 *
 * It pings the broker until it answers, then calls `up`, and goes on pinging. So no command waits
 * for a broker that is gone, or for traces that were lost when the broker's process ended.
 */
#ifndef HOPMQ_CLIENT_CONNECTION_H
#define HOPMQ_CLIENT_CONNECTION_H

#include "clients/cli/command.h"
#include "clients/cli/reply.h"
#include "common/runtime/reactor.h"

struct connection;

/* A message from the broker, checked to be a map with `v` and `op`. */
struct connection_message {
    char op[33];
    int64_t req; /* 0 if it has none of ours */
    const msgpack_object *root;
};

/* All but `message` may be NULL. */
struct connection_events {
    void *context;
    void (*up)(
        void *context, const struct reply_ping *pong, const msgpack_object *root, int64_t rtt_us);
    void (*message)(void *context, const struct connection_message *message);
    /* The broker was started again and has kept what it had. If this is NULL, the loop ends. */
    void (*restarted)(void *context);
    int64_t (*next)(void *context); /* when tick is wanted, monotonic; INT64_MAX: never */
    void (*tick)(void *context, int64_t now_us);
    /* A signal came, or standard output is closed. A second signal ends the loop. If this is NULL,
     * the first one does. */
    void (*interrupted)(void *context);
};

/* Ends the process with a message if the endpoint is malformed. The options must outlive the
 * connection. */
struct connection *connection_new(
    const struct command_options *options, const struct connection_events *events);
void connection_destroy(struct connection **connection);

/* Runs until connection_end() and returns its code; CONNECTION_STOPPED stands for the code of what
 * led to `interrupted`. */
#define CONNECTION_STOPPED (-1)
int connection_run(struct connection *connection);
void connection_end(struct connection *connection, int code);

/* Sends the bytes now, or later if the socket takes none, and empties the buffer. */
void connection_send(struct connection *connection, msgpack_sbuffer *bytes);

/* From now on the command itself must notice when the broker is gone. */
void connection_stop_pings(struct connection *connection);

/* Ends the loop after after_us with EX_UNAVAILABLE and the message, unless it is called again
 * before.
 */
void connection_give_up_after(struct connection *connection, int64_t after_us, const char *message);

struct reactor *connection_reactor(struct connection *connection);

/* Warns that the broker sent a malformed message, once a process. */
void connection_nonsense(const struct wire_error *err);

/* Prints what an `error` says; returns the exit code that fits. */
int connection_refused(const struct connection_message *message);

#endif
