#include "common/reactor.h"

#include "common/mem.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sysexits.h>
#include <unistd.h>

/* Two clocks read within this time are read together; so often it is tried. */
#define READ_TOGETHER_US 100
#define READ_TRIES 4

struct watch {
    TAILQ_ENTRY(watch) link;
    struct reactor *reactor;
    zsock_t *socket; /* or NULL, then: */
    int fd;
    void (*on_socket)(void *context);
    void (*on_fd)(void *context, int fd, short events);
    void *context;
};

struct reactor {
    zloop_t *loop;
    TAILQ_HEAD(, watch) watches;
    int signal_fd, timer_fd;
    sigset_t original_mask;
    void (*on_signal)(void *context, int signal);
    void *signal_context;
    int64_t (*next)(void *context);
    void (*tick)(void *context);
    void *tick_context;
    int64_t armed_us; /* 0: not armed */
    int64_t asked_us; /* when next() was asked last */
    struct histogram lag;
    bool stopped;
};

static int64_t clock_us(clockid_t clock) {
    struct timespec ts;
    (void)clock_gettime(clock, &ts);
    return ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000;
}

struct reactor_time reactor_now(void) {
    struct reactor_time t;
    /* Their distance is used to see that the clock was set: it must not show that we were stopped
     * between the two. */
    for (int tries = 0; tries < READ_TRIES; tries++) {
        t = (struct reactor_time){clock_us(CLOCK_MONOTONIC), clock_us(CLOCK_REALTIME)};
        if (clock_us(CLOCK_MONOTONIC) - t.mono_us <= READ_TOGETHER_US)
            break;
    }
    return t;
}

static void arm(struct reactor *r, int64_t due_us) {
    if (due_us == r->armed_us)
        return;
    struct itimerspec when = {.it_value = {due_us / 1000000, due_us % 1000000 * 1000}};
    (void)timerfd_settime(r->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
    r->armed_us = due_us;
}

/* Ticks if it is time, and sets the timer for the next. A tick that leaves work due at once (a
 * rate without limit) waits for the timer all the same, so that sockets get their turn. */
static int settle(struct reactor *r) {
    if (r->stopped)
        return -1;
    if (r->next == NULL)
        return 0;
    int64_t due_us = r->next(r->tick_context), now_us = clock_us(CLOCK_MONOTONIC);
    if (due_us <= now_us) {
        histogram_add(&r->lag, now_us - (due_us > r->asked_us ? due_us : r->asked_us));
        r->tick(r->tick_context);
    }
    r->asked_us = now_us;
    if (r->stopped)
        return -1;
    int64_t next = r->next(r->tick_context);
    arm(r, next == INT64_MAX ? 0 : next < 1 ? 1 : next);
    return 0;
}

static int on_timer(zloop_t *loop, zmq_pollitem_t *item, void *arg) {
    (void)loop;
    (void)item;
    struct reactor *r = arg;
    uint64_t expirations;
    if (read(r->timer_fd, &expirations, sizeof expirations) > 0)
        r->armed_us = 0;
    return settle(r);
}

static int on_signal_fd(zloop_t *loop, zmq_pollitem_t *item, void *arg) {
    (void)loop;
    (void)item;
    struct reactor *r = arg;
    struct signalfd_siginfo info;
    while (read(r->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        if (r->on_signal != NULL)
            r->on_signal(r->signal_context, (int)info.ssi_signo);
    return settle(r);
}

static int on_item(zloop_t *loop, zmq_pollitem_t *item, void *arg) {
    (void)loop;
    struct watch *w = arg;
    struct reactor *r = w->reactor; /* the handler may end, and so free, its own watch */
    if (w->socket != NULL)
        w->on_socket(w->context);
    else
        w->on_fd(w->context, w->fd, item->revents);
    return settle(r);
}

static void fatal(const char *what) {
    (void)fprintf(stderr, "reactor: %s: %s\n", what, strerror(errno));
    exit(EX_OSERR);
}

struct reactor *reactor_new(void) {
    struct reactor *r = mem_new(1, sizeof *r);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &mask, &r->original_mask);
    (void)signal(SIGPIPE, SIG_IGN);
    zsys_handler_set(NULL);
    r->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    r->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (r->signal_fd < 0 || r->timer_fd < 0)
        fatal("signalfd, timerfd");
    TAILQ_INIT(&r->watches);
    r->loop = zloop_new();
    if (r->loop == NULL)
        fatal("zloop_new");
    zloop_set_nonstop(r->loop, true);
    zmq_pollitem_t signals = {.fd = r->signal_fd, .events = ZMQ_POLLIN};
    zmq_pollitem_t timer = {.fd = r->timer_fd, .events = ZMQ_POLLIN};
    (void)zloop_poller(r->loop, &signals, on_signal_fd, r);
    (void)zloop_poller(r->loop, &timer, on_timer, r);
    zloop_poller_set_tolerant(r->loop, &signals);
    zloop_poller_set_tolerant(r->loop, &timer);
    return r;
}

void reactor_destroy(struct reactor **reactor) {
    struct reactor *r = *reactor;
    if (r == NULL)
        return;
    zloop_destroy(&r->loop);
    while (!TAILQ_EMPTY(&r->watches)) {
        struct watch *w = TAILQ_FIRST(&r->watches);
        TAILQ_REMOVE(&r->watches, w, link);
        free(w);
    }
    (void)close(r->signal_fd);
    (void)close(r->timer_fd);
    free(r);
    *reactor = NULL;
}

static void add(struct reactor *r, struct watch *w, zmq_pollitem_t *item) {
    w->reactor = r;
    TAILQ_INSERT_TAIL(&r->watches, w, link);
    (void)zloop_poller(r->loop, item, on_item, w);
    zloop_poller_set_tolerant(r->loop, item);
}

void reactor_socket(
    struct reactor *r, zsock_t *socket, void (*handler)(void *context), void *context) {
    struct watch *w = mem_new(1, sizeof *w);
    w->socket = socket;
    w->on_socket = handler;
    w->context = context;
    zmq_pollitem_t item = {.socket = zsock_resolve(socket), .events = ZMQ_POLLIN};
    add(r, w, &item);
}

void reactor_fd(struct reactor *r, int fd, short events,
    void (*handler)(void *context, int fd, short events), void *context) {
    reactor_fd_end(r, fd);
    struct watch *w = mem_new(1, sizeof *w);
    w->fd = fd;
    w->on_fd = handler;
    w->context = context;
    zmq_pollitem_t item = {.fd = fd, .events = events};
    add(r, w, &item);
}

/* zloop ends its pass when a poller was removed, so that no stale watch is called. */
static void end(struct reactor *r, const zsock_t *socket, int fd) {
    struct watch *w, *next;
    TAILQ_FOREACH_SAFE(w, &r->watches, link, next)
    if (w->socket == socket && (socket != NULL || w->fd == fd)) {
        zmq_pollitem_t item = {
            .socket = socket != NULL ? zsock_resolve(w->socket) : NULL, .fd = fd};
        zloop_poller_end(r->loop, &item);
        TAILQ_REMOVE(&r->watches, w, link);
        free(w);
    }
}

void reactor_socket_end(struct reactor *r, zsock_t *socket) { end(r, socket, 0); }

void reactor_fd_end(struct reactor *r, int fd) { end(r, NULL, fd); }

void reactor_on_signal(
    struct reactor *r, void (*handler)(void *context, int signal), void *context) {
    r->on_signal = handler;
    r->signal_context = context;
}

void reactor_on_tick(
    struct reactor *r, int64_t (*next)(void *context), void (*tick)(void *context), void *context) {
    r->next = next;
    r->tick = tick;
    r->tick_context = context;
}

const struct histogram *reactor_lag(const struct reactor *r) { return &r->lag; }

void reactor_run(struct reactor *r) {
    r->asked_us = clock_us(CLOCK_MONOTONIC);
    if (settle(r) == 0)
        (void)zloop_start(r->loop);
}

void reactor_stop(struct reactor *r) { r->stopped = true; }

const sigset_t *reactor_original_mask(const struct reactor *r) { return &r->original_mask; }
