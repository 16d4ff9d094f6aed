/* store_path: where the store's file is when --store is not given. Shell. */
#ifndef HOPMQ_STORE_PATH_H
#define HOPMQ_STORE_PATH_H

#include <stdbool.h>
#include <stddef.h>

/* Writes the path for a broker whose first submit endpoint is `endpoint`: a file such as
 * tcp-127.0.0.1-7701.db in $STATE_DIRECTORY (set by systemd), else in $XDG_STATE_HOME/hopmq, else
 * in
 * ~/.local/state/hopmq. Creates the directory. False with one line in `out` that tells why there is
 * no path. */
bool store_path_default(const char *endpoint, char *out, size_t size);

#endif
