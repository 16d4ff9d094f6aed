/* child: where mtr-packet is, and how one is started. */
#ifndef HOPMQ_CHILD_H
#define HOPMQ_CHILD_H

#include <signal.h>
#include <sys/types.h>

/* mtr-packet watches its descriptors with select(): beyond FD_SETSIZE it aborts. */
#define CHILD_NOFILE 1024

/* What child_find() says when it finds none; a longer path is cut. */
#define CHILD_WHY_BYTES 512

/* The path of mtr-packet, $MTR_PACKET or in $PATH, to be given to free(). NULL if there is none:
 * why, and what mends it. */
char *child_find(char why[CHILD_WHY_BYTES], const char **mend);

/* Starts it with these pipes, CHILD_NOFILE, and the signal mask. Returns 0 or an errno. */
int child_spawn(pid_t *pid, const char *path, int in, int out, const sigset_t *mask);

/* What waits in a raw socket of a running child, and what it should be able to: some 5,000 answers
 * in place of 277, since those that find it full are lost, and look like silence. */
#define CHILD_RECEIVE_BYTES (4 << 20)

/* Makes the receive buffers of the child's raw sockets larger: to CHILD_RECEIVE_BYTES with
 * CAP_NET_ADMIN, otherwise to twice net.core.rmem_max at most. Returns the bytes of the smallest
 * one then; 0 if we may not reach into the child (pidfd_getfd(2)), whose buffers then stay as
 * net.core.rmem_default makes them. */
int child_widen(pid_t pid);

#endif
