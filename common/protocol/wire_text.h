/* wire_text: a msgpack value as one line that people can read, like JSON with single quotes; tests
 * compare it, and the log shows it at level debug. Pure.
 *
 *   {'a':[1,-2,true,null,1.5]}   as JSON; keys may be any value
 *   'it\'s \x0a'                 escapes: quotes, backslashes, and all that is not printable ASCII
 *   <{'a':1}>, <3 bytes>         a bin that holds the encoding of a map, and any other
 *   #dd ff#                      bytes that are no message
 */
#ifndef HOPMQ_WIRE_TEXT_H
#define HOPMQ_WIRE_TEXT_H

#include "common/protocol/wire.h"

/* Writes the value and a NUL; size is at least 8. Where it does not fit, the text ends with "..."
 * and this returns false. */
bool wire_text_print(char *out, size_t size, const msgpack_object *value);

/* The same for the bytes of a message. */
bool wire_text_message(char *out, size_t size, const void *bytes, size_t count);

#endif
