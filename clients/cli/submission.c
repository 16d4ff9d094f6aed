#include "clients/cli/submission_state.h"

#include "common/mem.h"
#include "common/order.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_BYTES                                                                                \
    (REQUEST_MAX_BYTES - 8192) /* of traces; the rest is for the message around them */
#define RESEND_US INT64_C(10000000)
/* A late result is asked for by `fetch` this long before it is given up. */
#define FETCH_BEFORE_US INT64_C(2000000)

struct submission *submission_new(const struct trace *trace, const char *prefix, bool notify,
    int64_t busy_timeout_us, uint32_t chance, const struct submission_events *events) {
    struct submission *s = mem_new(1, sizeof *s);
    s->trace = *trace;
    s->events = *events;
    s->notify = notify;
    s->chance = chance;
    s->busy_timeout_us = busy_timeout_us;
    (void)snprintf(s->prefix, sizeof s->prefix, "%s", prefix);
    TAILQ_INIT(&s->pending);
    TAILQ_INIT(&s->waiting);
    TAILQ_INIT(&s->held);
    if (!wire_doc_init(&s->doc))
        abort();
    RB_INIT(&s->ids);
    for (size_t i = 0; i < SUBMISSION_BATCHES; i++)
        TAILQ_INIT(&s->batches[i].items);
    return s;
}

void submission_free(struct submission *s, struct submission_item *item) {
    submission_item_remove(&s->ids, item);
    if (item->held)
        TAILQ_REMOVE(&s->held, item, by_held);
    s->items--;
    submission_item_free(item);
}

void submission_destroy(struct submission **submission) {
    struct submission *s = *submission;
    if (s == NULL)
        return;
    while (!RB_EMPTY(&s->ids))
        submission_free(s, RB_ROOT(&s->ids));
    wire_doc_free(&s->doc);
    free(s);
    *submission = NULL;
}

size_t submission_room(const struct submission *s) {
    if (s->cancelled || s->gave_up)
        return 0;
    size_t limit = s->notify ? SUBMISSION_WAITING : (SUBMISSION_BATCHES + 1) * REQUEST_MAX_ITEMS;
    return s->items < limit ? limit - s->items : 0;
}

struct submission_item *submission_add(
    struct submission *s, const char *target, const char *id, unsigned line) {
    char made[TRACE_ID_BYTES + 1];
    (void)snprintf(made, sizeof made, "%s-%" PRIu64, s->prefix, ++s->made);
    struct submission_item *item = submission_item_new(target, id != NULL ? id : made, line);
    (void)submission_item_insert(&s->ids, item);
    TAILQ_INSERT_TAIL(&s->pending, item, link);
    s->pending_count++;
    s->items++;
    return item;
}

bool submission_idle(const struct submission *s) { return s->items == 0; }

size_t submission_waiting(const struct submission *s) { return s->waiting_count; }

bool submission_gave_up(const struct submission *s) { return s->gave_up; }

/* ---- messages to the broker ------------------------------------------------------------- */

/* Moves what fits from pending into a free batch, or takes a batch that was not answered again. */
static void send_batch(
    struct submission *s, struct submission_batch *batch, int64_t now_us, msgpack_sbuffer *out) {
    msgpack_sbuffer traces;
    msgpack_packer pk;
    struct submission_item *item;
    uint32_t count = 0;
    msgpack_sbuffer_init(&traces);
    msgpack_packer_init(&pk, &traces, msgpack_sbuffer_write);
    TAILQ_FOREACH(item, &batch->items, link) {
        submission_item_put_trace(&pk, item, &s->trace);
        count++;
    }
    while (
        batch->req == 0 && count < REQUEST_MAX_ITEMS && (item = TAILQ_FIRST(&s->pending)) != NULL) {
        size_t before = traces.size;
        submission_item_put_trace(&pk, item, &s->trace);
        if (traces.size > BATCH_BYTES) {
            traces.size = before;
            break;
        }
        TAILQ_REMOVE(&s->pending, item, link);
        TAILQ_INSERT_TAIL(&batch->items, item, link);
        s->pending_count--;
        item->state = SUBMISSION_ITEM_SENT;
        count++;
    }
    if (batch->req == 0)
        batch->req = ++s->last_req;
    batch->sent_us = now_us;
    request_put_submit(out, batch->req, s->notify, &traces, count);
    msgpack_sbuffer_destroy(&traces);
}

/* Asks once for results that are late: their messages may be lost with a connection. */
static bool poll_fetch(struct submission *s, int64_t now_us, msgpack_sbuffer *out) {
    const char *late[REQUEST_MAX_ITEMS];
    uint32_t count = 0;
    struct submission_item *item;
    TAILQ_FOREACH(item, &s->waiting, link) {
        if (item->due_us - FETCH_BEFORE_US > now_us || count == REQUEST_MAX_ITEMS)
            break;
        if (item->fetched)
            continue;
        item->fetched = true;
        late[count++] = item->id;
    }
    if (count > 0)
        request_put_ids(out, "fetch", ++s->last_req, late, count);
    return count > 0;
}

static bool poll_cancel(struct submission *s, msgpack_sbuffer *out) {
    const char *ids[REQUEST_MAX_ITEMS];
    uint32_t count = 0;
    if (!s->cancelled)
        return false;
    while (s->cancel_next != NULL && count < REQUEST_MAX_ITEMS) {
        ids[count++] = s->cancel_next->id;
        s->cancel_next = TAILQ_NEXT(s->cancel_next, link);
    }
    if (count > 0)
        request_put_ids(out, "cancel", ++s->last_req, ids, count);
    return count > 0;
}

static void give_up_late(struct submission *s, int64_t now_us) {
    struct submission_item *item;
    while ((item = TAILQ_FIRST(&s->waiting)) != NULL && item->due_us <= now_us) {
        if (item->held) {
            submission_let_go(s, item);
            continue;
        }
        if (item == s->cancel_next)
            s->cancel_next = TAILQ_NEXT(item, link);
        TAILQ_REMOVE(&s->waiting, item, link);
        s->waiting_count--;
        s->events.lost(s->events.context, item);
        submission_free(s, item);
    }
}

static void give_up_busy(struct submission *s) {
    struct submission_item *item;
    char message[96];
    (void)snprintf(message, sizeof message, "the broker was busy for %d s",
        (int)(s->busy_timeout_us / 1000000));
    s->gave_up = true;
    while ((item = TAILQ_FIRST(&s->pending)) != NULL) {
        TAILQ_REMOVE(&s->pending, item, link);
        s->pending_count--;
        s->events.refused(s->events.context, item, message);
        submission_free(s, item);
    }
}

static struct submission_batch *batch_to_send(struct submission *s, int64_t now_us) {
    struct submission_batch *unused = NULL;
    for (size_t i = 0; i < SUBMISSION_BATCHES; i++) {
        struct submission_batch *batch = &s->batches[i];
        if (batch->req != 0 && batch->sent_us + RESEND_US <= now_us)
            return batch;
        if (batch->req == 0)
            unused = batch;
    }
    return !TAILQ_EMPTY(&s->pending) && s->hold_until_us <= now_us ? unused : NULL;
}

bool submission_poll(struct submission *s, int64_t now_us, msgpack_sbuffer *out) {
    give_up_late(s, now_us);
    if (s->busy_since_us != 0 && s->busy_since_us + s->busy_timeout_us <= now_us &&
        !TAILQ_EMPTY(&s->pending))
        give_up_busy(s);
    if (poll_cancel(s, out) || poll_fetch(s, now_us, out) || submission_poll_held(s, now_us, out))
        return true;
    struct submission_batch *batch = batch_to_send(s, now_us);
    if (batch != NULL)
        send_batch(s, batch, now_us, out);
    return batch != NULL;
}

int64_t submission_next(const struct submission *s) {
    int64_t next = submission_next_held(s);
    const struct submission_item *item;
    bool unused = false;
    for (size_t i = 0; i < SUBMISSION_BATCHES; i++) {
        if (s->batches[i].req != 0)
            next = order_min(next, s->batches[i].sent_us + RESEND_US);
        else
            unused = true;
    }
    if (!TAILQ_EMPTY(&s->pending)) {
        if (unused)
            next = order_min(next, s->hold_until_us);
        if (s->busy_since_us != 0)
            next = order_min(next, s->busy_since_us + s->busy_timeout_us);
    }
    if ((item = TAILQ_FIRST(&s->waiting)) != NULL)
        next = order_min(next, item->due_us);
    TAILQ_FOREACH(item, &s->waiting, link)
    if (!item->fetched)
        return order_min(next, item->due_us - FETCH_BEFORE_US);
    return next;
}

void submission_restarted(struct submission *s) {
    struct submission_item *item;
    TAILQ_FOREACH(item, &s->held, by_held)
    item->fetch_req = 0;
    for (size_t i = 0; i < SUBMISSION_BATCHES; i++)
        s->batches[i].sent_us = INT64_MIN / 2; /* at once */
    if (s->cancelled) {
        s->cancel_next = TAILQ_FIRST(&s->waiting);
        return;
    }
    while ((item = TAILQ_FIRST(&s->waiting)) != NULL) {
        TAILQ_REMOVE(&s->waiting, item, link);
        s->waiting_count--;
        item->state = SUBMISSION_ITEM_PENDING;
        item->fetched = false;
        TAILQ_INSERT_TAIL(&s->pending, item, link);
        s->pending_count++;
    }
}

void submission_cancel(struct submission *s) {
    struct submission_item *item;
    if (s->cancelled)
        return;
    s->cancelled = true;
    while ((item = TAILQ_FIRST(&s->pending)) != NULL) {
        TAILQ_REMOVE(&s->pending, item, link);
        s->pending_count--;
        submission_free(s, item);
    }
    s->cancel_next = TAILQ_FIRST(&s->waiting);
}
