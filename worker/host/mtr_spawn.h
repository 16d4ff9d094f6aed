/* mtr_spawn: where mtr-packet is, and how one is started. */
#ifndef HOPMQ_WORKER_MTR_SPAWN_H
#define HOPMQ_WORKER_MTR_SPAWN_H

#include <signal.h>
#include <sys/types.h>

/* mtr-packet watches its descriptors with select(): beyond FD_SETSIZE it aborts. */
#define MTR_SPAWN_NOFILE 1024

/* What mtr_spawn_find() says when it finds none; a longer path is cut. */
#define MTR_SPAWN_WHY_BYTES 512

/* The path of mtr-packet, $MTR_PACKET or in $PATH, to be given to free(). NULL if there is none:
 * why, and how to fix it. */
char *mtr_spawn_find(char why[MTR_SPAWN_WHY_BYTES], const char **fix);

/* Starts it with these pipes, MTR_SPAWN_NOFILE, and the signal mask. Returns 0 or an errno. */
int mtr_spawn(pid_t *pid, const char *path, int in, int out, const sigset_t *mask);

/* What waits in a raw socket of a running child, and what it should be able to: some 5,000 answers
 * in place of 277, since those that find it full are lost, and look like silence. */
#define MTR_SPAWN_RECEIVE_BYTES (4 << 20)

/* Makes the receive buffers of the child's raw sockets larger: to MTR_SPAWN_RECEIVE_BYTES with
 * CAP_NET_ADMIN, otherwise to twice net.core.rmem_max at most. Returns the bytes of the smallest
 * one then; 0 if we may not reach into the child (pidfd_getfd(2)), whose buffers then stay as
 * net.core.rmem_default makes them. */
int mtr_spawn_widen(pid_t pid);

#endif
