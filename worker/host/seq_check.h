/* seq_check: finds out mtr-packet's sequence number with a TCP probe to this worker.
 *
 * The source port of a TCP probe is its sequence number. The worker listens on 127.0.0.1, tells
 * mtr-packet to probe that, and sees the number as the port of the connection. The source address
 * of each check is drawn at random from 127.0.0.0/8. Nobody else knows it before it is used, so
 * that a connection from it can only be mtr-packet's. Connections from other addresses are
 * strangers' and change nothing.
 */
#ifndef HOPMQ_WORKER_SEQ_CHECK_H
#define HOPMQ_WORKER_SEQ_CHECK_H

#include "common/addr.h"
#include "common/runtime/reactor.h"

struct seq_check;

struct seq_check_sink {
    void *context;
    /* The probe of the last seq_check_begin() came from this port. Called at most once for each. */
    void (*heard)(void *context, uint16_t port);
    /* Another program connected. */
    void (*stranger)(void *context);
};

struct seq_check *seq_check_new(struct reactor *reactor, const struct seq_check_sink *sink);
void seq_check_destroy(struct seq_check **seq_check);

/* Begins a check: a TCP probe must now be sent from `from` to `to` and to_port. The check before it
 * is given up. Returns false if it is not possible to listen on loopback. */
bool seq_check_begin(
    struct seq_check *seq_check, struct addr *from, struct addr *to, uint16_t *to_port);

#endif
