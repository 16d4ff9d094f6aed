/* publisher: sends messages to all subscribers. Shell.
 *
 * For a subscriber that does not read, SOCK_SEND_QUEUE messages are queued. It then gets no more
 * until it has read half of them; other subscribers are not affected. libzmq does not tell which
 * messages it dropped or how many, so the publisher counts only how often a loss begins. */
#ifndef HOPMQ_PUBLISHER_H
#define HOPMQ_PUBLISHER_H

#include <czmq.h>
#include <stddef.h>
#include <stdint.h>

struct publisher {
    zsock_t *socket;
    int64_t overruns;  /* times that a subscriber began to lose messages */
    int64_t failed;    /* messages that were sent to nobody */
    int64_t logged_us; /* when overruns were last logged; 0: never */
};

/* Uses an XPUB socket, which stays the caller's. */
void publisher_init(struct publisher *publisher, zsock_t *socket);

void publisher_send(struct publisher *publisher, const char *topic, const void *bytes, size_t size);

#endif
