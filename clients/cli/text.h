/* text: lines for a terminal, collected in memory. Pure.
 *
 * A byte that is not printable ASCII becomes '?' when it is added, so that nothing a peer sends can
 * control a terminal. Only text_end() ends a line.
 */
#ifndef HOPMQ_CLIENT_TEXT_H
#define HOPMQ_CLIENT_TEXT_H

#include <stddef.h>

/* Start from {0}. */
struct text {
    char *bytes; /* not ended by NUL */
    size_t size, room;
};

/* Adds what the format yields. */
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds bytes as they are, such as JSON that was escaped by its encoder. */
void text_add_raw(struct text *text, const char *bytes, size_t size);

/* Ends the line, without the blanks at its end. */
void text_end(struct text *text);

/* Makes it empty and keeps the memory. */
void text_clear(struct text *text);
void text_free(struct text *text);

#endif
