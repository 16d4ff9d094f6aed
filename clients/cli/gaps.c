#include "clients/cli/gaps.h"

static enum gaps_verdict ask(struct gaps *gaps, int64_t seq, int64_t stream_seq) {
    gaps->target = seq;
    gaps->stream_target = stream_seq;
    return GAPS_ASK;
}

/* All that a broker has counted since it began was there to be seen. */
static void begin_again(struct gaps *gaps, int64_t origin) {
    gaps->origin = origin;
    gaps->after = gaps->stream_last = gaps->target = gaps->stream_target = 0;
    gaps->renewed = true;
}

enum gaps_verdict gaps_result(struct gaps *gaps, int64_t epoch, int64_t seq, int64_t stream_seq) {
    /* Of another epoch: the next `alive` tells whether seqs can be compared. */
    if (!gaps->known || epoch != gaps->epoch || seq <= gaps->after)
        return GAPS_SKIP;
    bool next = gaps->stream != NULL ? stream_seq == gaps->stream_last + 1 : seq == gaps->after + 1;
    if (!next)
        return ask(gaps, seq, stream_seq);
    gaps->after = seq;
    gaps->stream_last = stream_seq;
    return GAPS_SHOW;
}

static enum gaps_verdict begin(struct gaps *gaps, int64_t seq, int64_t stream_seq) {
    gaps->stream_last = stream_seq;
    if (gaps->after >= 0 && gaps->after < seq)
        return ask(gaps, seq, stream_seq);
    gaps->ahead = gaps->after > seq;
    gaps->after = seq;
    return GAPS_SKIP;
}

/* The stream_seq that an `alive` lists; -1 for a stream that had no result in the last minute. */
static int64_t listed(const struct gaps *gaps, const msgpack_object *streams) {
    const msgpack_object *last = gaps->stream != NULL ? wire_find(streams, gaps->stream) : NULL;
    bool good = last != NULL && last->type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
                last->via.u64 <= (uint64_t)INT64_MAX;
    return good ? (int64_t)last->via.u64 : -1;
}

bool gaps_alive(struct gaps *gaps, const msgpack_object *alive, int64_t now_us,
    enum gaps_verdict *verdict, struct wire_error *err) {
    struct message {
        int64_t epoch, origin, seq;
        const msgpack_object *streams;
    } in = {0, 0, 0, NULL};
#define AT(member) offsetof(struct message, member)
    static const struct wire_field fields[] = {
        {WIRE_NAME("epoch"), WIRE_INT, AT(epoch), 0, INT64_MAX, 0, NULL, true, false},
        {WIRE_NAME("origin"), WIRE_INT, AT(origin), 0, INT64_MAX, 0, NULL, true, false},
        {WIRE_NAME("seq"), WIRE_INT, AT(seq), 0, INT64_MAX, 0, NULL, true, false},
        {WIRE_NAME("streams"), WIRE_VALUE, AT(streams), 0, 0, 0, NULL, true, false},
    };
    if (!wire_get(alive, fields, sizeof fields / sizeof fields[0], &in, "", err))
        return false;
    int64_t stream_seq = listed(gaps, in.streams);
    gaps->epoch = in.epoch;
    *verdict = GAPS_SKIP;
    if (!gaps->known) {
        gaps->known = true;
        gaps->origin = in.origin;
        gaps->sure_us = now_us;
        *verdict = begin(gaps, in.seq, stream_seq);
        return true;
    }
    if (in.origin != gaps->origin)
        begin_again(gaps, in.origin);
    /* It may be older than the last replay. */
    if (in.seq <= gaps->after)
        return true;
    if (gaps->stream != NULL && stream_seq < 0 && now_us - gaps->sure_us < GAPS_SURE_US)
        return true;
    if (gaps->stream != NULL && stream_seq >= 0 && stream_seq <= gaps->stream_last)
        gaps->after = in.seq; /* what came since is of other streams */
    else
        *verdict = ask(gaps, in.seq, stream_seq);
    gaps->sure_us = now_us;
    return true;
}

bool gaps_replay(struct gaps *gaps, const struct replay *replay) {
    bool same = replay->origin == gaps->origin;
    gaps->epoch = replay->epoch;
    if (!same)
        begin_again(gaps, replay->origin);
    else if (replay->lost_to > gaps->after)
        gaps->after = replay->lost_to;
    return same;
}

bool gaps_replay_result(struct gaps *gaps, int64_t seq, int64_t stream_seq) {
    if (seq <= gaps->after)
        return false;
    gaps->after = seq;
    gaps->stream_last = stream_seq;
    return true;
}

static void go_on_behind_target(struct gaps *gaps) {
    if (gaps->after < gaps->target)
        gaps->after = gaps->target;
    if (gaps->stream_last < gaps->stream_target)
        gaps->stream_last = gaps->stream_target;
}

enum gaps_verdict gaps_replay_end(struct gaps *gaps, const struct replay *replay) {
    if (replay->more)
        return GAPS_ASK;
    go_on_behind_target(gaps);
    return GAPS_SKIP;
}

int64_t gaps_give_up(struct gaps *gaps) {
    int64_t missed = gaps->target - gaps->after;
    if (gaps->stream != NULL)
        missed = gaps->stream_last >= 0 ? gaps->stream_target - gaps->stream_last : 1;
    go_on_behind_target(gaps);
    return missed > 1 ? missed : 1;
}
