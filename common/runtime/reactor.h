/* reactor: the one event loop of both daemons and of the client, around zmq_poll().
 *
 * One wake-up timer (a timerfd, exact to the microsecond) and signals read from a signalfd. An idle
 * process answers at once; a busy one works in batches: not czmq's zloop, which has no place to
 * wait for more between two passes.
 * Make the reactor before anything else of ZeroMQ, so that its threads inherit the mask.
 */
#ifndef HOPMQ_REACTOR_H
#define HOPMQ_REACTOR_H

#include "common/histogram.h"
#include "common/instant.h"

#include <czmq.h>
#include <stdbool.h>
#include <stdint.h>

/* What one callback takes from a socket or pipe before others get their turn. */
#define REACTOR_DRAIN 256

/* After a pass that took so long, and several messages, the next one begins so many times as much
 * later. */
#define REACTOR_REST 16

struct reactor;

/* Reads both clocks, one after the other. */
struct instant reactor_now(void);

/* gather_us: where something is always there, passes of the loop begin so far apart at most, and a
 * busy process lets more come in between; 0: it does not. Ends the process with a message if the
 * kernel refuses a descriptor. */
struct reactor *reactor_new(int64_t gather_us);
void reactor_destroy(struct reactor **reactor);

/* Calls handler when the socket has messages; it should take up to REACTOR_DRAIN of them. */
void reactor_socket(
    struct reactor *reactor, zsock_t *socket, void (*handler)(void *context), void *context);
void reactor_socket_end(struct reactor *reactor, zsock_t *socket);

/* Calls handler with the descriptor when it is ready for `events` (ZMQ_POLLIN, ZMQ_POLLOUT).
 * Setting a descriptor again replaces what was set. */
void reactor_fd(struct reactor *reactor, int fd, short events,
    void (*handler)(void *context, int fd, short events), void *context);
void reactor_fd_end(struct reactor *reactor, int fd);

/* Handlers tell how many messages they took; what may come thick is counted. */
void reactor_took(struct reactor *reactor, int messages);

/* SIGINT, SIGTERM and SIGHUP come here. */
void reactor_on_signal(
    struct reactor *reactor, void (*handler)(void *context, int signal), void *context);

/* After each pass the reactor asks next() and, when that time has come, calls tick(); where passes
 * rest, up to gather_us late. */
void reactor_on_tick(struct reactor *reactor, int64_t (*next)(void *context),
    void (*tick)(void *context), void *context);

/* How late tick() was called: after the time that next() said, or after next() said a time that
 * was over. */
const struct histogram *reactor_lag(const struct reactor *reactor);

/* Runs until reactor_stop(); once a process. */
void reactor_run(struct reactor *reactor);
void reactor_stop(struct reactor *reactor);

/* Puts back the signal mask that the process was started with; for a child before exec. */
const sigset_t *reactor_original_mask(const struct reactor *reactor);

#endif
