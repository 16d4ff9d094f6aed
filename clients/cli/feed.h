/* feed: what of the published results a subscriber has shown, and where it must ask for a replay
 * to show all of them, in order, each once; docs/protocol.md, sections 6 and 8. Pure.
 *
 * While an answer is awaited, nothing that is published is given to this module: it is in the
 * answer, or it is seen to be missing afterwards.
 */
#ifndef HOPMQ_CLIENT_FEED_H
#define HOPMQ_CLIENT_FEED_H

#include "clients/cli/reply.h"

enum feed_verdict {
    FEED_SKIP, /* nothing to do; a result was shown before, or will come in a replay */
    FEED_SHOW, /* the result is the next one */
    FEED_ASK,  /* a replay is needed, of what comes after `after` */
};

/* Start from {.stream = the stream that is watched, or NULL for all, .after = the seq to begin
 * behind, or -1 for what is published from now on}. */
struct feed {
    const char *stream;
    int64_t after;       /* all results of up to this seq were shown, or told as lost */
    int64_t stream_last; /* with a stream: the stream_seq of the last of them; -1: not known */
    bool known;          /* the first `alive` was here, so that these are: */
    int64_t origin, epoch;
    bool renewed; /* set when the broker has begun to count again; the caller clears it */
    bool ahead;   /* set when it had not counted so far as the caller began; the caller clears it */
    int64_t target, stream_target; /* where the replay that is asked for leads to */
    int64_t sure_us; /* with a stream: when it was last sure that nothing was missed */
};

/* An `alive` does not list a stream without a result in the last minute. So much time without being
 * listed, and a replay must tell whether something was missed. */
#define FEED_SURE_US 30000000

/* A result was published. None is shown before the first `alive`. */
enum feed_verdict feed_result(struct feed *feed, int64_t epoch, int64_t seq, int64_t stream_seq);

/* An `alive` was published; the first one tells where to begin. */
bool feed_alive(struct feed *feed, const msgpack_object *alive, int64_t now_us,
    enum feed_verdict *verdict, struct wire_error *err);

/* The replay was answered: first this, then each of its results, then feed_replay_end(). False if
 * the answer is of a broker that has begun to count again: ask again. */
bool feed_replay(struct feed *feed, const struct reply_replay *replay);

/* True if the result is to be shown. */
bool feed_replay_result(struct feed *feed, int64_t seq, int64_t stream_seq);

/* FEED_ASK if there is more. */
enum feed_verdict feed_replay_end(struct feed *feed, const struct reply_replay *replay);

/* There will be no replay: goes on behind what is missing. Returns how many results that is, at
 * least. */
int64_t feed_give_up(struct feed *feed);

#endif
