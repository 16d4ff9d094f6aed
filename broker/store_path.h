/* store_path: where the store's file is when nobody has said it. Shell. */
#ifndef HOPMQ_STORE_PATH_H
#define HOPMQ_STORE_PATH_H

#include <stdbool.h>
#include <stddef.h>

/* The file of the broker that listens for clients at `endpoint`, such as tcp-127.0.0.1-7701.db, in
 * $STATE_DIRECTORY (systemd), else $XDG_STATE_HOME/hopmq, else ~/.local/state/hopmq, which is made
 * if it is missing. False with one line in `out` that tells why there is none. */
bool store_path_default(const char *endpoint, char *out, size_t size);

#endif
