#include "broker/publisher.h"

#include "common/runtime/log.h"
#include "common/runtime/reactor.h"
#include "common/runtime/sock.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define TELL_US INT64_C(60000000)

/* An XPUB without drop refuses what a subscriber has no room for, before anybody gets it. */
void publisher_init(struct publisher *p, zsock_t *socket) {
    *p = (struct publisher){.socket = socket};
    zsock_set_xpub_nodrop(socket, 1);
}

/* A message that is dropped for one subscriber takes that one off libzmq's list until it has read
 * half of its queue: so this is not called for each message that it loses. */
static void overrun(struct publisher *p) {
    int64_t now_us = reactor_now().mono_us;
    p->overruns++;
    if (p->told_us != 0 && now_us - p->told_us < TELL_US)
        return;
    p->told_us = now_us;
    log_event(LOG_LEVEL_WARN, "subscriber-full",
        "why=\"it does not read as fast as results come, and loses some\" times=%" PRId64,
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
