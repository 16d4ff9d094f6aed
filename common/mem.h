/* mem: memory, or the end of the process.
 *
 * Every queue and buffer here has a bound, so that running out of memory means that the machine
 * is in trouble and no promise can be kept. The process then aborts and is started again by its
 * supervisor, which is safe by design; half a result would not be.
 */
#ifndef HOPMQ_MEM_H
#define HOPMQ_MEM_H

#include <stddef.h>

/* Zeroed memory for count elements; never NULL, to be given to free(). */
void *mem_new(size_t count, size_t size) __attribute__((returns_nonnull, malloc));

/* As realloc() to count elements. */
void *mem_grow(void *old, size_t count, size_t size) __attribute__((returns_nonnull));

/* A copy of size bytes. */
void *mem_copy(const void *bytes, size_t size) __attribute__((returns_nonnull, malloc));

#endif
