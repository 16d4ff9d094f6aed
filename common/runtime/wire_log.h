/* wire_log: writes the messages that a core receives and sends into the log, at level debug.
 *
 *   level=debug event=from-worker peer=006b8b4567 message="{'v':1,'op':'heartbeat',...}"
 */
#ifndef HOPMQ_WIRE_LOG_H
#define HOPMQ_WIRE_LOG_H

#include <stddef.h>

/* A message from or to `whom`, which is an endpoint or a topic. */
void wire_log(const char *event, const char *whom, const void *bytes, size_t size);

/* The same for a peer with a routing id. */
void wire_log_peer(
    const char *event, const void *id, size_t id_size, const void *bytes, size_t size);

#endif
