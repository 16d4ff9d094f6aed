/* reactor: what handlers may do to each other's watches, when it ticks, and when it rests. In the
 * transcripts each pass of the loop begins with "|" and names who was called. */
#include "tests/unit/check.h"

#include "common/runtime/reactor.h"
#include "tests/unit/transcript.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MS INT64_C(1000)
#define PASSES 4

/* A descriptor that is ready until somebody reads it. */
struct spot {
    struct rig *rig;
    const char *name;
    int fd;
    void (*act)(struct spot *spot); /* NULL: nothing */
    struct spot *other;             /* whom it acts on */
};

struct rig {
    struct reactor *reactor;
    struct transcript out;
    struct spot beat; /* ready in each pass, and first */
    int passes;
    int ticks, asked;
    int64_t due_us, early_us;       /* when to tick, and by how much a tick came too early */
    int64_t burn_us;                /* how long a pass takes */
    int64_t began_us, least_gap_us; /* between the beginnings of two passes */
    int64_t most_gap_us;
    int signal;
};

static void on_ready(void *context, int fd, short events) {
    struct spot *spot = context;
    assert_int_equal(fd, spot->fd);
    assert_int_equal(events, ZMQ_POLLIN);
    transcript_add(&spot->rig->out, "%s", spot->name);
    if (spot->act != NULL)
        spot->act(spot);
}

static void watch(struct spot *spot) {
    reactor_fd(spot->rig->reactor, spot->fd, ZMQ_POLLIN, on_ready, spot);
}

static void place(struct rig *rig, struct spot *spot, const char *name) {
    *spot = (struct spot){.rig = rig, .name = name, .fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)};
    assert_true(spot->fd >= 0);
    watch(spot);
}

static void make_unready(const struct spot *spot) {
    uint64_t count;
    assert_int_equal(read(spot->fd, &count, sizeof count), sizeof count);
}

static int64_t now_us(void) { return reactor_now().mono_us; }

/* So many passes are enough for the transcripts. */
static void stop_after_passes(struct spot *beat) {
    if (beat->rig->passes++ == PASSES)
        reactor_stop(beat->rig->reactor);
}

static struct rig *rig_new(int64_t gather_us) {
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->reactor = reactor_new(gather_us);
    place(rig, &rig->beat, "|");
    rig->beat.act = stop_after_passes;
    return rig;
}

static void rig_end(struct rig *rig) {
    reactor_destroy(&rig->reactor);
    (void)close(rig->beat.fd);
    transcript_free(&rig->out);
    free(rig);
}

/* ---- watches ---------------------------------------------------------------------------- */

static void end_own(struct spot *spot) { reactor_fd_end(spot->rig->reactor, spot->fd); }

static void end_other(struct spot *spot) {
    make_unready(spot);
    reactor_fd_end(spot->rig->reactor, spot->other->fd);
}

/* As for a child that is started anew: what was ready of the old one is nothing to the new one. */
static void set_other_again(struct spot *spot) {
    end_other(spot);
    spot->other->name = "new";
    watch(spot->other);
}

static void set_own_again(struct spot *spot) {
    spot->act = NULL;
    spot->name = "new";
    watch(spot);
}

/* Two spots that are ready at once, of which one acts on the other. */
static void passes_are(bool actor_first, void (*act)(struct spot *spot), const char *expected) {
    struct rig *rig = rig_new(0);
    struct spot spots[2];
    place(rig, &spots[0], "a");
    place(rig, &spots[1], "b");
    struct spot *actor = &spots[actor_first ? 0 : 1];
    actor->act = act;
    actor->other = &spots[actor_first ? 1 : 0];
    reactor_run(rig->reactor);
    assert_true(transcript_is(&rig->out, expected));
    (void)close(spots[0].fd);
    (void)close(spots[1].fd);
    rig_end(rig);
}

static void what_is_ready_is_called_in_turn(void **state) {
    (void)state;
    passes_are(true, NULL, "|ab|ab|ab|ab|");
}

static void a_handler_ends_its_own_watch(void **state) {
    (void)state;
    passes_are(true, end_own, "|ab|b|b|b|");
    passes_are(false, end_own, "|ab|a|a|a|");
}

static void a_handler_ends_one_that_is_due(void **state) {
    (void)state;
    passes_are(true, end_other, "|a||||");
    passes_are(false, end_other, "|ab||||");
}

static void a_handler_sets_one_again_that_is_due(void **state) {
    (void)state;
    passes_are(true, set_other_again, "|a|new|new|new|");
    passes_are(false, set_other_again, "|ab|new|new|new|");
    passes_are(true, set_own_again, "|ab|bnew|bnew|bnew|");
}

/* ---- ticks ------------------------------------------------------------------------------ */

static int64_t next(void *context) {
    struct rig *rig = context;
    rig->asked++;
    return rig->due_us;
}

static void note_tick(struct rig *rig) {
    int64_t early_us = rig->due_us - now_us();
    rig->early_us = early_us > rig->early_us ? early_us : rig->early_us;
    rig->ticks++;
}

static void tick_thrice(void *context) {
    struct rig *rig = context;
    note_tick(rig);
    rig->due_us = now_us() + MS;
    if (rig->ticks == 3)
        reactor_stop(rig->reactor);
}

static void tick_always(void *context) {
    struct rig *rig = context;
    note_tick(rig);
    if (rig->ticks == 100)
        reactor_stop(rig->reactor);
}

static int64_t measured(const struct histogram *lag) {
    int64_t count = 0;
    for (unsigned i = 0; i < HISTOGRAM_PLACES; i++)
        count += lag->counts[i];
    return count;
}

static struct rig *timed(void (*tick)(void *context)) {
    struct rig *rig = rig_new(0);
    rig->due_us = now_us() + MS;
    reactor_on_tick(rig->reactor, next, tick, rig);
    return rig;
}

static void a_timer_wakes_an_idle_loop(void **state) {
    (void)state;
    struct rig *rig = timed(tick_thrice);
    make_unready(&rig->beat);
    reactor_run(rig->reactor);
    assert_int_equal(rig->ticks, 3);
    assert_true(rig->early_us <= 0);
    assert_true(rig->asked <= 2 * (rig->ticks + 1)); /* it slept in between */
    assert_int_equal(measured(reactor_lag(rig->reactor)), 3);
    rig_end(rig);
}

static void a_timer_is_served_while_the_loop_is_busy(void **state) {
    (void)state;
    struct rig *rig = timed(tick_thrice);
    rig->beat.act = NULL;
    reactor_run(rig->reactor);
    assert_int_equal(rig->ticks, 3);
    assert_true(rig->early_us <= 0);
    assert_true(rig->out.used > 0);
    rig_end(rig);
}

static void work_without_end_leaves_others_their_turn(void **state) {
    (void)state;
    struct rig *rig = timed(tick_always);
    rig->beat.act = NULL;
    rig->due_us = 0;
    reactor_run(rig->reactor);
    assert_true(rig->out.used >= 99); /* the first tick comes before the first pass */
    rig_end(rig);
    /* and is done where there are no others */
    rig = timed(tick_always);
    make_unready(&rig->beat);
    rig->due_us = 0;
    reactor_run(rig->reactor);
    assert_int_equal(rig->ticks, 100);
    rig_end(rig);
}

/* ---- rest ------------------------------------------------------------------------------- */

static void burn(struct spot *beat) {
    struct rig *rig = beat->rig;
    const int64_t start_us = now_us(), gap_us = start_us - rig->began_us;
    if (rig->passes > 0) {
        rig->least_gap_us =
            rig->passes == 1 || gap_us < rig->least_gap_us ? gap_us : rig->least_gap_us;
        rig->most_gap_us = gap_us > rig->most_gap_us ? gap_us : rig->most_gap_us;
    }
    rig->began_us = start_us;
    while (now_us() - start_us < rig->burn_us)
        continue;
    if (rig->passes++ == 10)
        reactor_stop(rig->reactor);
}

static void burn_one(struct spot *beat) {
    burn(beat);
    reactor_took(beat->rig->reactor, 1);
}

static void burn_two(struct spot *beat) {
    burn(beat);
    reactor_took(beat->rig->reactor, 2);
}

static void burn_two_at_first(struct spot *beat) {
    burn(beat);
    reactor_took(beat->rig->reactor, beat->rig->passes == 1 ? 2 : 0);
}

static void take_one(struct spot *spot) { reactor_took(spot->rig->reactor, 1); }

/* Passes that take 1 ms each: a rest is 16 ms if it may be. */
static struct rig *worked(int64_t gather_us, void (*act)(struct spot *beat), bool another) {
    struct rig *rig = rig_new(gather_us);
    struct spot spot;
    rig->burn_us = MS;
    rig->beat.act = act;
    place(rig, &spot, "a");
    spot.act = another ? take_one : end_own;
    reactor_run(rig->reactor);
    (void)close(spot.fd);
    return rig;
}

static void rests(int64_t gather_us, void (*act)(struct spot *beat), bool another) {
    struct rig *rig = worked(gather_us, act, another);
    assert_true(rig->least_gap_us >= REACTOR_REST * MS);
    rig_end(rig);
}

/* One of ten gaps at least is not longer than the pass and some other program's turn. */
static void does_not_rest(int64_t gather_us, void (*act)(struct spot *beat)) {
    struct rig *rig = worked(gather_us, act, false);
    assert_true(rig->least_gap_us < REACTOR_REST / 2 * MS);
    rig_end(rig);
}

static void after_several_messages_it_rests(void **state) {
    (void)state;
    rests(1000 * MS, burn_two, false);
    rests(1000 * MS, burn_one, true); /* of two sockets */
}

static void it_rests_no_longer_than_it_may(void **state) {
    (void)state;
    struct rig *rig = worked(8 * MS, burn_two, false);
    assert_true(rig->most_gap_us >= 4 * MS);
    assert_true(rig->least_gap_us < REACTOR_REST * MS);
    rig_end(rig);
    does_not_rest(0, burn_two);
}

static void without_several_messages_it_does_not_rest(void **state) {
    (void)state;
    does_not_rest(1000 * MS, burn);
    does_not_rest(1000 * MS, burn_one);
    does_not_rest(1000 * MS, burn_two_at_first);
}

/* ---- signals ---------------------------------------------------------------------------- */

static void on_signal(void *context, int signal) {
    struct rig *rig = context;
    rig->signal = signal;
    reactor_stop(rig->reactor);
}

static void signals_come_as_events(void **state) {
    (void)state;
    struct rig *rig = rig_new(0);
    make_unready(&rig->beat);
    reactor_on_signal(rig->reactor, on_signal, rig);
    assert_int_equal(raise(SIGHUP), 0);
    reactor_run(rig->reactor);
    assert_int_equal(rig->signal, SIGHUP);
    rig_end(rig);
}

int main(void) {
    (void)alarm(60); /* ends what hangs: a reactor takes SIGTERM and SIGINT */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_ready_is_called_in_turn),
        cmocka_unit_test(a_handler_ends_its_own_watch),
        cmocka_unit_test(a_handler_ends_one_that_is_due),
        cmocka_unit_test(a_handler_sets_one_again_that_is_due),
        cmocka_unit_test(a_timer_wakes_an_idle_loop),
        cmocka_unit_test(a_timer_is_served_while_the_loop_is_busy),
        cmocka_unit_test(work_without_end_leaves_others_their_turn),
        cmocka_unit_test(after_several_messages_it_rests),
        cmocka_unit_test(it_rests_no_longer_than_it_may),
        cmocka_unit_test(without_several_messages_it_does_not_rest),
        cmocka_unit_test(signals_come_as_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
