/* bench-floor FILE CHILDREN FLIGHT: what mtr-packet itself can do, driven by as little as possible.
 *
 * FILE has lines `ADDRESS DISTANCE`. One ICMP probe is sent for each ttl 1..DISTANCE of each of
 * them, FLIGHT of them in flight in each of CHILDREN mtr-packet, by the lines that our worker
 * writes. Nobody looks whose answer comes, nor which number it has: it is no tracer, but a bound
 * for tracers. Prints one JSON object. */
#include "worker/host/mtr_spawn.h"

#include <arpa/inet.h>
#include <bsd/stdlib.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHILDREN_MAX 64
#define FLIGHT_MAX 2000 /* what mtr-packet 0.96 takes without being slow */
#define LINE_MAX_BYTES 160
#define TTL_MAX 64
#define LIMIT_S 60
#define START_MS 5000

struct target {
    char tail[LINE_MAX_BYTES]; /* the line, from behind its token to before its ttl */
    size_t size;
    int distance;
};

/* One mtr-packet. When `target` is NULL, its next probe begins the next target of the common list.
 */
struct driven {
    struct mtr_child child;
    int flight;
    struct target *target; /* of the next probe, or NULL */
    int ttl;
    size_t queued;
    char queue[FLIGHT_MAX * LINE_MAX_BYTES];
    size_t answered; /* the beginning of a line whose end was not read yet */
    char answer[1 << 17];
};

struct floor {
    struct target *targets;
    size_t count, next;
    int wanted_flight;
    unsigned token;
    long probes, answers, timeouts;
    double answered_s; /* the last answer came; silence at the end is none of mtr-packet's time */
    char ttls[TTL_MAX + 1][40];
};

static void die(const char *what) {
    (void)fprintf(stderr, "bench-floor: %s: %s\n", what, strerror(errno));
    exit(71);
}

static double now_s(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The source of the route to an address: a connected UDP socket sends nothing. */
static void find_source(char source[INET_ADDRSTRLEN], const char *address) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(9)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_pton(AF_INET, address, &at.sin_addr) != 1 ||
        connect(fd, (const struct sockaddr *)&at, sizeof at) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0)
        die(address);
    (void)inet_ntop(AF_INET, &at.sin_addr, source, INET_ADDRSTRLEN);
    (void)close(fd);
}

static void read_targets(struct floor *f, const char *path) {
    char address[INET_ADDRSTRLEN], source[INET_ADDRSTRLEN] = "";
    size_t room = 0;
    int distance;
    FILE *file = fopen(path, "r");
    if (file == NULL)
        die(path);
    while (
        fscanf(file, "%15s %d", address, &distance) == 2 && distance >= 1 && distance <= TTL_MAX) {
        if (f->count == 0)
            find_source(source, address);
        if (f->count == room) {
            room = room * 2 + 1024;
            f->targets = reallocarray(f->targets, room, sizeof *f->targets);
            if (f->targets == NULL)
                die(path);
        }
        struct target *t = &f->targets[f->count++];
        t->distance = distance;
        t->size = (size_t)snprintf(t->tail, sizeof t->tail,
            " send-probe ip-4 %s local-ip-4 %s protocol icmp ttl ", address, source);
    }
    (void)fclose(file);
}

static void start(struct driven *d, const char *path) {
    static const char question[] = "1 check-support feature version\n";
    char answer[256];
    sigset_t none;
    sigemptyset(&none);
    errno = mtr_spawn_start(&d->child, path, &none);
    if (errno != 0)
        die(path);
    /* Its sockets are there when it answers. */
    struct pollfd ready = {.fd = d->child.out, .events = POLLIN};
    if (write(d->child.in, question, strlen(question)) < 0 || poll(&ready, 1, START_MS) != 1 ||
        read(d->child.out, answer, sizeof answer) <= 0)
        die("mtr-packet does not answer");
    (void)mtr_spawn_widen(&d->child);
    (void)fcntl(d->child.in, F_SETFL, O_NONBLOCK);
    (void)fcntl(d->child.out, F_SETFL, O_NONBLOCK);
}

static char *put(char *at, const char *bytes, size_t size) {
    memcpy(at, bytes, size);
    return at + size;
}

static char *put_number(char *at, unsigned n) {
    char digits[10];
    size_t size = 0;
    do
        digits[sizeof digits - ++size] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    return put(at, digits + sizeof digits - size, size);
}

/* Queues as many probes as fit into the child, and writes what it takes. */
static void fill(struct floor *f, struct driven *d) {
    char *at = d->queue + d->queued;
    while (d->flight < f->wanted_flight && (d->target != NULL || f->next < f->count)) {
        if (d->target == NULL) {
            d->target = &f->targets[f->next++];
            d->ttl = 1;
        }
        f->token = f->token % 1000000000 + 1;
        at = put_number(at, f->token);
        at = put(at, d->target->tail, d->target->size);
        at = put(at, f->ttls[d->ttl], strlen(f->ttls[d->ttl]));
        if (d->ttl++ == d->target->distance)
            d->target = NULL;
        d->flight++;
        f->probes++;
    }
    d->queued = (size_t)(at - d->queue);
    if (d->queued == 0)
        return;
    ssize_t put = write(d->child.in, d->queue, d->queued);
    if (put < 0 && errno != EAGAIN)
        die("write to mtr-packet");
    if (put > 0) {
        d->queued -= (size_t)put;
        memmove(d->queue, d->queue + put, d->queued);
    }
}

/* Counts the lines of all that is there. */
static void drain(struct floor *f, struct driven *d) {
    long answers = f->answers;
    ssize_t got;
    do {
        got = read(d->child.out, d->answer + d->answered, sizeof d->answer - d->answered);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            die("mtr-packet ended");
        const char *at = d->answer, *newline;
        size_t left = d->answered + (got > 0 ? (size_t)got : 0);
        while ((newline = memchr(at, '\n', left)) != NULL) {
            size_t size = (size_t)(newline + 1 - at);
            bool silent = memmem(at, size, "no-reply", strlen("no-reply")) != NULL;
            f->timeouts += silent;
            f->answers += !silent;
            d->flight--;
            at += size;
            left -= size;
        }
        memmove(d->answer, at, left);
        d->answered = left;
    } while (got > (ssize_t)sizeof d->answer / 2);
    if (f->answers > answers)
        f->answered_s = now_s();
}

static bool busy(const struct floor *f, const struct driven *children, int count) {
    bool flying = f->next < f->count;
    for (int i = 0; i < count; i++)
        flying = flying || children[i].flight > 0;
    return flying;
}

static void drive(struct floor *f, struct driven *children, int count) {
    struct pollfd fds[2 * CHILDREN_MAX];
    double until_s = now_s() + LIMIT_S;
    for (int i = 0; i < count; i++)
        fill(f, &children[i]);
    while (busy(f, children, count) && now_s() < until_s) {
        for (int i = 0; i < count; i++) {
            fds[2 * i] = (struct pollfd){.fd = children[i].child.out, .events = POLLIN};
            fds[2 * i + 1] = (struct pollfd){
                .fd = children[i].queued > 0 ? children[i].child.in : -1, .events = POLLOUT};
        }
        if (poll(fds, 2 * (nfds_t)count, 1000) < 0)
            die("poll");
        for (int i = 0; i < count; i++) {
            if (fds[2 * i].revents != 0)
                drain(f, &children[i]);
            fill(f, &children[i]);
        }
    }
}

int main(int argc, char **argv) {
    static struct floor f;
    const char *wrong = NULL, *fix = NULL;
    char why[MTR_SPAWN_WHY_BYTES];
    if (argc != 4) {
        (void)fprintf(stderr, "usage: bench-floor FILE CHILDREN FLIGHT\n");
        return 64;
    }
    int count = (int)strtonum(argv[2], 1, CHILDREN_MAX, &wrong);
    if (wrong == NULL)
        f.wanted_flight = (int)strtonum(argv[3], 1, FLIGHT_MAX, &wrong);
    if (wrong != NULL) {
        (void)fprintf(stderr, "bench-floor: CHILDREN is 1..%d, FLIGHT 1..%d: %s\n", CHILDREN_MAX,
            FLIGHT_MAX, wrong);
        return 64;
    }
    char *path = mtr_spawn_find(why, &fix);
    struct driven *children = calloc((size_t)count, sizeof *children);
    if (path == NULL || children == NULL) {
        (void)fprintf(stderr, "bench-floor: %s\n", path == NULL ? why : strerror(ENOMEM));
        return 69;
    }
    for (int ttl = 1; ttl <= TTL_MAX; ttl++)
        (void)snprintf(f.ttls[ttl], sizeof f.ttls[ttl], "%d timeout 2\n", ttl);
    read_targets(&f, argv[1]);
    for (int i = 0; i < count; i++)
        start(&children[i], path);
    double started_s = now_s();
    drive(&f, children, count);
    double took_s = f.answered_s - started_s;
    struct rusage own, theirs;
    for (int i = 0; i < count; i++) {
        (void)close(children[i].child.in);
        (void)waitpid(children[i].child.pid, NULL, 0);
    }
    (void)getrusage(RUSAGE_SELF, &own);
    (void)getrusage(RUSAGE_CHILDREN, &theirs);
    double cpu_s = (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) +
                   (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6;
    double child_s = (double)(theirs.ru_utime.tv_sec + theirs.ru_stime.tv_sec) +
                     (double)(theirs.ru_utime.tv_usec + theirs.ru_stime.tv_usec) / 1e6;
    printf("{\"traces\": %zu, \"probes\": %ld, \"seconds\": %.4f, \"answers\": %ld, "
           "\"timeouts\": %ld, \"cpu_s\": %.4f, \"child_cpu_s\": %.4f}\n",
        f.count, f.probes, took_s, f.answers, f.timeouts, cpu_s, child_s);
    bool whole = !busy(&f, children, count);
    free(children);
    free(f.targets);
    free(path);
    return whole ? 0 : 1;
}
