/* show: a result as a line on standard output. Shell. */
#ifndef HOPMQ_CLIENT_SHOW_H
#define HOPMQ_CLIENT_SHOW_H

#include "common/protocol/result.h"

/* A line for people, or, with json, the map without its `req`. */
void show_result(const struct result_head *head, const struct result_body *body,
    const msgpack_object *map, bool json);

/* Tells on standard error that these seqs are no longer kept; stream NULL: all were asked for. */
void show_lost(int64_t from, int64_t to, const char *stream);

#endif
