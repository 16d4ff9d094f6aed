#include "common/runtime/listen.h"

#include <arpa/inet.h>
#include <bsd/stdlib.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 16

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool parse_address(const char *text, union address *at) {
    char host[INET6_ADDRSTRLEN + 2];
    const char *colon = strrchr(text, ':'), *wrong = NULL;
    *at = (union address){.any.sa_family = AF_INET};
    if (colon == NULL || (size_t)(colon - text) >= sizeof host)
        return false;
    uint16_t port = htons((uint16_t)strtonum(colon + 1, 0, 65535, &wrong));
    size_t size = (size_t)(colon - text);
    memcpy(host, text, size);
    host[size] = '\0';
    if (wrong != NULL)
        return false;
    at->v4.sin_port = port; /* at the same offset as in sockaddr_in6 */
    if (inet_pton(AF_INET, host, &at->v4.sin_addr) == 1)
        return true;
    if (size < 2 || host[0] != '[' || host[size - 1] != ']')
        return false;
    host[size - 1] = '\0';
    at->any.sa_family = AF_INET6;
    return inet_pton(AF_INET6, host + 1, &at->v6.sin6_addr) == 1;
}

const char *listen_wrong(const char *text) {
    union address at;
    return parse_address(text, &at) ? NULL
                                    : "must be ADDRESS:PORT, such as 127.0.0.1:7704 or [::1]:7704";
}

static bool is_loopback(const union address *at) {
    return at->any.sa_family == AF_INET ? ntohl(at->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET
                                        : IN6_IS_ADDR_LOOPBACK(&at->v6.sin6_addr);
}

static int listen_socket(const union address *at) {
    socklen_t size = at->any.sa_family == AF_INET ? sizeof at->v4 : sizeof at->v6;
    int yes = 1, fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, &at->any, size) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int failed = errno;
    (void)close(fd);
    errno = failed;
    return -1;
}

int listen_at(const char *option, const char *text, bool insecure) {
    union address at;
    if (!parse_address(text, &at)) {
        (void)fprintf(stderr, "%s: %s %s: %s\n", program_invocation_short_name, option, text,
            listen_wrong(text));
        return -1;
    }
    if (!insecure && !is_loopback(&at)) {
        (void)fprintf(stderr,
            "%s: %s %s: not a loopback address, so that anybody who reaches it could read the "
            "metrics; use 127.0.0.1:PORT or [::1]:PORT, or add --insecure\n",
            program_invocation_short_name, option, text);
        return -1;
    }
    int fd = listen_socket(&at);
    if (fd < 0)
        (void)fprintf(stderr, "%s: %s %s: cannot listen there: %s\n", program_invocation_short_name,
            option, text, strerror(errno));
    return fd;
}

int listen_port(int fd) {
    union address at = {.any.sa_family = AF_INET};
    socklen_t size = sizeof at;
    return getsockname(fd, &at.any, &size) == 0 ? ntohs(at.v4.sin_port) : -1;
}
