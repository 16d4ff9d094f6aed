/* systemd: what a service manager is told, see sd_notify(3). Its protocol is a datagram to
 * $NOTIFY_SOCKET; libsystemd's sd_notify() waits while a manager does not read, this never does. */
#ifndef HOPMQ_SYSTEMD_H
#define HOPMQ_SYSTEMD_H

#include <stdint.h>

struct systemd;

/* NULL if nobody wants to be told. */
struct systemd *systemd_new(void);
void systemd_destroy(struct systemd **systemd);

/* One assignment, such as READY=1; dropped where it cannot be sent at once. `systemd` may be NULL.
 */
void systemd_send(struct systemd *systemd, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* How often WATCHDOG=1 must be sent at least; 0: not at all. */
int64_t systemd_watchdog_us(const struct systemd *systemd);

#endif
