/* prober: the mtr-packet child of a worker.
 *
 * Two pipes, neither of which ever blocks us: mtr-packet makes its standard input non-blocking,
 * so that one socketpair for both would lose replies, and a full pipe on either side would stop
 * both of us. A child that ends or hangs is reaped and started again, after a pause that grows
 * from PROBER_BACKOFF_MIN_US to PROBER_BACKOFF_MAX_US while it does not come up and stay.
 */
#ifndef HOPMQ_PROBER_H
#define HOPMQ_PROBER_H

#include "common/runtime/reactor.h"
#include "worker/probing/mtr_line.h"

#define PROBER_BACKOFF_MIN_US 100000
#define PROBER_BACKOFF_MAX_US 5000000

/* A child that was up for so long has not failed: what comes up and dies of its first probe has. */
#define PROBER_STEADY_US 10000000

/* So many failures in a row are trouble: sink.trouble is called then and after each further one. */
#define PROBER_PATIENCE 3

/* Why, at most, with the NUL. */
#define PROBER_WHY_BYTES 128

/* Children whose ICMP id another worker's has, one after the other, before that is a failure. */
#define PROBER_ID_TRIES 16

/* Lines that are no answers, after which a child is replaced. */
#define PROBER_MAX_BAD_LINES 100

/* From start to the last answer of check-support. */
#define PROBER_START_US 5000000

/* From the end of its input to its own end. */
#define PROBER_CLOSE_US 1000000

struct prober;

struct prober_sink {
    void *context;
    /* The child answered what it can: version, 1 << 4 | 1 << 6, 1 << enum trace_protocol. */
    void (*up)(void *context, const char *version, unsigned families, unsigned protocols);
    void (*down)(void *context);
    /* No child comes up and stays, until `up`: the last one's reason, a line for people. */
    void (*trouble)(void *context, const char *why);
    /* False if nobody has asked for it. */
    bool (*reply)(void *context, const struct mtr_reply *reply, int64_t now_us);
    void (*bad_line)(void *context);
    /* A child was started: false if another prober of the namespace has its ICMP id, which is
     * its pid modulo 65536; it is then replaced at once. */
    bool (*started)(void *context, pid_t pid);
};

/* Finds mtr-packet: $MTR_PACKET, or in $PATH. NULL with a message on standard error. */
struct prober *prober_new(struct reactor *reactor, const struct prober_sink *sink);
void prober_destroy(struct prober **prober);

/* Starts the child. */
void prober_start(struct prober *prober);

/* Ends the child, as if it had died; `why` is for the log. */
void prober_replace(struct prober *prober, const char *why);

/* Closes the child's input, so that it ends, and starts no other; true when there is none any more.
 * To be called, and called again, when no probe is out: with one, mtr-packet would spin until the
 * probe is over. One that does not end within PROBER_CLOSE_US is killed. */
bool prober_close(struct prober *prober);

/* True while a child whose input was closed has not ended: nothing is to be done but wait. */
bool prober_closing(const struct prober *prober);

/* Queues a command; prober_flush() writes what is queued as far as the pipe takes it, and the
 * rest when it can. */
void prober_send(struct prober *prober, const char *line, size_t size);
void prober_flush(struct prober *prober);

/* Takes the lines that wait in the pipe. */
void prober_read(struct prober *prober);

int64_t prober_restarts(const struct prober *prober);

/* As a core's: what is due, and when next. */
void prober_tick(struct prober *prober, int64_t now_us);
int64_t prober_next(const struct prober *prober);

#endif
