/* prober: the mtr-packet child of a worker.
 *
 * Neither of its pipes ever blocks the worker: if the worker waited for a full pipe to its child,
 * and the child for a full pipe to the worker, both would stand still. A child that ends or hangs
 * is reaped, and another is started after a pause. The pause grows from PROBER_BACKOFF_MIN_US to
 * PROBER_BACKOFF_MAX_US while children do not come up and stay up.
 */
#ifndef HOPMQ_PROBER_H
#define HOPMQ_PROBER_H

#include "common/runtime/reactor.h"
#include "worker/probing/mtr_line.h"

#define PROBER_BACKOFF_MIN_US 100000
#define PROBER_BACKOFF_MAX_US 5000000

/* A child that was up for longer than PROBER_STEADY_US has not failed when it ends. One that comes
 * up and dies of its first probe has. */
#define PROBER_STEADY_US 10000000

/* After PROBER_PATIENCE failures in a row, and after each further one, sink.trouble() is called. */
#define PROBER_PATIENCE 3

/* Size of the reason that sink.trouble() gets, with the NUL. */
#define PROBER_WHY_BYTES 128

/* How many children in a row may have an ICMP id that another worker has, before that is a failure.
 */
#define PROBER_ID_TRIES 16

/* A child that has written this many lines that are no answers is replaced. */
#define PROBER_MAX_BAD_LINES 100

/* The time from the start of a child to its last answer to check-support. */
#define PROBER_START_US 5000000

/* The time from the end of a child's input to its own end. */
#define PROBER_CLOSE_US 1000000

struct prober;

struct prober_sink {
    void *context;
    /* A child is up, and has said what it supports: families as 1 << 4 | 1 << 6, protocols as
     * 1 << enum trace_protocol. */
    void (*up)(void *context, const char *version, unsigned families, unsigned protocols);
    /* A child that was up has ended. */
    void (*down)(void *context);
    /* Children do not come up and stay up; `why` is what ended the last one, a line for people. The
     * trouble ends with the next up(). */
    void (*trouble)(void *context, const char *why);
    /* An answer to a command that the worker gave. Returns false if it gave none. */
    bool (*reply)(void *context, const struct mtr_reply *reply, int64_t now_us);
    /* The child wrote a line that is no answer. */
    void (*bad_line)(void *context);
    /* A child was started. Returns false if another prober of this network namespace has its ICMP
     * id, which is its pid modulo SLICES_ICMP_IDS: then it is replaced at once. */
    bool (*started)(void *context, pid_t pid);
};

/* Finds mtr-packet. Returns NULL, with a message on standard error, if there is none. */
struct prober *prober_new(struct reactor *reactor, const struct prober_sink *sink);
void prober_destroy(struct prober **prober);

/* Starts the child. */
void prober_start(struct prober *prober);

/* Ends the child at the next prober_tick(), as if it had died. `why` is for the log. */
void prober_replace(struct prober *prober, const char *why);

/* Closes the child's input, so that the child ends, and starts no other. Returns true when there is
 * no child any more; call it until it does. Call it only while no probe is out: otherwise
 * mtr-packet would use a whole core until the last probe is over. A child that does not end within
 * PROBER_CLOSE_US is killed. */
bool prober_close(struct prober *prober);

/* True while the child whose input was closed has not ended. */
bool prober_closing(const struct prober *prober);

/* Queues a command. prober_flush() writes as much of the queue as the pipe takes, and the rest as
 * soon as the pipe takes more. */
void prober_send(struct prober *prober, const char *line, size_t size);
void prober_flush(struct prober *prober);

/* Reads the lines that wait in the pipe. */
void prober_read(struct prober *prober);

/* How many children have ended and were, or will be, replaced. */
int64_t prober_restarts(const struct prober *prober);

/* Does what is due, and says when it wants to be called next. */
void prober_tick(struct prober *prober, int64_t now_us);
int64_t prober_next(const struct prober *prober);

#endif
