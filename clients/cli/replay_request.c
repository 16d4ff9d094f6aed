#include "clients/cli/replay_request.h"

#include "clients/cli/reply.h"
#include "common/order.h"
#include "common/protocol/request.h"

#include <bsd/stdlib.h>
#include <string.h>

#define RESEND_US INT64_C(3000000)
#define ANSWER_US INT64_C(10000000)
#define SILENT "the broker does not answer this request"
#define BUSY_MS 500 /* if the broker names no time */

static void replay_request_send_now(struct replay_request *request) {
    msgpack_sbuffer bytes;
    msgpack_sbuffer_init(&bytes);
    request_put_replay(&bytes, request->req, request->after, request->stream, request->limit);
    connection_send(request->connection, &bytes);
    request->send_us = reactor_now().mono_us + RESEND_US;
}

void replay_request_send(struct replay_request *request, int64_t after, int64_t limit) {
    request->req++;
    request->after = after;
    request->limit = order_min(limit, REQUEST_MAX_ITEMS);
    request->waiting = true;
    connection_give_up_after(request->connection, ANSWER_US, SILENT);
    replay_request_send_now(request);
}

static enum replay_request_got on_error(
    struct replay_request *request, const msgpack_object *root) {
    struct reply_error refusal;
    reply_error_get(&refusal, root);
    if (!reply_error_is_busy(&refusal)) {
        request->waiting = false;
        return REPLAY_REQUEST_REFUSED;
    }
    int64_t retry_ms = refusal.retry_ms > 0 ? refusal.retry_ms : BUSY_MS;
    int64_t wait_us = reply_retry_us(retry_ms, arc4random());
    request->send_us = reactor_now().mono_us + wait_us;
    connection_give_up_after(request->connection, wait_us + ANSWER_US, SILENT);
    return REPLAY_REQUEST_NOTHING;
}

enum replay_request_got replay_request_message(struct replay_request *request,
    const struct connection_message *message, struct reply_replay *replay) {
    struct wire_error err;
    if (!request->waiting || message->req != request->req)
        return REPLAY_REQUEST_NOTHING;
    if (strcmp(message->op, "error") == 0)
        return on_error(request, message->root);
    request->waiting = false;
    bool good = strcmp(message->op, "results") == 0;
    if (!good)
        wire_fail(&err, "bad-request", "op", "%s: not an answer to replay", message->op);
    if (good && reply_replay_get(replay, message->root, &err))
        return REPLAY_REQUEST_ANSWER;
    connection_nonsense(&err);
    return REPLAY_REQUEST_NONSENSE;
}

int64_t replay_request_next(const struct replay_request *request) {
    return request->waiting ? request->send_us : INT64_MAX;
}

void replay_request_tick(struct replay_request *request, int64_t now_us) {
    if (request->waiting && request->send_us <= now_us)
        replay_request_send_now(request);
}

void replay_request_resend(struct replay_request *request) {
    if (request->waiting)
        replay_request_send_now(request);
}
