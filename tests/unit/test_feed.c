/* feed, replay, refusal: every result is shown once and in order, whatever is lost on the way. */
#include "tests/unit/check.h"

#include "clients/cli/feed.h"
#include "clients/cli/reply.h"
#include "common/protocol/request.h"
#include "tests/unit/rng.h"
#include "tests/unit/wire_parse.h"

#include <stdlib.h>
#include <string.h>

static struct wire_doc doc;
static msgpack_sbuffer bytes;

static int set_up(void **state) {
    (void)state;
    msgpack_sbuffer_init(&bytes);
    return wire_doc_init(&doc) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    wire_doc_free(&doc);
    msgpack_sbuffer_destroy(&bytes);
    return 0;
}

static const msgpack_object *read_map(const char *text) {
    struct wire_error err;
    if (!wire_parse_read(&doc, &bytes, text, &err))
        fail_msg("%s: %s", text, err.message);
    return &doc.root;
}

static int64_t now_us;

static enum feed_verdict alive(
    struct feed *feed, int64_t epoch, int64_t origin, int64_t seq, const char *streams) {
    struct wire_error err;
    enum feed_verdict verdict;
    char text[200];
    (void)snprintf(text, sizeof text, "{'epoch': %d, 'origin': %d, 'seq': %d, 'streams': {%s}}",
        (int)epoch, (int)origin, (int)seq, streams);
    if (!feed_alive(feed, read_map(text), now_us, &verdict, &err))
        fail_msg("%s: %s", text, err.message);
    return verdict;
}

static struct reply_replay answer(int64_t epoch, int64_t origin, bool more, int64_t lost_to) {
    return (struct reply_replay){.more = more,
        .lost_from = lost_to > 0 ? 1 : 0,
        .lost_to = lost_to,
        .epoch = epoch,
        .origin = origin};
}

/* ---- all streams ------------------------------------------------------------------------ */

static void from_now_on(void **state) {
    (void)state;
    struct feed feed = {.after = -1};
    assert_int_equal(feed_result(&feed, 1, 10, 1), FEED_SKIP); /* where to begin is not known */
    assert_int_equal(alive(&feed, 1, 1, 10, ""), FEED_SKIP);
    assert_int_equal(feed_result(&feed, 1, 10, 1), FEED_SKIP);
    assert_int_equal(feed_result(&feed, 1, 11, 7), FEED_SHOW);
    assert_int_equal(feed_result(&feed, 1, 11, 7), FEED_SKIP);
    assert_int_equal(alive(&feed, 1, 1, 11, ""), FEED_SKIP);
    assert_int_equal(feed_result(&feed, 1, 12, 1), FEED_SHOW);
    assert_int_equal(feed.after, 12);
    struct wire_error err;
    enum feed_verdict verdict;
    assert_false(
        feed_alive(&feed, read_map("{'epoch': 1, 'seq': 3, 'streams': {}}"), 0, &verdict, &err));
    assert_string_equal(err.message, "origin: is missing");
}

static void a_gap_is_filled(void **state) {
    (void)state;
    struct feed feed = {.after = -1};
    (void)alive(&feed, 1, 1, 10, "");
    assert_int_equal(feed_result(&feed, 1, 14, 1), FEED_ASK);
    assert_int_equal(feed.after, 10);
    /* in two pages; the first says that 11 is gone */
    struct reply_replay first = answer(1, 1, true, 11), second = answer(1, 1, false, 0);
    assert_true(feed_replay(&feed, &first));
    assert_true(feed_replay_result(&feed, 12, 1));
    assert_true(feed_replay_result(&feed, 13, 2));
    assert_int_equal(feed_replay_end(&feed, &first), FEED_ASK);
    assert_int_equal(feed.after, 13);
    assert_true(feed_replay(&feed, &second));
    assert_false(feed_replay_result(&feed, 13, 2));
    assert_true(feed_replay_result(&feed, 14, 3));
    assert_true(feed_replay_result(&feed, 15, 4));
    assert_int_equal(feed_replay_end(&feed, &second), FEED_SKIP);
    /* what was published meanwhile, and an older `alive` */
    assert_int_equal(feed_result(&feed, 1, 14, 3), FEED_SKIP);
    assert_int_equal(alive(&feed, 1, 1, 14, ""), FEED_SKIP);
    assert_int_equal(feed_result(&feed, 1, 15, 4), FEED_SKIP);
    assert_int_equal(feed_result(&feed, 1, 16, 5), FEED_SHOW);
    /* the last one was lost: `alive` tells */
    assert_int_equal(alive(&feed, 1, 1, 17, ""), FEED_ASK);
    assert_int_equal(feed.after, 16);
}

/* Where all is gone there is nothing more to ask for. */
static void a_gap_that_cannot_be_filled(void **state) {
    (void)state;
    struct feed feed = {.after = -1};
    (void)alive(&feed, 1, 1, 10, "");
    assert_int_equal(feed_result(&feed, 1, 15, 1), FEED_ASK);
    struct reply_replay replay = answer(1, 1, false, 0);
    assert_true(feed_replay(&feed, &replay));
    assert_int_equal(feed_replay_end(&feed, &replay), FEED_SKIP);
    assert_int_equal(feed.after, 15);
    assert_int_equal(feed_result(&feed, 1, 16, 1), FEED_SHOW);
    assert_int_equal(feed_result(&feed, 1, 20, 1), FEED_ASK);
    assert_int_equal(feed_give_up(&feed), 4);
    assert_int_equal(feed_result(&feed, 1, 21, 1), FEED_SHOW);
}

static void beginning_with_old_ones(void **state) {
    (void)state;
    struct feed all = {.after = 0}, some = {.after = 9}, none = {.after = 10},
                ahead = {.after = 11};
    assert_int_equal(alive(&all, 1, 1, 10, ""), FEED_ASK);
    assert_int_equal(all.after, 0);
    assert_int_equal(alive(&some, 1, 1, 10, ""), FEED_ASK);
    assert_int_equal(some.after, 9);
    assert_int_equal(alive(&none, 1, 1, 10, ""), FEED_SKIP);
    assert_false(none.ahead);
    assert_int_equal(alive(&ahead, 1, 1, 10, ""), FEED_SKIP);
    assert_true(ahead.ahead);
    assert_int_equal(feed_result(&ahead, 1, 11, 1), FEED_SHOW);
}

/* While the origin is the same, a restart is no more than a pause. */
static void a_restart_that_counts_on(void **state) {
    (void)state;
    struct feed feed = {.after = -1};
    (void)alive(&feed, 5, 1, 10, "");
    assert_int_equal(feed_result(&feed, 5, 11, 1), FEED_SHOW);
    assert_int_equal(feed_result(&feed, 8, 12, 1), FEED_SKIP); /* the origin is not known yet */
    assert_int_equal(alive(&feed, 8, 1, 12, ""), FEED_ASK);
    assert_int_equal(feed.after, 11);
    struct reply_replay replay = answer(8, 1, false, 0);
    assert_true(feed_replay(&feed, &replay));
    assert_true(feed_replay_result(&feed, 12, 2));
    (void)feed_replay_end(&feed, &replay);
    assert_int_equal(feed_result(&feed, 8, 13, 3), FEED_SHOW);
    assert_false(feed.renewed);
}

/* A new origin: all that it has counted was there to be seen. */
static void a_restart_that_begins_again(void **state) {
    (void)state;
    struct feed feed = {.after = -1};
    (void)alive(&feed, 1, 1, 10, "");
    assert_int_equal(alive(&feed, 5, 5, 3, ""), FEED_ASK);
    assert_int_equal(feed.after, 0);
    assert_true(feed.renewed);
    /* the answer may be of a third one */
    feed.renewed = false;
    struct reply_replay old = answer(9, 9, false, 0), replay = answer(9, 9, false, 0);
    assert_false(feed_replay(&feed, &old));
    assert_true(feed.renewed);
    assert_int_equal(feed.after, 0);
    assert_true(feed_replay(&feed, &replay));
    assert_true(feed_replay_result(&feed, 1, 1));
    assert_int_equal(feed_replay_end(&feed, &replay), FEED_SKIP);
    assert_int_equal(feed_result(&feed, 9, 2, 2), FEED_SHOW);
    /* nothing counted yet, nothing to ask for */
    assert_int_equal(alive(&feed, 20, 20, 0, ""), FEED_SKIP);
    assert_int_equal(feed_result(&feed, 20, 1, 1), FEED_SHOW);
}

/* ---- one stream ------------------------------------------------------------------------- */

static void a_stream(void **state) {
    (void)state;
    struct feed feed = {.stream = "a", .after = -1};
    assert_int_equal(alive(&feed, 1, 1, 10, "'a': 5, 'b': 5"), FEED_SKIP);
    assert_int_equal(feed_result(&feed, 1, 20, 6), FEED_SHOW);
    assert_int_equal(feed_result(&feed, 1, 20, 6), FEED_SKIP);
    assert_int_equal(alive(&feed, 1, 1, 30, "'b': 15"), FEED_SKIP); /* quiet for a minute */
    assert_int_equal(feed.after, 20);
    assert_int_equal(alive(&feed, 1, 1, 40, "'a': 6, 'b': 16"), FEED_SKIP);
    assert_int_equal(feed.after, 40); /* what was counted since is of others */
    assert_int_equal(feed_result(&feed, 1, 50, 8), FEED_ASK);
    assert_int_equal(feed.after, 40);
    struct reply_replay replay = answer(1, 1, false, 0);
    assert_true(feed_replay(&feed, &replay));
    assert_true(feed_replay_result(&feed, 45, 7));
    assert_true(feed_replay_result(&feed, 50, 8));
    assert_int_equal(feed_replay_end(&feed, &replay), FEED_SKIP);
    assert_int_equal(feed_result(&feed, 1, 51, 9), FEED_SHOW);
    assert_int_equal(alive(&feed, 1, 1, 60, "'a': 10"), FEED_ASK);
    assert_int_equal(feed.after, 51);
    assert_int_equal(feed_give_up(&feed), 1);
    assert_int_equal(feed_result(&feed, 1, 61, 11), FEED_SHOW);
}

/* A stream that no `alive` lists: its first result may have others before it. */
static void a_quiet_stream(void **state) {
    (void)state;
    struct feed feed = {.stream = "a", .after = -1};
    assert_int_equal(alive(&feed, 1, 1, 10, ""), FEED_SKIP);
    assert_int_equal(feed_result(&feed, 1, 12, 7), FEED_ASK);
    assert_int_equal(feed.after, 10);
    struct reply_replay replay = answer(1, 1, false, 0);
    assert_true(feed_replay(&feed, &replay));
    assert_true(feed_replay_result(&feed, 12, 7));
    (void)feed_replay_end(&feed, &replay);
    assert_int_equal(feed_result(&feed, 1, 13, 8), FEED_SHOW);
    struct feed other = {.stream = "a", .after = -1};
    assert_int_equal(alive(&other, 1, 1, 10, ""), FEED_SKIP);
    assert_int_equal(alive(&other, 1, 1, 12, "'a': 7"), FEED_ASK);
    assert_int_equal(feed_give_up(&other), 1);
    assert_int_equal(feed_result(&other, 1, 13, 8), FEED_SHOW);
}

/* One that is not listed may have had results while nothing was heard of the broker. */
static void a_stream_that_is_no_longer_listed(void **state) {
    (void)state;
    struct feed feed = {.stream = "a", .after = -1};
    now_us = 1000;
    assert_int_equal(alive(&feed, 1, 1, 10, "'a': 4"), FEED_SKIP);
    now_us += FEED_SURE_US - 1;
    assert_int_equal(alive(&feed, 1, 1, 12, ""), FEED_SKIP);
    now_us += 1;
    assert_int_equal(alive(&feed, 1, 1, 10, ""), FEED_SKIP); /* nothing was counted since */
    assert_int_equal(alive(&feed, 1, 1, 12, ""), FEED_ASK);
    assert_int_equal(feed.after, 10);
    struct reply_replay replay = answer(1, 1, false, 0);
    assert_true(feed_replay(&feed, &replay));
    assert_true(feed_replay_result(&feed, 11, 5));
    assert_int_equal(feed_replay_end(&feed, &replay), FEED_SKIP);
    assert_int_equal(feed.after, 12);
    assert_int_equal(alive(&feed, 1, 1, 13, ""), FEED_SKIP);
    now_us += FEED_SURE_US - 1;
    assert_int_equal(alive(&feed, 1, 1, 13, "'a': 5"), FEED_SKIP);
    now_us += FEED_SURE_US - 1;
    assert_int_equal(alive(&feed, 1, 1, 14, ""), FEED_SKIP);
    now_us = 0;
}

static void old_ones_of_a_stream(void **state) {
    (void)state;
    struct feed feed = {.stream = "a", .after = 0};
    assert_int_equal(alive(&feed, 1, 1, 10, ""), FEED_ASK);
    struct reply_replay replay = answer(1, 1, false, 4);
    assert_true(feed_replay(&feed, &replay));
    assert_false(feed_replay_result(&feed, 4, 1));
    assert_true(feed_replay_result(&feed, 7, 2));
    (void)feed_replay_end(&feed, &replay);
    assert_int_equal(feed.after, 10);
    assert_int_equal(feed_result(&feed, 1, 11, 3), FEED_SHOW);
}

/* ---- whatever is lost ------------------------------------------------------------------- */

/* A broker that restarts, keeps only its last results, and whose publications and answers are lost
 * or late; what is shown must rise by one, but for what was answered as lost. */
struct world {
    uint64_t rng;
    int64_t epoch, seq, kept; /* results 1..kept are gone */
    int64_t stream_of[400];   /* stream_seq in "a", or -1 - that of others */
    int64_t stream_seqs[2];
    struct feed feed;
    int64_t shown, allowed; /* the last one; up to this one some may be missing */
    bool asking;
};

static bool of_stream(const struct world *w, int64_t seq) {
    return w->feed.stream == NULL || w->stream_of[seq] > 0;
}

static int64_t stream_seq(const struct world *w, int64_t seq) {
    return w->stream_of[seq] > 0 ? w->stream_of[seq] : -1 - w->stream_of[seq];
}

static void show(struct world *w, int64_t seq) {
    assert_true(seq > w->shown && of_stream(w, seq));
    for (int64_t i = (w->shown > w->allowed ? w->shown : w->allowed) + 1; i < seq; i++)
        if (of_stream(w, i))
            fail_msg("%d was shown after %d", (int)seq, (int)w->shown);
    w->shown = seq;
}

static void one_answer(struct world *w) {
    int64_t after = w->feed.after, limit = 1 + rng_below(&w->rng, 5);
    struct reply_replay replay = answer(w->epoch, 1, false, after < w->kept ? w->kept : 0);
    if (rng_below(&w->rng, 3) == 0)
        return; /* it will be asked again */
    assert_true(feed_replay(&w->feed, &replay));
    if (replay.lost_to > w->allowed)
        w->allowed = replay.lost_to;
    for (int64_t i = (after > w->kept ? after : w->kept) + 1; i <= w->seq; i++) {
        if (!of_stream(w, i))
            continue;
        if (limit-- == 0) {
            replay.more = true;
            break;
        }
        if (feed_replay_result(&w->feed, i, stream_seq(w, i)))
            show(w, i);
    }
    w->asking = feed_replay_end(&w->feed, &replay) == FEED_ASK;
}

static void one_result(struct world *w) {
    if (w->seq + 1 == 400)
        return;
    bool other = rng_below(&w->rng, 2) == 0;
    int64_t number = ++w->stream_seqs[other];
    w->stream_of[++w->seq] = other ? -1 - number : number;
    bool lost = w->asking || rng_below(&w->rng, 4) == 0 || !of_stream(w, w->seq);
    if (lost)
        return;
    switch (feed_result(&w->feed, w->epoch, w->seq, number)) {
    case FEED_SHOW:
        show(w, w->seq);
        break;
    case FEED_ASK:
        w->asking = true;
        break;
    case FEED_SKIP:
        break;
    }
}

static void one_alive(struct world *w) {
    char streams[40] = "";
    if (w->asking)
        return;
    if (w->stream_seqs[0] > 0 && rng_below(&w->rng, 2) == 0)
        (void)snprintf(streams, sizeof streams, "'a': %d", (int)w->stream_seqs[0]);
    if (alive(&w->feed, w->epoch, 1, w->seq, streams) == FEED_ASK)
        w->asking = true;
}

static void nothing_is_lost_or_shown_twice(void **state) {
    (void)state;
    uint64_t seed = rng_seed("feed");
    for (int run = 0; run < 2000; run++) {
        struct world w = {.rng = seed + (uint64_t)run, .epoch = 1};
        w.feed = (struct feed){.stream = run % 2 == 0 ? NULL : "a", .after = run % 4 < 2 ? 0 : -1};
        for (int i = 0; i < 5; i++)
            one_result(&w);
        one_alive(&w);
        w.shown = w.feed.after;
        for (int step = 0; step < 200; step++) {
            uint32_t what = rng_below(&w.rng, 20);
            if (what == 0)
                w.epoch++;
            else if (what == 1 && w.kept < w.seq)
                w.kept += 1 + rng_below(&w.rng, (uint32_t)(w.seq - w.kept));
            else if (what < 5)
                one_alive(&w);
            else if (what < 10 && w.asking)
                one_answer(&w);
            else
                one_result(&w);
        }
        /* in the end every result was shown or reported as lost */
        now_us = FEED_SURE_US;
        w.asking = alive(&w.feed, w.epoch, 1, w.seq, "") == FEED_ASK || w.asking;
        now_us = 0;
        while (w.asking)
            one_answer(&w);
        int64_t told = w.shown > w.allowed ? w.shown : w.allowed;
        for (int64_t i = told + 1; i <= w.seq; i++)
            if (of_stream(&w, i))
                fail_msg("run %d: %d was not shown", run, (int)i);
    }
}

/* ---- replay, refusal -------------------------------------------------------------------- */

static void replays(void **state) {
    (void)state;
#define OK "'results': [], 'more': false, 'epoch': 7, 'origin': 5"
#define LOST "lost: must be two seqs, the lower one first"
#define EMPTY "results: must be an array, and not empty while there is more"
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {OK, "ok"},
        {OK ", 'lost': [3, 4]", "ok"},
        {OK ", 'lost': [4, 4]", "ok"},
        {OK ", 'lost': [4, 3]", LOST},
        {OK ", 'lost': [0, 3]", LOST},
        {OK ", 'lost': [1]", LOST},
        {OK ", 'lost': null", LOST},
        {OK ", 'lost': [1, 18446744073709551615]", LOST},
        {OK ", 'results': [{}], 'more': true", "ok"},
        {OK ", 'more': true", EMPTY},
        {OK ", 'results': 7", EMPTY},
        {OK ", 'more': 1", "more: must be true or false"},
        {"'results': []", "more: is missing"},
        {"'results': [], 'more': false, 'epoch': 1", "origin: is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reply_replay replay;
        struct wire_error err;
        char text[200];
        (void)snprintf(text, sizeof text, "{%s}", cases[i].text);
        bool ok = reply_replay_get(&replay, read_map(text), &err);
        assert_string_equal(ok ? "ok" : err.message, cases[i].expected);
        if (ok)
            assert_int_equal(replay.origin, 5);
        if (i == 1)
            assert_true(replay.lost_from == 3 && replay.lost_to == 4);
    }
}

static void expect_request(const char *stream, const char *expected) {
    struct transcript text = {0};
    struct wire_error err;
    struct request request;
    msgpack_sbuffer_clear(&bytes);
    request_put_replay(&bytes, 3, 9, stream, 10);
    assert_true(wire_doc_read(&doc, bytes.data, bytes.size, 100, &err));
    assert_true(request_get(&request, &doc.root, &err));
    wire_parse_add(&text, &doc.root);
    assert_true(transcript_is(&text, expected));
    transcript_free(&text);
}

static void requests(void **state) {
    (void)state;
    expect_request(NULL, "{'v':1,'op':'replay','req':3,'after':9,'limit':10}");
    expect_request("a", "{'v':1,'op':'replay','req':3,'after':9,'stream':'a','limit':10}");
}

static void refusals(void **state) {
    (void)state;
    struct reply_error refusal;
    reply_error_get(&refusal, read_map("{'code': 'busy', 'message': 'm', 'retry_ms': 5}"));
    assert_true(reply_error_is_busy(&refusal));
    assert_int_equal(refusal.retry_ms, 5);
    assert_string_equal(refusal.message, "m");
    reply_error_get(&refusal, read_map("{'code': 'conflict', 'message': ''}"));
    assert_false(reply_error_is_busy(&refusal));
    assert_int_equal(refusal.retry_ms, 0);
    reply_error_get(&refusal, read_map("{'code': 'busy', 'message': 'm', 'retry_ms': -1}"));
    assert_false(reply_error_is_busy(&refusal));
    assert_string_equal(refusal.message, "refused, with a malformed reason");
    assert_int_equal(refusal.retry_ms, 0);
    assert_int_equal(reply_retry_us(1000, 0), 1000000);
    assert_int_equal(reply_retry_us(1000, UINT32_MAX), 1249996);
    assert_int_equal(reply_retry_us(86400000, UINT32_MAX), INT64_C(107999670410));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(from_now_on),
        TEST(a_gap_is_filled),
        TEST(a_gap_that_cannot_be_filled),
        TEST(beginning_with_old_ones),
        TEST(a_restart_that_counts_on),
        TEST(a_restart_that_begins_again),
        TEST(a_stream),
        TEST(a_quiet_stream),
        TEST(a_stream_that_is_no_longer_listed),
        TEST(old_ones_of_a_stream),
        TEST(nothing_is_lost_or_shown_twice),
        TEST(replays),
        TEST(requests),
        TEST(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
