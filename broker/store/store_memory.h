/* store_memory: results in memory, for a broker without a file. Pure. */
#ifndef HOPMQ_STORE_MEMORY_H
#define HOPMQ_STORE_MEMORY_H

#include "broker/store/batch.h"

struct store_memory;

/* For `keep` results, 1 or more; the oldest are forgotten. */
struct store_memory *store_memory_new(int64_t keep);
void store_memory_destroy(struct store_memory **memory);

/* Keeps a copy of a result whose seq is greater than all before. One with the same id is
 * forgotten. */
void store_memory_add(struct store_memory *memory, const struct record_result *result);

int64_t store_memory_count(const struct store_memory *memory);

/* Appends what is asked for to the empty batch rows, and sets ticket, more and first_seq of the
 * answer. */
void store_memory_read(struct store_memory *memory, const struct record_read *read,
    struct batch *rows, struct record_answer *answer);

#endif
