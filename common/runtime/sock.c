#include "common/runtime/sock.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void common_options(zsock_t *s) {
    zsock_set_sndtimeo(s, 0);
    zsock_set_linger(s, 0);
    zsock_set_ipv6(s, 1);
    zsock_set_sndhwm(s, SOCK_SEND_QUEUE);
    zsock_set_tcp_keepalive(s, 1);
    zsock_set_tcp_keepalive_idle(s, 15);
    zsock_set_tcp_keepalive_intvl(s, 5);
    zsock_set_tcp_keepalive_cnt(s, 3);
    zsock_set_tcp_maxrt(s, 20000);
    zsock_set_handshake_ivl(s, 3000);
}

zsock_t *sock_new_bound(int type, int64_t max_bytes) {
    zsock_t *s = zsock_new(type);
    if (s == NULL)
        return NULL;
    common_options(s);
    zsock_set_rcvhwm(s, 0);
    zsock_set_maxmsgsize(s, (int)max_bytes);
    zsock_set_backlog(s, 1024);
    if (type == ZMQ_ROUTER)
        zsock_set_router_mandatory(s, 1);
    return s;
}

/* Endpoints that need no --insecure: loopback and ipc. */
static bool is_local(const char *endpoint) {
    return strncmp(endpoint, "ipc://", 6) == 0 || strncmp(endpoint, "tcp://127.", 10) == 0 ||
           strncmp(endpoint, "tcp://[::1]:", 12) == 0 ||
           strncmp(endpoint, "tcp://localhost:", 16) == 0;
}

const char *sock_wrong_endpoint(const char *text) {
    if (strncmp(text, "ipc://", 6) == 0)
        return text[6] != '\0' && strlen(text + 6) < sizeof((struct sockaddr_un *)0)->sun_path
                   ? NULL
                   : "the path of an ipc endpoint must have 1..107 bytes";
    const char *colon = strrchr(text, ':'), *wrong = NULL;
    if (strncmp(text, "tcp://", 6) != 0 || colon <= text + 6)
        return "must be tcp://HOST:PORT or ipc://PATH";
    (void)strtonum(colon + 1, 1, 65535, &wrong);
    return wrong == NULL ? NULL : "the port must be 1..65535";
}

/* libzmq unlinks the path of an ipc endpoint before it binds, and so takes the endpoint away from a
 * process that listens there. A path at which nobody listens is left over and may be used. */
static bool ipc_in_use(const char *endpoint) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strncmp(endpoint, "ipc://", 6) != 0 || endpoint[6] == '@')
        return false;
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", endpoint + 6);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool in_use = fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof at) == 0;
    if (fd >= 0)
        (void)close(fd);
    return in_use;
}

bool sock_bind(zsock_t *s, const char *option, const char *endpoint, bool insecure) {
    if (!insecure && !is_local(endpoint)) {
        (void)fprintf(stderr,
            "%s: %s %s: not a loopback or ipc endpoint, so that anybody who reaches it could send "
            "traces; use tcp://127.0.0.1:PORT or ipc://PATH, or add --insecure\n",
            program_invocation_short_name, option, endpoint);
        return false;
    }
    if (ipc_in_use(endpoint))
        errno = EADDRINUSE;
    else if (zsock_bind(s, "%s", endpoint) >= 0)
        return true;
    (void)fprintf(stderr, "%s: %s %s: cannot listen there: %s\n", program_invocation_short_name,
        option, endpoint, zmq_strerror(errno));
    return false;
}

zsock_t *sock_new_connected(int type, const char *endpoint) {
    zsock_t *s = zsock_new(type);
    if (s == NULL)
        return NULL;
    common_options(s);
    zsock_set_rcvhwm(s, 0);
    /* Not for a SUB: with ZMQ_IMMEDIATE it aborts when its connection is cut between two frames
     * (libzmq #3663; measured: 7 of 10 runs aborted, none without the option). */
    zsock_set_immediate(s, type != ZMQ_SUB);
    zsock_set_reconnect_ivl(s, 100);
    zsock_set_reconnect_ivl_max(s, 5000);
    zsock_set_connect_timeout(s, 3000);
    if (zsock_connect(s, "%s", endpoint) != 0)
        zsock_destroy(&s);
    return s;
}

#define HANDSHAKE_FAILED                                                                           \
    (ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |                  \
        ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)

zsock_t *sock_watch(zsock_t *socket) {
    char at[64];
    (void)snprintf(at, sizeof at, "inproc://handshakes-%p", (void *)socket);
    void *raw = zsock_resolve(socket);
    if (zmq_socket_monitor(raw, at, HANDSHAKE_FAILED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED) != 0)
        return NULL;
    zsock_t *monitor = zsock_new(ZMQ_PAIR);
    if (monitor == NULL || zsock_connect(monitor, "%s", at) != 0)
        sock_unwatch(socket, &monitor);
    return monitor;
}

/* The monitor must be disabled before it is closed, or libzmq's thread waits for ever to write to
 * it. */
void sock_unwatch(zsock_t *socket, zsock_t **monitor) {
    (void)zmq_socket_monitor(zsock_resolve(socket), NULL, 0);
    sock_destroy(monitor, 0);
}

bool sock_handshake(zsock_t *monitor, char why[SOCK_WHY_BYTES]) {
    struct sock_message message;
    struct {
        uint16_t event;
        uint32_t value;
    } end = {0, 0};
    if (!sock_receive(monitor, &message))
        return false;
    if (zmq_msg_size(&message.at[0]) == sizeof end.event + sizeof end.value) {
        const char *bytes = zmq_msg_data(&message.at[0]);
        memcpy(&end.event, bytes, sizeof end.event);
        memcpy(&end.value, bytes + sizeof end.event, sizeof end.value);
    }
    sock_message_close(&message);
    why[0] = '\0';
    if (end.event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)
        /* The event's value is left out: it is the last errno, which changes from try to try. */
        (void)snprintf(why, SOCK_WHY_BYTES, "%s", "the peer closed the connection or sent nothing");
    else if (end.event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)
        (void)snprintf(why, SOCK_WHY_BYTES,
            "the peer does not speak ZMTP, or has another key (0x%x)", end.value);
    else if (end.event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
        (void)snprintf(why, SOCK_WHY_BYTES, "the peer refused with status %u", end.value);
    return true;
}

bool sock_receive(zsock_t *socket, struct sock_message *message) {
    void *raw = zsock_resolve(socket);
    message->frames = 0;
    for (;;) {
        zmq_msg_t spare;
        bool keep = message->frames < SOCK_MAX_FRAMES;
        /* cppcheck-suppress uninitvar; zmq_msg_init() is what fills it */
        zmq_msg_t *frame = keep ? &message->at[message->frames] : &spare;
        (void)zmq_msg_init(frame);
        if (zmq_msg_recv(frame, raw, ZMQ_DONTWAIT) < 0) {
            (void)zmq_msg_close(frame);
            return false;
        }
        bool more = zmq_msg_more(frame) != 0;
        if (!keep)
            (void)zmq_msg_close(frame);
        message->frames++;
        if (!more)
            return true;
    }
}

void sock_message_close(struct sock_message *message) {
    for (unsigned i = 0; i < message->frames && i < SOCK_MAX_FRAMES; i++)
        (void)zmq_msg_close(&message->at[i]);
    message->frames = 0;
}

bool sock_send(zsock_t *socket, const struct sock_frame *frames, unsigned count) {
    void *raw = zsock_resolve(socket);
    for (unsigned i = 0; i < count; i++)
        /* Once libzmq has accepted the first frame it does not refuse the others. */
        if (zmq_send(raw, frames[i].bytes, frames[i].size,
                ZMQ_DONTWAIT | (i + 1 < count ? ZMQ_SNDMORE : 0)) < 0)
            return false;
    return true;
}

void sock_destroy(zsock_t **socket, int linger_ms) {
    if (*socket == NULL)
        return;
    zsock_set_linger(*socket, linger_ms);
    zsock_destroy(socket);
}
