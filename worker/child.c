#include "worker/child.h"

#include <errno.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
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

char *child_find(char why[CHILD_WHY_BYTES], const char **mend) {
    const char *named = getenv("MTR_PACKET");
    if (named != NULL && named[0] != '\0') {
        if (is_program(named))
            return strdup(named);
        (void)snprintf(why, CHILD_WHY_BYTES, "MTR_PACKET=%s: %s", named, strerror(errno));
        *mend = "set it to the path of mtr-packet";
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
        (void)snprintf(why, CHILD_WHY_BYTES, "mtr-packet: not found in PATH");
        *mend = "install it (Debian: apt-get install mtr-tiny) or set MTR_PACKET to its path";
    }
    return found;
}

int child_spawn(pid_t *pid, const char *path, int in, int out, const sigset_t *mask) {
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
    const struct rlimit files = {CHILD_NOFILE, CHILD_NOFILE};
    (void)prlimit(*pid, RLIMIT_NOFILE, &files, NULL);
    return 0;
}
