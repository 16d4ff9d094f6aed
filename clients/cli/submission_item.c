#include "clients/cli/submission_item.h"

#include "common/mem.h"
#include "common/order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int submission_item_compare(struct submission_item *a, struct submission_item *b) {
    return strcmp(a->id, b->id);
}

/* RB_GENERATE_STATIC of libbsd needs an attribute macro that glibc does not have. */
RB_GENERATE_INTERNAL(submission_item_tree, submission_item, node, submission_item_compare,
    __attribute__((unused)) static)
ORDER_FIND_TEXT(submission_item_tree, submission_item, node, id)

struct submission_item *submission_item_new(const char *target, const char *id, unsigned line) {
    size_t size = strlen(target) + 1;
    struct submission_item *item = mem_new(1, sizeof *item + size);
    memcpy(item->target, target, size);
    (void)snprintf(item->id, sizeof item->id, "%s", id);
    item->line = line;
    return item;
}

void submission_item_free(struct submission_item *item) {
    free(item->parts);
    msgpack_sbuffer_destroy(&item->summary);
    free(item);
}

bool submission_item_insert(struct submission_item_tree *tree, struct submission_item *item) {
    return RB_INSERT(submission_item_tree, tree, item) == NULL;
}

void submission_item_remove(struct submission_item_tree *tree, struct submission_item *item) {
    RB_REMOVE(submission_item_tree, tree, item);
}

struct submission_item *submission_item_find(
    struct submission_item_tree *tree, const msgpack_object *message, bool *part) {
    char key[TRACE_ID_BYTES + 1];
    const msgpack_object *id = wire_find(message, "id");
    if (id == NULL || id->type != MSGPACK_OBJECT_STR)
        return NULL;
    const char *slash = memchr(id->via.str.ptr, '/', id->via.str.size);
    size_t size = slash != NULL ? (size_t)(slash - id->via.str.ptr) : id->via.str.size;
    if (size >= sizeof key)
        return NULL;
    memcpy(key, id->via.str.ptr, size);
    key[size] = '\0';
    *part = slash != NULL;
    return submission_item_tree_find(tree, key);
}

bool submission_item_has_part(const struct submission_item *item, int64_t seq) {
    for (size_t i = item->part_count; i > 0; i--)
        if (item->parts[i - 1] == seq)
            return true;
    return false;
}

bool submission_item_add_part(struct submission_item *item, int64_t seq) {
    if (submission_item_has_part(item, seq))
        return false;
    item->parts = mem_grow(item->parts, item->part_count + 1, sizeof *item->parts);
    item->parts[item->part_count++] = seq;
    return true;
}

void submission_item_put_trace(
    msgpack_packer *pk, const struct submission_item *item, const struct trace *common) {
    struct trace trace = *common;
    (void)snprintf(trace.target, sizeof trace.target, "%s", item->target);
    (void)snprintf(trace.id, sizeof trace.id, "%s", item->id);
    trace_put_map(pk, &trace);
}
