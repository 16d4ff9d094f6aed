/* order: the smaller of two, the greater, and which comes first. Pure; everything is inline.
 *
 * Functions that compare return less than, equal to or greater than 0, as qsort() and tree.h want.
 */
#ifndef HOPMQ_ORDER_H
#define HOPMQ_ORDER_H

#include <bsd/sys/tree.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline int64_t order_min(int64_t a, int64_t b) { return a < b ? a : b; }

static inline int64_t order_max(int64_t a, int64_t b) { return a > b ? a : b; }

static inline int order_compare(int64_t a, int64_t b) { return (a > b) - (a < b); }

/* Of two byte strings the shorter one comes first; those of one size are ordered by memcmp(). */
static inline int order_compare_bytes(const void *a, size_t a_size, const void *b, size_t b_size) {
    return a_size != b_size ? (a_size < b_size ? -1 : 1) : memcmp(a, b, a_size);
}

/* Defines a search by text in a red-black tree that is ordered by strcmp() of the member `key`:
 *
 *   static struct type *name_find(struct name *head, const char *text)
 *
 * returns the entry whose key is the text, or NULL. Unlike RB_FIND it needs no entry to compare
 * with. */
#define ORDER_FIND_TEXT(name, type, field, key)                                                    \
    static struct type *name##_find(const struct name *head, const char *text) {                   \
        struct type *at = RB_ROOT(head);                                                           \
        int order;                                                                                 \
        while (at != NULL && (order = strcmp(text, at->key)) != 0)                                 \
            at = order < 0 ? RB_LEFT(at, field) : RB_RIGHT(at, field);                             \
        return at;                                                                                 \
    }

#endif
