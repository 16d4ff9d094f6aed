#include "tests/bench/zmtp.h"

#include "tests/bench/peer.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define GREETING 64
#define MAX_PARTS 4
enum { MORE = 1, LONG = 2, COMMAND = 4 }; /* a frame's first byte */

static void send_all(const struct zmtp *z, struct iovec *parts, int count) {
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
    if (sendmsg(z->fd, &message, MSG_NOSIGNAL) != (ssize_t)size)
        peer_fail("the broker is gone");
}

static void receive(const struct zmtp *z, size_t size) {
    if (recv(z->fd, z->in, size, MSG_WAITALL) != (ssize_t)size)
        peer_fail("the peer is no broker");
}

void zmtp_open(struct zmtp *z, const char *endpoint, const char *type) {
    static const char scheme[] = "ipc://";
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    *z = (struct zmtp){.in = malloc(ZMTP_IN_BYTES)};
    if (z->in == NULL || strncmp(endpoint, scheme, sizeof scheme - 1) != 0 ||
        strlen(endpoint + sizeof scheme - 1) >= sizeof at.sun_path)
        peer_fail("no memory, or not an ipc endpoint");
    (void)strcpy(at.sun_path, endpoint + sizeof scheme - 1);
    z->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (z->fd < 0 || connect(z->fd, (const struct sockaddr *)&at, sizeof at) != 0)
        peer_fail("no broker, or no descriptor left");
    /* Signature, version 3.0, mechanism NULL; then READY with the socket's type. */
    char greeting[GREETING] = {(char)0xff, [9] = 0x7f, [10] = 3, [12] = 'N', 'U', 'L', 'L'};
    char ready[64] = "\x04?\x05READY\x0bSocket-Type";
    size_t size = 2 + 1 + 5 + 1 + 11, length = strlen(type);
    ready[size + 3] = (char)length;
    memcpy(ready + size + 4, type, length);
    size += 4 + length;
    ready[1] = (char)(size - 2);
    send_all(z, (struct iovec[]){{greeting, sizeof greeting}, {ready, size}}, 2);
    /* libzmq takes whatever comes before its own READY is out for a part of the handshake. */
    receive(z, GREETING + 2);
    receive(z, (unsigned char)z->in[GREETING + 1]);
}

void zmtp_send(const struct zmtp *z, const struct iovec *parts, int count) {
    struct iovec all[1 + MAX_PARTS];
    unsigned char head[9] = {LONG};
    size_t size = 0;
    for (int i = 0; i < count; i++) {
        all[1 + i] = parts[i];
        size += parts[i].iov_len;
    }
    if (size < 256) {
        head[0] = 0;
        head[1] = (unsigned char)size;
    } else {
        for (int i = 0; i < 8; i++)
            head[1 + i] = (unsigned char)((uint64_t)size >> 8 * (7 - i));
    }
    all[0] = (struct iovec){head, size < 256 ? 2 : 9};
    send_all(z, all, 1 + count);
}

void zmtp_read(struct zmtp *z) {
    memmove(z->in, z->in + z->at, z->got - z->at);
    z->got -= z->at;
    z->at = 0;
    ssize_t n = recv(z->fd, z->in + z->got, ZMTP_IN_BYTES - z->got, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        peer_fail("the broker is gone, or sent too long a message");
    z->got += n > 0 ? (size_t)n : 0;
}

bool zmtp_next(struct zmtp *z, struct zmtp_frame *frame) {
    while (z->got - z->at >= 2) {
        const unsigned char *head = (const unsigned char *)z->in + z->at;
        size_t left = z->got - z->at, header = (head[0] & LONG) != 0 ? 9 : 2, size = 0;
        if (left < header)
            return false;
        for (size_t i = 1; i < header; i++)
            size = size << 8 | head[i];
        if (left - header < size)
            return false;
        z->at += header + size;
        if ((head[0] & COMMAND) != 0)
            continue;
        *frame = (struct zmtp_frame){
            .bytes = (const char *)head + header, .size = size, .more = (head[0] & MORE) != 0};
        return true;
    }
    return false;
}
