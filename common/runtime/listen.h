/* listen: a TCP socket that listens at an address and port in numbers. */
#ifndef HOPMQ_LISTEN_H
#define HOPMQ_LISTEN_H

#include <stdbool.h>

/* Why text is not ADDRESS:PORT, such as 127.0.0.1:7704 or [::1]:7704; NULL if it is. Port 0 stands
 * for any that is free. */
const char *listen_wrong(const char *text);

/* The descriptor, or -1 with a message on standard error that starts with `option`. Without
 * `insecure` the address must be a loopback one. */
int listen_at(const char *option, const char *text, bool insecure);

/* The port that the kernel has chosen; -1 if it cannot be told. */
int listen_port(int fd);

#endif
