#include "common/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *mem_new(size_t count, size_t size) {
    void *got = calloc(count > 0 ? count : 1, size);
    if (got == NULL)
        abort();
    return got;
}

void *mem_grow(void *old, size_t count, size_t size) {
    if (count > SIZE_MAX / (size > 0 ? size : 1))
        abort();
    size_t bytes = count * size;
    void *got = realloc(old, bytes > 0 ? bytes : 1);
    if (got == NULL)
        abort();
    return got;
}

void *mem_copy(const void *bytes, size_t size) {
    void *got = mem_grow(NULL, size, 1);
    if (size > 0)
        memcpy(got, bytes, size);
    return got;
}
