/* replay_request: one request for a replay at a time, sent again until it is answered. Shell. */
#ifndef HOPMQ_CLIENT_REPLAY_REQUEST_H
#define HOPMQ_CLIENT_REPLAY_REQUEST_H

#include "clients/cli/connection.h"
#include "clients/cli/reply.h"

/* Start from {.connection, .stream = NULL for all}. */
struct replay_request {
    struct connection *connection;
    const char *stream;
    bool waiting;
    int64_t req, after, limit, send_us; /* while waiting: when it is sent again */
};

enum replay_request_got {
    REPLAY_REQUEST_NOTHING, /* not an answer of ours, or the broker is busy and will be asked again
                             */
    REPLAY_REQUEST_ANSWER,
    REPLAY_REQUEST_REFUSED,
    REPLAY_REQUEST_NONSENSE, /* the reason is on standard error */
};

void replay_request_send(struct replay_request *request, int64_t after, int64_t limit);

/* Takes a message from the broker; an answer borrows from it. */
enum replay_request_got replay_request_message(struct replay_request *request,
    const struct connection_message *message, struct reply_replay *replay);

/* When replay_request_tick() is wanted; INT64_MAX: never. */
int64_t replay_request_next(const struct replay_request *request);
void replay_request_tick(struct replay_request *request, int64_t now_us);

/* Sends the request again. Call this when the broker has restarted: it has forgotten the request.
 */
void replay_request_resend(struct replay_request *request);

#endif
