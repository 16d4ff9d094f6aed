/* reactor: the event loop of both daemons and of the command line, around zmq_poll().
 *
 * It has one wake-up timer (a timerfd, exact to the microsecond) and reads signals from a signalfd.
 * An idle process handles a message at once; a busy one waits between passes so that messages
 * gather. That is why it is not czmq's zloop, which cannot wait between two passes.
 *
 * Create the reactor before anything else of ZeroMQ, so that libzmq's threads inherit its signal
 * mask. */
#ifndef HOPMQ_REACTOR_H
#define HOPMQ_REACTOR_H

#include "common/histogram.h"
#include "common/instant.h"

#include <czmq.h>
#include <stdbool.h>
#include <stdint.h>

/* Messages that a handler takes from a socket or pipe before others get their turn. */
#define REACTOR_DRAIN 256

/* After a pass that handled more than one message, the loop sleeps REACTOR_REST times as long as
 * the pass took, bounded by gather_us, before the next. */
#define REACTOR_REST 16

struct reactor;

/* Reads both clocks, one after the other. */
struct instant reactor_now(void);

/* gather_us bounds the time between the starts of two passes while messages gather; with 0 the loop
 * never waits for more. Ends the process with a message if the kernel refuses a descriptor. */
struct reactor *reactor_new(int64_t gather_us);
void reactor_destroy(struct reactor **reactor);

/* Calls the handler when the socket has messages; it should take up to REACTOR_DRAIN of them. */
void reactor_socket(
    struct reactor *reactor, zsock_t *socket, void (*handler)(void *context), void *context);
void reactor_socket_end(struct reactor *reactor, zsock_t *socket);

/* Calls the handler when the descriptor is ready for `events` (ZMQ_POLLIN, ZMQ_POLLOUT). Calling
 * this again for the same descriptor replaces handler and events. */
void reactor_fd(struct reactor *reactor, int fd, short events,
    void (*handler)(void *context, int fd, short events), void *context);
void reactor_fd_end(struct reactor *reactor, int fd);

/* To be called by handlers with the number of messages they took: after a pass with more than one
 * the loop waits for more. Rare messages need not be counted. */
void reactor_took(struct reactor *reactor, int messages);

/* Calls the handler for SIGINT, SIGTERM and SIGHUP. */
void reactor_on_signal(
    struct reactor *reactor, void (*handler)(void *context, int signal), void *context);

/* After each pass the reactor calls next(), which returns the monotonic time of the next tick, and
 * calls tick() when that time has come. A loop that gathers messages is up to gather_us late. */
void reactor_on_tick(struct reactor *reactor, int64_t (*next)(void *context),
    void (*tick)(void *context), void *context);

/* How late each tick() was, measured from the time that next() returned, or from when next() was
 * called if that time had passed already. */
const struct histogram *reactor_lag(const struct reactor *reactor);

/* Runs until reactor_stop(). A process may call it once. */
void reactor_run(struct reactor *reactor);
void reactor_stop(struct reactor *reactor);

/* The signal mask that the process was started with, which a child needs before exec. */
const sigset_t *reactor_original_mask(const struct reactor *reactor);

#endif
