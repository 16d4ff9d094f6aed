#include "clients/show.h"

#include "clients/json.h"
#include "clients/output.h"
#include "clients/render.h"

void show_result(const struct result_head *head, const struct result_body *body,
    const msgpack_object *map, bool json) {
    struct lines text = {0};
    if (json)
        json_line(&text, map, "req");
    else
        render_line(&text, head, body);
    output_lines(&text);
    lines_free(&text);
}
