/* timeline: entries in the order in which they are due. Pure. Each entry is a member of the object
 * that it times, so that nothing is allocated.
 *
 * All deadlines of a process live here and one wake-up timer serves them: zloop scans its own
 * timers linearly. Adding, moving and removing an entry costs O(log n).
 */
#ifndef HOPMQ_TIMELINE_H
#define HOPMQ_TIMELINE_H

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMELINE_NEVER INT64_MAX

/* A member of the object that it times. Zero it before its first use. */
struct timeline_entry {
    RB_ENTRY(timeline_entry) link;
    int64_t due_us;
    int64_t order; /* entries of one time come in the order in which they were set */
    bool set;
};

RB_HEAD(timeline_tree, timeline_entry);

struct timeline {
    struct timeline_tree tree;
    struct timeline_entry *last;
    int64_t next_order;
};

/* The object of `type` whose member `member` is the entry. */
#define TIMELINE_OWNER(entry, type, member) ((type *)timeline_owner(entry, offsetof(type, member)))
static inline void *timeline_owner(struct timeline_entry *entry, size_t offset) {
    return (char *)entry - offset;
}

void timeline_init(struct timeline *timeline);

/* Sets, or moves, the entry to due_us. */
void timeline_set(struct timeline *timeline, struct timeline_entry *entry, int64_t due_us);

/* Takes the entry out. Harmless if it is not set. */
void timeline_unset(struct timeline *timeline, struct timeline_entry *entry);

/* Takes out and returns the first entry that is due at now_us, or NULL. */
struct timeline_entry *timeline_pop(struct timeline *timeline, int64_t now_us);

/* When the first entry is due, or TIMELINE_NEVER. */
int64_t timeline_next(struct timeline *timeline);

#endif
