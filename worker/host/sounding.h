/* sounding: where the mtr-packet child tells its sequence number, without knowing it.
 *
 * The source port of a TCP probe is its number. So a listening socket on 127.0.0.1 shows it when
 * the child is told to probe that. Each sounding has a source address of its own, drawn at random
 * from 127.0.0.0/8: a connection from there can only be the child's, since nobody else learns of
 * the address before it is used. All other connections are strangers', and change nothing.
 */
#ifndef HOPMQ_SOUNDING_H
#define HOPMQ_SOUNDING_H

#include "common/addr.h"
#include "common/runtime/reactor.h"

struct sounding;

struct sounding_sink {
    void *context;
    /* The probe of the last sounding_begin() came from this port. Once at most for each. */
    void (*heard)(void *context, uint16_t port);
    /* Somebody else connected. */
    void (*stranger)(void *context);
};

struct sounding *sounding_new(struct reactor *reactor, const struct sounding_sink *sink);
void sounding_destroy(struct sounding **sounding);

/* Whence and where to the next TCP probe must go. The sounding before it is not heard any more.
 * False if there is no loopback to listen on. */
bool sounding_begin(
    struct sounding *sounding, struct addr *from, struct addr *to, uint16_t *to_port);

#endif
