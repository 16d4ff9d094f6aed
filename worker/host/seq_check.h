/* seq_check: where the mtr-packet child tells its sequence number, without knowing it.
 *
 * The source port of a TCP probe is its number. So a listening socket on 127.0.0.1 shows it when
 * the child is told to probe that. Each sequence check has a source address of its own, drawn at
 * random from 127.0.0.0/8: a connection from there can only be the child's, since nobody else
 * learns of the address before it is used. All other connections are strangers', and change
 * nothing.
 */
#ifndef HOPMQ_WORKER_SEQ_CHECK_H
#define HOPMQ_WORKER_SEQ_CHECK_H

#include "common/addr.h"
#include "common/runtime/reactor.h"

struct seq_check;

struct seq_check_sink {
    void *context;
    /* The probe of the last seq_check_begin() came from this port. Once at most for each. */
    void (*heard)(void *context, uint16_t port);
    /* Somebody else connected. */
    void (*stranger)(void *context);
};

struct seq_check *seq_check_new(struct reactor *reactor, const struct seq_check_sink *sink);
void seq_check_destroy(struct seq_check **seq_check);

/* Whence and where to the next TCP probe must go. The sequence check before it is not heard any
 * more. False if there is no loopback to listen on. */
bool seq_check_begin(
    struct seq_check *seq_check, struct addr *from, struct addr *to, uint16_t *to_port);

#endif
