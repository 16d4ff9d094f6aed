/* golden: the golden blocks of docs/protocol.md. */
#ifndef TEST_GOLDEN_H
#define TEST_GOLDEN_H

#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN_MAX_BLOCKS 64
#define GOLDEN_MAX_BYTES 4096

struct golden_block {
    char name[64];
    unsigned char bytes[GOLDEN_MAX_BYTES];
    size_t size;
};

struct golden {
    struct golden_block blocks[GOLDEN_MAX_BLOCKS];
    size_t count;
};

static inline void golden_read_hex(struct golden_block *block, const char *line) {
    unsigned byte;
    int used;
    while (sscanf(line, " %2x%n", &byte, &used) == 1) {
        if (block->size == GOLDEN_MAX_BYTES)
            fail_msg("%s: over %d bytes", block->name, GOLDEN_MAX_BYTES);
        block->bytes[block->size++] = (unsigned char)byte;
        line += used;
    }
    if (strspn(line, " \n") != strlen(line))
        fail_msg("%s: not hex: %s", block->name, line);
}

/* Reads the document of the source tree that HOPMQ_SOURCE names, or of the working directory.
 * 0, or -1 if it cannot be read. */
static inline int golden_read(struct golden *golden) {
    const char *source = getenv("HOPMQ_SOURCE");
    char path[4096], *line = NULL;
    size_t room = 0;
    golden->count = 0;
    (void)snprintf(path, sizeof path, "%s/docs/protocol.md", source != NULL ? source : ".");
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "%s: cannot be read; HOPMQ_SOURCE names the source tree\n", path);
        return -1;
    }
    enum { OUTSIDE, JSON, HEX } part = OUTSIDE;
    while (getline(&line, &room, file) > 0) {
        struct golden_block *block = &golden->blocks[golden->count];
        if (part == OUTSIDE && strncmp(line, "```golden ", 10) == 0) {
            assert_true(golden->count < GOLDEN_MAX_BLOCKS);
            (void)sscanf(line + 10, "%63s", block->name);
            block->size = 0;
            part = JSON;
        } else if (part == JSON) {
            part = HEX;
        } else if (part == HEX && strncmp(line, "```", 3) == 0) {
            golden->count++;
            part = OUTSIDE;
        } else if (part == HEX) {
            golden_read_hex(block, line);
        }
    }
    free(line);
    return fclose(file);
}

/* The block of that name; fails the test if there is none. */
static inline const struct golden_block *golden_find(
    const struct golden *golden, const char *name) {
    for (size_t i = 0; i < golden->count; i++)
        if (strcmp(golden->blocks[i].name, name) == 0)
            return &golden->blocks[i];
    fail_msg("golden %s: not in the document", name);
    return NULL;
}

static inline void golden_show(const char *what, const void *bytes, size_t size) {
    fprintf(stderr, "  %s", what);
    for (size_t i = 0; i < size; i++)
        fprintf(stderr, " %02x", ((const unsigned char *)bytes)[i]);
    fprintf(stderr, "\n");
}

/* Shows both where they differ. */
static inline bool golden_same(const struct golden_block *block, const void *bytes, size_t size) {
    if (size == block->size && memcmp(bytes, block->bytes, size) == 0)
        return true;
    fprintf(stderr, "golden %s: encoded differently\n", block->name);
    golden_show("document", block->bytes, block->size);
    golden_show("ours    ", bytes, size);
    return false;
}

#endif
