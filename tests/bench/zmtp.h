/* zmtp: one connection that speaks ZMTP 3.0 by hand, at an ipc endpoint.
 *
 * Thousands of peers in one process would cost more than the broker that they are to measure if
 * each was a socket of libzmq; so each is a descriptor, and a message in or out one call.
 * What goes wrong ends the process. */
#ifndef HOPMQ_BENCH_ZMTP_H
#define HOPMQ_BENCH_ZMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#define ZMTP_IN_BYTES 65536 /* the longest message that can be taken */

struct zmtp {
    int fd;
    size_t at, got; /* in `in`: what was looked at, and what came */
    char *in;
};

struct zmtp_frame {
    const char *bytes;
    size_t size;
    bool more; /* the next one belongs to the same message */
};

/* Connects; type is "DEALER" or "SUB". Messages can be sent at once. */
void zmtp_open(struct zmtp *z, const char *endpoint, const char *type);

/* Sends a message of one frame, made of up to 4 parts. */
void zmtp_send(const struct zmtp *z, const struct iovec *parts, int count);

/* Takes what has come, without waiting; afterwards zmtp_next() gives its whole frames, which last
 * until the next zmtp_read(). */
void zmtp_read(struct zmtp *z);
bool zmtp_next(struct zmtp *z, struct zmtp_frame *frame);

#endif
