#include "clients/cli/live.h"

#include "common/protocol/hop.h"

#include <stdio.h>
#include <string.h>

void live_begin(struct live *live, struct lines *text, const struct trace *trace) {
    *live = (struct live){trace->first_ttl, trace->first_ttl, 1};
    render_header(text, trace);
}

static void start_again(struct live *live, struct lines *text) {
    lines_add(text, "worker lost, the trace starts again");
    lines_end(text);
    live->next_ttl = live->first_ttl;
    live->run++;
}

void live_hop(struct live *live, struct lines *text, const msgpack_object *hop) {
    struct wire_error err;
    const msgpack_object *probes;
    int64_t ttl;
    if (!hop_get(hop, &ttl, &probes, "", &err) || !hop_check_probes(probes, "", &err))
        return;
    if (ttl < live->next_ttl)
        start_again(live, text);
    /* Beyond a hole the result prints all that is left. */
    if (ttl != live->next_ttl)
        return;
    (void)render_hop(text, "", ttl, probes, NULL);
    live->next_ttl++;
}

/* The hops from first_ttl on, and how it ended. */
static void add_rest(struct lines *text, const struct result_head *head,
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

void live_end(struct live *live, struct lines *text, const struct result_head *head,
    const struct result_body *body) {
    if (live->next_ttl > live->first_ttl && head->run > live->run)
        start_again(live, text);
    add_rest(text, head, body, live->next_ttl);
}

void live_part(struct lines *text, const struct result_head *head, const struct result_body *body) {
    const char *slash = strchr(head->id, '/');
    lines_add(text, "at %s:", slash != NULL ? slash + 1 : head->id);
    lines_end(text);
    add_rest(text, head, body, 0);
}

void live_whole(
    struct lines *text, const struct result_head *head, const struct result_body *body) {
    struct trace trace;
    struct live live;
    trace_defaults(&trace);
    (void)snprintf(trace.target, sizeof trace.target, "%s", body->target);
    trace.protocol = body->protocol;
    trace.port = body->port;
    trace.flow = body->flow;
    trace.first_ttl = body->first_ttl;
    trace.max_ttl = body->max_ttl;
    live_begin(&live, text, &trace);
    live_end(&live, text, head, body);
}
