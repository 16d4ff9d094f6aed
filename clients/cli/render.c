#include "clients/cli/render.h"

#include "common/protocol/hop.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PROBES_MAX 32
#define IPV4_WIDTH 15
#define IPV6_WIDTH 39
#define NAMED_WIDTH 60 /* what is longer moves its own times only */
#define LEVEL "    "   /* as wide as "%2d  " */

static const char *plural(int64_t count) { return count == 1 ? "" : "s"; }

static void add_trace_kind(
    struct text *text, int protocol, int64_t port, int64_t flow, int64_t first, int64_t max) {
    text_add(text, ", %s", trace_protocol_names[protocol]);
    if (port > 0)
        text_add(text, " port %" PRId64, port);
    if (flow >= 0)
        text_add(text, " flow %" PRId64, flow);
    if (first > 1)
        text_add(text, ", hops %" PRId64 " to %" PRId64, first, max);
    else
        text_add(text, ", %" PRId64 " hop%s at most", max, plural(max));
    text_end(text);
}

void render_header(struct text *text, const struct trace *trace) {
    text_add(text, "trace to %s", trace->target);
    if (trace->af != 0 && strchr(trace->target, ':') == NULL)
        text_add(text, " (IPv%d)", (int)trace->af);
    add_trace_kind(
        text, trace->protocol, trace->port, trace->flow, trace->first_ttl, trace->max_ttl);
}

/* ---- hops ------------------------------------------------------------------------------- */

struct hop {
    unsigned count;
    struct hop_probe probes[PROBES_MAX];
    struct mpls_label mpls[PROBES_MAX][HOP_MPLS_MAX];
};

static bool read_hop(struct hop *hop, const msgpack_object *probes) {
    struct wire_error err;
    if (!hop_check_probes(probes, "", &err) || probes->via.array.size > PROBES_MAX)
        return false;
    hop->count = probes->via.array.size;
    for (unsigned i = 0; i < hop->count; i++)
        if (!hop_get_probe(&probes->via.array.ptr[i], &hop->probes[i], hop->mpls[i], "", &err))
            return false;
    return true;
}

static void add_time(struct text *text, const struct hop_probe *probe) {
    static const char marks[] = "ALSPC"; /* by bit of enum hop_flag */
    if (probe->rtt_us >= 0)
        text_add(text, "  %8.3f ms", probe->rtt_us / 1000.0);
    else
        text_add(text, "  %8s   ", probe->addr.af != 0 ? "?" : "*");
    if (probe->verdict == HOP_UNREACHABLE)
        text_add(text, " !U");
    else if (probe->verdict == HOP_OTHER)
        text_add(text, " !%s", probe->word);
    for (unsigned bit = 0; marks[bit] != '\0'; bit++)
        if ((probe->flags >> bit & 1) != 0)
            text_add(text, " !%c", marks[bit]);
}

static bool same_labels(const struct hop_probe *a, const struct hop_probe *b) {
    if (a->mpls_count != b->mpls_count)
        return false;
    for (unsigned i = 0; i < a->mpls_count; i++)
        if (a->mpls[i].label != b->mpls[i].label || a->mpls[i].tc != b->mpls[i].tc ||
            a->mpls[i].s != b->mpls[i].s || a->mpls[i].ttl != b->mpls[i].ttl)
            return false;
    return true;
}

/* The label stacks of the address of probe `first`, each once. */
static void add_labels(
    struct text *text, const char *prefix, const struct hop *hop, unsigned first) {
    for (unsigned i = first; i < hop->count; i++) {
        const struct hop_probe *probe = &hop->probes[i];
        bool seen = !addr_equal(&probe->addr, &hop->probes[first].addr);
        for (unsigned j = first; j < i && !seen; j++)
            seen = addr_equal(&hop->probes[j].addr, &probe->addr) &&
                   same_labels(&hop->probes[j], probe);
        for (unsigned k = 0; k < probe->mpls_count && !seen; k++) {
            text_add(text, "%s" LEVEL "[MPLS: Lbl %" PRIu32 " TC %u S %u TTL %u]", prefix,
                probe->mpls[k].label, probe->mpls[k].tc, probe->mpls[k].s, probe->mpls[k].ttl);
            text_end(text);
        }
    }
}

/* The column of addresses is as wide as the longest name in the result. */
static int column_width(const struct addr *addr, const msgpack_object *names) {
    uint32_t width = addr->af == 6 ? IPV6_WIDTH : IPV4_WIDTH;
    for (uint32_t i = 0; names != NULL && i < names->via.map.size; i++) {
        uint32_t named =
            names->via.map.ptr[i].key.via.str.size + names->via.map.ptr[i].val.via.str.size + 3;
        if (named > width && named <= NAMED_WIDTH)
            width = named;
    }
    return (int)width;
}

static void add_name(struct text *text, const struct addr *addr, const msgpack_object *names) {
    char number[ADDR_TEXT], both[RESULT_NAME_BYTES + ADDR_TEXT + 4];
    const msgpack_object *name = NULL;
    (void)addr_print(addr, number);
    if (names != NULL)
        name = wire_find(names, number);
    if (name != NULL)
        (void)snprintf(
            both, sizeof both, "%.*s (%s)", (int)name->via.str.size, name->via.str.ptr, number);
    text_add(text, "%-*s", column_width(addr, names), name != NULL ? both : number);
}

/* One address with its times; silence shows on the first line, in its place. */
static void add_address(struct text *text, const char *prefix, const struct hop *hop,
    unsigned first, bool top, const msgpack_object *names) {
    const struct addr *addr = &hop->probes[first].addr;
    add_name(text, addr, names);
    for (unsigned i = 0; i < hop->count; i++) {
        const struct addr *other = &hop->probes[i].addr;
        if (other->af != 0 ? addr_equal(other, addr) : top)
            add_time(text, &hop->probes[i]);
    }
    text_end(text);
    add_labels(text, prefix, hop, first);
}

static void add_silence(struct text *text, const struct hop *hop) {
    for (unsigned i = 0; i < hop->count; i++) {
        text_add(text, "%s*", i > 0 ? " " : "");
        if (hop->probes[i].verdict == HOP_OTHER)
            text_add(text, " !%s", hop->probes[i].word);
    }
    text_end(text);
}

bool render_hop(struct text *text, const char *prefix, int64_t ttl, const msgpack_object *probes,
    const msgpack_object *names) {
    struct hop hop;
    if (!read_hop(&hop, probes))
        return false;
    bool top = true;
    text_add(text, "%s%2d  ", prefix, (int)ttl);
    for (unsigned i = 0; i < hop.count; i++) {
        bool seen = hop.probes[i].addr.af == 0;
        for (unsigned j = 0; j < i && !seen; j++)
            seen = addr_equal(&hop.probes[j].addr, &hop.probes[i].addr);
        if (seen)
            continue;
        if (!top)
            text_add(text, "%s" LEVEL, prefix);
        add_address(text, prefix, &hop, i, top, names);
        top = false;
    }
    if (top)
        add_silence(text, &hop);
    return true;
}

/* ---- results ---------------------------------------------------------------------------- */

/* The silent hops at the end. */
static unsigned silent_tail(const msgpack_object *hops) {
    struct hop hop;
    unsigned silent = 0;
    for (uint32_t i = hops->via.array.size; i > 0; i--) {
        const msgpack_object *probes = wire_find(&hops->via.array.ptr[i - 1], "probes");
        if (probes == NULL || !read_hop(&hop, probes))
            break;
        for (unsigned j = 0; j < hop.count; j++)
            if (hop.probes[j].addr.af != 0)
                return silent;
        silent++;
    }
    return silent;
}

/* Why it stopped, as a reason: what the worker said, or what the stop means. */
static const char *gloss(const struct result_body *body, char *buffer, size_t size) {
    unsigned silent;
    if (body->error_message[0] != '\0')
        return body->error_message;
    switch ((enum result_stop)body->stop) {
    case STOP_REACHED:
        return "";
    case STOP_UNREACHABLE:
        return "the last hop says that the target cannot be reached";
    case STOP_GAP_LIMIT:
        silent = silent_tail(body->hops);
        (void)snprintf(buffer, size, "the last %u hop%s did not answer", silent, plural(silent));
        return buffer;
    case STOP_MAX_TTL:
        (void)snprintf(buffer, size, "not reached with ttl %d", (int)body->max_ttl);
        return buffer;
    case STOP_LOOP:
        return "responders answer again behind others";
    case STOP_DEADLINE:
        return "the deadline came first";
    case STOP_CANCELLED:
        return "by a client";
    case STOP_WORKER_LOST:
        return "each worker that had the trace was lost";
    case STOP_NO_WORKER:
        return "no worker that fits was there in time";
    case STOP_UNRESOLVED:
    case STOP_NO_ROUTE:
    case STOP_DENIED:
    case STOP_PROBER_ERROR:
    case STOP_SUMMARY: /* has no gloss */
        break;
    }
    return "without a reason given";
}

/* "3 parts: 2 reached, 1 worker-lost" */
static void add_parts(struct text *text, const msgpack_object *members) {
    unsigned counts[RESULT_STOPS] = {0};
    uint32_t count = members != NULL ? members->via.array.size : 0;
    const char *between = ": ";
    for (uint32_t i = 0; i < count; i++) {
        struct result_member member;
        struct wire_error err;
        if (result_get_member(&member, &members->via.array.ptr[i], "", &err))
            counts[member.stop]++;
    }
    text_add(text, "%u part%s", count, plural(count));
    for (int stop = 0; stop < RESULT_STOPS; stop++)
        if (counts[stop] > 0) {
            text_add(text, "%s%u %s", between, counts[stop], result_stop_names[stop]);
            between = ", ";
        }
}

void render_summary(
    struct text *text, const struct result_head *head, const struct result_body *body) {
    char buffer[80];
    unsigned hops = body->hops->via.array.size;
    int64_t from_us = body->stop == STOP_SUMMARY ? head->accepted_us : body->started_us;
    int64_t took_us = body->finished_us > from_us ? body->finished_us - from_us : 0;
    if (body->stop == STOP_SUMMARY) {
        add_parts(text, body->members);
        text_add(text, ", %.1f s", (double)took_us / 1e6);
        text_end(text);
        return;
    }
    text_add(text, "%s", result_stop_names[body->stop]);
    if (body->stop == STOP_REACHED) {
        if (body->dst[0] != '\0' && strcmp(body->dst, body->target) != 0)
            text_add(text, " %s", body->dst);
        text_add(text, " in %" PRId64 " hop%s", body->first_ttl - 1 + hops,
            plural(body->first_ttl - 1 + hops));
    } else {
        text_add(text, ": %s; %u hop%s", gloss(body, buffer, sizeof buffer), hops, plural(hops));
    }
    text_add(text, ", %.1f s, %" PRId64 " probe%s", (double)took_us / 1e6, body->probes_sent,
        plural(body->probes_sent));
    if (head->worker[0] != '\0')
        text_add(text, ", worker %s", head->worker);
    if (head->run > 1)
        text_add(text, ", run %" PRId64, head->run);
    if (head->shared[0] != '\0')
        text_add(text, ", probed by %s", head->shared);
    text_end(text);
}

static void add_last_rtt(struct text *text, const msgpack_object *hops) {
    struct hop hop;
    uint32_t count = hops->via.array.size;
    const msgpack_object *probes =
        count > 0 ? wire_find(&hops->via.array.ptr[count - 1], "probes") : NULL;
    if (probes != NULL && read_hop(&hop, probes))
        for (unsigned i = 0; i < hop.count; i++)
            if (hop.probes[i].rtt_us >= 0) {
                text_add(text, " %9.3f ms", hop.probes[i].rtt_us / 1000.0);
                return;
            }
    text_add(text, " %9s   ", "*");
}

void render_columns(struct text *text) {
    text_add(text, "%-20s %-10s %-16s %-24s %-12s %4s %12s", "FINISHED", "STREAM", "ID", "TARGET",
        "STOP", "HOPS", "LAST RTT");
    text_end(text);
}

void render_line(
    struct text *text, const struct result_head *head, const struct result_body *body) {
    char stamp[32] = "?";
    time_t seconds = (time_t)(body->finished_us / 1000000);
    struct tm utc;
    if (gmtime_r(&seconds, &utc) != NULL)
        (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
    text_add(text, "%-20s %-10s %-16s %-24s %-12s ", stamp, head->stream, head->id, body->target,
        result_stop_names[body->stop]);
    if (body->stop == STOP_SUMMARY) {
        add_parts(text, body->members);
    } else {
        text_add(text, "%4u", body->hops->via.array.size);
        add_last_rtt(text, body->hops);
    }
    if (head->shared[0] != '\0')
        text_add(text, "  probed by %s", head->shared);
    if (body->error_message[0] != '\0')
        text_add(text, "  %s", body->error_message);
    text_end(text);
}
