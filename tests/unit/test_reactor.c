/* reactor: what handlers may do to each other's watches, when it ticks, and when it rests. In the
 * transcripts each pass of the loop begins with "|" and names who was called.
 *
 * The clock is the test's: the linker puts the functions named __wrap_ in place of those that read
 * it, sleep, set a timer or poll (-Wl,--wrap). Time passes where the reactor sleeps or waits for
 * its timer, and where a handler says that it takes time, so what it does is the same each time. */
#include "tests/unit/check.h"

#include "common/runtime/reactor.h"
#include "tests/unit/transcript.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MS INT64_C(1000)
#define PASSES 4

/* ---- the clock -------------------------------------------------------------------------- */

static int64_t clock_us = 1000 * MS;
static int64_t timer_us; /* when the reactor's timer is due; 0: it is not set */
static int timer_fd;

static struct timespec timespec_of(int64_t us) {
    return (struct timespec){us / 1000000, us % 1000000 * 1000};
}

static int64_t us_of(const struct timespec *t) {
    return t->tv_sec * INT64_C(1000000) + t->tv_nsec / 1000;
}

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_nanosleep(
    clockid_t clock, int flags, const struct timespec *until, struct timespec *left);
int __wrap_timerfd_settime(
    int fd, int flags, const struct itimerspec *when, struct itimerspec *old);
int __wrap_zmq_poll(zmq_pollitem_t *items, int count, long timeout_ms);
int __real_timerfd_settime(
    int fd, int flags, const struct itimerspec *when, struct itimerspec *old);
int __real_zmq_poll(zmq_pollitem_t *items, int count, long timeout_ms);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now) {
    (void)clock;
    *now = timespec_of(clock_us);
    return 0;
}

int __wrap_clock_nanosleep(
    clockid_t clock, int flags, const struct timespec *until, struct timespec *left) {
    (void)clock;
    (void)left;
    assert_int_equal(flags, TIMER_ABSTIME);
    if (us_of(until) > clock_us)
        clock_us = us_of(until);
    return 0;
}

int __wrap_timerfd_settime(
    int fd, int flags, const struct itimerspec *when, struct itimerspec *old) {
    (void)old;
    assert_int_equal(flags, TFD_TIMER_ABSTIME);
    timer_fd = fd;
    timer_us = us_of(&when->it_value);
    return 0;
}

static void timer_goes_off(void) {
    const struct itimerspec long_ago = {.it_value = {.tv_nsec = 1}};
    assert_int_equal(__real_timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &long_ago, NULL), 0);
    timer_us = 0;
}

/* Waits only for what comes without the timer, such as a signal. */
int __wrap_zmq_poll(zmq_pollitem_t *items, int count, long timeout_ms) {
    int ready;
    assert_int_equal(timeout_ms, -1);
    if (timer_us != 0 && timer_us <= clock_us)
        timer_goes_off();
    if ((ready = __real_zmq_poll(items, count, 0)) != 0 || timer_us == 0)
        return ready != 0 ? ready : __real_zmq_poll(items, count, -1);
    clock_us = timer_us;
    timer_goes_off();
    return __real_zmq_poll(items, count, -1);
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* ---- the rig ---------------------------------------------------------------------------- */

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
    int64_t due_us;   /* when to tick */
    int64_t late_us;  /* how late ticks were, together */
    int64_t burn_us;  /* how long a pass takes */
    int64_t began_us; /* the last pass; the transcript has the milliseconds from one to the next */
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

/* As when a child restarts: events of the old descriptor must not reach the new one. */
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
    assert_true(clock_us >= rig->due_us);
    rig->late_us += clock_us - rig->due_us;
    rig->ticks++;
}

static void tick_thrice(void *context) {
    struct rig *rig = context;
    note_tick(rig);
    rig->due_us = clock_us + MS;
    if (rig->ticks == 3)
        reactor_stop(rig->reactor);
}

static void tick_always(void *context) {
    struct rig *rig = context;
    rig->ticks++;
    if (rig->ticks == 100)
        reactor_stop(rig->reactor);
}

static void take_quarter(struct spot *beat) {
    (void)beat;
    clock_us += MS / 4;
}

static void take_three(struct spot *beat) {
    (void)beat;
    clock_us += 3 * MS;
}

static int64_t measured(const struct histogram *lag) {
    int64_t count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += lag->counts[i];
    return count;
}

static struct rig *timed(void (*tick)(void *context)) {
    struct rig *rig = rig_new(0);
    rig->due_us = clock_us + MS;
    reactor_on_tick(rig->reactor, next, tick, rig);
    return rig;
}

static void a_timer_wakes_an_idle_loop(void **state) {
    (void)state;
    struct rig *rig = timed(tick_thrice);
    make_unready(&rig->beat);
    reactor_run(rig->reactor);
    assert_int_equal(rig->ticks, 3);
    assert_int_equal(rig->late_us, 0);
    assert_int_equal(rig->asked, 2 + 2 * rig->ticks - 1); /* it slept in between */
    assert_int_equal(measured(reactor_lag(rig->reactor)), 3);
    rig_end(rig);
}

static void a_timer_is_served_while_the_loop_is_busy(void **state) {
    (void)state;
    struct rig *rig = timed(tick_thrice);
    rig->beat.act = take_quarter;
    reactor_run(rig->reactor);
    assert_int_equal(rig->ticks, 3);
    assert_int_equal(rig->late_us, 0);
    assert_true(transcript_is(&rig->out, "||||||||||||")); /* four a millisecond */
    rig_end(rig);
}

/* A message may bring something that is due before what the timer was set for. */
static void bring_forward(struct spot *beat) {
    make_unready(beat);
    beat->rig->due_us = clock_us + MS;
}

static void a_time_that_comes_nearer_is_kept(void **state) {
    (void)state;
    struct rig *rig = timed(tick_thrice);
    rig->due_us = clock_us + 10 * MS;
    rig->beat.act = bring_forward;
    reactor_run(rig->reactor);
    assert_int_equal(rig->ticks, 3);
    assert_int_equal(rig->late_us, 0);
    rig_end(rig);
}

/* What is due since before next() was asked is no lag of the loop. */
static void put_back(struct spot *beat) {
    take_three(beat);
    beat->rig->due_us = 1;
    make_unready(beat);
}

static void lag_begins_when_the_loop_could_know(void **state) {
    (void)state;
    struct rig *rig = timed(tick_thrice);
    rig->due_us = clock_us + 1000 * MS;
    rig->beat.act = put_back;
    reactor_run(rig->reactor);
    assert_int_equal(reactor_lag(rig->reactor)->sum_us, 3 * MS);
    rig_end(rig);
}

/* What takes long makes ticks late, and the lag says by how much. */
static void a_handler_that_takes_long_makes_ticks_late(void **state) {
    (void)state;
    struct rig *rig = timed(tick_thrice);
    rig->beat.act = take_three;
    reactor_run(rig->reactor);
    assert_int_equal(rig->ticks, 3);
    assert_int_equal(rig->late_us, 3 * 2 * MS);
    assert_int_equal(reactor_lag(rig->reactor)->sum_us, 3 * 2 * MS);
    assert_true(transcript_is(&rig->out, "|||"));
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
    if (rig->passes > 0)
        transcript_add(&rig->out, "%d", (int)((clock_us - rig->began_us) / MS));
    rig->began_us = clock_us;
    clock_us += rig->burn_us;
    if (rig->passes++ == PASSES)
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

/* Passes that take 1 ms each: the next begins 16 ms after it if the reactor may rest. */
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

static void gaps_are(
    int64_t gather_us, void (*act)(struct spot *beat), bool another, const char *expected) {
    struct rig *rig = worked(gather_us, act, another);
    assert_true(transcript_is(&rig->out, expected));
    rig_end(rig);
}

static void after_several_messages_it_rests(void **state) {
    (void)state;
    assert_int_equal(REACTOR_REST, 16);
    gaps_are(1000 * MS, burn_two, false, "|a|16|16|16|16");
    gaps_are(1000 * MS, burn_one, true, "|a|16a|16a|16a|16"); /* of two sockets */
}

static void it_rests_no_longer_than_it_may(void **state) {
    (void)state;
    gaps_are(8 * MS, burn_two, false, "|a|8|8|8|8");
    gaps_are(0, burn_two, false, "|a|1|1|1|1");
}

static void without_several_messages_it_does_not_rest(void **state) {
    (void)state;
    gaps_are(1000 * MS, burn, false, "|a|1|1|1|1");
    gaps_are(1000 * MS, burn_one, false, "|a|1|1|1|1");
    gaps_are(1000 * MS, burn_two_at_first, false, "|a|16|1|1|1");
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
        cmocka_unit_test(a_time_that_comes_nearer_is_kept),
        cmocka_unit_test(lag_begins_when_the_loop_could_know),
        cmocka_unit_test(a_handler_that_takes_long_makes_ticks_late),
        cmocka_unit_test(work_without_end_leaves_others_their_turn),
        cmocka_unit_test(after_several_messages_it_rests),
        cmocka_unit_test(it_rests_no_longer_than_it_may),
        cmocka_unit_test(without_several_messages_it_does_not_rest),
        cmocka_unit_test(signals_come_as_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
