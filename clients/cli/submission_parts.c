/* submission_parts: a summary waits until the results that it lists are here. Those that were lost
 * on the way, such as with a connection, are fetched. */
#include "clients/cli/submission_state.h"

#include "common/mem.h"
#include "common/order.h"
#include "common/protocol/result.h"

#include <stdlib.h>

#define FETCH_US INT64_C(10000000)

/* Counts the members whose results have not come, up to `room`, and copies them to `out` unless
 * that is NULL. */
static uint32_t lacking(const struct submission_item *item, const msgpack_object *summary,
    struct result_member *out, uint32_t room) {
    const msgpack_object *members = wire_find(summary, "members");
    uint32_t count = 0;
    if (members == NULL || members->type != MSGPACK_OBJECT_ARRAY)
        return 0;
    for (uint32_t i = 0; i < members->via.array.size && count < room; i++) {
        struct result_member member;
        struct wire_error err;
        if (!result_get_member(&member, &members->via.array.ptr[i], "", &err) ||
            submission_item_has_part(item, member.seq))
            continue;
        if (out != NULL)
            out[count] = member;
        count++;
    }
    return count;
}

bool submission_hold(
    struct submission *s, struct submission_item *item, const msgpack_object *root) {
    msgpack_packer pk;
    if (item->held)
        return true;
    if (lacking(item, root, NULL, 1) == 0)
        return false;
    msgpack_packer_init(&pk, &item->summary, msgpack_sbuffer_write);
    msgpack_pack_object(&pk, *root);
    item->held = true;
    TAILQ_INSERT_TAIL(&s->held, item, by_held);
    return true;
}

static const msgpack_object *read_summary(
    struct submission *s, const struct submission_item *item) {
    struct wire_error err;
    if (!wire_doc_read(&s->doc, item->summary.data, item->summary.size, UINT32_MAX, &err))
        abort(); /* we packed it */
    return &s->doc.root;
}

void submission_let_go(struct submission *s, struct submission_item *item) {
    submission_end(s, item, read_summary(s, item));
}

static void fetch(
    struct submission *s, struct submission_item *item, int64_t now_us, msgpack_sbuffer *out) {
    struct result_member *members = mem_new(REQUEST_MAX_ITEMS, sizeof *members);
    const char *ids[REQUEST_MAX_ITEMS];
    uint32_t count = lacking(item, read_summary(s, item), members, REQUEST_MAX_ITEMS);
    for (uint32_t i = 0; i < count; i++)
        ids[i] = members[i].id;
    item->fetch_req = ++s->last_req;
    item->held_until_us = now_us + FETCH_US;
    request_put_ids(out, "fetch", item->fetch_req, ids, count);
    free(members);
}

bool submission_poll_held(struct submission *s, int64_t now_us, msgpack_sbuffer *out) {
    struct submission_item *item, *next;
    TAILQ_FOREACH_SAFE(item, &s->held, by_held, next) {
        if (item->fetch_req == 0 && lacking(item, read_summary(s, item), NULL, 1) > 0) {
            fetch(s, item, now_us, out);
            return true;
        }
        if (item->fetch_req == 0 || item->held_until_us <= now_us)
            submission_let_go(s, item);
    }
    return false;
}

int64_t submission_next_held(const struct submission *s) {
    int64_t next = INT64_MAX;
    const struct submission_item *item;
    TAILQ_FOREACH(item, &s->held, by_held) {
        int64_t at = item->fetch_req == 0 ? 0 : item->held_until_us;
        next = order_min(at, next);
    }
    return next;
}

void submission_fetched(struct submission *s, int64_t req, const msgpack_object *root) {
    const msgpack_object *more = wire_find(root, "more");
    struct submission_item *item;
    TAILQ_FOREACH(item, &s->held, by_held)
    if (item->fetch_req == req)
        break;
    if (item == NULL)
        return;
    if (more != NULL && more->type == MSGPACK_OBJECT_ARRAY && more->via.array.size > 0)
        item->fetch_req = 0;
    else
        submission_let_go(s, item);
}
