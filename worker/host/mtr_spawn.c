#include "worker/host/mtr_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Returns false with an errno if it is not. */
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

/* Returns 0 or an errno. */
static int spawn(pid_t *pid, const char *path, int in, int out, const sigset_t *mask) {
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
    /* A process group of its own: Ctrl-C on our terminal must not end the child, which is needed
     * until the drain is over. */
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

static void close_pipe(int pipe[2]) {
    for (int i = 0; i < 2; i++)
        if (pipe[i] >= 0)
            (void)close(pipe[i]);
}

int mtr_spawn_start(struct mtr_child *child, const char *path, const sigset_t *mask) {
    int to_child[2] = {-1, -1}, from_child[2] = {-1, -1}, failed = 0;
    child->in = child->out = -1;
    if (pipe2(to_child, O_CLOEXEC) != 0 || pipe2(from_child, O_CLOEXEC) != 0)
        failed = errno;
    else
        failed = spawn(&child->pid, path, to_child[0], from_child[1], mask);
    if (failed == 0) {
        child->in = to_child[1];
        child->out = from_child[0];
        to_child[1] = from_child[0] = -1;
    }
    close_pipe(to_child);
    close_pipe(from_child);
    return failed;
}

int mtr_spawn_end(struct mtr_child *child) {
    int status = 0;
    (void)kill(child->pid, SIGKILL);
    if (child->in >= 0)
        (void)close(child->in);
    if (child->out >= 0)
        (void)close(child->out);
    child->in = child->out = -1;
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

/* More than mtr-packet has: two to send and three to receive. */
#define SOCKETS_MAX 8

/* Returns the size of the buffer in bytes; 0 if it is no raw socket. */
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

int mtr_spawn_widen(const struct mtr_child *child) {
    int smallest = 0, pidfd = pidfd_open(child->pid, 0);
    if (pidfd < 0)
        return 0;
    /* mtr-packet opens its sockets before anything else: they have the lowest numbers. */
    for (int number = STDERR_FILENO + 1; number < STDERR_FILENO + 1 + SOCKETS_MAX; number++) {
        int fd = pidfd_getfd(pidfd, number, 0);
        int bytes = fd >= 0 ? widen(fd) : 0;
        if (fd >= 0)
            (void)close(fd);
        if (bytes > 0 && (smallest == 0 || bytes < smallest))
            smallest = bytes;
    }
    (void)close(pidfd);
    return smallest;
}
