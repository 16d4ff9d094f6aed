/* sock: ZeroMQ sockets with the options that keep a process alive.
 *
 * Measured on Debian 12's libzmq 4.3.4: ZMTP heartbeats abort the process, a peer's PING aborts a
 * socket whose receive queue is full (so RCVHWM is 0 on what is bound, and memory is bounded by
 * credit and limits), routing ids chosen by peers become black holes, a send without timeout
 * blocks for ever.
 */
#ifndef HOPMQ_SOCK_H
#define HOPMQ_SOCK_H

#include <czmq.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOCK_SEND_QUEUE 10000 /* messages for one peer */

/* A ROUTER or XPUB, not yet bound. Frames over max_bytes end their connection. */
zsock_t *sock_new_bound(int type, int64_t max_bytes);

/* Why text is not an endpoint that can be bound or dialled, tcp://HOST:PORT or ipc://PATH; NULL if
 * it is one. libzmq takes ports modulo 65536. */
const char *sock_wrong_endpoint(const char *text);

/* Binds; false with a message on standard error that starts with `option`. */
bool sock_bind(zsock_t *socket, const char *option, const char *endpoint, bool insecure);

/* A DEALER or SUB that dials; NULL if the endpoint cannot be dialled. */
zsock_t *sock_new_connected(int type, const char *endpoint);

/* Watches the connections of a socket that dials: a monitor, to be read with sock_handshake(). NULL
 * if there is no descriptor for it. End it with sock_unwatch() before the socket is destroyed. */
zsock_t *sock_watch(zsock_t *socket);
void sock_unwatch(zsock_t *socket, zsock_t **monitor);

/* Takes the end of the next handshake without waiting; false if there is none. Nothing but this
 * tells that a peer takes connections and is none of ours. */
#define SOCK_WHY_BYTES 80

bool sock_handshake(zsock_t *monitor, char why[SOCK_WHY_BYTES]); /* why: it failed, or empty */

/* One message off a socket. */
#define SOCK_MAX_FRAMES 4

struct sock_message {
    unsigned frames; /* as many as came, also beyond SOCK_MAX_FRAMES */
    zmq_msg_t at[SOCK_MAX_FRAMES];
};

/* Takes the next message without waiting; false if there is none. Close it in any case where true
 * was returned. */
bool sock_receive(zsock_t *socket, struct sock_message *message);
void sock_message_close(struct sock_message *message);

struct sock_frame {
    const void *bytes;
    size_t size;
};

/* Sends all frames as one message, or none: false with errno where the peer is gone or full. */
bool sock_send(zsock_t *socket, const struct sock_frame *frames, unsigned count);

/* Closes after up to linger_ms of trying to deliver what is queued. */
void sock_destroy(zsock_t **socket, int linger_ms);

#endif
