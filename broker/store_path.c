#include "broker/store_path.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ADVICE "give --store PATH or --store memory"

static const char *absolute(const char *variable) {
    const char *path = getenv(variable);
    return path != NULL && path[0] == '/' ? path : NULL;
}

static bool find_directory(char *out, size_t size) {
    const char *given = absolute("STATE_DIRECTORY"), *state = absolute("XDG_STATE_HOME");
    const char *home = absolute("HOME");
    if (given != NULL)
        (void)snprintf(out, size, "%.*s", (int)strcspn(given, ":"), given);
    else if (state != NULL)
        (void)snprintf(out, size, "%s/hopmq", state);
    else if (home != NULL)
        (void)snprintf(out, size, "%s/.local/state/hopmq", home);
    return given != NULL || state != NULL || home != NULL;
}

/* Creates the directory and its parents, for its owner only, as the XDG base directory
 * specification requires. */
static bool make_directory(char *path) {
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        bool there = mkdir(path, 0700) == 0 || errno == EEXIST;
        *at = '/';
        if (!there)
            return false;
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

/* Appends the endpoint as a file name: each run of characters other than letters, digits, "." and
 * "_" becomes a "-". */
static void add_name(char *out, size_t size, const char *endpoint) {
    size_t at = strlen(out);
    out[at++] = '/';
    for (; *endpoint != '\0' && at + sizeof ".db" < size; endpoint++) {
        bool plain = isalnum((unsigned char)*endpoint) || *endpoint == '.' || *endpoint == '_';
        if (plain || out[at - 1] != '-')
            out[at++] = plain ? *endpoint : '-';
    }
    (void)snprintf(out + at, size - at, ".db");
}

bool store_path_default(const char *endpoint, char *out, size_t size) {
    if (!find_directory(out, size)) {
        (void)snprintf(out, size,
            "none of STATE_DIRECTORY, XDG_STATE_HOME and HOME names a directory for it; " ADVICE);
        return false;
    }
    if (!make_directory(out)) {
        int why = errno;
        size_t length = strlen(out);
        (void)snprintf(
            out + length, size - length, ": cannot be created: %s; " ADVICE, strerror(why));
        return false;
    }
    add_name(out, size, endpoint);
    return true;
}
