/* names: who is asked, who is told, and for how long it is known. Lines `ask` are questions to the
 * name server, lines `named` answers to traces. */
#include "tests/unit/check.h"

#include "common/timeline.h"
#include "tests/unit/rng.h"
#include "tests/unit/transcript.h"
#include "worker/session/names.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000)

struct rig {
    struct names *names;
    int64_t now_us;
    bool refuses; /* the resolver cannot even send a question: it fails at once */
    unsigned asked, deepest, depth;
    struct transcript out;
};

static void ask(void *context, const struct addr *addr) {
    struct rig *rig = context;
    char text[ADDR_TEXT];
    rig->asked++;
    transcript_add(&rig->out, "ask %s\n", addr_print(addr, text));
    if (rig->refuses) {
        rig->depth++;
        rig->deepest = rig->depth > rig->deepest ? rig->depth : rig->deepest;
        names_answer(rig->names, addr, NAMES_FAILED, "", 0, rig->now_us);
        rig->depth--;
    }
}

static void named(void *owner, int64_t lease, const struct addr *addr, const char *name) {
    struct rig *rig = owner;
    char text[ADDR_TEXT];
    transcript_add(&rig->out, "named %" PRId64 " %s %s\n", lease, addr_print(addr, text),
        name[0] != '\0' ? name : "-");
}

static struct rig *rig_new(void) {
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->now_us = 10 * SECOND;
    rig->names = names_new(&(struct names_sink){rig, ask, named});
    return rig;
}

static void rig_end(struct rig *rig) {
    names_destroy(&rig->names);
    assert_null(rig->names);
    names_destroy(&rig->names);
    transcript_free(&rig->out);
    free(rig);
}

static struct addr at(const char *text) {
    struct addr addr;
    assert_true(addr_parse(&addr, text));
    return addr;
}

static struct addr number(unsigned i) {
    return (struct addr){.af = 4, .bytes = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
}

static void want(struct rig *rig, int64_t lease, const char *addr) {
    struct addr wanted = at(addr);
    names_want(rig->names, rig, lease, &wanted, rig->now_us);
}

static void answer(struct rig *rig, const char *addr, enum names_outcome outcome, const char *name,
    uint32_t ttl_s) {
    struct addr asked = at(addr);
    names_answer(rig->names, &asked, outcome, name, ttl_s, rig->now_us);
}

static void expect(struct rig *rig, const char *expected) {
    assert_true(transcript_is(&rig->out, expected));
    transcript_clear(&rig->out);
}

static void asked_once_for_all(void **state) {
    (void)state;
    struct rig *rig = rig_new();
    want(rig, 1, "10.0.0.1");
    want(rig, 2, "10.0.0.1");
    want(rig, 2, "2001:db8::1");
    expect(rig, "ask 10.0.0.1\nask 2001:db8::1\n");
    answer(rig, "10.0.0.1", NAMES_NAMED, "a.example", 60);
    answer(rig, "10.0.0.1", NAMES_NAMED, "b.example", 60); /* nobody asked for it */
    answer(rig, "10.0.0.9", NAMES_NAMED, "c.example", 60);
    expect(rig, "named 1 10.0.0.1 a.example\nnamed 2 10.0.0.1 a.example\n");
    want(rig, 3, "10.0.0.1");
    expect(rig, "named 3 10.0.0.1 a.example\n");
    struct names_counters c = names_counters(rig->names);
    assert_int_equal(c.queries, 2);
    assert_int_equal(c.cached, 1);
    assert_int_equal(c.failures + c.refused, 0);
    rig_end(rig); /* with a question out */
}

/* Each answer is kept for its own time, to the microsecond. */
static void known_for_a_time(void **state) {
    (void)state;
    static const struct {
        enum names_outcome outcome;
        uint32_t ttl_s;
        int64_t known_s;
    } cases[] = {
        {NAMES_NAMED, 0, 1},
        {NAMES_NAMED, 1, 1},
        {NAMES_NAMED, 300, 300},
        {NAMES_NAMED, 86400, 86400},
        {NAMES_NAMED, 86401, 86400},
        {NAMES_NAMED, UINT32_MAX, 86400},
        {NAMES_NONE, 0, NAMES_NONE_S},
        {NAMES_NONE, 86400, NAMES_NONE_S},
        {NAMES_REFUSED, 86400, NAMES_NONE_S},
        {NAMES_FAILED, 86400, NAMES_FAILED_S},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig *rig = rig_new();
        const char *told = cases[i].outcome == NAMES_NAMED ? "named 1 10.0.0.1 a.example\n"
                                                           : "named 1 10.0.0.1 -\n";
        want(rig, 1, "10.0.0.1");
        expect(rig, "ask 10.0.0.1\n");
        answer(rig, "10.0.0.1", cases[i].outcome, "a.example", cases[i].ttl_s);
        expect(rig, told);
        rig->now_us += cases[i].known_s * SECOND - 1;
        want(rig, 1, "10.0.0.1");
        expect(rig, told);
        rig->now_us++;
        want(rig, 1, "10.0.0.1");
        expect(rig, "ask 10.0.0.1\n");
        struct names_counters c = names_counters(rig->names);
        assert_int_equal(c.refused, cases[i].outcome == NAMES_REFUSED);
        assert_int_equal(c.failures, cases[i].outcome == NAMES_FAILED);
        rig_end(rig);
    }
}

static void questions_are_bounded(void **state) {
    (void)state;
    struct rig *rig = rig_new();
    for (unsigned i = 0; i < NAMES_ASKED + 3; i++) {
        struct addr addr = number(i);
        names_want(rig->names, rig, i, &addr, rig->now_us);
    }
    assert_int_equal(rig->asked, NAMES_ASKED);
    transcript_clear(&rig->out);
    answer(rig, "10.0.0.5", NAMES_NONE, "", 0);
    answer(rig, "10.0.0.3", NAMES_FAILED, "", 0);
    answer(rig, "10.0.0.66", NAMES_NAMED, "early", 1); /* it has not been asked for yet */
    expect(rig, "named 5 10.0.0.5 -\nask 10.0.0.64\nnamed 3 10.0.0.3 -\nask 10.0.0.65\n");
    rig_end(rig);
}

static void a_name_server_that_does_not_keep_up(void **state) {
    (void)state;
    struct rig *rig = rig_new();
    assert_true(names_next(rig->names) == TIMELINE_NEVER);
    for (unsigned i = 0; i <= NAMES_ASKED; i++) {
        struct addr addr = number(i);
        names_want(rig->names, rig, i, &addr, rig->now_us);
    }
    transcript_clear(&rig->out);
    rig->now_us += SECOND;
    want(rig, 100, "10.0.0.64");
    want(rig, 101, "10.0.0.65");
    assert_true(names_next(rig->names) == 10 * SECOND + NAMES_QUEUE_US);
    rig->now_us = 10 * SECOND + NAMES_QUEUE_US;
    names_tick(rig->names, rig->now_us - 1);
    expect(rig, "");
    names_tick(rig->names, rig->now_us);
    expect(rig, "named 64 10.0.0.64 -\nnamed 100 10.0.0.64 -\n");
    assert_true(names_next(rig->names) == rig->now_us + SECOND);
    answer(rig, "10.0.0.1", NAMES_NONE, "", 0);
    expect(rig, "named 1 10.0.0.1 -\nask 10.0.0.65\n");
    want(rig, 102, "10.0.0.64"); /* it was never asked, so nothing is known */
    expect(rig, "");
    assert_int_equal(names_counters(rig->names).failures, 1);
    rig_end(rig);
}

static void wants_are_bounded(void **state) {
    (void)state;
    struct rig *rig = rig_new();
    for (unsigned i = 0; i < NAMES_WANTED; i++)
        want(rig, i, "10.0.0.1");
    expect(rig, "ask 10.0.0.1\n");
    want(rig, 7, "10.0.0.1");
    want(rig, 8, "10.0.0.2");
    expect(rig, "named 7 10.0.0.1 -\nnamed 8 10.0.0.2 -\n");
    assert_int_equal(names_counters(rig->names).failures, 2);
    answer(rig, "10.0.0.1", NAMES_NONE, "", 0);
    transcript_clear(&rig->out);
    want(rig, 8, "10.0.0.2");
    expect(rig, "ask 10.0.0.2\n");
    rig_end(rig);
}

/* Each failure makes room for the next question, which must not be asked recursively. */
static void answers_that_come_at_once(void **state) {
    (void)state;
    struct rig *rig = rig_new();
    for (unsigned i = 0; i < 5000; i++) {
        struct addr addr = number(i);
        names_want(rig->names, rig, i, &addr, rig->now_us);
    }
    assert_int_equal(rig->asked, NAMES_ASKED);
    rig->refuses = true;
    answer(rig, "10.0.0.1", NAMES_FAILED, "", 0);
    assert_int_equal(rig->asked, 5000);
    assert_int_equal(rig->deepest, 1);
    transcript_clear(&rig->out);
    want(rig, 9, "10.1.0.0");
    expect(rig, "ask 10.1.0.0\nnamed 9 10.1.0.0 -\n");
    assert_true(names_next(rig->names) == TIMELINE_NEVER);
    rig_end(rig);
}

/* At random: each want is answered once, and the number of questions stays bounded. */
struct model {
    struct names *names;
    unsigned char told[5000];
    bool out[256];
    unsigned out_count;
};

static void model_ask(void *context, const struct addr *addr) {
    struct model *model = context;
    assert_false(model->out[addr->bytes[3]]);
    model->out[addr->bytes[3]] = true;
    assert_true(++model->out_count <= NAMES_ASKED);
}

static void model_named(void *owner, int64_t lease, const struct addr *addr, const char *name) {
    struct model *model = owner;
    (void)addr;
    (void)name;
    model->told[lease]++;
}

static void model_answer(struct model *model, unsigned i, uint64_t *rng, int64_t now_us) {
    struct addr addr = number(i);
    model->out_count -= model->out[i];
    model->out[i] = false;
    names_answer(
        model->names, &addr, (enum names_outcome)rng_below(rng, 4), "a", rng_below(rng, 4), now_us);
}

static void every_want_is_answered_once(void **state) {
    (void)state;
    uint64_t rng = rng_seed("every_want_is_answered_once");
    struct model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    model->names = names_new(&(struct names_sink){model, model_ask, model_named});
    int64_t now_us = 0;
    unsigned wanted = 0;
    while (wanted < sizeof model->told) {
        struct addr addr = number(rng_below(&rng, 256));
        now_us += rng_below(&rng, 100000);
        if (rng_below(&rng, 3) > 0)
            names_want(model->names, model, wanted++, &addr, now_us);
        else
            model_answer(model, rng_below(&rng, 256), &rng, now_us);
        if (rng_below(&rng, 10) == 0)
            names_tick(model->names, now_us);
    }
    names_tick(model->names, now_us + NAMES_QUEUE_US);
    for (unsigned i = 0; i < 256; i++)
        model_answer(model, i, &rng, now_us);
    for (unsigned i = 0; i < wanted; i++)
        assert_int_equal(model->told[i], 1);
    names_destroy(&model->names);
    free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asked_once_for_all),
        cmocka_unit_test(known_for_a_time),
        cmocka_unit_test(questions_are_bounded),
        cmocka_unit_test(a_name_server_that_does_not_keep_up),
        cmocka_unit_test(wants_are_bounded),
        cmocka_unit_test(answers_that_come_at_once),
        cmocka_unit_test(every_want_is_answered_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
