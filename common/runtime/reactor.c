#include "common/runtime/reactor.h"

#include "common/mem.h"
#include "common/order.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sysexits.h>
#include <unistd.h>

/* Two clocks count as read together if that took at most READ_TOGETHER_US; reactor_now() tries
 * READ_TRIES times. */
#define READ_TOGETHER_US 100
#define READ_TRIES 4

struct watch {
    zsock_t *socket; /* NULL: a descriptor is watched */
    int fd;          /* -1: no longer watched */
    void (*on_socket)(void *context);
    void (*on_fd)(void *context, int fd, short events);
    void *context;
};

struct reactor {
    struct watch *watches;
    zmq_pollitem_t *items; /* one for each watch */
    int count;
    int signal_fd, timer_fd;
    sigset_t original_mask;
    void (*on_signal)(void *context, int signal);
    void *signal_context;
    int64_t (*next)(void *context);
    void (*tick)(void *context);
    void *tick_context;
    int64_t armed_us; /* when the timer expires; 0: never */
    int64_t asked_us; /* when next() was last called */
    int64_t woken_us; /* when the last pass began */
    int64_t gather_us;
    int taken; /* messages in this pass */
    struct histogram lag;
    bool stopped;
};

static int64_t clock_us(clockid_t clock) {
    struct timespec ts;
    (void)clock_gettime(clock, &ts);
    return ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000;
}

struct instant reactor_now(void) {
    struct instant t;
    /* Callers compare the two clocks to see whether the wall clock was set. A pause of this process
     * between the two readings must not look like that. */
    for (int tries = 0; tries < READ_TRIES; tries++) {
        t = (struct instant){clock_us(CLOCK_MONOTONIC), clock_us(CLOCK_REALTIME)};
        if (clock_us(CLOCK_MONOTONIC) - t.mono_us <= READ_TOGETHER_US)
            break;
    }
    return t;
}

/* Leaves a timer that expires earlier as it is. What is due next changes with each message, and one
 * wake-up without work is cheaper than setting the timer each time. */
static void arm(struct reactor *r, int64_t due_us) {
    if (due_us == INT64_MAX || (r->armed_us != 0 && r->armed_us <= due_us))
        return;
    struct itimerspec when = {.it_value = {due_us / 1000000, due_us % 1000000 * 1000}};
    (void)timerfd_settime(r->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
    r->armed_us = due_us;
}

/* Calls tick() if it is due, and sets the timer for the next tick. If that is due at once, as at a
 * rate without limit, the loop still waits for the timer, so that sockets get their turn. */
static void settle(struct reactor *r) {
    if (r->stopped || r->next == NULL)
        return;
    int64_t due_us = r->next(r->tick_context), now_us = clock_us(CLOCK_MONOTONIC);
    if (due_us <= now_us) {
        histogram_add(&r->lag, now_us - order_max(due_us, r->asked_us));
        r->tick(r->tick_context);
    }
    r->asked_us = now_us;
    if (r->stopped)
        return;
    int64_t next = r->next(r->tick_context);
    arm(r, order_max(next, 1));
}

static void on_timer(void *context, int fd, short events) {
    struct reactor *r = context;
    uint64_t expirations;
    (void)events;
    if (read(fd, &expirations, sizeof expirations) > 0)
        r->armed_us = 0;
}

static void on_signal_fd(void *context, int fd, short events) {
    struct reactor *r = context;
    struct signalfd_siginfo info;
    (void)events;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info)
        if (r->on_signal != NULL)
            r->on_signal(r->signal_context, (int)info.ssi_signo);
}

static void fatal(const char *what) {
    (void)fprintf(stderr, "reactor: %s: %s\n", what, strerror(errno));
    exit(EX_OSERR);
}

struct reactor *reactor_new(int64_t gather_us) {
    struct reactor *r = mem_new(1, sizeof *r);
    r->gather_us = gather_us;
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
    reactor_fd(r, r->signal_fd, ZMQ_POLLIN, on_signal_fd, r);
    reactor_fd(r, r->timer_fd, ZMQ_POLLIN, on_timer, r);
    return r;
}

void reactor_destroy(struct reactor **reactor) {
    struct reactor *r = *reactor;
    if (r == NULL)
        return;
    (void)close(r->signal_fd);
    (void)close(r->timer_fd);
    free(r->watches);
    free(r->items);
    free(r);
    *reactor = NULL;
}

/* ---- what is watched -------------------------------------------------------------------- */

static void reactor_add(struct reactor *r, const struct watch *w, short events) {
    r->watches = mem_grow(r->watches, (size_t)r->count + 1, sizeof *r->watches);
    r->items = mem_grow(r->items, (size_t)r->count + 1, sizeof *r->items);
    r->items[r->count] =
        (zmq_pollitem_t){.socket = w->socket != NULL ? zsock_resolve(w->socket) : NULL,
            .fd = w->fd,
            .events = events};
    r->watches[r->count++] = *w;
}

void reactor_socket(
    struct reactor *r, zsock_t *socket, void (*handler)(void *context), void *context) {
    reactor_add(
        r, &(struct watch){.socket = socket, .on_socket = handler, .context = context}, ZMQ_POLLIN);
}

void reactor_fd(struct reactor *r, int fd, short events,
    void (*handler)(void *context, int fd, short events), void *context) {
    reactor_fd_end(r, fd);
    reactor_add(r, &(struct watch){.fd = fd, .on_fd = handler, .context = context}, events);
}

/* Only marks the watch as ended. It is removed between two passes, because the current pass
 * iterates over the array. */
static void reactor_end(struct reactor *r, const zsock_t *socket, int fd) {
    for (int i = 0; i < r->count; i++)
        if (r->watches[i].socket == socket && (socket != NULL || r->watches[i].fd == fd)) {
            r->watches[i].socket = NULL;
            r->watches[i].fd = -1;
        }
}

static void remove_ended(struct reactor *r) {
    int kept = 0;
    for (int i = 0; i < r->count; i++)
        if (r->watches[i].fd >= 0) {
            r->watches[kept] = r->watches[i];
            r->items[kept++] = r->items[i];
        }
    r->count = kept;
}

void reactor_socket_end(struct reactor *r, zsock_t *socket) { reactor_end(r, socket, -1); }

void reactor_fd_end(struct reactor *r, int fd) { reactor_end(r, NULL, fd); }

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

/* ---- the loop --------------------------------------------------------------------------- */

/* A wake-up costs more than handling most messages. So after a pass with several messages the loop
 * waits for more, as REACTOR_REST says. Messages that come one at a time, or only after our answer,
 * are handled at once. */
static void gather(struct reactor *r) {
    if (r->taken <= 1)
        return;
    int64_t rest_us = (clock_us(CLOCK_MONOTONIC) - r->woken_us) * REACTOR_REST;
    int64_t until_us = r->woken_us + order_min(rest_us, r->gather_us);
    const struct timespec until = {until_us / 1000000, until_us % 1000000 * 1000};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

void reactor_took(struct reactor *r, int messages) { r->taken += messages; }

static void pass(struct reactor *r) {
    int count = r->count; /* watches that handlers add have no events yet */
    r->taken = 0;
    for (int i = 0; i < count && !r->stopped; i++) {
        const struct watch w = r->watches[i];
        if (r->items[i].revents == 0 || w.fd < 0)
            continue;
        if (w.socket != NULL)
            w.on_socket(w.context);
        else
            w.on_fd(w.context, w.fd, r->items[i].revents);
    }
}

void reactor_run(struct reactor *r) {
    r->asked_us = clock_us(CLOCK_MONOTONIC);
    settle(r);
    while (!r->stopped) {
        remove_ended(r);
        if (zmq_poll(r->items, r->count, -1) < 0) {
            if (errno != EINTR)
                fatal("zmq_poll");
            continue;
        }
        r->woken_us = clock_us(CLOCK_MONOTONIC);
        pass(r);
        settle(r);
        gather(r);
    }
}

void reactor_stop(struct reactor *r) { r->stopped = true; }

const sigset_t *reactor_original_mask(const struct reactor *r) { return &r->original_mask; }
