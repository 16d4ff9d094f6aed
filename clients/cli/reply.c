#include "clients/cli/reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RETRY_MAX_MS INT64_C(86400000)

/* ---- error ------------------------------------------------------------------------------ */

void reply_error_get(struct reply_error *error, const msgpack_object *map) {
    static const struct wire_field fields[] = {
        WIRE_FIELD_TEXT("code", struct reply_error, code, 1, WIRE_PRINTABLE, WIRE_REQUIRED),
        WIRE_FIELD_TEXT("message", struct reply_error, message, 0, WIRE_PRINTABLE, WIRE_REQUIRED),
        WIRE_FIELD_INT("retry_ms", struct reply_error, retry_ms, 0, RETRY_MAX_MS, WIRE_OPTIONAL),
    };
    struct wire_error err;
    memset(error, 0, sizeof *error);
    if (wire_get(map, fields, sizeof fields / sizeof fields[0], error, "", &err))
        return;
    *error = (struct reply_error){.message = "refused, with a malformed reason"};
}

bool reply_error_is_busy(const struct reply_error *error) {
    return strcmp(error->code, "busy") == 0;
}

int64_t reply_retry_us(int64_t retry_ms, uint32_t chance) {
    return retry_ms * 1000 + (retry_ms * 250 * (chance >> 16) >> 16);
}

/* ---- results of a replay ---------------------------------------------------------------- */

struct replay_answer {
    struct reply_replay replay;
    const msgpack_object *lost;
};

static bool get_seq(const msgpack_object *value, int64_t *seq) {
    if (value->type != MSGPACK_OBJECT_POSITIVE_INTEGER || value->via.u64 < 1 ||
        value->via.u64 > (uint64_t)INT64_MAX)
        return false;
    *seq = (int64_t)value->via.u64;
    return true;
}

static bool get_lost(
    struct reply_replay *replay, const msgpack_object *lost, struct wire_error *err) {
    if (lost == NULL || (lost->type == MSGPACK_OBJECT_ARRAY && lost->via.array.size == 2 &&
                            get_seq(&lost->via.array.ptr[0], &replay->lost_from) &&
                            get_seq(&lost->via.array.ptr[1], &replay->lost_to) &&
                            replay->lost_from <= replay->lost_to))
        return true;
    wire_fail(err, "bad-request", "lost", "must be two seqs, the lower one first");
    return false;
}

bool reply_replay_get(
    struct reply_replay *replay, const msgpack_object *root, struct wire_error *err) {
    struct replay_answer in;
    static const struct wire_field fields[] = {
        WIRE_FIELD_VALUE("results", struct replay_answer, replay.results, WIRE_REQUIRED),
        WIRE_FIELD_BOOL("more", struct replay_answer, replay.more, WIRE_REQUIRED),
        WIRE_FIELD_VALUE("lost", struct replay_answer, lost, WIRE_OPTIONAL),
        WIRE_FIELD_INT("epoch", struct replay_answer, replay.epoch, 0, INT64_MAX, WIRE_REQUIRED),
        WIRE_FIELD_INT("origin", struct replay_answer, replay.origin, 0, INT64_MAX, WIRE_REQUIRED),
    };
    memset(&in, 0, sizeof in);
    if (!wire_get(root, fields, sizeof fields / sizeof fields[0], &in, "", err) ||
        !get_lost(&in.replay, in.lost, err))
        return false;
    *replay = in.replay;
    if (replay->results->type == MSGPACK_OBJECT_ARRAY &&
        (replay->results->via.array.size > 0 || !replay->more))
        return true;
    wire_fail(err, "bad-request", "results", "must be an array, and not empty while there is more");
    return false;
}

/* ---- pong ------------------------------------------------------------------------------- */

static const struct wire_field ping_fields[] = {
    WIRE_FIELD_TEXT("broker", struct reply_ping, broker, 0, WIRE_PRINTABLE, WIRE_REQUIRED),
    WIRE_FIELD_TEXT("version", struct reply_ping, version, 0, WIRE_PRINTABLE, WIRE_REQUIRED),
    WIRE_FIELD_VALUE("versions", struct reply_ping, versions, WIRE_REQUIRED),
    WIRE_FIELD_INT("epoch", struct reply_ping, epoch, 0, INT64_MAX, WIRE_REQUIRED),
    WIRE_FIELD_INT("origin", struct reply_ping, origin, 0, INT64_MAX, WIRE_OPTIONAL),
    WIRE_FIELD_INT("seq", struct reply_ping, seq, 0, INT64_MAX, WIRE_REQUIRED),
    WIRE_FIELD_VALUE("results", struct reply_ping, results, WIRE_REQUIRED),
};

static bool version_number(const msgpack_object *object, int64_t *out) {
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER || object->via.u64 > 1000000)
        return false;
    *out = (int64_t)object->via.u64;
    return true;
}

bool reply_ping_get(struct reply_ping *ping, const msgpack_object *map, struct wire_error *err) {
    memset(ping, 0, sizeof *ping);
    if (!wire_get(map, ping_fields, sizeof ping_fields / sizeof ping_fields[0], ping, "", err))
        return false;
    if (ping->origin == 0)
        ping->origin = ping->epoch;
    if (ping->versions->type != MSGPACK_OBJECT_ARRAY || ping->versions->via.array.size != 2 ||
        !version_number(&ping->versions->via.array.ptr[0], &ping->version_min) ||
        !version_number(&ping->versions->via.array.ptr[1], &ping->version_max)) {
        wire_fail(err, "bad-request", "versions", "must be two integers");
        return false;
    }
    bool good = ping->results->type == MSGPACK_OBJECT_ARRAY;
    for (uint32_t i = 0; good && i < ping->results->via.array.size; i++) {
        const msgpack_object *endpoint = &ping->results->via.array.ptr[i];
        good = endpoint->type == MSGPACK_OBJECT_STR && endpoint->via.str.size >= 1 &&
               endpoint->via.str.size <= REPLY_ENDPOINT_BYTES &&
               wire_allowed(endpoint->via.str.ptr, endpoint->via.str.size, 0);
    }
    if (!good)
        wire_fail(err, "bad-request", "results", "must be an array of endpoints");
    return good;
}

/* The bytes of "tcp://" and the like in an endpoint; 0 if it has no scheme. */
static size_t scheme_size(const char *endpoint) {
    const char *mark = strstr(endpoint, "://");
    return mark != NULL ? (size_t)(mark - endpoint) + 3 : 0;
}

static bool replace_host(const char *from, const char *dialled, char *endpoint) {
    size_t scheme = scheme_size(from);
    if (scheme == 0 || strncmp(from + scheme, "*:", 2) != 0) {
        (void)snprintf(endpoint, REPLY_ENDPOINT_BYTES + 1, "%s", from);
        return true;
    }
    const char *host = "127.0.0.1"; /* the broker that was dialled over ipc is on this host */
    int host_size = (int)strlen(host);
    const char *colon = strrchr(dialled, ':');
    if (strncmp(dialled, "tcp://", 6) == 0 && colon != NULL && colon > dialled + 6) {
        /* Before a `;` stands the source address of the connection. */
        const char *own = strchr(dialled, ';');
        host = own != NULL && own < colon ? own + 1 : dialled + 6;
        host_size = (int)(colon - host);
    }
    int size = snprintf(endpoint, REPLY_ENDPOINT_BYTES + 1, "%.*s%.*s%s", (int)scheme, from,
        host_size, host, from + scheme + 1);
    return size >= 0 && size <= REPLY_ENDPOINT_BYTES;
}

bool reply_ping_results(
    const struct reply_ping *ping, const char *dialled, char endpoint[REPLY_ENDPOINT_BYTES + 1]) {
    char first[REPLY_ENDPOINT_BYTES + 1] = "", text[REPLY_ENDPOINT_BYTES + 1];
    size_t scheme = scheme_size(dialled);
    for (uint32_t i = 0; i < ping->results->via.array.size; i++) {
        const msgpack_object_str *from = &ping->results->via.array.ptr[i].via.str;
        (void)snprintf(text, sizeof text, "%.*s", (int)from->size, from->ptr);
        if (scheme > 0 && strncmp(text, dialled, scheme) == 0)
            return replace_host(text, dialled, endpoint);
        if (i == 0)
            memcpy(first, text, sizeof first);
    }
    return first[0] != '\0' && replace_host(first, dialled, endpoint);
}

void reply_ping_render(
    struct text *text, const struct reply_ping *ping, const char *dialled, int64_t rtt_us) {
    char results[REPLY_ENDPOINT_BYTES + 1];
    text_add(text, "%s at %s answers in %.3f ms: hopmq %s, protocol %" PRId64 "..%" PRId64,
        ping->broker, dialled, (double)rtt_us / 1000.0, ping->version, ping->version_min,
        ping->version_max);
    text_add(text, ", epoch %" PRId64 ", %" PRId64 " result%s", ping->epoch, ping->seq,
        ping->seq == 1 ? "" : "s");
    if (ping->origin != ping->epoch)
        text_add(text, " since %" PRId64, ping->origin);
    if (reply_ping_results(ping, dialled, results))
        text_add(text, ", published at %s", results);
    text_end(text);
}
