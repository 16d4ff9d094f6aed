#include "clients/cli/asker.h"

#include "clients/cli/refusal.h"

#include <bsd/stdlib.h>
#include <string.h>

#define RESEND_US INT64_C(3000000)
#define ANSWER_US INT64_C(10000000)
#define SILENT "the broker does not answer this request"
#define BUSY_MS 500 /* where the broker does not say how long */

static void send_request(struct asker *a) {
    msgpack_sbuffer bytes;
    msgpack_sbuffer_init(&bytes);
    replay_put(&bytes, a->req, a->after, a->stream, a->limit);
    dial_send(a->dial, &bytes);
    a->send_us = reactor_now().mono_us + RESEND_US;
}

void asker_ask(struct asker *a, int64_t after, int64_t limit) {
    a->req++;
    a->after = after;
    a->limit = limit < REQUEST_MAX_ITEMS ? limit : REQUEST_MAX_ITEMS;
    a->waiting = true;
    dial_give_up_after(a->dial, ANSWER_US, SILENT);
    send_request(a);
}

static enum asker_got on_error(struct asker *a, const msgpack_object *root) {
    struct refusal refusal;
    refusal_get(&refusal, root);
    if (!refusal_is_busy(&refusal)) {
        a->waiting = false;
        return ASKER_REFUSED;
    }
    int64_t retry_ms = refusal.retry_ms > 0 ? refusal.retry_ms : BUSY_MS;
    int64_t wait_us = refusal_wait_us(retry_ms, arc4random());
    a->send_us = reactor_now().mono_us + wait_us;
    dial_give_up_after(a->dial, wait_us + ANSWER_US, SILENT);
    return ASKER_NOTHING;
}

enum asker_got asker_message(
    struct asker *a, const struct dial_message *message, struct replay *replay) {
    struct wire_error err;
    if (!a->waiting || message->req != a->req)
        return ASKER_NOTHING;
    if (strcmp(message->op, "error") == 0)
        return on_error(a, message->root);
    a->waiting = false;
    bool good = strcmp(message->op, "results") == 0;
    if (!good)
        wire_fail(&err, "bad-request", "op", "%s: not an answer to replay", message->op);
    if (good && replay_get(replay, message->root, &err))
        return ASKER_ANSWER;
    dial_nonsense(&err);
    return ASKER_NONSENSE;
}

int64_t asker_next(const struct asker *a) { return a->waiting ? a->send_us : INT64_MAX; }

void asker_tick(struct asker *a, int64_t now_us) {
    if (a->waiting && a->send_us <= now_us)
        send_request(a);
}

void asker_again(struct asker *a) {
    if (a->waiting)
        send_request(a);
}
