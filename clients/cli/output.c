#include "clients/cli/output.h"

#include "clients/cli/json.h"
#include "clients/cli/render.h"

#include <errno.h>
#include <inttypes.h>
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

void output_result(const struct result_head *head, const struct result_body *body,
    const msgpack_object *map, bool json) {
    struct text text = {0};
    if (json)
        json_line(&text, map, "req");
    else
        render_line(&text, head, body);
    output_text(&text);
    text_free(&text);
}

void output_lost(int64_t from, int64_t to, const char *stream) {
    output_warn("results %" PRId64 " to %" PRId64 " are no longer kept%s%s", from, to,
        stream != NULL ? "; some may have been of " : "", stream != NULL ? stream : "");
}
