/* submission: batches, refusals, a busy broker, lost messages, cancel. Time is an argument. */
#include "tests/unit/check.h"

#include "clients/cli/submission.h"
#include "tests/unit/wire_parse.h"

#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000)
#define T0 (1000 * SECOND)

static struct submission *s;
static struct transcript happened;
static struct wire_doc doc;
static msgpack_sbuffer bytes;

static void on_accepted(void *context, struct submission_item *item) {
    (void)context;
    transcript_add(&happened, "accepted %s\n", item->id);
}

static void on_refused(void *context, struct submission_item *item, const char *message) {
    (void)context;
    transcript_add(&happened, "refused %s: %s\n", item->target, message);
}

static void on_hop(void *context, struct submission_item *item, const msgpack_object *hop) {
    (void)context;
    (void)hop;
    transcript_add(&happened, "hop %s\n", item->id);
}

static void on_result(void *context, struct submission_item *item, const msgpack_object *result) {
    (void)context;
    (void)result;
    transcript_add(&happened, "result %s\n", item->id);
}

static void on_lost(void *context, struct submission_item *item) {
    (void)context;
    transcript_add(&happened, "lost %s\n", item->id);
}

static void on_part(void *context, struct submission_item *item, const msgpack_object *result) {
    (void)context;
    const msgpack_object *id = wire_find(result, "id");
    transcript_add(&happened, "part %s: %.*s\n", item->id, (int)id->via.str.size, id->via.str.ptr);
}

static const struct submission_events events = {
    NULL, on_accepted, on_refused, on_hop, on_result, on_lost, on_part};

static void begin(bool notify) {
    struct trace trace;
    trace_defaults(&trace);
    trace.attempts = 2;
    trace.deadline_ms = 10000;
    s = submission_new(&trace, "x", notify, 60 * SECOND, UINT32_MAX / 2 + 1, &events);
}

static int set_up(void **state) {
    (void)state;
    happened = (struct transcript){0};
    msgpack_sbuffer_init(&bytes);
    return wire_doc_init(&doc) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    submission_destroy(&s);
    free(happened.at);
    wire_doc_free(&doc);
    msgpack_sbuffer_destroy(&bytes);
    return 0;
}

/* What happened since the last time. */
static void expect(const char *text) {
    assert_string_equal(happened.at != NULL ? happened.at : "", text);
    free(happened.at);
    happened = (struct transcript){0};
}

/* What is sent now: "OP REQ COUNT", and "-" for nothing. */
static void expect_sent(int64_t now_us, const char *text) {
    char got[96] = "-";
    msgpack_sbuffer out;
    struct wire_error err;
    msgpack_sbuffer_init(&out);
    if (submission_poll(s, now_us, &out)) {
        assert_true(wire_doc_read(&doc, out.data, out.size, REQUEST_MAX_VALUES, &err));
        assert_true(out.size <= REQUEST_MAX_BYTES);
        struct request request;
        assert_true(request_get(&request, &doc.root, &err));
        const msgpack_object *op = wire_find(&doc.root, "op");
        const msgpack_object *items = request.traces != NULL ? request.traces : request.ids;
        (void)snprintf(got, sizeof got, "%.*s %d %u%s", (int)op->via.str.size, op->via.str.ptr,
            (int)request.req->via.u64, items->via.array.size, request.notify ? " notify" : "");
    }
    msgpack_sbuffer_destroy(&out);
    assert_string_equal(got, text);
}

static bool answer(int64_t now_us, const char *op, int64_t req, const char *text) {
    struct wire_error err;
    if (!wire_parse_read(&doc, &bytes, text, &err))
        fail_msg("%s: %s", text, err.message);
    return submission_message(s, now_us, op, req, &doc.root, &err);
}

/* One trace, or two, have been submitted and accepted, and their results are waited for. */
static void begin_one_accepted(void) {
    begin(true);
    (void)submission_add(s, "192.0.2.1", "one", 0);
    expect_sent(T0, "submit 1 1 notify");
    assert_true(answer(T0, "accepted", 1, "{'ids': ['one']}"));
}

static void begin_two_accepted(void) {
    begin(true);
    (void)submission_add(s, "192.0.2.1", "one", 0);
    (void)submission_add(s, "192.0.2.2", "two", 0);
    expect_sent(T0, "submit 1 2 notify");
    assert_true(answer(T0, "accepted", 1, "{'ids': ['one', 'two']}"));
}

static void submits(void **state) {
    (void)state;
    begin(false);
    (void)submission_add(s, "192.0.2.1", NULL, 1);
    (void)submission_add(s, "192.0.2.2", NULL, 2);
    assert_false(submission_idle(s));
    expect_sent(T0, "submit 1 2");
    expect_sent(T0, "-");
    assert_int_equal(submission_next(s), T0 + 10 * SECOND);
    /* An answer to something else, one that does not fit, and the answer. */
    assert_true(answer(T0, "accepted", 9, "{'ids': []}"));
    assert_false(answer(T0, "accepted", 1, "{'ids': ['x-1']}"));
    assert_false(answer(T0, "accepted", 1, "{'ids': ['x-2', 'x-1']}"));
    assert_false(answer(T0, "accepted", 1, "{'ids': 1}"));
    expect("");
    assert_true(answer(
        T0, "accepted", 1, "{'ids': ['x-1', {'code': 'conflict', 'message': 'id: in use'}]}"));
    expect("accepted x-1\nrefused 192.0.2.2: id: in use\n");
    assert_true(submission_idle(s));
    assert_int_equal(submission_next(s), INT64_MAX);
}

/* A message holds REQUEST_MAX_ITEMS traces, and SUBMISSION_BATCHES messages may be unanswered. */
static void batches(void **state) {
    (void)state;
    begin(false);
    assert_int_equal(submission_room(s), 5000);
    for (int i = 0; i < 5000; i++)
        (void)submission_add(s, "192.0.2.1", NULL, 0);
    assert_int_equal(submission_room(s), 0);
    expect_sent(T0, "submit 1 1000");
    expect_sent(T0, "submit 2 1000");
    expect_sent(T0, "submit 3 1000");
    expect_sent(T0, "submit 4 1000");
    expect_sent(T0, "-");
    assert_true(answer(T0, "error", 2, "{'code': 'denied', 'message': 'no'}"));
    assert_int_equal(submission_room(s), 1000);
    expect_sent(T0, "submit 5 1000");
}

static void waits(void **state) {
    (void)state;
    begin(true);
    (void)submission_add(s, "192.0.2.1", "one", 0);
    (void)submission_add(s, "192.0.2.2", "two", 0);
    expect_sent(T0, "submit 1 2 notify");
    /* A result may come before the answer. */
    assert_true(answer(T0, "hop", 1, "{'id': 'two'}"));
    assert_true(answer(T0, "result", 1, "{'id': 'two'}"));
    assert_true(answer(T0, "result", 1, "{'id': 'two'}"));
    assert_true(answer(T0, "result", 1, "{'id': 'three'}"));
    assert_true(answer(T0, "result", 1, "{'id': 3}"));
    assert_true(answer(T0, "accepted", 1, "{'ids': ['one', 'two']}"));
    expect("hop two\nresult two\naccepted one\n");
    assert_int_equal(submission_waiting(s), 1);
    assert_true(answer(T0, "result", 1, "{'id': 'one'}"));
    expect("result one\n");
    assert_true(submission_idle(s));
}

/* A result that does not come is asked for once, and then given up. */
static void late(void **state) {
    (void)state;
    begin_two_accepted();
    assert_int_equal(submission_next(s), T0 + 13 * SECOND);
    expect_sent(T0 + 13 * SECOND - 1, "-");
    expect_sent(T0 + 13 * SECOND, "fetch 2 2");
    expect_sent(T0 + 13 * SECOND, "-");
    assert_true(answer(T0, "results", 2, "{'results': [{'id': 'one'}], 'missing': ['two']}"));
    expect("accepted one\naccepted two\nresult one\n");
    assert_int_equal(submission_next(s), T0 + 15 * SECOND);
    expect_sent(T0 + 15 * SECOND - 1, "-");
    expect("");
    expect_sent(T0 + 15 * SECOND, "-");
    expect("lost two\n");
    assert_true(submission_idle(s));
}

static void busy(void **state) {
    (void)state;
    begin(false);
    (void)submission_add(s, "192.0.2.1", NULL, 0);
    (void)submission_add(s, "192.0.2.2", NULL, 0);
    expect_sent(T0, "submit 1 2");
    assert_true(
        answer(T0, "accepted", 1, "{'ids': ['x-1', {'code': 'busy', 'message': 'queue: full'}]}"));
    expect("accepted x-1\n");
    expect_sent(T0, "-");
    assert_int_equal(submission_next(s), T0 + SECOND / 10);
    expect_sent(T0 + SECOND / 10, "submit 2 1");
    assert_true(answer(T0 + SECOND, "error", 2, "{'code': 'busy', 'message': 'draining'}"));
    assert_int_equal(submission_next(s), T0 + SECOND + SECOND / 5);
    expect_sent(T0 + 2 * SECOND, "submit 3 1");
    assert_true(answer(T0 + 59 * SECOND, "error", 3, "{'code': 'busy', 'message': 'draining'}"));
    assert_false(submission_gave_up(s));
    expect_sent(T0 + 60 * SECOND, "-");
    expect("refused 192.0.2.2: the broker was busy for 60 s\n");
    assert_true(submission_gave_up(s));
    assert_true(submission_idle(s));
    assert_int_equal(submission_room(s), 0);
}

/* The broker names a time; `chance` makes it up to a quarter longer, here an eighth. The longest
 * time counts. */
static void busy_for_a_time(void **state) {
    (void)state;
    begin(false);
    (void)submission_add(s, "192.0.2.1", NULL, 0);
    (void)submission_add(s, "192.0.2.2", NULL, 0);
    expect_sent(T0, "submit 1 2");
    assert_true(answer(T0, "accepted", 1,
        "{'ids': [{'code': 'busy', 'message': '', 'reason': 'queue', 'retry_ms': 4000},"
        "{'code': 'busy', 'message': '', 'retry_ms': 1000}]}"));
    assert_int_equal(submission_next(s), T0 + 4500000);
    expect_sent(T0 + 4499999, "-");
    expect_sent(T0 + 4500000, "submit 2 2");
    assert_true(
        answer(T0 + 5 * SECOND, "error", 2, "{'code': 'busy', 'message': '', 'retry_ms': 800}"));
    assert_int_equal(submission_next(s), T0 + 5 * SECOND + 900000);
    expect_sent(T0 + 6 * SECOND, "submit 3 2");
    /* without a time the client's own patience counts, which has grown meanwhile */
    assert_true(answer(T0 + 6 * SECOND, "error", 3, "{'code': 'busy', 'message': ''}"));
    assert_int_equal(submission_next(s), T0 + 6 * SECOND + 400000);
}

/* A broker that was started again has the traces, but not the sockets that wait for them. */
static void restarts(void **state) {
    (void)state;
    begin_two_accepted();
    (void)submission_add(s, "192.0.2.3", "three", 0);
    expect_sent(T0, "submit 2 1 notify");
    assert_true(answer(T0, "result", 1, "{'id': 'one'}"));
    submission_restarted(s);
    expect_sent(T0 + SECOND, "submit 2 1 notify");
    expect_sent(T0 + SECOND, "submit 3 1 notify");
    expect_sent(T0 + SECOND, "-");
    assert_true(answer(T0 + SECOND, "accepted", 2, "{'ids': ['three']}"));
    assert_true(answer(T0 + SECOND, "accepted", 3, "{'ids': ['two']}"));
    assert_true(answer(T0 + SECOND, "result", 3, "{'id': 'two'}"));
    assert_true(answer(T0 + SECOND, "result", 3, "{'id': 'three'}"));
    expect("accepted one\naccepted two\nresult one\naccepted three\naccepted two\nresult two\n"
           "result three\n");
    assert_true(submission_idle(s));
}

static void restarts_while_cancelled(void **state) {
    (void)state;
    begin_one_accepted();
    submission_cancel(s);
    expect_sent(T0, "cancel 2 1");
    submission_restarted(s);
    expect_sent(T0, "cancel 3 1");
    expect_sent(T0, "-");
}

/* The results of parts come before the summary, which ends it; each is shown once. */
static void fanouts(void **state) {
    (void)state;
    begin_one_accepted();
    assert_true(answer(T0, "hop", 1, "{'id': 'one/w1'}"));
    assert_true(answer(T0, "result", 1, "{'id': 'one/w1', 'seq': 4}"));
    assert_true(answer(T0, "result", 1, "{'id': 'one/w2', 'seq': 5}"));
    assert_true(answer(T0, "result", 1, "{'id': 'one/w1', 'seq': 4}"));
    assert_true(answer(T0, "result", 1, "{'id': 'two/w1', 'seq': 6}"));
    expect("accepted one\npart one: one/w1\npart one: one/w2\n");
    assert_false(submission_idle(s));
    assert_true(answer(T0, "result", 1, "{'id': 'one', 'seq': 7}"));
    expect("result one\n");
    assert_true(submission_idle(s));
}

#define MEMBER(worker, seq)                                                                        \
    "{'worker': '" worker "', 'id': 'one/" worker "', 'stop': 'reached', 'seq': " #seq "}"
#define SUMMARY                                                                                    \
    "{'id': 'one', 'seq': 8, 'members': [" MEMBER("w1", 4) "," MEMBER("w2", 5) "," MEMBER(         \
        "w3", 6) "]}"

/* Results that a summary lists and that have not come are fetched before the summary is passed on.
 */
static void parts_that_were_lost(void **state) {
    (void)state;
    begin_one_accepted();
    assert_true(answer(T0, "result", 1, "{'id': 'one/w2', 'seq': 5}"));
    assert_true(answer(T0, "result", 1, SUMMARY));
    assert_true(answer(T0, "result", 1, SUMMARY));
    expect("accepted one\npart one: one/w2\n");
    expect_sent(T0, "fetch 2 2");
    expect_sent(T0, "-");
    assert_int_equal(submission_next(s), T0 + 10 * SECOND);
    /* not all fit */
    assert_true(answer(T0, "results", 2,
        "{'results': [{'id': 'one/w1', 'seq': 4}], 'missing': [], 'more': ['one/w3']}"));
    expect("part one: one/w1\n");
    expect_sent(T0, "fetch 3 1");
    assert_true(answer(
        T0, "results", 3, "{'results': [{'id': 'one/w3', 'seq': 6}], 'missing': [], 'more': []}"));
    expect("part one: one/w3\nresult one\n");
    assert_true(submission_idle(s));
}

static void parts_that_stay_lost(void **state) {
    (void)state;
    begin(true);
    (void)submission_add(s, "192.0.2.1", "one", 0);
    expect_sent(T0, "submit 1 1 notify");
    /* before the answer to `submit` */
    assert_true(answer(T0, "result", 1, SUMMARY));
    expect_sent(T0, "fetch 2 3");
    submission_restarted(s);
    expect_sent(T0, "fetch 3 3");
    assert_true(answer(T0, "results", 2, "{'results': [], 'missing': [], 'more': []}"));
    expect("");
    assert_true(answer(T0, "results", 3,
        "{'results': [], 'missing': ['one/w1', 'one/w2', 'one/w3'], 'more': []}"));
    expect("result one\n");
    assert_false(submission_idle(s));
    assert_true(answer(T0, "accepted", 1, "{'ids': ['one']}"));
    assert_true(submission_idle(s));
    /* no answer at all */
    (void)submission_add(s, "192.0.2.1", "one", 0);
    expect_sent(T0, "submit 4 1 notify");
    assert_true(answer(T0, "accepted", 4, "{'ids': ['one']}"));
    assert_true(answer(T0, "result", 1, SUMMARY));
    expect_sent(T0, "fetch 5 3");
    expect_sent(T0 + 10 * SECOND - 1, "-");
    expect("accepted one\n");
    expect_sent(T0 + 10 * SECOND, "-");
    expect("result one\n");
    assert_true(submission_idle(s));
}

/* A message without an answer is sent again with the same names. A second answer changes nothing.
 */
static void unanswered(void **state) {
    (void)state;
    begin(false);
    (void)submission_add(s, "192.0.2.1", NULL, 0);
    expect_sent(T0, "submit 1 1");
    expect_sent(T0 + 10 * SECOND - 1, "-");
    expect_sent(T0 + 10 * SECOND, "submit 1 1");
    assert_int_equal(submission_next(s), T0 + 20 * SECOND);
    assert_true(answer(T0, "accepted", 1, "{'ids': ['x-1']}"));
    assert_true(answer(T0, "accepted", 1, "{'ids': ['x-1']}"));
    expect("accepted x-1\n");
}

static void cancels(void **state) {
    (void)state;
    begin_one_accepted();
    (void)submission_add(s, "192.0.2.2", "two", 0);
    expect_sent(T0, "submit 2 1 notify");
    (void)submission_add(s, "192.0.2.3", "three", 0);
    submission_cancel(s);
    expect_sent(T0, "cancel 3 1");
    expect_sent(T0, "-");
    /* The one that was on its way is cancelled when it has arrived. */
    assert_true(answer(T0, "accepted", 2, "{'ids': ['two']}"));
    expect_sent(T0, "cancel 4 1");
    assert_true(answer(T0, "result", 1, "{'id': 'one'}"));
    assert_true(answer(T0, "result", 2, "{'id': 'two'}"));
    expect("accepted one\naccepted two\nresult one\nresult two\n");
    assert_true(submission_idle(s));
}

/* The ids x-FIRST to x-LAST as the answer `accepted`. */
static void accept_made(int64_t now_us, int64_t req, int first, int last) {
    struct transcript text = {0};
    transcript_add(&text, "{'ids': [");
    for (int i = first; i <= last; i++)
        transcript_add(&text, "'x-%d'%s", i, i < last ? "," : "");
    transcript_add(&text, "]}");
    assert_true(answer(now_us, "accepted", req, text.at));
    transcript_free(&text);
    transcript_free(&happened);
}

static void wait_for_many(int count) {
    begin(true);
    for (int i = 0; i < count; i++)
        (void)submission_add(s, "192.0.2.1", NULL, 0);
    for (int first = 1, req = 1; first <= count; first += 1000, req++) {
        msgpack_sbuffer out;
        msgpack_sbuffer_init(&out);
        assert_true(submission_poll(s, T0, &out));
        msgpack_sbuffer_destroy(&out);
        accept_made(T0, req, first, first + 999 < count ? first + 999 : count);
    }
}

/* A `fetch` or `cancel` names REQUEST_MAX_ITEMS traces; what is left goes into the next one. */
static void many_late(void **state) {
    (void)state;
    wait_for_many(1500);
    expect_sent(T0 + 13 * SECOND, "fetch 3 1000");
    expect_sent(T0 + 13 * SECOND, "fetch 4 500");
    expect_sent(T0 + 13 * SECOND, "-");
}

static void many_cancelled(void **state) {
    (void)state;
    wait_for_many(1500);
    submission_cancel(s);
    submission_cancel(s);
    expect_sent(T0, "cancel 3 1000");
    expect_sent(T0, "cancel 4 500");
    expect_sent(T0, "-");
}

/* A trace that is given up is not cancelled any more. */
static void late_while_cancelled(void **state) {
    (void)state;
    begin_one_accepted();
    (void)submission_add(s, "192.0.2.2", "two", 0);
    expect_sent(T0 + SECOND, "submit 2 1 notify");
    assert_true(answer(T0 + SECOND, "accepted", 2, "{'ids': ['two']}"));
    submission_cancel(s);
    expect_sent(T0 + 15 * SECOND, "cancel 3 1");
    expect("accepted one\naccepted two\nlost one\n");
    assert_true(answer(T0 + 15 * SECOND, "result", 2, "{'id': 'two'}"));
    expect("result two\n");
    assert_true(submission_idle(s));
}

/* A trace whose result is here is not cancelled any more either. */
static void ended_while_cancelled(void **state) {
    (void)state;
    begin_two_accepted();
    submission_cancel(s);
    assert_true(answer(T0, "result", 1, "{'id': 'one'}"));
    expect_sent(T0, "cancel 2 1");
    expect("accepted one\naccepted two\nresult one\n");
}

/* Nothing is sent again that was refused as busy after a cancel. */
static void busy_while_cancelled(void **state) {
    (void)state;
    begin(true);
    (void)submission_add(s, "192.0.2.1", "one", 0);
    expect_sent(T0, "submit 1 1 notify");
    submission_cancel(s);
    assert_int_equal(submission_room(s), 0);
    assert_true(answer(T0, "error", 1, "{'code': 'busy', 'message': ''}"));
    expect("");
    assert_true(submission_idle(s));
}

/* The broker asks for more patience than there is: giving up is due before the next attempt. */
static void busy_for_too_long(void **state) {
    (void)state;
    begin(false);
    (void)submission_add(s, "192.0.2.1", NULL, 0);
    expect_sent(T0, "submit 1 1");
    assert_true(answer(T0, "error", 1, "{'code': 'busy', 'message': '', 'retry_ms': 120000}"));
    assert_int_equal(submission_next(s), T0 + 60 * SECOND);
    expect_sent(T0 + 60 * SECOND - 1, "-");
    expect("");
    expect_sent(T0 + 60 * SECOND, "-");
    expect("refused 192.0.2.1: the broker was busy for 60 s\n");
}

/* Patience doubles up to 2 s, and is new after an acceptance. So is the time of being busy. */
static void patience(void **state) {
    (void)state;
    static const int64_t wait_us[] = {100000, 200000, 400000, 800000, 1600000, 2000000, 2000000};
    int64_t now_us = T0, req = 1;
    begin(false);
    (void)submission_add(s, "192.0.2.1", "one", 0);
    (void)submission_add(s, "192.0.2.2", "two", 0);
    expect_sent(now_us, "submit 1 2");
    for (size_t i = 0; i < sizeof wait_us / sizeof wait_us[0]; i++) {
        char sent[40];
        assert_true(answer(now_us, "error", req, "{'code': 'busy', 'message': ''}"));
        assert_int_equal(submission_next(s), now_us + wait_us[i]);
        expect_sent(now_us + wait_us[i] - 1, "-");
        now_us += wait_us[i];
        (void)snprintf(sent, sizeof sent, "submit %d 2", (int)++req);
        expect_sent(now_us, sent);
    }
    now_us = T0 + 59 * SECOND;
    assert_true(answer(
        now_us, "accepted", req, "{'ids': ['one', {'code': 'busy', 'message': 'queue: full'}]}"));
    expect("accepted one\n");
    assert_int_equal(submission_next(s), now_us + 100000);
    expect_sent(T0 + 61 * SECOND, "submit 9 1");
    assert_false(submission_gave_up(s));
}

/* Not more is put into a message than the broker reads, however few traces that is. */
static void large_traces(void **state) {
    (void)state;
    char meta[1100] = "{'v': 1, 'm': '";
    struct trace trace;
    struct wire_doc shared;
    struct wire_error err;
    msgpack_sbuffer shared_bytes;
    memset(meta + strlen(meta), 'x', 1012);
    (void)strcat(meta, "'}");
    msgpack_sbuffer_init(&shared_bytes);
    assert_true(wire_doc_init(&shared));
    assert_true(wire_parse_read(&shared, &shared_bytes, meta, &err));
    trace_defaults(&trace);
    trace.attempts = 2;
    trace.meta = &shared.root;
    s = submission_new(&trace, "x", false, 60 * SECOND, 0, &events);
    for (int i = 0; i < 1000; i++)
        (void)submission_add(s, "192.0.2.1", NULL, 0);
    expect_sent(T0, "submit 1 988");
    expect_sent(T0, "submit 2 12");
    /* sent again, they are the same messages */
    expect_sent(T0 + 10 * SECOND, "submit 2 12");
    expect_sent(T0 + 10 * SECOND, "submit 1 988");
    wire_doc_free(&shared);
    msgpack_sbuffer_destroy(&shared_bytes);
}

/* A restart makes a late result worth a question again. */
static void late_again(void **state) {
    (void)state;
    begin_one_accepted();
    expect_sent(T0 + 13 * SECOND, "fetch 2 1");
    submission_restarted(s);
    assert_int_equal(submission_waiting(s), 0);
    expect_sent(T0 + 13 * SECOND, "submit 3 1 notify");
    assert_true(answer(T0 + 13 * SECOND, "accepted", 3, "{'ids': ['one']}"));
    assert_int_equal(submission_next(s), T0 + 26 * SECOND);
    expect_sent(T0 + 26 * SECOND, "fetch 4 1");
    expect_sent(T0 + 28 * SECOND - 1, "-");
    expect("accepted one\naccepted one\n");
    expect_sent(T0 + 28 * SECOND, "-");
    expect("lost one\n");
}

/* With notify, traces that wait for their results take room, up to SUBMISSION_WAITING. */
static void room(void **state) {
    (void)state;
    begin(true);
    assert_int_equal(submission_room(s), SUBMISSION_WAITING);
    (void)submission_add(s, "192.0.2.1", "one", 0);
    expect_sent(T0, "submit 1 1 notify");
    assert_true(answer(T0, "accepted", 1, "{'ids': ['one']}"));
    assert_int_equal(submission_room(s), SUBMISSION_WAITING - 1);
    assert_true(answer(T0, "result", 1, "{'id': 'one'}"));
    assert_int_equal(submission_room(s), SUBMISSION_WAITING);
    for (int i = 0; i < SUBMISSION_WAITING; i++)
        (void)submission_add(s, "192.0.2.1", NULL, 0);
    assert_int_equal(submission_room(s), 0);
}

/* A result may come when the trace is to be submitted again, after a restart. */
static void result_while_pending(void **state) {
    (void)state;
    begin_one_accepted();
    submission_restarted(s);
    assert_true(answer(T0, "result", 1, "{'id': 'one'}"));
    expect("accepted one\nresult one\n");
    assert_true(submission_idle(s));
    expect_sent(T0, "-");
}

/* A summary may list more parts than one `fetch` can name. */
static void many_parts_lost(void **state) {
    (void)state;
    struct transcript text = {0};
    begin_one_accepted();
    transcript_add(&text, "{'id': 'one', 'seq': 2000, 'members': [");
    for (int i = 1; i <= 1001; i++)
        transcript_add(&text, "{'worker': 'w', 'id': 'one/w', 'stop': 'reached', 'seq': %d}%s", i,
            i < 1001 ? "," : "]}");
    assert_true(answer(T0, "result", 1, text.at));
    transcript_free(&text);
    expect_sent(T0, "fetch 2 1000");
}

/* Ids are known by all of their TRACE_ID_BYTES, and by no more. */
static void long_ids(void **state) {
    (void)state;
    char id[TRACE_ID_BYTES + 1], longer[TRACE_ID_BYTES + 2], text[200];
    memset(id, 'i', sizeof id - 1);
    id[sizeof id - 1] = '\0';
    (void)snprintf(longer, sizeof longer, "%si", id);
    begin(true);
    assert_int_equal(submission_add(s, "192.0.2.1", id, 7)->line, 7);
    expect_sent(T0, "submit 1 1 notify");
    (void)snprintf(text, sizeof text, "{'ids': ['%s']}", id);
    assert_true(answer(T0, "accepted", 1, text));
    transcript_free(&happened);
    assert_true(answer(T0, "hop", 1, "{}"));
    (void)snprintf(text, sizeof text, "{'id': '%s'}", longer);
    assert_true(answer(T0, "result", 1, text));
    (void)snprintf(text, sizeof text, "{'id': '%.*s'}", TRACE_ID_BYTES - 1, id);
    assert_true(answer(T0, "result", 1, text));
    expect("");
    (void)snprintf(text, sizeof text, "{'id': '%s'}", id);
    assert_true(answer(T0, "result", 1, text));
    assert_true(submission_idle(s));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(submits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(batches, set_up, tear_down),
        cmocka_unit_test_setup_teardown(waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(late, set_up, tear_down),
        cmocka_unit_test_setup_teardown(busy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(busy_for_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(restarts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(restarts_while_cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fanouts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parts_that_were_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parts_that_stay_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unanswered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cancels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_late, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(late_while_cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ended_while_cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(busy_while_cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(busy_for_too_long, set_up, tear_down),
        cmocka_unit_test_setup_teardown(patience, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_traces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(late_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(result_while_pending, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_parts_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_ids, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
