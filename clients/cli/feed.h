/* feed: which published results a subscriber has shown, and when it must ask for a replay, so that
 * it shows all of them, in order and each once; docs/protocol.md, sections 6 and 8. Pure.
 *
 * While the caller waits for a replay, it gives no published result to this module: the result is
 * in the answer, or this module notices afterwards that it is missing.
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
    int64_t after;       /* all results up to this seq were shown or reported as lost */
    int64_t stream_last; /* with a stream: the stream_seq of the last of them; -1: not known */
    bool known;          /* the first `alive` has come and has set these: */
    int64_t origin, epoch;
    bool renewed; /* set when the broker has begun to count again; the caller clears it */
    bool ahead;   /* set if the broker had counted less than the caller's `after`; the caller clears
                     it */
    int64_t target, stream_target; /* how far the replay that is asked for must lead */
    int64_t sure_us; /* with a stream: when it was last certain that nothing was missed */
};

/* An `alive` lists only streams that had a result in the last minute. A stream that was not listed
 * for FEED_SURE_US needs a replay, which tells whether something was missed. */
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

/* The replay was refused: goes on behind the results that are missing, and returns how many these
 * are at least. */
int64_t feed_give_up(struct feed *feed);

#endif
