/* tail: red-black trees (bsd/sys/tree.h) that mostly grow at their end, which is known: what comes
 * behind all others is put there without a walk down from the root. Pure.
 *
 * `tail` points to where the last entry is kept, NULL while the tree is empty: all inserting and
 * removing must be by these functions. After RB_GENERATE(name, type, field, compare):
 *
 *   static struct type *name_tail_insert(struct name *head, struct type **tail, struct type *entry)
 *   static void name_tail_remove(struct name *head, struct type **tail, struct type *entry)
 *
 * They do what RB_INSERT and RB_REMOVE do.
 */
#ifndef HOPMQ_TAIL_H
#define HOPMQ_TAIL_H

#include <bsd/sys/tree.h>

#define TAIL_GENERATE(name, type, field, compare)                                                  \
    static struct type *name##_tail_insert(                                                        \
        struct name *head, struct type **tail, struct type *entry) {                               \
        struct type *last = *tail, *same;                                                          \
        if (last != NULL && compare(last, entry) < 0) {                                            \
            RB_SET(entry, last, field);                                                            \
            RB_RIGHT(last, field) = entry;                                                         \
            name##_RB_INSERT_COLOR(head, entry);                                                   \
            *tail = entry;                                                                         \
            return NULL;                                                                           \
        }                                                                                          \
        same = name##_RB_INSERT(head, entry);                                                      \
        if (last == NULL)                                                                          \
            *tail = entry;                                                                         \
        return same;                                                                               \
    }                                                                                              \
    static void name##_tail_remove(struct name *head, struct type **tail, struct type *entry) {    \
        if (*tail == entry)                                                                        \
            *tail = name##_RB_PREV(entry);                                                         \
        (void)name##_RB_REMOVE(head, entry);                                                       \
    }

#endif
