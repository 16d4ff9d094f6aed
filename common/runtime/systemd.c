#include "common/runtime/systemd.h"

#include "common/mem.h"

#include <bsd/stdlib.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_BYTES 512

struct systemd {
    int fd;
    struct sockaddr_un to;
    socklen_t to_size;
    int64_t watchdog_us;
};

/* The number in an environment variable; 0 if there is none. */
static int64_t env_number(const char *name) {
    const char *text = getenv(name);
    return text != NULL ? strtonum(text, 1, LLONG_MAX, NULL) : 0;
}

struct systemd *systemd_new(void) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof to.sun_path)
        return NULL;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return NULL;
    struct systemd *n = mem_new(1, sizeof *n);
    memcpy(to.sun_path, path, strlen(path));
    if (path[0] == '@')
        to.sun_path[0] = '\0';
    n->fd = fd;
    n->to = to;
    n->to_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (getenv("WATCHDOG_PID") == NULL || env_number("WATCHDOG_PID") == getpid())
        n->watchdog_us = env_number("WATCHDOG_USEC");
    return n;
}

void systemd_destroy(struct systemd **systemd) {
    if (*systemd == NULL)
        return;
    (void)close((*systemd)->fd);
    free(*systemd);
    *systemd = NULL;
}

void systemd_send(struct systemd *n, const char *format, ...) {
    char message[MESSAGE_BYTES];
    va_list args;
    if (n == NULL)
        return;
    va_start(args, format);
    int size = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    size_t length = (size_t)size < sizeof message ? (size_t)size : sizeof message - 1;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)message[i] < 0x20)
            message[i] = ' '; /* a newline in a reason would begin another assignment */
    (void)sendto(n->fd, message, length, MSG_NOSIGNAL, (const struct sockaddr *)&n->to, n->to_size);
}

int64_t systemd_watchdog_us(const struct systemd *n) { return n != NULL ? n->watchdog_us : 0; }
