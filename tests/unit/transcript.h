/* transcript: a transcript that grows line by line and is compared as a whole. */
#ifndef TEST_TRANSCRIPT_H
#define TEST_TRANSCRIPT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct transcript {
    char *at;
    size_t used, room;
};

static inline void transcript_add(struct transcript *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline void transcript_add(struct transcript *text, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size < 0)
        abort();
    if (text->used + (size_t)size + 1 > text->room) {
        text->room = 2 * (text->used + (size_t)size + 1);
        text->at = realloc(text->at, text->room);
        if (text->at == NULL)
            abort();
    }
    (void)vsnprintf(text->at + text->used, (size_t)size + 1, format, again);
    va_end(again);
    text->used += (size_t)size;
}

static inline void transcript_clear(struct transcript *text) {
    text->used = 0;
    if (text->at != NULL)
        text->at[0] = '\0';
}

static inline void transcript_free(struct transcript *text) {
    free(text->at);
    memset(text, 0, sizeof *text);
}

/* Both texts whole where they differ: cmocka cuts long strings. */
static inline int transcript_is(struct transcript *text, const char *expected) {
    const char *got = text->at != NULL ? text->at : "";
    if (strcmp(got, expected) == 0)
        return 1;
    fprintf(stderr, "---- expected\n%s---- got\n%s----\n", expected, got);
    return 0;
}

#endif
