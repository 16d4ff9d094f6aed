#include "clients/cli/show.h"

#include "clients/cli/json.h"
#include "clients/cli/output.h"
#include "clients/cli/render.h"

#include <inttypes.h>

void show_result(const struct result_head *head, const struct result_body *body,
    const msgpack_object *map, bool json) {
    struct text text = {0};
    if (json)
        json_line(&text, map, "req");
    else
        render_line(&text, head, body);
    output_text(&text);
    text_free(&text);
}

void show_lost(int64_t from, int64_t to, const char *stream) {
    output_warn("results %" PRId64 " to %" PRId64 " are no longer kept%s%s", from, to,
        stream != NULL ? "; some may have been of " : "", stream != NULL ? stream : "");
}
