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

#endif
