#include "clients/cli/progress.h"

#include "common/protocol/hop.h"

#include <stdio.h>
#include <string.h>

void progress_begin(struct progress *progress, struct text *text, const struct trace *trace) {
    *progress = (struct progress){trace->first_ttl, trace->first_ttl, 1};
    render_header(text, trace);
}

static void start_again(struct progress *progress, struct text *text) {
    text_add(text, "worker lost, the trace starts again");
    text_end(text);
    progress->next_ttl = progress->first_ttl;
    progress->run++;
}

void progress_hop(struct progress *progress, struct text *text, const msgpack_object *hop) {
    struct wire_error err;
    const msgpack_object *probes;
    int64_t ttl;
    if (!hop_get(hop, &ttl, &probes, "", &err) || !hop_check_probes(probes, "", &err))
        return;
    if (ttl < progress->next_ttl)
        start_again(progress, text);
    /* If a hop is missing, the result prints it and all that follow. */
    if (ttl != progress->next_ttl)
        return;
    (void)render_hop(text, "", ttl, probes, NULL);
    progress->next_ttl++;
}

/* The hops from first_ttl on, and how it ended. */
static void add_rest(struct text *text, const struct result_head *head,
    const struct result_body *body, int64_t first_ttl) {
    uint32_t count = body->hops->via.array.size;
    for (uint32_t i = 0; i < count; i++) {
        struct wire_error err;
        const msgpack_object *probes;
        int64_t ttl;
        if (hop_get(&body->hops->via.array.ptr[i], &ttl, &probes, "", &err) && ttl >= first_ttl)
            (void)render_hop(text, "", ttl, probes, body->names);
    }
    render_summary(text, head, body);
}

void progress_end(struct progress *progress, struct text *text, const struct result_head *head,
    const struct result_body *body) {
    if (progress->next_ttl > progress->first_ttl && head->run > progress->run)
        start_again(progress, text);
    add_rest(text, head, body, progress->next_ttl);
}

void progress_part(
    struct text *text, const struct result_head *head, const struct result_body *body) {
    const char *slash = strchr(head->id, '/');
    text_add(text, "at %s:", slash != NULL ? slash + 1 : head->id);
    text_end(text);
    add_rest(text, head, body, 0);
}

void progress_whole(
    struct text *text, const struct result_head *head, const struct result_body *body) {
    struct trace trace;
    struct progress progress;
    trace_defaults(&trace);
    (void)snprintf(trace.target, sizeof trace.target, "%s", body->target);
    trace.protocol = body->protocol;
    trace.port = body->port;
    trace.flow = body->flow;
    trace.first_ttl = body->first_ttl;
    trace.max_ttl = body->max_ttl;
    progress_begin(&progress, text, &trace);
    progress_end(&progress, text, head, body);
}
