#include "common/timeline.h"

#include "common/order.h"
#include "common/tree_append.h"

#include <stddef.h>

static int timeline_compare(const struct timeline_entry *a, const struct timeline_entry *b) {
    int order = order_compare(a->due_us, b->due_us);
    return order != 0 ? order : order_compare(a->order, b->order);
}

RB_GENERATE(timeline_tree, timeline_entry, link, timeline_compare)
TREE_APPEND_GENERATE(timeline_tree, timeline_entry, link, timeline_compare)

void timeline_init(struct timeline *timeline) {
    RB_INIT(&timeline->tree);
    timeline->last = NULL;
    timeline->next_order = 0;
}

void timeline_unset(struct timeline *timeline, struct timeline_entry *entry) {
    if (!entry->set)
        return;
    timeline_tree_remove(&timeline->tree, &timeline->last, entry);
    entry->set = false;
}

void timeline_set(struct timeline *timeline, struct timeline_entry *entry, int64_t due_us) {
    timeline_unset(timeline, entry);
    entry->due_us = due_us;
    entry->order = timeline->next_order++;
    entry->set = true;
    (void)timeline_tree_insert(&timeline->tree, &timeline->last, entry);
}

struct timeline_entry *timeline_pop(struct timeline *timeline, int64_t now_us) {
    struct timeline_entry *first = RB_MIN(timeline_tree, &timeline->tree);
    if (first == NULL || first->due_us > now_us)
        return NULL;
    timeline_unset(timeline, first);
    return first;
}

int64_t timeline_next(struct timeline *timeline) {
    const struct timeline_entry *first = RB_MIN(timeline_tree, &timeline->tree);
    return first == NULL ? TIMELINE_NEVER : first->due_us;
}
