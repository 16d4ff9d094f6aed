#include "worker/host/seq_check.h"

#include "common/mem.h"
#include "common/runtime/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The range of the port to listen on. It is below mtr-packet's sequence numbers; a port that the
 * kernel chose might not be. */
#define PORT_MIN 10000
#define PORT_MAX 32767
#define PORT_TRIES 32

/* One connection is mtr-packet's; strangers may make the others. */
#define BACKLOG 16

struct seq_check {
    struct reactor *reactor;
    struct seq_check_sink sink;
    int fd; /* listens; -1 */
    uint16_t port;
    in_addr_t from; /* the source address of the check that is out; 0: none is */
    bool complained;
};

static struct sockaddr_in endpoint(uint32_t address, uint16_t port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)};
}

static struct addr address_of(in_addr_t address) {
    struct addr a = {.af = 4};
    memcpy(a.bytes, &address, sizeof address);
    return a;
}

/* ---- connections ------------------------------------------------------------------------ */

/* Nothing is read, since the address of the peer says all. The connection is reset: one in
 * TIME_WAIT could be in the way of a later probe from the same port. */
static void on_connection(void *context, int fd, short events) {
    (void)events;
    struct seq_check *s = context;
    for (int i = 0; i < REACTOR_DRAIN; i++) {
        struct sockaddr_in peer = {0};
        socklen_t size = sizeof peer;
        int taken = accept4(fd, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (taken < 0)
            return;
        const struct linger reset = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(taken, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        (void)close(taken);
        if (s->from == 0 || peer.sin_addr.s_addr != s->from) {
            s->sink.stranger(s->sink.context);
            continue;
        }
        s->from = 0;
        s->sink.heard(s->sink.context, ntohs(peer.sin_port));
    }
}

static bool bind_somewhere(struct seq_check *s) {
    for (int i = 0; i < PORT_TRIES; i++) {
        s->port = (uint16_t)(PORT_MIN + arc4random_uniform(PORT_MAX - PORT_MIN + 1));
        struct sockaddr_in at = endpoint(INADDR_LOOPBACK, s->port);
        if (bind(s->fd, (struct sockaddr *)&at, sizeof at) == 0)
            return listen(s->fd, BACKLOG) == 0;
    }
    return false;
}

static bool listen_on_loopback(struct seq_check *s) {
    if (s->fd >= 0)
        return true;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd >= 0 && bind_somewhere(s)) {
        reactor_fd(s->reactor, s->fd, ZMQ_POLLIN, on_connection, s);
        return true;
    }
    if (!s->complained)
        log_event(
            LOG_LEVEL_WARN, "no-seq-check", "address=127.0.0.1 error=\"%s\"", strerror(errno));
    s->complained = true;
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = -1;
    return false;
}

bool seq_check_begin(struct seq_check *s, struct addr *from, struct addr *to, uint16_t *to_port) {
    if (!listen_on_loopback(s))
        return false;
    /* Any address but 127.0.0.1, 127.0.0.0 and the broadcast address. */
    s->from = htonl(INADDR_LOOPBACK + 1 + arc4random_uniform(IN_CLASSA_HOST - 2));
    *from = address_of(s->from);
    *to = address_of(htonl(INADDR_LOOPBACK));
    *to_port = s->port;
    return true;
}

/* ---- life ------------------------------------------------------------------------------- */

struct seq_check *seq_check_new(struct reactor *reactor, const struct seq_check_sink *sink) {
    struct seq_check *s = mem_new(1, sizeof *s);
    s->reactor = reactor;
    s->sink = *sink;
    s->fd = -1;
    return s;
}

void seq_check_destroy(struct seq_check **seq_check) {
    struct seq_check *s = *seq_check;
    if (s == NULL)
        return;
    if (s->fd >= 0)
        (void)close(s->fd);
    free(s);
    *seq_check = NULL;
}
