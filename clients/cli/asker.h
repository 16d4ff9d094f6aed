/* asker: one request for a replay at a time, sent again until it is answered; the shell around
 * replay.
 */
#ifndef HOPMQ_CLIENT_ASKER_H
#define HOPMQ_CLIENT_ASKER_H

#include "clients/cli/dial.h"
#include "clients/cli/replay.h"

/* Start from {.dial, .stream = NULL for all}. */
struct asker {
    struct dial *dial;
    const char *stream;
    bool waiting;
    int64_t req, after, limit, send_us; /* while waiting: when it is sent again */
};

enum asker_got {
    ASKER_NOTHING, /* of ours; or the broker is busy and will be asked again */
    ASKER_ANSWER,
    ASKER_REFUSED,
    ASKER_NONSENSE, /* why was said on standard error */
};

void asker_ask(struct asker *asker, int64_t after, int64_t limit);

/* Takes a message from the broker; an answer borrows from it. */
enum asker_got asker_message(
    struct asker *asker, const struct dial_message *message, struct replay *replay);

/* When asker_tick() is wanted; INT64_MAX: never. */
int64_t asker_next(const struct asker *asker);
void asker_tick(struct asker *asker, int64_t now_us);

/* The broker was started again and does not know of the request. */
void asker_again(struct asker *asker);

#endif
