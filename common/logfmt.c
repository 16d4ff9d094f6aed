#include "common/logfmt.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* What a line that was cut ends with, and room for it and a closing quote. */
#define CUT "..."
#define RESERVE (sizeof CUT - 1 + 1)

struct line {
    char *at;
    size_t used, room; /* room leaves space for the reserve and the NUL */
    bool quoted, cut;
};

static void logfmt_put(struct line *l, const char *bytes, size_t size) {
    if (l->cut)
        return;
    if (l->used + size > l->room) {
        memcpy(l->at + l->used, CUT, sizeof CUT - 1);
        l->used += sizeof CUT - 1;
        if (l->quoted)
            l->at[l->used++] = '"';
        l->cut = true;
        return;
    }
    memcpy(l->at + l->used, bytes, size);
    l->used += size;
}

static void quote(struct line *l) {
    logfmt_put(l, "\"", 1);
    l->quoted = !l->quoted && !l->cut;
}

static bool plain(unsigned char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '\\'; }

static void escaped(struct line *l, unsigned char c) {
    char code[8];
    if (plain(c) || c == ' ')
        logfmt_put(l, (const char[]){(char)c}, 1);
    else if (c == '"' || c == '\\')
        logfmt_put(l, (const char[]){'\\', (char)c}, 2);
    else
        logfmt_put(l, code, (size_t)snprintf(code, sizeof code, "\\u%04x", c));
}

static void value(struct line *l, const char *text, size_t size) {
    size_t plains = 0;
    while (plains < size && plain((unsigned char)text[plains]) && text[plains] != '=')
        plains++;
    bool quotes = !l->quoted && (size == 0 || plains < size);
    if (quotes)
        quote(l);
    for (size_t i = 0; i < size && !l->cut; i++)
        escaped(l, (unsigned char)text[i]);
    if (quotes)
        quote(l);
}

/* A conversion; `at` is behind its percent sign. Returns what follows it. */
static const char *convert(struct line *l, const char *at, va_list *args) {
    char digits[24];
    int precision = strncmp(at, ".*", 2) == 0 ? va_arg(*args, int) : INT_MAX;
    at += precision != INT_MAX ? 2 : 0;
    size_t lengths = strspn(at, "lz");
    bool is_long = lengths > 0; /* all of these have 64 bits */
    at += lengths;
    if (*at == 's') {
        const char *text = va_arg(*args, const char *);
        value(l, text, strnlen(text, (size_t)precision));
    } else if (*at == 'd') {
        int64_t number = is_long ? va_arg(*args, int64_t) : va_arg(*args, int);
        logfmt_put(l, digits, (size_t)snprintf(digits, sizeof digits, "%" PRId64, number));
    } else if (*at == 'u') {
        uint64_t number = is_long ? va_arg(*args, uint64_t) : va_arg(*args, unsigned);
        logfmt_put(l, digits, (size_t)snprintf(digits, sizeof digits, "%" PRIu64, number));
    } else {
        logfmt_put(l, "%", 1);
    }
    return *at == '\0' ? at : at + 1;
}

size_t logfmt_vprint(char *out, size_t size, const char *format, va_list args) {
    struct line l = {.at = out, .room = size - RESERVE - 1};
    va_list rest;
    va_copy(rest, args);
    while (*format != '\0') {
        char c = *format++;
        if (c == '%')
            format = convert(&l, format, &rest);
        else if (c == '"')
            quote(&l);
        else
            logfmt_put(&l, &c, 1);
    }
    va_end(rest);
    l.at[l.used] = '\0';
    return l.used;
}

size_t logfmt_print(char *out, size_t size, const char *format, ...) {
    va_list args;
    va_start(args, format);
    size_t used = logfmt_vprint(out, size, format, args);
    va_end(args);
    return used;
}
