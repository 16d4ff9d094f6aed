/* The prober's output: the framer must cut the same lines wherever the reads are cut, and what
 * the parser accepts must be within the ranges that the wire protocol allows. */
#include "common/hash.h"
#include "worker/probing/mtr_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(rule)                                                                                \
    do {                                                                                           \
        if (!(rule)) {                                                                             \
            fprintf(stderr, "fuzz_mtr_line: broken: %s\n", #rule);                                 \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void check_reply(const struct mtr_reply *r) {
    CHECK(r->token >= 0);
    CHECK(r->class <= MTR_TROUBLE);
    CHECK(r->word[0] != '\0' && strlen(r->word) <= HOP_WORD_BYTES);
    CHECK(strlen(r->support) <= HOP_WORD_BYTES);
    CHECK(wire_allowed(r->word, strlen(r->word), 0));
    CHECK(r->addr.af == 0 || r->addr.af == 4 || r->addr.af == 6);
    CHECK(r->rtt_us >= -1);
    CHECK(r->mpls_count <= HOP_MPLS_MAX);
    bool answer = r->class == MTR_REPLY || r->class == MTR_EXPIRED || r->class == MTR_UNREACHABLE;
    CHECK(!answer || (r->addr.af != 0 && r->rtt_us >= 0));
    for (unsigned i = 0; i < r->mpls_count; i++) {
        const struct mpls_label *label = &r->mpls[i];
        CHECK(label->label <= 0xfffff && label->tc <= 7 && label->s <= 1);
    }
}

/* A sum over all lines, so that two ways of cutting can be compared. */
static uint64_t add_line(uint64_t sum, const char *line, size_t size) {
    return hash_bytes(hash_bytes(sum, line, size), "\n", 1);
}

/* Feeds the stream in reads of `step` bytes. */
static uint64_t feed(const uint8_t *stream, size_t size, size_t step, uint64_t *overlong) {
    struct mtr_framer framer = {.used = 0};
    uint64_t sum = HASH_START;
    for (size_t at = 0; at < size; at += step) {
        size_t left = size - at < step ? size - at : step, length;
        const char *bytes = (const char *)stream + at, *line;
        while ((line = mtr_framer_next(&framer, &bytes, &left, &length)) != NULL) {
            struct mtr_reply reply;
            CHECK(length <= MTR_REPLY_BYTES);
            CHECK(memchr(line, '\n', length) == NULL);
            if (mtr_line_parse(&reply, line, length))
                check_reply(&reply);
            sum = add_line(sum, line, length);
        }
        CHECK(left == 0);
    }
    *overlong = framer.overlong;
    return sum;
}

/* The first byte says how long the reads are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t overlong, overlong_whole;
    if (size < 2)
        return 0;
    uint64_t sum = feed(data + 1, size - 1, 1U + data[0], &overlong);
    CHECK(sum == feed(data + 1, size - 1, size, &overlong_whole));
    CHECK(overlong == overlong_whole);
    return 0;
}
