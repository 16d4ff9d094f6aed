/*
 * sim_tun: a network namespace of its own whose only way out is a TUN device.
 */
#ifndef SIM_TUN_H
#define SIM_TUN_H

#include <stddef.h>
#include <stdint.h>

#define SIM_TUN_DEVICE "sim0"
#define SIM_TUN_V4 "198.18.0.1"
#define SIM_TUN_V6 "2001:db8:ffff::1"

/* Room for the reason of a failure. */
#define SIM_TUN_REASON 256

/*
 * Moves this process to a new network namespace (in a new user namespace, where the first is not
 * allowed) and brings the device up in it, with both addresses and default routes. Returns the
 * device's non-blocking, close-on-exec descriptor, or -1 with the reason in words. To be called
 * once, before any thread or child is made.
 */
int sim_tun_open(char *reason, size_t size);

/* Packets that the device dropped because its queue was full, or 0 if that cannot be read. */
uint64_t sim_tun_drops(void);

#endif
