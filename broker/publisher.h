/* publisher: messages for all subscribers. Shell.
 *
 * A subscriber that does not read gets SOCK_SEND_QUEUE messages more, and then nothing until it has
 * read half of them; nobody else feels it. libzmq does not tell which messages it lost, nor how
 * many: it is seen, and counted, that the loss begins.
 */
#ifndef HOPMQ_PUBLISHER_H
#define HOPMQ_PUBLISHER_H

#include <czmq.h>
#include <stddef.h>
#include <stdint.h>

struct publisher {
    zsock_t *socket;
    int64_t overruns; /* times that a subscriber began to lose messages */
    int64_t failed;   /* messages that nobody got */
    int64_t told_us;  /* when overruns were last logged */
};

/* Borrows an XPUB. */
void publisher_init(struct publisher *publisher, zsock_t *socket);

void publisher_send(struct publisher *publisher, const char *topic, const void *bytes, size_t size);

#endif
