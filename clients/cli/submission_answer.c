#include "clients/cli/submission_state.h"

#include "clients/cli/reply.h"

#include <string.h>

#define BACKOFF_MIN_US INT64_C(100000)
#define BACKOFF_MAX_US INT64_C(2000000)

static void busy(struct submission *s, struct submission_item *item, int64_t now_us) {
    if (s->cancelled) {
        submission_free(s, item);
        return;
    }
    if (s->busy_since_us == 0)
        s->busy_since_us = now_us;
    item->state = SUBMISSION_ITEM_PENDING;
    TAILQ_INSERT_TAIL(&s->pending, item, link);
    s->pending_count++;
}

static void submission_refuse(struct submission *s, struct submission_item *item,
    const msgpack_object *error, int64_t now_us) {
    struct reply_error refusal;
    reply_error_get(&refusal, error);
    if (reply_error_is_busy(&refusal) && !s->gave_up) {
        if (s->retry_ms < refusal.retry_ms)
            s->retry_ms = refusal.retry_ms;
        busy(s, item, now_us);
        return;
    }
    s->events.refused(s->events.context, item, refusal.message);
    submission_free(s, item);
}

static void accepted(struct submission *s, struct submission_item *item, int64_t now_us) {
    s->busy_since_us = s->backoff_us = 0;
    s->events.accepted(s->events.context, item);
    if (!s->notify) {
        submission_free(s, item);
        return;
    }
    item->state = SUBMISSION_ITEM_WAITING;
    item->due_us = now_us + s->trace.deadline_ms * 1000 + SUBMISSION_GRACE_US;
    TAILQ_INSERT_TAIL(&s->waiting, item, link);
    s->waiting_count++;
    if (s->cancelled && s->cancel_next == NULL)
        s->cancel_next = item;
}

/* `ids` is the array of `accepted`, or NULL where `error` stands for all. */
static void settle_batch(struct submission *s, struct submission_batch *batch,
    const msgpack_object *ids, const msgpack_object *error, int64_t now_us) {
    struct submission_item *item;
    size_t before = s->pending_count;
    s->retry_ms = 0;
    for (uint32_t i = 0; (item = TAILQ_FIRST(&batch->items)) != NULL; i++) {
        const msgpack_object *answer = ids != NULL ? &ids->via.array.ptr[i] : error;
        TAILQ_REMOVE(&batch->items, item, link);
        if (item->state == SUBMISSION_ITEM_DONE)
            submission_free(s, item);
        else if (answer->type == MSGPACK_OBJECT_STR)
            accepted(s, item, now_us);
        else
            submission_refuse(s, item, answer, now_us);
    }
    batch->req = 0;
    if (s->pending_count == before)
        return;
    s->backoff_us = s->backoff_us == 0 ? BACKOFF_MIN_US : 2 * s->backoff_us;
    if (s->backoff_us > BACKOFF_MAX_US)
        s->backoff_us = BACKOFF_MAX_US;
    s->hold_until_us =
        now_us + (s->retry_ms > 0 ? reply_retry_us(s->retry_ms, s->chance) : s->backoff_us);
}

static struct submission_batch *find_batch(struct submission *s, int64_t req) {
    for (size_t i = 0; req > 0 && i < SUBMISSION_BATCHES; i++)
        if (s->batches[i].req == req)
            return &s->batches[i];
    return NULL;
}

static bool submission_on_accepted(struct submission *s, struct submission_batch *batch,
    const msgpack_object *root, int64_t now_us, struct wire_error *err) {
    const msgpack_object *ids = wire_find(root, "ids");
    const struct submission_item *item;
    uint32_t count = 0;
    TAILQ_FOREACH(item, &batch->items, link) {
        bool wrong = ids == NULL || ids->type != MSGPACK_OBJECT_ARRAY ||
                     count >= ids->via.array.size ||
                     (ids->via.array.ptr[count].type != MSGPACK_OBJECT_MAP &&
                         !wire_is(&ids->via.array.ptr[count], item->id));
        if (wrong) {
            wire_fail(err, "bad-request", "ids", "do not fit the traces that were submitted");
            return false;
        }
        count++;
    }
    settle_batch(s, batch, ids, NULL, now_us);
    return true;
}

static void on_part(
    struct submission *s, struct submission_item *item, const msgpack_object *root) {
    const msgpack_object *seq = wire_find(root, "seq");
    bool fresh = seq != NULL && seq->type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
                 submission_item_add_part(item, (int64_t)seq->via.u64);
    if (fresh && s->events.part != NULL)
        s->events.part(s->events.context, item, root);
}

void submission_end(
    struct submission *s, struct submission_item *item, const msgpack_object *result) {
    s->events.result(s->events.context, item, result);
    if (item->held)
        TAILQ_REMOVE(&s->held, item, by_held);
    item->held = false;
    if (item->state == SUBMISSION_ITEM_SENT) {
        item->state = SUBMISSION_ITEM_DONE;
        return;
    }
    if (item == s->cancel_next)
        s->cancel_next = TAILQ_NEXT(item, link);
    if (item->state == SUBMISSION_ITEM_WAITING) {
        TAILQ_REMOVE(&s->waiting, item, link);
        s->waiting_count--;
    } else {
        TAILQ_REMOVE(&s->pending, item, link);
        s->pending_count--;
    }
    submission_free(s, item);
}

static void submission_on_result(struct submission *s, const msgpack_object *root) {
    bool part;
    struct submission_item *item = submission_item_find(&s->ids, root, &part);
    if (item == NULL || !s->notify || item->state == SUBMISSION_ITEM_DONE)
        return;
    if (part) {
        on_part(s, item, root);
        return;
    }
    if (!submission_hold(s, item, root))
        submission_end(s, item, root);
}

bool submission_message(struct submission *s, int64_t now_us, const char *op, int64_t req,
    const msgpack_object *root, struct wire_error *err) {
    struct submission_batch *batch = find_batch(s, req);
    if (strcmp(op, "result") == 0) {
        submission_on_result(s, root);
    } else if (strcmp(op, "hop") == 0) {
        bool part;
        struct submission_item *item = submission_item_find(&s->ids, root, &part);
        if (item != NULL && !part && item->state != SUBMISSION_ITEM_DONE && s->events.hop != NULL)
            s->events.hop(s->events.context, item, root);
    } else if (strcmp(op, "accepted") == 0 && batch != NULL) {
        return submission_on_accepted(s, batch, root, now_us, err);
    } else if (strcmp(op, "error") == 0 && batch != NULL) {
        settle_batch(s, batch, NULL, root, now_us);
    } else if (strcmp(op, "results") == 0) {
        const msgpack_object *results = wire_find(root, "results");
        for (uint32_t i = 0; results != NULL && results->type == MSGPACK_OBJECT_ARRAY &&
                             i < results->via.array.size;
             i++)
            submission_on_result(s, &results->via.array.ptr[i]);
        submission_fetched(s, req, root);
    }
    /* Anything else answers a cancel, or a message that was answered before. */
    return true;
}
