/* bench-beanstalk SOCKET JOBS [WINDOW [CONNECTIONS]]: how many jobs a second go through beanstalkd
 * from put to reserve to delete, at a unix socket, as ours are measured at ipc.
 *
 * The body of a job is that of a 12-hop result, which so goes in once and out once, as it does with
 * us; that we also accept, dispatch and acknowledge by messages of our own is our affair.
 * Pipelined as far as beanstalkd can: puts and reserves are sent without waiting for answers, by so
 * many producers and consumers, and each answer to a reserve is followed at once by a delete and
 * the next reserve. WINDOW jobs are put and not deleted at a time, and half as many reserves wait:
 * a consumer's deletes come behind its reserves, which need other jobs. Prints one JSON object. */
#include "tests/bench/peer.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* What it is fastest with, of 100..8,000 jobs and 1..16 connections of each kind: it walks over the
 * jobs that a connection has. */
#define WINDOW 500
#define CONNECTIONS 4
#define MAX_CONNECTIONS 64
#define HOPS 12
#define LIMIT_US INT64_C(120000000)
#define IN_BYTES 262144
#define NAP_US 300 /* as bench-broker's */
#define TTR_S 600

struct conn {
    int fd;
    msgpack_sbuffer out;
    size_t sent, got;
    char in[IN_BYTES];
};

struct bench {
    struct conn *producers, *consumers;
    int connections;
    msgpack_sbuffer put; /* a whole command */
    size_t body_bytes;
    int64_t wanted, window;
    int64_t put_count, inserted, reserves, deleted;
};

static void add(struct conn *c, const char *bytes, size_t size) {
    if (msgpack_sbuffer_write(&c->out, bytes, size) != 0)
        peer_fail("no memory");
}

static void add_text(struct conn *c, const char *text) { add(c, text, strlen(text)); }

static void flush(struct conn *c) {
    if (c->sent < c->out.size) {
        ssize_t n =
            send(c->fd, c->out.data + c->sent, c->out.size - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            peer_fail("beanstalkd is gone");
        c->sent += n > 0 ? (size_t)n : 0;
    }
    if (c->sent == c->out.size) {
        msgpack_sbuffer_clear(&c->out);
        c->sent = 0;
    }
}

/* Takes one whole answer from size bytes; returns what it has of them, 0 if it is not whole. */
static size_t take(struct bench *b, struct conn *c, const char *bytes, size_t size) {
    const char *end = memchr(bytes, '\n', size);
    if (end == NULL)
        return 0;
    size_t line = (size_t)(end - bytes) + 1;
    if (bytes[0] == 'I') {
        b->inserted++;
    } else if (bytes[0] == 'D') {
        b->deleted++;
    } else if (strncmp(bytes, "RESERVED ", 9) == 0) {
        size_t id = strcspn(bytes + 9, " ");
        if (size < line + b->body_bytes + 2)
            return 0;
        line += b->body_bytes + 2;
        add_text(c, "delete ");
        add(c, bytes + 9, id);
        add_text(c, "\r\n");
        if (b->reserves < b->wanted) {
            add_text(c, "reserve\r\n");
            b->reserves++;
        }
    } else {
        peer_fail("beanstalkd refused a command");
    }
    return line;
}

static void read_all(struct bench *b, struct conn *c) {
    ssize_t n;
    while ((n = recv(c->fd, c->in + c->got, IN_BYTES - c->got, MSG_DONTWAIT)) > 0) {
        size_t at = 0, one;
        c->got += (size_t)n;
        while (at < c->got && (one = take(b, c, c->in + at, c->got - at)) > 0)
            at += one;
        memmove(c->in, c->in + at, c->got - at);
        c->got -= at;
    }
    if (n == 0 || errno != EAGAIN)
        peer_fail("beanstalkd is gone");
}

static void put_more(struct bench *b) {
    while (b->put_count < b->wanted && b->put_count - b->deleted < b->window) {
        struct conn *c = &b->producers[b->put_count++ % b->connections];
        add(c, b->put.data, b->put.size);
    }
}

static int run(struct bench *b) {
    struct pollfd fds[2 * MAX_CONNECTIONS];
    int64_t started_us = peer_now_us(), now_us = started_us, cpu_us = peer_cpu_us();
    while (b->reserves < b->window / 2 && b->reserves < b->wanted)
        add_text(&b->consumers[b->reserves++ % b->connections], "reserve\r\n");
    while (b->deleted < b->wanted && now_us - started_us < LIMIT_US) {
        put_more(b);
        for (int i = 0; i < 2 * b->connections; i++) {
            struct conn *c =
                i < b->connections ? &b->producers[i] : &b->consumers[i - b->connections];
            flush(c);
            fds[i] = (struct pollfd){
                .fd = c->fd, .events = (short)(POLLIN | (c->out.size > 0 ? POLLOUT : 0))};
        }
        (void)poll(fds, (nfds_t)(2 * b->connections), 100);
        (void)usleep(NAP_US);
        for (int i = 0; i < b->connections; i++) {
            read_all(b, &b->producers[i]);
            read_all(b, &b->consumers[i]);
        }
        now_us = peer_now_us();
    }
    double took_s = (double)(now_us - started_us) / 1e6;
    printf("{\"jobs\": %" PRId64 ", \"seconds\": %.3f, \"jobs_per_s\": %.0f, "
           "\"own_cpu_us_per_job\": %.2f, \"body_bytes\": %zu}\n",
        b->deleted, took_s, (double)b->deleted / took_s,
        (double)(peer_cpu_us() - cpu_us) / (double)b->wanted, b->body_bytes);
    return b->deleted == b->wanted && b->inserted == b->wanted ? 0 : 1;
}

static void make_put(struct bench *b) {
    struct hop_probe probes[PEER_MAX_HOPS];
    char line[80];
    msgpack_sbuffer body;
    msgpack_packer pk;
    msgpack_sbuffer_init(&body);
    msgpack_packer_init(&pk, &body, msgpack_sbuffer_write);
    peer_put_body(&pk, probes, peer_probes(probes, HOPS));
    b->body_bytes = body.size;
    int size = snprintf(line, sizeof line, "put 0 0 %d %zu\r\n", TTR_S, body.size);
    msgpack_sbuffer_init(&b->put);
    (void)msgpack_sbuffer_write(&b->put, line, (size_t)size);
    (void)msgpack_sbuffer_write(&b->put, body.data, body.size);
    (void)msgpack_sbuffer_write(&b->put, "\r\n", 2);
    msgpack_sbuffer_destroy(&body);
}

static struct conn *connect_all(const char *path, int count) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct conn *conns = calloc((size_t)count, sizeof *conns);
    if (conns == NULL || strlen(path) >= sizeof at.sun_path)
        peer_fail("no memory, or too long a path");
    (void)strcpy(at.sun_path, path);
    for (int i = 0; i < count; i++) {
        conns[i].fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (conns[i].fd < 0 || connect(conns[i].fd, (const struct sockaddr *)&at, sizeof at) != 0)
            peer_fail("no beanstalkd");
        msgpack_sbuffer_init(&conns[i].out);
    }
    return conns;
}

static bool number(int argc, char **argv, int at, int64_t max, int64_t *value) {
    const char *wrong = NULL;
    if (argc > at)
        *value = strtonum(argv[at], 1, max, &wrong);
    return wrong == NULL;
}

int main(int argc, char **argv) {
    struct bench b = {.window = WINDOW};
    int64_t connections = CONNECTIONS;
    if (argc < 3 || argc > 5 || !number(argc, argv, 2, 100000000, &b.wanted) ||
        !number(argc, argv, 3, 10000, &b.window) ||
        !number(argc, argv, 4, MAX_CONNECTIONS, &connections)) {
        (void)fprintf(stderr, "usage: bench-beanstalk SOCKET JOBS [WINDOW [CONNECTIONS]]\n");
        return 64;
    }
    b.connections = (int)connections;
    make_put(&b);
    b.producers = connect_all(argv[1], b.connections);
    b.consumers = connect_all(argv[1], b.connections);
    return run(&b);
}
