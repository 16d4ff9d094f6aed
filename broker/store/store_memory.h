/* store_memory: keeps results in memory, for a broker without a file. Pure. */
#ifndef HOPMQ_STORE_MEMORY_H
#define HOPMQ_STORE_MEMORY_H

#include "broker/store/batch.h"

struct store_memory;

/* Holds `keep` results, at least 1; a result beyond that replaces the oldest. */
struct store_memory *store_memory_new(int64_t keep);
void store_memory_destroy(struct store_memory **memory);

/* Keeps a copy of the result, whose seq must be greater than all before. It replaces a result of
 * the same id. */
void store_memory_add(struct store_memory *memory, const struct record_result *result);

int64_t store_memory_count(const struct store_memory *memory);

/* Appends the results that were asked for to the empty batch `rows`, and sets ticket, more and
 * first_seq of the answer. */
void store_memory_read(struct store_memory *memory, const struct record_read *read,
    struct batch *rows, struct record_answer *answer);

#endif
