/* sock: ZeroMQ sockets with the options that keep a process alive.
 *
 * Measured with Debian 12's libzmq 4.3.4: ZMTP heartbeats abort the process. A peer's PING aborts
 * it when the receive queue of the socket is full; so RCVHWM is 0 (unlimited) on bound sockets, and
 * memory is bounded by credit and by the protocol's limits. Messages to routing ids that peers
 * chose may vanish. A send without timeout may block for ever.
 */
#ifndef HOPMQ_SOCK_H
#define HOPMQ_SOCK_H

#include <czmq.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOCK_SEND_QUEUE 10000 /* messages queued for one peer */

/* A ROUTER or XPUB that is to be bound. A frame over max_bytes ends its connection. */
zsock_t *sock_new_bound(int type, int64_t max_bytes);

/* NULL if the text is an endpoint, tcp://HOST:PORT or ipc://PATH; otherwise what it must be. libzmq
 * itself would take a port modulo 65536. */
const char *sock_wrong_endpoint(const char *text);

/* Binds; false with a message on standard error that starts with `option`. */
bool sock_bind(zsock_t *socket, const char *option, const char *endpoint, bool insecure);

/* A DEALER or SUB that connects; NULL if it cannot connect to the endpoint. */
zsock_t *sock_new_connected(int type, const char *endpoint);

/* A monitor for the connections of a connecting socket, to be read with sock_handshake(). NULL if
 * there is no descriptor for it. It must be ended with sock_unwatch() before the socket is
 * destroyed. */
zsock_t *sock_watch(zsock_t *socket);
void sock_unwatch(zsock_t *socket, zsock_t **monitor);

#define SOCK_WHY_BYTES 80

/* Reads how the next handshake ended, without waiting; false if none has. `why` is the cause if it
 * failed, and empty if it succeeded. Only this shows that a peer accepts connections but does not
 * speak our protocol. */
bool sock_handshake(zsock_t *monitor, char why[SOCK_WHY_BYTES]);

/* A message received, with its first SOCK_MAX_FRAMES frames. */
#define SOCK_MAX_FRAMES 4

struct sock_message {
    unsigned frames; /* number of frames received, which may exceed SOCK_MAX_FRAMES */
    zmq_msg_t at[SOCK_MAX_FRAMES];
};

/* Takes the next message without waiting; false if there is none. The caller must close the message
 * if true was returned. */
bool sock_receive(zsock_t *socket, struct sock_message *message);
void sock_message_close(struct sock_message *message);

struct sock_frame {
    const void *bytes;
    size_t size;
};

/* Sends all frames as one message, or nothing: false with errno if the peer is gone or its queue is
 * full. */
bool sock_send(zsock_t *socket, const struct sock_frame *frames, unsigned count);

/* Closes the socket; queued messages may take linger_ms to leave. */
void sock_destroy(zsock_t **socket, int linger_ms);

#endif
