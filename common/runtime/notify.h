/* notify: what a service manager is told, see sd_notify(3). Its protocol is a datagram to
 * $NOTIFY_SOCKET; libsystemd's sd_notify() waits while a manager does not read, this never does. */
#ifndef HOPMQ_NOTIFY_H
#define HOPMQ_NOTIFY_H

#include <stdint.h>

struct notify;

/* NULL if nobody wants to be told. */
struct notify *notify_new(void);
void notify_destroy(struct notify **notify);

/* One assignment, such as READY=1; dropped where it cannot be sent at once. `notify` may be NULL.
 */
void notify_send(struct notify *notify, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* How often WATCHDOG=1 must be sent at least; 0: not at all. */
int64_t notify_watchdog_us(const struct notify *notify);

#endif
