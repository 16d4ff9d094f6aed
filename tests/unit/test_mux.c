/* mux: many traces over one prober, on a clock of our own. The transcript shows what the mux
 * does; probes are numbered in the order in which they were sent. */
#include "common/order.h"
#include "tests/unit/check.h"

#include "common/timeline.h"
#include "tests/unit/mux_rig.h"
#include "tests/unit/rng.h"
#include "tests/unit/world.h"
#include "worker/probing/first_hops.h"
#include "worker/probing/mux.h"
#include "worker/probing/pace.h"
#include "worker/probing/prober_health.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static char A[] = "A", B[] = "B", C[] = "C";

/* ---- one trace -------------------------------------------------------------------------- */

static void a_trace_from_beginning_to_end(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    assert_int_equal(mux_next(rig->mux, rig->now_us), TIMELINE_NEVER);
    add(rig, A, &t);
    assert_int_equal(mux_next(rig->mux, rig->now_us), rig->now_us);
    tick(rig);
    assert_int_equal(mux_next(rig->mux, rig->now_us), rig->now_us + PROBER_HEALTH_EVERY_US);
    pass(rig, 150);
    say(rig, 0, EXPIRED);
    tick(rig);
    tick(rig); /* a repeated tick is harmless */
    pass(rig, 150);
    say(rig, 1, REPLY);
    tick(rig);
    expect(rig, "1000000 #0 to .1 icmp ttl 1 timeout 2\n"
                "1000150 A hop 1: ttl-expired 100\n"
                "1000150 #1 to .1 icmp ttl 2 timeout 2\n"
                "1000300 A hop 2: reply 100\n"
                "1000300 A ends: reached, 2 sent, 2 probes, 192.0.2.1 from 198.51.100.2\n");
    assert_int_equal(mux_next(rig->mux, rig->now_us), TIMELINE_NEVER);
    const struct mux_counters *c = mux_counters(rig->mux);
    assert_int_equal(c->probes_sent, 2);
    assert_int_equal(c->replies, 2);
    assert_int_equal(c->probes_in_flight, 0);
    rig_end(rig);
}

/* The sink gets hops only of traces that want progress or names. */
static void hops_are_told_to_those_who_want_them(void **state) {
    (void)state;
    for (unsigned wants = 0; wants < 4; wants++) {
        struct rig *rig = rig_new(0);
        struct trace t = options();
        t.progress = (wants & 1) != 0;
        t.names = (wants & 2) != 0;
        add(rig, A, &t);
        tick(rig);
        say(rig, 0, EXPIRED);
        tick(rig);
        say(rig, 1, REPLY);
        assert_int_equal(shown(rig, "A hop 2: "), wants == 0 ? 0 : 1);
        assert_int_equal(shown(rig, "A ends: reached, 2 sent, 2 probes"), 1);
        rig_end(rig);
    }
}

static void the_command_says_what_the_trace_wants(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    t.max_ttl = 1;
    t.protocol = TRACE_UDP;
    t.flow = 7;
    t.size = 100;
    t.tos = 8;
    t.bit_pattern = 9;
    t.timeout_ms = 2001;
    add(rig, A, &t);
    t.port = 53;
    add(rig, A, &t);
    t.flow = -1;
    t.port = 0;
    t.timeout_ms = 100;
    add(rig, A, &t);
    t.protocol = TRACE_TCP;
    t.port = 443;
    t.timeout_ms = 30000;
    tick(rig); /* the plain ones first, to have the order of adding */
    add(rig, A, &t);
    tick(rig);
    expect(rig, "1000000 #0 to .1 udp ttl 1 timeout 3 port 9 local-port 10007 size 100 tos 8 "
                "bit-pattern 9\n"
                "1000000 #1 to .1 udp ttl 1 timeout 3 port 53 local-port 11031 size 100 tos 8 "
                "bit-pattern 9\n"
                "1000000 #2 to .1 udp ttl 1 timeout 1 size 100 tos 8 bit-pattern 9\n"
                "1000000 #3 to .1 tcp ttl 1 timeout 1 port 443 size 100 tos 8 bit-pattern 9\n");
    rig_end(rig);
}

static void cancelled(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    t.window = 3;
    struct mux_job *job = add(rig, A, &t);
    rig->quiet = true;
    tick(rig);
    rig->now_us += 200;
    say(rig, 0, EXPIRED);
    say(rig, 2, EXPIRED);
    mux_cancel(rig->mux, job, rig->now_us);
    expect(rig, "1000200 A hop 1: ttl-expired 100\n"
                "1000200 A ends: cancelled, 3 sent, 1 probes, 192.0.2.1 from 198.51.100.2\n");
    /* what is still out belongs to nobody and keeps its slot until its line */
    assert_int_equal(mux_counters(rig->mux)->probes_in_flight, 1);
    say(rig, 1, EXPIRED);
    assert_int_equal(mux_counters(rig->mux)->probes_in_flight, 0);
    assert_int_equal(mux_counters(rig->mux)->late_replies, 1);
    expect(rig, "");
    rig_end(rig);
}

static void the_deadline(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    rig->quiet = true;
    add_until(rig, A, &t, rig->now_us + 500);
    add_until(rig, B, &t, rig->now_us); /* it has passed: nothing is sent */
    tick(rig);
    assert_int_equal(mux_next(rig->mux, rig->now_us), 1000500);
    pass(rig, 499);
    pass(rig, 1);
    expect(rig, "1000000 B ends: deadline, 0 sent, 0 probes, 192.0.2.1 from 198.51.100.2\n"
                "1000500 A ends: deadline, 1 sent, 0 probes, 192.0.2.1 from 198.51.100.2\n");
    rig_end(rig);
}

static void forgotten(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    rig->quiet = true;
    struct mux_job *job = add(rig, A, &t);
    tick(rig);
    mux_forget(rig->mux, job);
    say(rig, 0, "no-reply");
    run_for(rig, 60 * SECOND);
    expect(rig, "");
    assert_int_equal(mux_counters(rig->mux)->probes_in_flight, 0);
    rig_end(rig);
}

static void destroyed_with_everything_in_flight(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    t.window = 10;
    rig->quiet = true;
    add(rig, A, &t);
    mux_cancel(rig->mux, add(rig, B, &t), rig->now_us);
    add(rig, C, &t);
    tick(rig);
    rig_end(rig); /* the leak check is the test */
}

/* ---- times ------------------------------------------------------------------------------ */

/* The trace stops waiting before the prober does: the probe is silent, and its slot is not free. */
static void own_timeout_before_the_line(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    t.timeout_ms = 100;
    t.max_ttl = 1;
    rig->quiet = true;
    add(rig, A, &t);
    tick(rig);
    run_for(rig, 100 * MS);
    expect(rig, "1100000 A hop 1: no-reply\n"
                "1100000 A ends: max-ttl, 1 sent, 1 probes, 192.0.2.1 from 198.51.100.2\n");
    assert_int_equal(mux_counters(rig->mux)->probes_in_flight, 1);
    run_for(rig, 500 * MS);
    say(rig, 0, "reply ip-4 192.0.2.1 round-trip-time 599000");
    assert_int_equal(mux_counters(rig->mux)->probes_in_flight, 0);
    assert_int_equal(mux_counters(rig->mux)->late_replies, 1);
    expect(rig, "");
    rig_end(rig);
}

static void a_prober_that_hangs(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    t.window = 3;
    t.max_ttl = 3;
    t.gap_limit = 0;
    rig->quiet = true;
    add(rig, A, &t);
    run_for(rig, 2 * SECOND);
    transcript_clear(&rig->out); /* silence, max-ttl */
    run_for(rig, 2 * SECOND - 1);
    expect(rig, "");
    run_for(rig, 60 * SECOND);
    expect(rig, "5000000 stuck\n"); /* 1 s + 2 s + MUX_GRACE_US, and once */
    mux_prober(rig->mux, NULL, rig->now_us);
    mux_prober(rig->mux, "0.95", rig->now_us);
    assert_int_equal(mux_counters(rig->mux)->probes_lost, 3);
    add(rig, B, &t);
    run_for(rig, 60 * SECOND);
    assert_int_equal(rig->stuck, 2);
    rig_end(rig);
}

/* A TCP probe waits a second at most, whatever the trace's timeout_ms; a prober that has not said
 * so after MUX_GRACE_US more hangs. */
static void a_prober_that_hangs_on_tcp(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    t.protocol = TRACE_TCP;
    t.timeout_ms = 30000;
    t.max_ttl = 1;
    rig->quiet = true;
    add(rig, A, &t);
    run_for(rig, 3 * SECOND + 1);
    assert_non_null(rig->out.at);
    assert_non_null(strstr(rig->out.at, "stuck"));
    rig_end(rig);
}

/* The prober says nothing at all: no hop becomes silent, and what was out is sent again. */
static void a_prober_that_is_mute(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    t.max_ttl = 1;
    rig->quiet = true;
    rig->hangs = true;
    add(rig, A, &t);
    run_for(rig, 60 * SECOND);
    /* It is asked after PROBER_HEALTH_EVERY_US and has PROBER_HEALTH_DEAD_US to answer. */
    expect(rig, "3100000 stuck\n");
    mux_prober(rig->mux, NULL, rig->now_us);
    mux_prober(rig->mux, "0.95", rig->now_us);
    rig->hangs = false;
    tick(rig);
    assert_int_equal(rig->sent, 2);
    rig->now_us += 200;
    say(rig, 1, REPLY);
    tick(rig);
    expect(rig, "61000200 A hop 1: reply 100\n"
                "61000200 A ends: reached, 2 sent, 1 probes, 192.0.2.1 from 198.51.100.2\n");
    rig_end(rig);
}

/* We were stopped for a minute: the answers that wait in the pipe count, and nobody is judged. */
static void we_were_stopped_ourselves(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    t.max_ttl = 1;
    rig->quiet = true;
    add(rig, A, &t);
    tick(rig);
    rig->now_us += 60 * SECOND;
    rig->hangs = true; /* its word comes after the line */
    tick(rig);
    say(rig, 0, REPLY);
    rig->hangs = false;
    tick(rig);
    assert_int_equal(rig->stuck, 0);
    expect(rig, "61000000 A hop 1: reply 100\n"
                "61000000 A ends: reached, 1 sent, 1 probes, 192.0.2.1 from 198.51.100.2\n");
    rig_end(rig);
}

/* The prober's wall clock was set while the probe was out. */
static void impossible_times(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    t.max_ttl = 1;
    rig->quiet = true;
    add(rig, A, &t);
    tick(rig);
    rig->now_us += 5000;
    say(rig, 0, "reply ip-4 192.0.2.1 round-trip-time 6001");
    tick(rig);
    assert_int_equal(rig->sent, 2);
    rig->now_us += 5000;
    say(rig, 1, "reply ip-4 192.0.2.1 round-trip-time 6000"); /* within the slack */
    expect(rig, "1010000 A hop 1: reply 6000\n"
                "1010000 A ends: reached, 2 sent, 1 probes, 192.0.2.1 from 198.51.100.2\n");
    assert_int_equal(mux_counters(rig->mux)->impossible_times, 1);
    rig_end(rig);
}

/* ---- pacing ----------------------------------------------------------------------------- */

static void evenly_spaced(void **state) {
    (void)state;
    struct rig *rig = rig_new(1000);
    struct trace t = options();
    t.window = 64;
    t.gap_limit = 0;
    t.max_ttl = 64;
    rig->quiet = true;
    for (int i = 0; i < 10; i++)
        add(rig, A, &t);
    run_for(rig, 500 * MS);
    /* what was saved up at once, then one each millisecond */
    assert_int_equal(rig->sent, PACE_BURST + 500);
    for (unsigned i = PACE_BURST; i < rig->sent; i++)
        assert_int_equal(rig->sent_us[i] - rig->sent_us[i - 1], 1000);
    rig_end(rig);
}

/* After a pause of any length no more than a burst is sent at once. */
static void a_pause_is_not_caught_up_with(void **state) {
    (void)state;
    struct rig *rig = rig_new(10000);
    struct trace t = options();
    t.window = 64;
    t.gap_limit = 0;
    t.max_ttl = 64;
    t.timeout_ms = 30000;
    rig->quiet = true;
    for (int i = 0; i < 10; i++)
        add(rig, A, &t);
    run_for(rig, 10 * MS);
    unsigned before = rig->sent;
    pass(rig, 10 * SECOND); /* the process was stopped */
    assert_int_equal(rig->sent - before, pace_burst(10000));
    rig_end(rig);
}

static void a_slow_rate(void **state) {
    (void)state;
    struct rig *rig = rig_new(1);
    struct trace t = options();
    t.window = 5;
    rig->quiet = true;
    t.timeout_ms = 30000;
    add(rig, A, &t);
    run_for(rig, 2 * SECOND + 999 * MS);
    assert_int_equal(rig->sent, 3);
    assert_int_equal(rig->sent_us[1] - rig->sent_us[0], SECOND);
    assert_int_equal(rig->sent_us[2] - rig->sent_us[1], SECOND);
    rig_end(rig);
}

/* ---- limits ----------------------------------------------------------------------------- */

static void slots(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    t.window = 64;
    t.gap_limit = 0;
    t.max_ttl = 64;
    rig->quiet = true;
    for (int i = 0; i < 20; i++)
        add(rig, A, &t);
    tick(rig);
    assert_int_equal(rig->sent, SLOTS_BEFORE_0_96);
    assert_true(mux_next(rig->mux, rig->now_us) > rig->now_us); /* it does not spin */
    say(rig, 0, "no-reply");
    say(rig, 1, "no-reply");
    tick(rig);
    assert_int_equal(rig->sent, SLOTS_BEFORE_0_96 + 2);
    assert_int_equal(mux_counters(rig->mux)->probes_in_flight, SLOTS_BEFORE_0_96);
    rig_end(rig);
}

static void tcp_slots(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    t.window = 64;
    t.gap_limit = 0;
    t.max_ttl = 64;
    t.protocol = TRACE_TCP;
    rig->quiet = true;
    for (int i = 0; i < 20; i++)
        add(rig, A, &t);
    tick(rig);
    assert_int_equal(rig->sent, SLOTS_TCP_LIKE);
    assert_true(mux_next(rig->mux, rig->now_us) > rig->now_us);
    /* a slot that is free again is free for TCP too */
    rig->now_us += SECOND;
    for (unsigned i = 0, before = rig->sent; i < before; i++)
        say(rig, i, "no-reply");
    tick(rig);
    assert_int_equal(rig->sent, 20 * 64);
    rig_end(rig);
}

/* In tests of sequence numbers they come round after this many. */
#define NUMBERS 100

static struct trace one_number(void) {
    struct trace t = options();
    t.max_ttl = 1;
    return t;
}

/* Sends probes until no number is left. 10.0.0.1 answers each of them at once. */
static void use_up_numbers(struct rig *rig) {
    struct trace t = one_number();
    unsigned before;
    do {
        before = rig->sent;
        add(rig, B, &t);
        tick(rig);
        for (unsigned i = before; i < rig->sent; i++)
            say(rig, i, EXPIRED);
        transcript_clear(&rig->out);
    } while (before != rig->sent);
}

/* No number comes round while an answer to it can still come: SEQUENCE_ANSWERED_US after its
 * answer, or SEQUENCE_SILENT_US after its timeout. */
static void numbers_come_round_late(void **state) {
    (void)state;
    struct rig *rig = rig_with_numbers(NUMBERS);
    struct trace old = one_number();
    old.timeout_ms = 5000;
    add(rig, A, &old);
    tick(rig);
    use_up_numbers(rig);
    assert_int_equal(rig->sent, NUMBERS);
    assert_int_equal(rig->skipped, 0);
    assert_int_equal(mux_counters(rig->mux)->sequence_waits, 2);
    pass(rig, SEQUENCE_ANSWERED_US - 1);
    assert_int_equal(rig->sent, NUMBERS);
    assert_int_equal(mux_counters(rig->mux)->sequence_waits, 4); /* it was asked as well */
    /* The old one's number is passed over, for the others are free. */
    pass(rig, 1);
    assert_int_equal(rig->sent, NUMBERS + 1);
    say(rig, NUMBERS, EXPIRED);
    use_up_numbers(rig);
    assert_int_equal(rig->skipped, 1);
    assert_int_equal(mux_counters(rig->mux)->numbers_skipped, 1);
    assert_int_equal(rig->sent, 2 * NUMBERS - 1);
    rig_end(rig);
}

/* ---- answers that may be repeated ------------------------------------------------------- */

#define OTHER "ttl-expired ip-4 10.0.0.2 round-trip-time 100"

/* The same router under the same number within a second: its earlier answer may have come again.
 * The hop is asked again TRACER_MAX_DOUBTS times; a trace that waits no more does not take it
 * either. */
static void repeated_answers_are_asked_for_again(void **state) {
    (void)state;
    struct rig *rig = rig_with_numbers(NUMBERS);
    const struct mux_counters *c = mux_counters(rig->mux);
    struct trace t = one_number();
    use_up_numbers(rig);
    pass(rig, SEQUENCE_ANSWERED_US); /* what the last one still had to send */
    unsigned sent = rig->sent;
    say(rig, sent - 1, OTHER);
    transcript_clear(&rig->out);
    add(rig, A, &t);
    for (unsigned doubts = 0; doubts <= TRACER_MAX_DOUBTS; doubts++) {
        tick(rig);
        assert_int_equal(rig->sent, sent + doubts + 1);
        assert_int_equal(mux_counters(rig->mux)->duplicates_suspected, doubts);
        say(rig, sent + doubts, EXPIRED);
    }
    expect(rig, "1333333 A hop 1: ttl-expired 100\n"
                "1333333 A ends: max-ttl, 6 sent, 1 probes, 192.0.2.1 from 198.51.100.2\n");
    sent = rig->sent;
    t.timeout_ms = 100;
    add(rig, A, &t);
    tick(rig);
    run_for(rig, 100 * MS);
    expect(rig, "1433333 A hop 1: no-reply\n"
                "1433333 A ends: max-ttl, 1 sent, 1 probes, 192.0.2.1 from 198.51.100.2\n");
    say(rig, sent, EXPIRED);
    c = mux_counters(rig->mux);
    assert_int_equal(c->duplicates_suspected, TRACER_MAX_DOUBTS + 1);
    assert_int_equal(c->late_taken, 0);
    assert_int_equal(c->late_replies, 0);
    expect(rig, "");
    rig_end(rig);
}

/* The same while the trace still runs and no longer waits for this probe. */
static void repeated_answers_are_not_taken_late(void **state) {
    (void)state;
    struct rig *rig = rig_with_numbers(NUMBERS);
    struct trace t = options();
    t.timeout_ms = 100;
    t.max_ttl = 2;
    use_up_numbers(rig);
    pass(rig, SEQUENCE_ANSWERED_US);
    say(rig, rig->sent - 1, OTHER);
    transcript_clear(&rig->out);
    unsigned first = rig->sent;
    t.attempts = 2;
    add(rig, A, &t);
    tick(rig);
    run_for(rig, 100 * MS);
    say(rig, first, EXPIRED);
    expect(rig, ""); /* the second attempt is out */
    assert_int_equal(mux_counters(rig->mux)->duplicates_suspected, 1);
    assert_int_equal(mux_counters(rig->mux)->late_taken, 0);
    rig_end(rig);
}

/* Doubts about a hop with many probes are not added up, only those in a row are. */
static void doubts_count_in_a_row(void **state) {
    (void)state;
    struct rig *rig = rig_with_numbers(NUMBERS);
    struct trace t = one_number();
    t.probes = 16;
    t.attempts = 32;
    use_up_numbers(rig);
    pass(rig, SEQUENCE_ANSWERED_US);
    unsigned sent = rig->sent;
    say(rig, sent - 1, OTHER);
    add(rig, A, &t);
    for (int i = 0; i < 4 * TRACER_MAX_DOUBTS; i++) {
        tick(rig);
        say(rig, sent++, i % 2 == 0 ? EXPIRED : OTHER);
    }
    assert_int_equal(mux_counters(rig->mux)->duplicates_suspected, 2 * TRACER_MAX_DOUBTS);
    rig_end(rig);
}

/* A router that answers to many probes is doubted often, and has lost none of them. More than
 * FIRST_HOPS_LOST_PCT of the answers of each second are doubted here. */
static void doubts_are_no_loss(void **state) {
    (void)state;
    struct rig *rig = rig_with_numbers(NUMBERS);
    struct trace t = one_number();
    unsigned answered = 0;
    for (int64_t until_us = rig->now_us + 5 * SECOND; rig->now_us < until_us;) {
        add(rig, A, &t);
        run_for(rig, 3 * MS);
        for (; answered < rig->sent; answered++)
            say(rig, answered, EXPIRED);
        assert_int_equal(mux_counters(rig->mux)->first_hops_limited, 0);
    }
    const struct mux_counters *c = mux_counters(rig->mux);
    assert_true(answered > 5 * FIRST_HOPS_MIN_PROBES);
    assert_int_equal(c->replies, answered);
    printf("%d of %d answers doubted\n", (int)c->duplicates_suspected, (int)c->replies);
    assert_true(c->duplicates_suspected * 100 > (FIRST_HOPS_LOST_PCT + 5) * c->replies);
    rig_end(rig);
}

/* A TCP probe that the kernel may have sent twice has one answer, and the other can still come. */
static void what_was_sent_again_is_unusable_as_if_silent(void **state) {
    (void)state;
    for (int again = 0; again <= 1; again++) {
        struct rig *rig = rig_with_numbers(NUMBERS);
        struct trace tcp = one_number();
        tcp.protocol = TRACE_TCP;
        add(rig, A, &tcp);
        tick(rig);
        rig->now_us += TRACER_SYN_AGAIN_US - !again;
        say(rig, 0, EXPIRED);
        use_up_numbers(rig);
        assert_int_equal(rig->sent, NUMBERS);
        pass(rig, SEQUENCE_DOUBT_US);
        say(rig, NUMBERS, EXPIRED);
        use_up_numbers(rig);
        assert_int_equal(rig->skipped, again);
        rig_end(rig);
    }
}

/* ---- numbers of other workers, and sequence checks -------------------------------------- */

/* Half of the numbers are another worker's. */
static void numbers_of_others_are_skipped(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    t.probes = 16;
    t.attempts = 32;
    t.first_ttl = t.max_ttl = 1;
    rig->quiet = true;
    mux_own(rig->mux, 0xf0);
    add(rig, A, &t);
    tick(rig);
    /* Some at a time, each when earlier ones were answered. */
    assert_int_equal(rig->skipped, MUX_MAX_SKIPS);
    assert_int_equal(rig->sent, 0);
    while (rig->sent == 0) {
        unsigned out = rig->skipped;
        for (unsigned i = 0; i < MUX_MAX_SKIPS; i++)
            mux_reply(rig->mux, &(struct mtr_reply){.token = MTR_TOKEN_SKIP}, rig->now_us);
        tick(rig);
        assert_true(rig->sent > 0 || rig->skipped > out);
    }
    assert_int_equal(rig->skipped, 434 + SEQUENCE_COMMON / 2 - MUX_SHELL_PROBES);
    mux_own(rig->mux, 0);
    tick(rig);
    assert_int_equal(mux_slice_free_us(rig->mux, 0), 0);
    assert_true(mux_slice_free_us(rig->mux, 4) > rig->now_us);
    rig_end(rig);
}

/* A prober that dies takes the unanswered skips with it: those of the next one count from 0. */
static void skips_of_a_prober_that_died(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    rig->quiet = true;
    mux_own(rig->mux, 0xf0);
    add(rig, A, &t);
    tick(rig);
    assert_int_equal(rig->skipped, MUX_MAX_SKIPS);
    tick(rig);
    assert_int_equal(rig->skipped, MUX_MAX_SKIPS); /* no more before an answer */
    assert_true(mux_next(rig->mux, rig->now_us) > rig->now_us);
    mux_prober(rig->mux, NULL, rig->now_us);
    mux_prober(rig->mux, "0.95", rig->now_us);
    tick(rig);
    assert_int_equal(rig->skipped, 2 * MUX_MAX_SKIPS);
    rig_end(rig);
}

/* A TCP probe may have taken more numbers than one: a probe to ourselves shows it. */
static void seq_checks_follow_the_prober(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    t.protocol = TRACE_TCP;
    t.port = 80;
    rig->hears = true;
    add(rig, A, &t);
    tick(rig);
    say(rig, 0, EXPIRED);
    tick(rig);
    expect(rig,
        "1000000 #0 to .1 tcp ttl 1 timeout 1 port 80\n"
        "1000000 #1 send-probe ip-4 127.0.0.1 local-ip-4 127.1.2.3 protocol tcp ttl 64 timeout 1 "
        "port 12345\n"
        "1000000 A hop 1: ttl-expired 100\n"
        "1000000 #2 to .1 tcp ttl 2 timeout 1 port 80\n");
    mux_seq_checked(rig->mux, 33000 + MUX_SHELL_PROBES + 1 + 5, rig->now_us);
    mux_seq_checked(rig->mux, 33000, rig->now_us); /* none is out */
    const struct mux_counters *c = mux_counters(rig->mux);
    assert_int_equal(c->seq_checks, 1);
    assert_int_equal(c->sequence_drift, 5);
    mux_own(rig->mux, SEQUENCE_ALL & ~1U);
    say(rig, 2, EXPIRED);
    tick(rig);
    assert_int_equal(rig->skipped, MUX_MAX_SKIPS);
    for (unsigned i = 0; i < MUX_MAX_SKIPS; i++)
        mux_reply(rig->mux, &(struct mtr_reply){.token = MTR_TOKEN_SKIP}, rig->now_us);
    tick(rig);
    assert_int_equal(rig->skipped, 434 + (SEQUENCE_COMMON + 7) / 8 - (MUX_SHELL_PROBES + 3 + 5));
    assert_int_equal(c->seq_checks_failed, 0);
    rig_end(rig);
}

/* Without loopback the worker goes on; a prober that found no number free is checked at once. */
static void seq_checks_that_fail(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    t.protocol = TRACE_TCP;
    t.port = 80;
    rig->quiet = true;
    add(rig, A, &t);
    const struct mux_counters *c = mux_counters(rig->mux);
    for (unsigned i = 0; i < 6; i++) {
        tick(rig);
        assert_int_equal(rig->sent, i + 1);
        assert_int_equal(c->seq_checks_failed, 1 + i * 500000 / MUX_SEQ_CHECK_US);
        rig->now_us += 500000;
        say(rig, i, EXPIRED);
    }
    rig->hears = true;
    rig->now_us += MUX_SEQ_CHECK_US;
    tick(rig); /* a sequence check, #6, and a probe, #7 */
    assert_int_equal(rig->sent, 8);
    mux_seq_checked(rig->mux, 33007, rig->now_us);
    assert_int_equal(c->seq_checks, 1);
    say(rig, 7, EXPIRED);
    tick(rig);
    assert_int_equal(rig->sent, 9);
    say(rig, 8, "address-in-use");
    tick(rig);
    assert_int_equal(rig->sent, 11);
    rig_end(rig);
}

/* ---- tokens ----------------------------------------------------------------------------- */

static void a_token_is_good_for_one_answer(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    rig->quiet = true;
    add(rig, A, &t);
    tick(rig);
    rig->now_us += 200;
    say(rig, 0, EXPIRED);
    say(rig, 0, REPLY);
    tick(rig);
    say(rig, 0, REPLY);
    expect(rig, "1000200 A hop 1: ttl-expired 100\n");
    assert_int_equal(mux_counters(rig->mux)->bad_tokens, 2);
    assert_int_equal(mux_counters(rig->mux)->probes_in_flight, 1);
    rig_end(rig);
}

static void tokens_of_nobody(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    static const int32_t tokens[] = {0, 1, 2044, 2048, 2048 + SLOTS_BEFORE_0_96, 4095, INT32_MAX};
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        struct mtr_reply reply = {.token = tokens[i], .class = MTR_SILENT, .rtt_us = -1};
        mux_reply(rig->mux, &reply, rig->now_us);
        assert_int_equal(mux_counters(rig->mux)->bad_tokens, (int64_t)i + 1);
    }
    rig_end(rig);
}

static int by_value(const void *a, const void *b) {
    return order_compare(*(const int32_t *)a, *(const int32_t *)b);
}

/* 60,000 probes, and no token twice: an answer that comes very late finds nobody. */
static void tokens_come_back_late(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    t.probes = 16;
    t.attempts = 16;
    t.max_ttl = 1;
    rig->quiet = true;
    while (rig->sent < 60000) {
        unsigned before = rig->sent;
        rig->now_us += 1000; /* numbers need time to come round */
        add(rig, A, &t);
        tick(rig);
        for (unsigned i = before; i < rig->sent; i++)
            say(rig, i, EXPIRED);
    }
    qsort(rig->tokens, rig->sent, sizeof rig->tokens[0], by_value);
    assert_true(rig->tokens[0] >= MTR_TOKEN_PROBES);
    for (unsigned i = 1; i < rig->sent; i++)
        assert_true(rig->tokens[i] != rig->tokens[i - 1]);
    rig_end(rig);
}

/* ---- the prober ------------------------------------------------------------------------- */

static void down_and_up_again(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    t.window = 2;
    add(rig, A, &t);
    tick(rig);
    mux_prober(rig->mux, NULL, rig->now_us);
    pass(rig, 100);
    say(rig, 0, REPLY); /* a line of the dead one */
    add(rig, B, &t);
    pass(rig, 100);
    assert_int_equal(mux_next(rig->mux, rig->now_us), FOREVER);
    mux_prober(rig->mux, "0.95", rig->now_us);
    assert_true(mux_next(rig->mux, rig->now_us) <= rig->now_us);
    tick(rig);
    expect(rig, "1000000 #0 to .1 icmp ttl 1 timeout 2\n"
                "1000000 #1 to .1 icmp ttl 2 timeout 2\n"
                "1000200 #2 to .1 icmp ttl 1 timeout 2\n"
                "1000200 #3 to .1 icmp ttl 1 timeout 2\n"
                "1000200 #4 to .1 icmp ttl 2 timeout 2\n"
                "1000200 #5 to .1 icmp ttl 2 timeout 2\n");
    const struct mux_counters *c = mux_counters(rig->mux);
    assert_int_equal(c->probes_lost, 2);
    assert_int_equal(c->bad_tokens, 1);
    assert_int_equal(c->probes_in_flight, 4);
    rig_end(rig);
}

static void deadlines_hold_without_a_prober(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    mux_prober(rig->mux, NULL, rig->now_us);
    add_until(rig, A, &t, rig->now_us + SECOND);
    run_for(rig, 2 * SECOND);
    expect(rig, "2000000 A ends: deadline, 0 sent, 0 probes, 192.0.2.1 from 198.51.100.2\n");
    rig_end(rig);
}

/* ---- fairness --------------------------------------------------------------------------- */

static void two_traces_take_turns(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    struct trace t = options();
    const struct addr one = addr("192.0.2.1"), two = addr("192.0.2.2"), src = addr("198.51.100.2");
    t.window = 64;
    t.gap_limit = 0;
    t.max_ttl = 3;
    mux_add(rig->mux, &t, &one, &src, A, FOREVER, rig->now_us);
    mux_add(rig->mux, &t, &two, &src, B, FOREVER, rig->now_us);
    tick(rig);
    char order[20] = "";
    for (const char *at = rig->out.at; (at = strstr(at, "to .")) != NULL; at++)
        (void)snprintf(order + strlen(order), sizeof order - strlen(order), "%c", at[4]);
    assert_string_equal(order, "121212");
    rig_end(rig);
}

/* Many plain traces do not starve one of TCP, nor the other way round. */
static void plain_and_tcp_take_turns(void **state) {
    (void)state;
    for (int tcp_is_many = 0; tcp_is_many < 2; tcp_is_many++) {
        struct rig *rig = rig_new(0);
        struct trace t = options();
        t.window = 64;
        t.gap_limit = 0;
        t.max_ttl = 64;
        t.protocol = tcp_is_many ? TRACE_TCP : TRACE_ICMP;
        for (int i = 0; i < 30; i++)
            add(rig, A, &t);
        t.protocol = tcp_is_many ? TRACE_ICMP : TRACE_TCP;
        add(rig, B, &t);
        tick(rig);
        int few = shown(rig, tcp_is_many ? " to .1 icmp " : " to .1 tcp ");
        assert_int_equal(few, 64);
        rig_end(rig);
    }
}

/* ---- properties ------------------------------------------------------------------------- */

struct random_input {
    uint64_t rng;
    int left;
};

static uint32_t below(void *context, uint32_t limit) {
    return rng_below(&((struct random_input *)context)->rng, limit);
}

static bool more(void *context) { return ((struct random_input *)context)->left-- > 0; }

static void random_schedules_keep_the_rules(void **state) {
    (void)state;
    uint64_t seeds = rng_seed("random_schedules");
    int64_t done = 0, sent = 0;
    for (int run = 0; run < 3000; run++) {
        struct random_input input = {rng_next(&seeds), 400};
        struct world_done world = world_run(&(struct world_source){below, more, &input});
        done += world.traces;
        sent += world.probes;
    }
    printf("%" PRId64 " traces, %" PRId64 " probes\n", done, sent);
    assert_true(done > 10000 && sent > 100000); /* else it has tried nothing */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trace_from_beginning_to_end),
        cmocka_unit_test(hops_are_told_to_those_who_want_them),
        cmocka_unit_test(the_command_says_what_the_trace_wants),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(the_deadline),
        cmocka_unit_test(forgotten),
        cmocka_unit_test(destroyed_with_everything_in_flight),
        cmocka_unit_test(own_timeout_before_the_line),
        cmocka_unit_test(a_prober_that_hangs),
        cmocka_unit_test(a_prober_that_hangs_on_tcp),
        cmocka_unit_test(a_prober_that_is_mute),
        cmocka_unit_test(we_were_stopped_ourselves),
        cmocka_unit_test(impossible_times),
        cmocka_unit_test(evenly_spaced),
        cmocka_unit_test(a_pause_is_not_caught_up_with),
        cmocka_unit_test(a_slow_rate),
        cmocka_unit_test(slots),
        cmocka_unit_test(tcp_slots),
        cmocka_unit_test(numbers_come_round_late),
        cmocka_unit_test(repeated_answers_are_asked_for_again),
        cmocka_unit_test(repeated_answers_are_not_taken_late),
        cmocka_unit_test(doubts_count_in_a_row),
        cmocka_unit_test(doubts_are_no_loss),
        cmocka_unit_test(what_was_sent_again_is_unusable_as_if_silent),
        cmocka_unit_test(numbers_of_others_are_skipped),
        cmocka_unit_test(skips_of_a_prober_that_died),
        cmocka_unit_test(seq_checks_follow_the_prober),
        cmocka_unit_test(seq_checks_that_fail),
        cmocka_unit_test(a_token_is_good_for_one_answer),
        cmocka_unit_test(tokens_of_nobody),
        cmocka_unit_test(tokens_come_back_late),
        cmocka_unit_test(down_and_up_again),
        cmocka_unit_test(deadlines_hold_without_a_prober),
        cmocka_unit_test(two_traces_take_turns),
        cmocka_unit_test(plain_and_tcp_take_turns),
        cmocka_unit_test(random_schedules_keep_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
