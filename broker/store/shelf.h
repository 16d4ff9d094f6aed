/* shelf: results in memory, for a broker without a file. Pure. */
#ifndef HOPMQ_SHELF_H
#define HOPMQ_SHELF_H

#include "broker/store/batch.h"

struct shelf;

/* For `keep` results, 1 or more; the oldest are forgotten. */
struct shelf *shelf_new(int64_t keep);
void shelf_destroy(struct shelf **shelf);

/* Keeps a copy of a result whose seq is greater than all before. One with the same id is
 * forgotten. */
void shelf_add(struct shelf *shelf, const struct record_result *result);

int64_t shelf_count(const struct shelf *shelf);

/* Appends what is asked for to the empty batch rows, and sets ticket, more and first_seq of the
 * answer. */
void shelf_read(struct shelf *shelf, const struct record_read *read, struct batch *rows,
    struct record_answer *answer);

#endif
