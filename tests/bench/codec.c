/* bench-codec: what a result of 15 hops costs to encode and to decode, in CPU time of this process,
 * the least of ROUNDS slices of TIMES each. What else runs on the machine only ever adds to a time,
 * and the slices of all steps take turns, so that it meets all of them. Prints one JSON object.
 *
 * encode: the worker makes the body, the broker puts its keys before it. check: the broker reads
 * the body that a worker sent. decode: a client reads the whole. msgpack: the msgpack library reads
 * the whole into its objects, for comparison. */
#include "tests/bench/peer.h"

#include "common/protocol/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define HOPS 15
#define ROUNDS 50
#define TIMES 20000

struct bench {
    struct hop_probe probes[PEER_MAX_HOPS];
    size_t count;
    msgpack_sbuffer body, whole;
    struct wire_doc doc;
};

static void encode(struct bench *b) {
    static const struct result_head head = {.seq = 123456,
        .stream_seq = 12345,
        .epoch = INT64_C(1700000000000000),
        .accepted_us = INT64_C(1700000001000000),
        .run = 1,
        .id = "60b2a8e4c0d-123456",
        .stream = "default",
        .worker = "ams1"};
    msgpack_packer pk;
    msgpack_sbuffer_clear(&b->body);
    msgpack_packer_init(&pk, &b->body, msgpack_sbuffer_write);
    peer_put_body(&pk, b->probes, b->count);
    msgpack_sbuffer_clear(&b->whole);
    msgpack_packer_init(&pk, &b->whole, msgpack_sbuffer_write);
    result_merge(&pk, &head, b->body.data, b->body.size);
}

static void check(struct bench *b) {
    struct wire_error err;
    if (!wire_doc_read(&b->doc, b->body.data, b->body.size, RESULT_MAX_VALUES, &err) ||
        !result_check_body(&b->doc.root, &err))
        peer_fail(err.message);
}

static void decode(struct bench *b) {
    struct wire_error err;
    struct result_head head;
    struct result_body body;
    if (!wire_doc_read(&b->doc, b->whole.data, b->whole.size, RESULT_MAX_PUBLISHED_VALUES, &err) ||
        !result_get_head(&head, &b->doc.root, &err) || !result_get_body(&body, &b->doc.root, &err))
        peer_fail(err.message);
}

static void read_by_library(struct bench *b) {
    msgpack_unpacked read;
    msgpack_unpacked_init(&read);
    if (msgpack_unpack_next(&read, b->whole.data, b->whole.size, NULL) != MSGPACK_UNPACK_SUCCESS)
        peer_fail("msgpack cannot read a result");
    msgpack_unpacked_destroy(&read);
}

static double cpu_us(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* The time of one step, in a slice of TIMES of them. */
static double slice_us(struct bench *b, void (*step)(struct bench *b)) {
    double started_us = cpu_us();
    for (int i = 0; i < TIMES; i++)
        step(b);
    return (cpu_us() - started_us) / TIMES;
}

int main(void) {
    struct bench b = {.count = 0};
    b.count = peer_probes(b.probes, HOPS);
    msgpack_sbuffer_init(&b.body);
    msgpack_sbuffer_init(&b.whole);
    if (!wire_doc_init(&b.doc))
        peer_fail("no memory");
    static void (*const steps[])(struct bench * b) = {encode, check, decode, read_by_library};
    double best_us[] = {1e9, 1e9, 1e9, 1e9};
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
            double us = slice_us(&b, steps[i]);
            best_us[i] = us < best_us[i] ? us : best_us[i];
        }
    printf("{\"encode_us\": %.3f, \"check_us\": %.3f, \"decode_us\": %.3f, \"msgpack_us\": %.3f, "
           "\"result_bytes\": %zu}\n",
        best_us[0], best_us[1], best_us[2], best_us[3], b.whole.size);
    wire_doc_free(&b.doc);
    msgpack_sbuffer_destroy(&b.body);
    msgpack_sbuffer_destroy(&b.whole);
    return 0;
}
