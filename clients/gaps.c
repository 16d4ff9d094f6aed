#include "clients/gaps.h"

/* A broker that was started again counts from 1, so that all of it was there to be seen. */
static void enter_epoch(struct gaps *gaps, int64_t epoch, int64_t last) {
    if (gaps->known && epoch == gaps->epoch)
        return;
    gaps->restarted = gaps->known;
    gaps->last = gaps->known ? 0 : last;
    gaps->known = true;
    gaps->epoch = epoch;
}

/* Takes number `seen` as the last one that was published, `got` as how many of those from
 * gaps->last on are here. */
static int64_t advance(struct gaps *gaps, int64_t seen, int64_t got) {
    if (seen <= gaps->last)
        return 0;
    int64_t missed = seen - gaps->last - got;
    gaps->last = seen;
    return missed;
}

int64_t gaps_result(struct gaps *gaps, int64_t epoch, int64_t seq, int64_t stream_seq) {
    int64_t number = gaps->stream != NULL ? stream_seq : seq;
    enter_epoch(gaps, epoch, number - 1);
    return advance(gaps, number, 1);
}

bool gaps_alive(
    struct gaps *gaps, const msgpack_object *alive, int64_t *missed, struct wire_error *err) {
    struct message {
        int64_t epoch, seq;
        const msgpack_object *streams;
    } in = {0, 0, NULL};
#define AT(member) offsetof(struct message, member)
    static const struct wire_field fields[] = {
        {"epoch", WIRE_INT, AT(epoch), 0, INT64_MAX, NULL, NULL, true, false},
        {"seq", WIRE_INT, AT(seq), 0, INT64_MAX, NULL, NULL, true, false},
        {"streams", WIRE_VALUE, AT(streams), 0, 0, NULL, NULL, true, false},
    };
    if (!wire_get(alive, fields, sizeof fields / sizeof fields[0], &in, "", err))
        return false;
    *missed = 0;
    if (gaps->stream == NULL) {
        enter_epoch(gaps, in.epoch, in.seq);
        *missed = advance(gaps, in.seq, 0);
        return true;
    }
    /* A stream without a result in the last minute is not listed, so that nobody can tell where
     * it stands. When it is listed later, and nothing came here, at least one was missed. */
    const msgpack_object *last = wire_find(in.streams, gaps->stream);
    bool listed = last != NULL && last->type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
                  last->via.u64 <= (uint64_t)INT64_MAX;
    if (gaps->known && in.epoch != gaps->epoch)
        enter_epoch(gaps, in.epoch, 0);
    if (!listed) {
        gaps->quiet = true;
        return true;
    }
    enter_epoch(gaps, in.epoch, (int64_t)last->via.u64 - gaps->quiet);
    *missed = advance(gaps, (int64_t)last->via.u64, 0);
    return true;
}
