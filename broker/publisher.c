#include "broker/publisher.h"

#include "common/runtime/log.h"
#include "common/runtime/reactor.h"
#include "common/runtime/sock.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Overruns are logged at most once per LOG_US. */
#define LOG_US INT64_C(60000000)

/* With xpub_nodrop, sending fails with EAGAIN when a subscriber's queue is full, before anybody
 * gets the message. */
void publisher_init(struct publisher *p, zsock_t *socket) {
    *p = (struct publisher){.socket = socket};
    zsock_set_xpub_nodrop(socket, 1);
}

/* Counts and logs that a subscriber loses messages. It is not called for each of them: libzmq takes
 * the subscriber off its list with the first message that it drops, until half of the queue is
 * read. */
static void overrun(struct publisher *p) {
    int64_t now_us = reactor_now().mono_us;
    p->overruns++;
    if (p->logged_us != 0 && now_us - p->logged_us < LOG_US)
        return;
    p->logged_us = now_us;
    log_event(LOG_LEVEL_WARN, "subscriber-full",
        "why=\"a subscriber reads more slowly than results come, and loses some\" times=%" PRId64,
        p->overruns);
}

void publisher_send(struct publisher *p, const char *topic, const void *bytes, size_t size) {
    const struct sock_frame frames[2] = {{topic, strlen(topic)}, {bytes, size}};
    bool sent = sock_send(p->socket, frames, 2);
    if (!sent && errno == EAGAIN) {
        overrun(p);
        zsock_set_xpub_nodrop(p->socket, 0);
        sent = sock_send(p->socket, frames, 2);
        zsock_set_xpub_nodrop(p->socket, 1);
    }
    if (!sent && p->failed++ == 0)
        log_event(LOG_LEVEL_ERROR, "publish", "error=\"%s\"", zmq_strerror(errno));
}
