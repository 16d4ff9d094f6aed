/* outbox: what waits for a batch leaves in order, whole, and not before. */
#include "tests/unit/check.h"

#include "broker/core/outbox.h"
#include "tests/unit/rng.h"

#include <stdlib.h>
#include <string.h>

#define HOLD 4000
#define MAX_SIZE ((size_t)600 * 1024) /* over a block of the outbox */

static const struct outbox_message CLIENT = {
    .kind = OUTBOX_CLIENT, .peer = {"\0abcd", 5, 7, true}, .bytes = "reply", .size = 5};
static const struct outbox_message WORKER = {
    .kind = OUTBOX_WORKER, .peer = {"\0wxyz", 5, 1, false}, .bytes = "", .size = 0};
static const struct outbox_message PUBLISH = {
    .kind = OUTBOX_PUBLISH, .topic = "result.a.b", .bytes = "\x80", .size = 1};

static void same(const struct outbox_message *got, const struct outbox_message *want) {
    assert_int_equal(got->kind, want->kind);
    assert_int_equal(got->size, want->size);
    assert_memory_equal(got->bytes, want->bytes, want->size);
    if (want->kind == OUTBOX_PUBLISH) {
        assert_string_equal(got->topic, want->topic);
        return;
    }
    assert_int_equal(got->peer.size, want->peer.size);
    assert_memory_equal(got->peer.id, want->peer.id, want->peer.size);
    assert_int_equal(got->peer.socket, want->peer.socket);
    assert_int_equal(got->peer.enveloped, want->peer.enveloped);
}

static void a_message_waits_for_its_batch(void **state) {
    (void)state;
    struct outbox *o = outbox_new();
    struct outbox_message m;
    assert_false(outbox_take(o, UINT64_MAX, &m));
    assert_int_equal(outbox_bytes(o), 0);
    outbox_put(o, 3, &CLIENT);
    outbox_put(o, 3, &WORKER);
    outbox_put(o, 5, &PUBLISH);
    assert_true(outbox_bytes(o) > 5 + 5 + 5 + 10 + 1);
    assert_false(outbox_take(o, 2, &m));
    assert_true(outbox_take(o, 3, &m));
    same(&m, &CLIENT);
    assert_true(outbox_take(o, 4, &m));
    same(&m, &WORKER);
    assert_false(outbox_take(o, 4, &m));
    assert_true(outbox_take(o, 5, &m));
    same(&m, &PUBLISH);
    assert_false(outbox_take(o, UINT64_MAX, &m));
    assert_int_equal(outbox_bytes(o), 0);
    outbox_destroy(&o);
    assert_null(o);
    outbox_destroy(&o);
}

/* To tell the core that a message was not delivered makes it say others. */
static void a_taken_message_lives_while_others_are_put_and_taken(void **state) {
    (void)state;
    struct outbox *o = outbox_new();
    struct outbox_message m, first;
    outbox_put(o, 1, &CLIENT);
    assert_true(outbox_take(o, 1, &first));
    for (int i = 0; i < 100000; i++)
        outbox_put(o, 1, &PUBLISH);
    for (int i = 0; i < 100000; i++) {
        assert_true(outbox_take(o, 1, &m));
        same(&m, &PUBLISH);
    }
    assert_false(outbox_take(o, 1, &m));
    for (int i = 0; i < 100000; i++)
        outbox_put(o, 1, &WORKER);
    same(&first, &CLIENT);
    outbox_release(o);
    assert_true(outbox_take(o, 1, &m));
    same(&m, &WORKER);
    outbox_destroy(&o);
}

/* What a burst took is given back, but for some blocks; they are used again. */
static void memory_after_a_burst(void **state) {
    (void)state;
    static const char large[100000], larger[1000000];
    struct outbox *o = outbox_new();
    struct outbox_message m, burst = PUBLISH;
    size_t block = outbox_memory(o), most = 0;
    /* A message larger than a block has one of its own, which is not kept as a spare one. */
    burst.bytes = larger;
    burst.size = sizeof larger;
    outbox_put(o, 1, &burst);
    outbox_put(o, 1, &CLIENT);
    assert_true(outbox_take(o, 1, &m) && outbox_take(o, 1, &m));
    outbox_release(o);
    assert_int_equal(outbox_memory(o), 2 * block);
    burst.bytes = large;
    burst.size = sizeof large;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++)
            outbox_put(o, 1, &burst);
        most = outbox_memory(o);
        assert_true(most > 100 * sizeof large && most < 200 * sizeof large);
        while (outbox_take(o, 1, &m))
            ;
        outbox_release(o);
        assert_int_equal(outbox_memory(o), OUTBOX_SPARE_BYTES);
    }
    outbox_destroy(&o);
}

/* ---- against a model: an array of copies ---------------------------------------------------- */

struct model {
    struct held {
        uint64_t batch;
        struct outbox_message message;
        char id[256], topic[256];
        uint32_t offset; /* of its bytes in the noise */
    } at[HOLD];
    int first, count;
};

static unsigned char noise[MAX_SIZE + 65536];

static size_t some_size(uint64_t *rng) {
    switch (rng_below(rng, 1000)) {
    case 0:
        return rng_below(rng, MAX_SIZE + 1);
    case 1:
        return 0;
    default:
        return rng_below(rng, 1500);
    }
}

static void put_one(struct outbox *o, struct model *model, uint64_t batch, uint64_t *rng) {
    struct held *h = &model->at[(model->first + model->count++) % HOLD];
    h->batch = batch;
    h->offset = rng_below(rng, 65536);
    h->message = (struct outbox_message){
        .kind = (int)rng_below(rng, 3), .bytes = noise + h->offset, .size = some_size(rng)};
    size_t name = 1 + rng_below(rng, 255);
    if (h->message.kind == OUTBOX_PUBLISH) {
        memset(h->topic, 'a' + (int)rng_below(rng, 26), name);
        h->topic[name] = '\0';
        h->message.topic = h->topic;
    } else {
        memcpy(h->id, noise + rng_below(rng, 65536), name);
        h->message.peer =
            (struct core_peer){h->id, name, (int)rng_below(rng, 100), rng_below(rng, 2) == 1};
    }
    outbox_put(o, batch, &h->message);
}

static void behaves_as_the_model(void **state) {
    (void)state;
    uint64_t rng = rng_seed("behaves_as_the_model");
    struct outbox *o = outbox_new();
    struct model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    uint64_t batch = 1, committed = 0;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (unsigned char)rng_next(&rng);
    for (int step = 0; step < 3000; step++) {
        for (uint32_t n = rng_below(&rng, 60); n > 0 && model->count < HOLD; n--)
            put_one(o, model, batch, &rng);
        batch += rng_below(&rng, 3);
        if (rng_below(&rng, 3) == 0)
            committed += rng_below(&rng, (uint32_t)(batch - committed) + 1);
        struct outbox_message m;
        for (uint32_t most = rng_below(&rng, 200); most > 0; most--) {
            const struct held *h = &model->at[model->first];
            bool due = model->count > 0 && h->batch <= committed;
            assert_int_equal(outbox_take(o, committed, &m), due);
            if (!due)
                break;
            same(&m, &h->message);
            model->first = (model->first + 1) % HOLD;
            model->count--;
        }
        if (rng_below(&rng, 2) == 0)
            outbox_release(o);
        assert_int_equal(outbox_bytes(o) == 0, model->count == 0);
    }
    free(model);
    outbox_destroy(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_waits_for_its_batch),
        cmocka_unit_test(a_taken_message_lives_while_others_are_put_and_taken),
        cmocka_unit_test(memory_after_a_burst),
        cmocka_unit_test(behaves_as_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
