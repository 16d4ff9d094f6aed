/* listen: a TCP socket that listens at a numeric address and port. */
#ifndef HOPMQ_LISTEN_H
#define HOPMQ_LISTEN_H

#include <stdbool.h>

/* NULL if the text is ADDRESS:PORT, such as 127.0.0.1:7704 or [::1]:7704; otherwise what it must
 * be. With port 0 the kernel chooses a free port. */
const char *listen_wrong(const char *text);

/* The descriptor, or -1 with a message on standard error that starts with `option`. Without
 * `insecure` the address must be a loopback one. */
int listen_at(const char *option, const char *text, bool insecure);

/* The port that the socket listens at; -1 if the kernel does not tell. */
int listen_port(int fd);

#endif
