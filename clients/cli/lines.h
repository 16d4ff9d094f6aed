/* lines: text for a terminal, put together in memory. Pure.
 *
 * What is added is made safe on the way: a byte that is not printable ASCII becomes '?', so that
 * nothing a peer sends can steer a terminal, and only lines_end() ends a line.
 */
#ifndef HOPMQ_CLIENT_LINES_H
#define HOPMQ_CLIENT_LINES_H

#include <stddef.h>

/* Start from {0}. */
struct lines {
    char *bytes; /* not ended by NUL */
    size_t size, room;
};

/* Adds what the format yields. */
void lines_add(struct lines *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds bytes as they are, such as JSON that was escaped by its encoder. */
void lines_add_raw(struct lines *text, const char *bytes, size_t size);

/* Ends the line, without the blanks at its end. */
void lines_end(struct lines *text);

/* Makes it empty and keeps the memory. */
void lines_clear(struct lines *text);
void lines_free(struct lines *text);

#endif
