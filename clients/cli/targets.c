#include "clients/cli/targets.h"

#include "clients/cli/output.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define STANDARD_INPUT "standard input"

struct targets {
    char **arguments;
    int count, at;
    const char *file; /* still to be read, or being read */
    int file_fd;
    int fd; /* -1: no lines now */
    const char *name;
    unsigned line;
    bool ended; /* fd is at its end */
    size_t start, size;
    char buffer[65536];
};

struct targets *targets_new(char **arguments, int count, const char *file) {
    struct targets *t = mem_new(1, sizeof *t);
    t->arguments = arguments;
    t->count = count;
    t->file = file;
    t->fd = t->file_fd = -1;
    t->name = "";
    if (file == NULL)
        return t;
    t->file_fd = strcmp(file, "-") == 0 ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
    if (t->file_fd < 0) {
        output_warn("--file %s: %s", file, strerror(errno));
        exit(EX_NOINPUT);
    }
    return t;
}

void targets_destroy(struct targets **targets) {
    struct targets *t = *targets;
    if (t != NULL && t->file_fd > STDIN_FILENO)
        (void)close(t->file_fd);
    free(t);
    *targets = NULL;
}

int targets_fd(const struct targets *t) { return t->fd; }

const char *targets_file(const struct targets *t) { return t->name; }

static void begin_lines(struct targets *t, int fd, const char *name) {
    t->fd = fd;
    t->name = strcmp(name, "-") == 0 ? STANDARD_INPUT : name;
    t->line = 0;
    t->start = t->size = 0;
    t->ended = false;
}

/* The next whole line in the buffer, NUL-ended; NULL if there is none. */
static char *take_line(struct targets *t) {
    char *from = t->buffer + t->start;
    char *end = memchr(from, '\n', t->size - t->start);
    if (end == NULL) {
        if (!t->ended || t->start == t->size)
            return NULL;
        end = t->buffer + t->size; /* the last line needs no newline; fill() leaves a byte */
    }
    *end = '\0';
    t->start = end < t->buffer + t->size ? (size_t)(end - t->buffer) + 1 : t->size;
    t->line++;
    return from;
}

/* What a line is without comment and blanks, possibly empty. */
static char *trim(char *line) {
    line[strcspn(line, "#")] = '\0';
    line += strspn(line, " \t\r");
    size_t size = strlen(line);
    while (size > 0 && strchr(" \t\r", line[size - 1]) != NULL)
        line[--size] = '\0';
    return line;
}

/* Reads on; TARGETS_ONE stands for "look again". */
static enum targets_got fill(struct targets *t) {
    struct pollfd ready = {.fd = t->fd, .events = POLLIN};
    memmove(t->buffer, t->buffer + t->start, t->size - t->start);
    t->size -= t->start;
    t->start = 0;
    if (t->size > LINE_MAX_BYTES) {
        output_warn("%s:%u: a line of more than %d bytes", t->name, t->line + 1, LINE_MAX_BYTES);
        return TARGETS_BROKEN;
    }
    if (poll(&ready, 1, 0) == 0)
        return TARGETS_LATER;
    ssize_t got = read(t->fd, t->buffer + t->size, sizeof t->buffer - 1 - t->size);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return TARGETS_LATER;
    if (got < 0) {
        output_warn("%s: %s", t->name, strerror(errno));
        return TARGETS_BROKEN;
    }
    t->ended = got == 0;
    t->size += (size_t)got;
    return TARGETS_ONE;
}

static enum targets_got next_line(struct targets *t, const char **target, unsigned *line) {
    for (;;) {
        char *text = take_line(t);
        if (text != NULL) {
            text = trim(text);
            if (text[0] == '\0')
                continue;
            *target = text;
            *line = t->line;
            return TARGETS_ONE;
        }
        if (t->ended)
            return TARGETS_END;
        enum targets_got got = fill(t);
        if (got != TARGETS_ONE)
            return got;
    }
}

enum targets_got targets_next(struct targets *t, const char **target, unsigned *line) {
    for (;;) {
        if (t->fd >= 0) {
            enum targets_got got = next_line(t, target, line);
            if (got != TARGETS_END)
                return got;
            t->fd = -1;
        } else if (t->at < t->count) {
            const char *argument = t->arguments[t->at++];
            if (strcmp(argument, "-") == 0) {
                begin_lines(t, STDIN_FILENO, argument);
                continue;
            }
            *target = argument;
            *line = 0;
            return TARGETS_ONE;
        } else if (t->file != NULL) {
            begin_lines(t, t->file_fd, t->file);
            t->file = NULL;
        } else {
            return TARGETS_END;
        }
    }
}
