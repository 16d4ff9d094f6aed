#include "clients/cli/feed.h"

#include "common/order.h"

static enum feed_verdict feed_ask(struct feed *feed, int64_t seq, int64_t stream_seq) {
    feed->target = seq;
    feed->stream_target = stream_seq;
    return FEED_ASK;
}

/* All that a broker has counted since it began was there to be seen. */
static void begin_again(struct feed *feed, int64_t origin) {
    feed->origin = origin;
    feed->after = feed->stream_last = feed->target = feed->stream_target = 0;
    feed->renewed = true;
}

enum feed_verdict feed_result(struct feed *feed, int64_t epoch, int64_t seq, int64_t stream_seq) {
    /* Of another epoch: the next `alive` tells whether seqs can be compared. */
    if (!feed->known || epoch != feed->epoch || seq <= feed->after)
        return FEED_SKIP;
    bool next = feed->stream != NULL ? stream_seq == feed->stream_last + 1 : seq == feed->after + 1;
    if (!next)
        return feed_ask(feed, seq, stream_seq);
    feed->after = seq;
    feed->stream_last = stream_seq;
    return FEED_SHOW;
}

static enum feed_verdict begin(struct feed *feed, int64_t seq, int64_t stream_seq) {
    feed->stream_last = stream_seq;
    if (feed->after >= 0 && feed->after < seq)
        return feed_ask(feed, seq, stream_seq);
    feed->ahead = feed->after > seq;
    feed->after = seq;
    return FEED_SKIP;
}

/* The stream_seq that an `alive` lists; -1 for a stream that had no result in the last minute. */
static int64_t listed(const struct feed *feed, const msgpack_object *streams) {
    const msgpack_object *last = feed->stream != NULL ? wire_find(streams, feed->stream) : NULL;
    bool good = last != NULL && last->type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
                last->via.u64 <= (uint64_t)INT64_MAX;
    return good ? (int64_t)last->via.u64 : -1;
}

bool feed_alive(struct feed *feed, const msgpack_object *alive, int64_t now_us,
    enum feed_verdict *verdict, struct wire_error *err) {
    struct message {
        int64_t epoch, origin, seq;
        const msgpack_object *streams;
    } in = {0, 0, 0, NULL};
    static const struct wire_field fields[] = {
        WIRE_FIELD_INT("epoch", struct message, epoch, 0, INT64_MAX, WIRE_REQUIRED),
        WIRE_FIELD_INT("origin", struct message, origin, 0, INT64_MAX, WIRE_REQUIRED),
        WIRE_FIELD_INT("seq", struct message, seq, 0, INT64_MAX, WIRE_REQUIRED),
        WIRE_FIELD_VALUE("streams", struct message, streams, WIRE_REQUIRED),
    };
    if (!wire_get(alive, fields, sizeof fields / sizeof fields[0], &in, "", err))
        return false;
    int64_t stream_seq = listed(feed, in.streams);
    feed->epoch = in.epoch;
    *verdict = FEED_SKIP;
    if (!feed->known) {
        feed->known = true;
        feed->origin = in.origin;
        feed->sure_us = now_us;
        *verdict = begin(feed, in.seq, stream_seq);
        return true;
    }
    if (in.origin != feed->origin)
        begin_again(feed, in.origin);
    /* It may be older than the last replay. */
    if (in.seq <= feed->after)
        return true;
    if (feed->stream != NULL && stream_seq < 0 && now_us - feed->sure_us < FEED_SURE_US)
        return true;
    if (feed->stream != NULL && stream_seq >= 0 && stream_seq <= feed->stream_last)
        feed->after = in.seq; /* what came since is of other streams */
    else
        *verdict = feed_ask(feed, in.seq, stream_seq);
    feed->sure_us = now_us;
    return true;
}

bool feed_replay(struct feed *feed, const struct reply_replay *replay) {
    bool same = replay->origin == feed->origin;
    feed->epoch = replay->epoch;
    if (!same)
        begin_again(feed, replay->origin);
    else if (replay->lost_to > feed->after)
        feed->after = replay->lost_to;
    return same;
}

bool feed_replay_result(struct feed *feed, int64_t seq, int64_t stream_seq) {
    if (seq <= feed->after)
        return false;
    feed->after = seq;
    feed->stream_last = stream_seq;
    return true;
}

static void go_on_behind_target(struct feed *feed) {
    if (feed->after < feed->target)
        feed->after = feed->target;
    if (feed->stream_last < feed->stream_target)
        feed->stream_last = feed->stream_target;
}

enum feed_verdict feed_replay_end(struct feed *feed, const struct reply_replay *replay) {
    if (replay->more)
        return FEED_ASK;
    go_on_behind_target(feed);
    return FEED_SKIP;
}

int64_t feed_give_up(struct feed *feed) {
    int64_t missed = feed->target - feed->after;
    if (feed->stream != NULL)
        missed = feed->stream_last >= 0 ? feed->stream_target - feed->stream_last : 1;
    go_on_behind_target(feed);
    return order_max(missed, 1);
}
