#include "clients/cli/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool failed;

void output_text(struct text *text) {
    if (!failed && text->size > 0 &&
        (fwrite(text->bytes, 1, text->size, stdout) != text->size || fflush(stdout) != 0)) {
        failed = true;
        if (errno != EPIPE)
            output_warn("standard output: %s", strerror(errno));
    }
    text_clear(text);
}

bool output_failed(void) { return failed; }

void output_warn(const char *format, ...) {
    char message[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    struct text line = {0};
    text_add(&line, "hopmq: %s", message);
    text_end(&line);
    (void)fwrite(line.bytes, 1, line.size, stderr);
    text_free(&line);
}
