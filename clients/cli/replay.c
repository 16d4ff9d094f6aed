#include "clients/cli/replay.h"

#include <string.h>

void replay_put(
    msgpack_sbuffer *out, int64_t req, int64_t after, const char *stream, int64_t limit) {
    msgpack_object number = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = (uint64_t)req};
    msgpack_packer pk;
    msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
    request_put_head(&pk, "replay", &number, 2U + (stream != NULL));
    wire_put_key_int(&pk, "after", after);
    if (stream != NULL)
        wire_put_key_text(&pk, "stream", stream);
    wire_put_key_int(&pk, "limit", limit);
}

static bool get_seq(const msgpack_object *value, int64_t *seq) {
    if (value->type != MSGPACK_OBJECT_POSITIVE_INTEGER || value->via.u64 < 1 ||
        value->via.u64 > (uint64_t)INT64_MAX)
        return false;
    *seq = (int64_t)value->via.u64;
    return true;
}

static bool get_lost(struct replay *replay, const msgpack_object *lost, struct wire_error *err) {
    if (lost == NULL || (lost->type == MSGPACK_OBJECT_ARRAY && lost->via.array.size == 2 &&
                            get_seq(&lost->via.array.ptr[0], &replay->lost_from) &&
                            get_seq(&lost->via.array.ptr[1], &replay->lost_to) &&
                            replay->lost_from <= replay->lost_to))
        return true;
    wire_fail(err, "bad-request", "lost", "must be two seqs, the lower one first");
    return false;
}

bool replay_get(struct replay *replay, const msgpack_object *root, struct wire_error *err) {
    struct answer {
        struct replay replay;
        const msgpack_object *lost;
    } in;
#define AT(member) offsetof(struct answer, member)
    static const struct wire_field fields[] = {
        {WIRE_NAME("results"), WIRE_VALUE, AT(replay.results), 0, 0, 0, NULL, true, false},
        {WIRE_NAME("more"), WIRE_BOOL, AT(replay.more), 0, 0, 0, NULL, true, false},
        {WIRE_NAME("lost"), WIRE_VALUE, AT(lost), 0, 0, 0, NULL, false, false},
        {WIRE_NAME("epoch"), WIRE_INT, AT(replay.epoch), 0, INT64_MAX, 0, NULL, true, false},
        {WIRE_NAME("origin"), WIRE_INT, AT(replay.origin), 0, INT64_MAX, 0, NULL, true, false},
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
