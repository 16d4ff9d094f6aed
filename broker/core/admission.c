#include "broker/core/admission.h"

#include "broker/core/state.h"

#include <inttypes.h>
#include <string.h>

bool admission_is_same(struct core *c, const char *id, const void *trace, size_t size,
    const struct trace *asked, struct wire_error *err) {
    msgpack_packer pk;
    output_packer(&pk, &c->scratch.body);
    trace_put_map(&pk, asked);
    if (size == c->scratch.body.size && memcmp(trace, c->scratch.body.data, size) == 0) {
        c->counters.repeated++;
        return true;
    }
    c->counters.conflicts++;
    wire_fail(err, "conflict", "id", "%s: is in use for a different trace", id);
    return false;
}

/* False if the broker takes no traces at all, or none with this id. */
static bool is_open(struct core *c, struct trace *trace, struct wire_error *err) {
    if (c->refusal != NULL) {
        c->counters.busy++;
        wire_busy(err, "", c->refusal, CORE_RETRY_REFUSED_MS, "%s", c->refusal_text);
        return false;
    }
    if (trace->id[0] == '\0') {
        job_make_id(c, trace->id);
    } else if (job_is_own_id(c, trace->id)) {
        wire_fail(err, "bad-request", "id", "%s: begins like those that this broker makes itself",
            trace->id);
        c->counters.bad_requests++;
        return false;
    }
    return true;
}

static bool has_room(struct core *c, const struct trace *trace, struct wire_error *err) {
    if (c->queue.count + c->coalesce.riding + c->queue.expected_parts >= c->config.max_queued) {
        c->counters.busy++;
        wire_busy(err, "queue", "queue", CORE_RETRY_QUEUE_MS, "%" PRId64 ": full; send again later",
            c->config.max_queued);
        return false;
    }
    if (streams_full(c, trace->stream)) {
        c->counters.busy++;
        wire_busy(err, "streams", "streams", CORE_RETRY_REFUSED_MS,
            "%d: full; use one that there is already", CORE_MAX_STREAMS);
        return false;
    }
    return true;
}

struct requirement *admission_check(
    struct core *c, const char *tag, struct trace *trace, struct wire_error *err) {
    if (!is_open(c, trace, err) || !has_room(c, trace, err))
        return NULL;
    struct requirement *requirement = matching_requirement(c, trace, NULL);
    if (requirement == NULL) {
        c->counters.busy++;
        wire_busy(err, "workers", "labels", CORE_RETRY_QUEUE_MS,
            "%d sets of labels and other needs: full; send again later", CORE_MAX_REQUIREMENTS);
        return NULL;
    }
    if (!trace->wait && !matching_is_served(requirement)) {
        char text[MATCHING_TEXT_BYTES];
        matching_describe(requirement, text, sizeof text);
        wire_fail(err, "unavailable", "workers", "no worker that fits is there: %s", text);
        return NULL;
    }
    if (fairqueue_full(c, tag)) {
        c->counters.busy++;
        wire_busy(err, "clients", "clients", CORE_RETRY_REFUSED_MS, "%d: full; send again later",
            CORE_MAX_SUBMITTERS);
        return NULL;
    }
    return requirement;
}
