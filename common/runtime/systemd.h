/* systemd: notifies the service manager, see sd_notify(3): each notification is a datagram to
 * $NOTIFY_SOCKET. libsystemd's sd_notify() blocks while the manager does not read; this never does.
 */
#ifndef HOPMQ_SYSTEMD_H
#define HOPMQ_SYSTEMD_H

#include <stdint.h>

struct systemd;

/* NULL if there is no service manager to notify. */
struct systemd *systemd_new(void);
void systemd_destroy(struct systemd **systemd);

/* Sends one assignment, such as READY=1, or drops it if it cannot be sent at once. `systemd` may be
 * NULL. */
void systemd_send(struct systemd *systemd, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The longest time between two WATCHDOG=1; 0 if there is no watchdog. */
int64_t systemd_watchdog_us(const struct systemd *systemd);

#endif
