/* mtr_spawn: where mtr-packet is, and how one is started and ended. */
#ifndef HOPMQ_WORKER_MTR_SPAWN_H
#define HOPMQ_WORKER_MTR_SPAWN_H

#include <signal.h>
#include <sys/types.h>

/* RLIMIT_NOFILE of mtr-packet. It watches its descriptors with select(), and aborts when one is
 * beyond FD_SETSIZE. */
#define MTR_SPAWN_NOFILE 1024

/* Size of the reason that mtr_spawn_find() gives; a longer one is cut. */
#define MTR_SPAWN_WHY_BYTES 512

/* Size of the receive buffers that the raw sockets of mtr-packet should have. Some 5,000 answers
 * can wait in one; in the kernel's default there is room for 277. An answer that finds the buffer
 * full is lost, which looks like a silent hop. */
#define MTR_SPAWN_RECEIVE_BYTES (4 << 20)

/* A running mtr-packet. */
struct mtr_child {
    pid_t pid;
    int in, out; /* our ends of its pipes: we write to `in` and read from `out`; -1: closed */
};

/* Returns the path of mtr-packet, from MTR_PACKET or by searching PATH; free() it. If there is
 * none it returns NULL, and tells why and how to fix it. */
char *mtr_spawn_find(char why[MTR_SPAWN_WHY_BYTES], const char **fix);

/* Starts mtr-packet, with MTR_SPAWN_NOFILE and the signal mask. The child gets two pipes: it makes
 * its standard input non-blocking, so that one socketpair for both directions would lose answers.
 * Returns 0 or an errno; then nothing is left open. */
int mtr_spawn_start(struct mtr_child *child, const char *path, const sigset_t *mask);

/* Kills the child, closes the pipes, waits for its end, and returns its status as waitpid() does:
 * its own if it had ended before. */
int mtr_spawn_end(struct mtr_child *child);

/* Enlarges the receive buffers of the child's raw sockets: to MTR_SPAWN_RECEIVE_BYTES with
 * CAP_NET_ADMIN, otherwise to twice net.core.rmem_max at most. Returns the size of the smallest one
 * in bytes; 0 if this process may not use pidfd_getfd(2) on the child, whose buffers then keep the
 * size of net.core.rmem_default. */
int mtr_spawn_widen(const struct mtr_child *child);

#endif
