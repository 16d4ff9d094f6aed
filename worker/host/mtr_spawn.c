#include "worker/host/mtr_spawn.h"

#include <errno.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* False with errno. */
static bool is_program(const char *path) {
    struct stat file;
    if (stat(path, &file) == 0 && S_ISDIR(file.st_mode)) {
        errno = EISDIR;
        return false;
    }
    return access(path, X_OK) == 0;
}

char *mtr_spawn_find(char why[MTR_SPAWN_WHY_BYTES], const char **fix) {
    const char *named = getenv("MTR_PACKET");
    if (named != NULL && named[0] != '\0') {
        if (is_program(named))
            return strdup(named);
        (void)snprintf(why, MTR_SPAWN_WHY_BYTES, "MTR_PACKET=%s: %s", named, strerror(errno));
        *fix = "set it to the path of mtr-packet";
        return NULL;
    }
    const char *path = getenv("PATH");
    char *list = strdup(path != NULL ? path : ""), *rest = list, *dir;
    char *found = NULL;
    while (found == NULL && (dir = strsep(&rest, ":")) != NULL)
        if (asprintf(&found, "%s/mtr-packet", dir) >= 0 && !is_program(found)) {
            free(found);
            found = NULL;
        }
    free(list);
    if (found == NULL) {
        (void)snprintf(why, MTR_SPAWN_WHY_BYTES, "mtr-packet: not found in PATH");
        *fix = "install it (Debian: apt-get install mtr-tiny) or set MTR_PACKET to its path";
    }
    return found;
}

int mtr_spawn(pid_t *pid, const char *path, int in, int out, const sigset_t *mask) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawnattr_init(&attr);
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigdefault(&attr, &defaults);
    posix_spawnattr_setsigmask(&attr, mask);
    /* A group of its own: Ctrl-C on our terminal is for us, and the child must outlive a drain. */
    posix_spawnattr_setpgroup(&attr, 0);
    (void)posix_spawnattr_setflags(
        &attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    char *argv[] = {(char *)path, NULL};
    int failed = posix_spawn(pid, path, &actions, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    if (failed != 0)
        return failed;
    const struct rlimit files = {MTR_SPAWN_NOFILE, MTR_SPAWN_NOFILE};
    (void)prlimit(*pid, RLIMIT_NOFILE, &files, NULL);
    return 0;
}

/* mtr-packet has five, to send and to receive, IPv4 and IPv6. */
#define SOCKETS_MAX 8

/* The size of the buffer if it is a raw socket, otherwise 0. */
static int widen(int fd) {
    int type = 0, bytes = MTR_SPAWN_RECEIVE_BYTES;
    socklen_t size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_RAW)
        return 0;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    size = sizeof bytes;
    return getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &size) == 0 ? bytes : 0;
}

int mtr_spawn_widen(pid_t pid) {
    int smallest = 0, child = pidfd_open(pid, 0);
    if (child < 0)
        return 0;
    /* It opens them first of all. */
    for (int number = STDERR_FILENO + 1; number < STDERR_FILENO + 1 + SOCKETS_MAX; number++) {
        int fd = pidfd_getfd(child, number, 0);
        int bytes = fd >= 0 ? widen(fd) : 0;
        if (fd >= 0)
            (void)close(fd);
        if (bytes > 0 && (smallest == 0 || bytes < smallest))
            smallest = bytes;
    }
    (void)close(child);
    return smallest;
}
