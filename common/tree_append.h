/* tree_append: red-black trees (bsd/sys/tree.h) to which most entries are added at the end. The
 * last entry is known, so that such an entry is put there without a search from the root. Pure.
 *
 * `last` points to where the last entry is kept, NULL while the tree is empty: these functions must
 * do all inserting and removing. After RB_GENERATE(name, type, field, compare):
 *
 *   static struct type *name_insert(struct name *head, struct type **last, struct type *entry)
 *   static void name_remove(struct name *head, struct type **last, struct type *entry)
 *
 * They do what RB_INSERT and RB_REMOVE do.
 */
#ifndef HOPMQ_TREE_APPEND_H
#define HOPMQ_TREE_APPEND_H

#include <bsd/sys/tree.h>

#define TREE_APPEND_GENERATE(name, type, field, compare)                                           \
    static struct type *name##_insert(struct name *head, struct type **last, struct type *entry) { \
        struct type *before = *last, *same;                                                        \
        if (before != NULL && compare(before, entry) < 0) {                                        \
            RB_SET(entry, before, field);                                                          \
            RB_RIGHT(before, field) = entry;                                                       \
            name##_RB_INSERT_COLOR(head, entry);                                                   \
            *last = entry;                                                                         \
            return NULL;                                                                           \
        }                                                                                          \
        same = name##_RB_INSERT(head, entry);                                                      \
        if (before == NULL)                                                                        \
            *last = entry;                                                                         \
        return same;                                                                               \
    }                                                                                              \
    static void name##_remove(struct name *head, struct type **last, struct type *entry) {         \
        if (*last == entry)                                                                        \
            *last = name##_RB_PREV(entry);                                                         \
        (void)name##_RB_REMOVE(head, entry);                                                       \
    }

#endif
