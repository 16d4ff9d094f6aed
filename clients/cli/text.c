#include "clients/cli/text.h"

#include "common/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for `size` more bytes and returns their address. */
static char *reserve(struct text *text, size_t size) {
    if (text->room - text->size < size) {
        text->room = 2 * text->room + size + 128;
        text->bytes = mem_grow(text->bytes, text->room, 1);
    }
    return text->bytes + text->size;
}

void text_add(struct text *text, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size > 0) {
        char *at = reserve(text, (size_t)size + 1);
        (void)vsnprintf(at, (size_t)size + 1, format, again);
        for (int i = 0; i < size; i++)
            if ((unsigned char)at[i] < 0x20 || (unsigned char)at[i] > 0x7e)
                at[i] = '?';
        text->size += (size_t)size;
    }
    va_end(again);
}

void text_add_raw(struct text *text, const char *bytes, size_t size) {
    if (size == 0)
        return;
    memcpy(reserve(text, size), bytes, size);
    text->size += size;
}

void text_end(struct text *text) {
    while (text->size > 0 && text->bytes[text->size - 1] == ' ')
        text->size--;
    *reserve(text, 1) = '\n';
    text->size++;
}

void text_clear(struct text *text) { text->size = 0; }

void text_free(struct text *text) {
    free(text->bytes);
    *text = (struct text){0};
}
