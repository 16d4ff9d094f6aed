#include "clients/cli/pong.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define AT(member) offsetof(struct pong, member)

static const struct wire_field fields[] = {
    {WIRE_NAME("broker"), WIRE_TEXT, AT(broker), 0, 64, 0, NULL, true, false},
    {WIRE_NAME("version"), WIRE_TEXT, AT(version), 0, 32, 0, NULL, true, false},
    {WIRE_NAME("versions"), WIRE_VALUE, AT(versions), 0, 0, 0, NULL, true, false},
    {WIRE_NAME("epoch"), WIRE_INT, AT(epoch), 0, INT64_MAX, 0, NULL, true, false},
    {WIRE_NAME("origin"), WIRE_INT, AT(origin), 0, INT64_MAX, 0, NULL, false, false},
    {WIRE_NAME("seq"), WIRE_INT, AT(seq), 0, INT64_MAX, 0, NULL, true, false},
    {WIRE_NAME("results"), WIRE_VALUE, AT(results), 0, 0, 0, NULL, true, false},
};

static bool version_number(const msgpack_object *object, int64_t *out) {
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER || object->via.u64 > 1000000)
        return false;
    *out = (int64_t)object->via.u64;
    return true;
}

bool pong_get(struct pong *pong, const msgpack_object *map, struct wire_error *err) {
    memset(pong, 0, sizeof *pong);
    if (!wire_get(map, fields, sizeof fields / sizeof fields[0], pong, "", err))
        return false;
    if (pong->origin == 0)
        pong->origin = pong->epoch;
    if (pong->versions->type != MSGPACK_OBJECT_ARRAY || pong->versions->via.array.size != 2 ||
        !version_number(&pong->versions->via.array.ptr[0], &pong->version_min) ||
        !version_number(&pong->versions->via.array.ptr[1], &pong->version_max)) {
        wire_fail(err, "bad-request", "versions", "must be two integers");
        return false;
    }
    bool good = pong->results->type == MSGPACK_OBJECT_ARRAY;
    for (uint32_t i = 0; good && i < pong->results->via.array.size; i++) {
        const msgpack_object *endpoint = &pong->results->via.array.ptr[i];
        good = endpoint->type == MSGPACK_OBJECT_STR && endpoint->via.str.size >= 1 &&
               endpoint->via.str.size <= PONG_ENDPOINT_BYTES &&
               wire_allowed(endpoint->via.str.ptr, endpoint->via.str.size, 0);
    }
    if (!good)
        wire_fail(err, "bad-request", "results", "must be an array of endpoints");
    return good;
}

/* Bytes of "tcp://" in an endpoint; 0 if it has no such thing. */
static size_t scheme_size(const char *endpoint) {
    const char *mark = strstr(endpoint, "://");
    return mark != NULL ? (size_t)(mark - endpoint) + 3 : 0;
}

static bool replace_host(const char *from, const char *dialled, char *endpoint) {
    size_t scheme = scheme_size(from);
    if (scheme == 0 || strncmp(from + scheme, "*:", 2) != 0) {
        (void)snprintf(endpoint, PONG_ENDPOINT_BYTES + 1, "%s", from);
        return true;
    }
    const char *host = "127.0.0.1"; /* of whom was dialled over ipc */
    int host_size = (int)strlen(host);
    const char *colon = strrchr(dialled, ':');
    if (strncmp(dialled, "tcp://", 6) == 0 && colon != NULL && colon > dialled + 6) {
        /* What stands before `;` is the dialler's own address. */
        const char *own = strchr(dialled, ';');
        host = own != NULL && own < colon ? own + 1 : dialled + 6;
        host_size = (int)(colon - host);
    }
    int size = snprintf(endpoint, PONG_ENDPOINT_BYTES + 1, "%.*s%.*s%s", (int)scheme, from,
        host_size, host, from + scheme + 1);
    return size >= 0 && size <= PONG_ENDPOINT_BYTES;
}

bool pong_results(
    const struct pong *pong, const char *dialled, char endpoint[PONG_ENDPOINT_BYTES + 1]) {
    char first[PONG_ENDPOINT_BYTES + 1] = "", text[PONG_ENDPOINT_BYTES + 1];
    size_t scheme = scheme_size(dialled);
    for (uint32_t i = 0; i < pong->results->via.array.size; i++) {
        const msgpack_object_str *from = &pong->results->via.array.ptr[i].via.str;
        (void)snprintf(text, sizeof text, "%.*s", (int)from->size, from->ptr);
        if (scheme > 0 && strncmp(text, dialled, scheme) == 0)
            return replace_host(text, dialled, endpoint);
        if (i == 0)
            memcpy(first, text, sizeof first);
    }
    return first[0] != '\0' && replace_host(first, dialled, endpoint);
}

void pong_render(struct text *text, const struct pong *pong, const char *dialled, int64_t rtt_us) {
    char results[PONG_ENDPOINT_BYTES + 1];
    text_add(text, "%s at %s answers in %.3f ms: hopmq %s, protocol %" PRId64 "..%" PRId64,
        pong->broker, dialled, (double)rtt_us / 1000.0, pong->version, pong->version_min,
        pong->version_max);
    text_add(text, ", epoch %" PRId64 ", %" PRId64 " result%s", pong->epoch, pong->seq,
        pong->seq == 1 ? "" : "s");
    if (pong->origin != pong->epoch)
        text_add(text, " since %" PRId64, pong->origin);
    if (pong_results(pong, dialled, results))
        text_add(text, ", published at %s", results);
    text_end(text);
}
