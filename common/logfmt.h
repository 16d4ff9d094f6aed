/* logfmt: pairs of a log line, name=value, whose values cannot pose as other pairs or lines. Pure.
 */
#ifndef HOPMQ_LOGFMT_H
#define HOPMQ_LOGFMT_H

#include <stdarg.h>
#include <stddef.h>

/* As vsnprintf(), for formats such as `name=%s running=%d why="%s"`, of %s, %.*s, %d and %u, the
 * latter two also with l, ll or z. What %s inserts is escaped as in JSON: quotes, backslashes,
 * control characters, and all that is not ASCII; it is put into quotes where it needs them and the
 * format has none around it. Where the text does not fit it ends with "..." and the closing quote.
 * size is at least 8. Returns the length of what was written. */
size_t logfmt_vprint(char *out, size_t size, const char *format, va_list args);

size_t logfmt_print(char *out, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
