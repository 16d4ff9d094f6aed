/* json: msgpack as one line of JSON. Pure.
 *
 * nil is null, bin and ext are hex strings, keys that are no strings become strings. What is not
 * ASCII is escaped, so that a line can go to a terminal.
 */
#ifndef HOPMQ_CLIENT_JSON_H
#define HOPMQ_CLIENT_JSON_H

#include "clients/cli/text.h"
#include "common/protocol/wire.h"

/* Adds the line for any value of at most WIRE_MAX_DEPTH levels. A map's key `without` (NULL: none)
 * is left out at the top. */
void json_line(struct text *text, const msgpack_object *value, const char *without);

#endif
