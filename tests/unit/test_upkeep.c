/* upkeep: when the store's writer writes the WAL back, deletes old results and looks at its disk.
 * Each limit is tried at its edge. */
#include "tests/unit/check.h"

#include "broker/store/upkeep.h"

#define T0 INT64_C(5000000000)
#define DAY_US (INT64_C(86400) * 1000000)

static struct upkeep u;

static int set_up(void **state) {
    (void)state;
    upkeep_init(&u, T0);
    return 0;
}

/* ---- checkpoints -------------------------------------------------------------------------- */

static void a_small_wal_stays_until_the_writer_is_idle(void **state) {
    (void)state;
    assert_false(upkeep_wants_checkpoint(&u, true, UPKEEP_IDLE_WAL_BYTES));
    assert_true(upkeep_wants_checkpoint(&u, true, UPKEEP_IDLE_WAL_BYTES + 1));
    assert_false(upkeep_wants_checkpoint(&u, false, UPKEEP_WAL_BYTES));
    assert_true(upkeep_wants_checkpoint(&u, false, UPKEEP_WAL_BYTES + 1));
}

static void the_idle_writer_wakes_up_earlier_for_a_wal(void **state) {
    (void)state;
    assert_int_equal(upkeep_wait_us(&u, 0), UPKEEP_LOOK_US);
    assert_int_equal(upkeep_wait_us(&u, UPKEEP_IDLE_WAL_BYTES), UPKEEP_LOOK_US);
    assert_int_equal(upkeep_wait_us(&u, UPKEEP_IDLE_WAL_BYTES + 1), UPKEEP_IDLE_US);
}

/* Somebody reads an older state: the next try waits until the WAL has grown as much again. */
static void a_wal_that_stays_is_not_tried_with_each_batch(void **state) {
    const int64_t stays = 10 * UPKEEP_WAL_BYTES;
    (void)state;
    assert_false(upkeep_checkpointed(&u, stays, 1, T0));
    assert_false(upkeep_wants_checkpoint(&u, false, stays + UPKEEP_WAL_BYTES));
    assert_true(upkeep_wants_checkpoint(&u, false, stays + UPKEEP_WAL_BYTES + 1));
    assert_false(upkeep_checkpointed(&u, stays, 0, T0));
    assert_true(upkeep_wants_checkpoint(&u, false, UPKEEP_WAL_BYTES + 1));
}

static void a_large_wal_is_logged_once_a_minute(void **state) {
    const int64_t large = UPKEEP_WAL_WARN_BYTES + 1;
    (void)state;
    assert_false(upkeep_checkpointed(&u, large, 0, T0));
    assert_false(upkeep_checkpointed(&u, UPKEEP_WAL_WARN_BYTES, 1, T0));
    assert_true(upkeep_checkpointed(&u, large, 1, T0));
    assert_false(upkeep_checkpointed(&u, large, 1, T0 + UPKEEP_WARN_US - 1));
    assert_true(upkeep_checkpointed(&u, large, 1, T0 + UPKEEP_WARN_US));
    assert_false(upkeep_checkpointed(&u, large, 1, T0 + UPKEEP_WARN_US + 1));
}

/* ---- looks and deletions ------------------------------------------------------------------ */

static void the_first_look_is_at_once_and_the_next_a_second_later(void **state) {
    (void)state;
    assert_true(upkeep_look(&u, T0));
    assert_false(upkeep_look(&u, T0));
    assert_false(upkeep_look(&u, T0 + UPKEEP_LOOK_US - 1));
    assert_true(upkeep_look(&u, T0 + UPKEEP_LOOK_US));
    assert_false(upkeep_look(&u, T0 + UPKEEP_LOOK_US + 1));
}

static void only_the_idle_writer_deletes_without_a_batch(void **state) {
    (void)state;
    assert_true(upkeep_wants_delete(&u, true, true));
    assert_false(upkeep_wants_delete(&u, true, false));
    assert_false(upkeep_wants_delete(&u, false, true));
}

/* A backlog is deleted step after step, without waiting for the next look. */
static void a_backlog_is_deleted_without_a_pause(void **state) {
    (void)state;
    upkeep_deleted(&u, UPKEEP_DELETE_IDLE);
    assert_int_equal(upkeep_wait_us(&u, UPKEEP_IDLE_WAL_BYTES + 1), 0);
    assert_true(upkeep_wants_delete(&u, true, false));
    assert_false(upkeep_wants_delete(&u, false, false));
    upkeep_deleted(&u, UPKEEP_DELETE_IDLE - 1);
    assert_int_equal(upkeep_wait_us(&u, 0), UPKEEP_LOOK_US);
    assert_false(upkeep_wants_delete(&u, true, false));
}

static void a_batch_deletes_more_than_it_brings(void **state) {
    (void)state;
    assert_int_equal(upkeep_delete_with_batch(0), UPKEEP_SLACK);
    assert_int_equal(upkeep_delete_with_batch(100), 200 + UPKEEP_SLACK);
}

/* ---- retention ---------------------------------------------------------------------------- */

static void results_leave_by_age_in_whole_seconds(void **state) {
    (void)state;
    struct upkeep_retention r = upkeep_retention(DAY_US, 1000, false, 3 * DAY_US + 1999999);
    assert_int_equal(r.before_us, 2 * DAY_US + 1000000);
    assert_int_equal(r.keep, 1000);
    r = upkeep_retention(DAY_US, 1000, false, 3 * DAY_US + 2000000);
    assert_int_equal(r.before_us, 2 * DAY_US + 2000000);
}

static void the_slack_is_a_hundredth_within_its_bound(void **state) {
    (void)state;
    assert_int_equal(upkeep_retention(DAY_US, 99, false, T0).slack, 0);
    assert_int_equal(upkeep_retention(DAY_US, 100, false, T0).slack, 1);
    assert_int_equal(
        upkeep_retention(DAY_US, 100 * UPKEEP_SLACK - 1, false, T0).slack, UPKEEP_SLACK - 1);
    assert_int_equal(upkeep_retention(DAY_US, 1000000, false, T0).slack, UPKEEP_SLACK);
    assert_int_equal(upkeep_retention(DAY_US, 1000000, true, T0).slack, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_small_wal_stays_until_the_writer_is_idle, set_up),
        cmocka_unit_test_setup(the_idle_writer_wakes_up_earlier_for_a_wal, set_up),
        cmocka_unit_test_setup(a_wal_that_stays_is_not_tried_with_each_batch, set_up),
        cmocka_unit_test_setup(a_large_wal_is_logged_once_a_minute, set_up),
        cmocka_unit_test_setup(the_first_look_is_at_once_and_the_next_a_second_later, set_up),
        cmocka_unit_test_setup(only_the_idle_writer_deletes_without_a_batch, set_up),
        cmocka_unit_test_setup(a_backlog_is_deleted_without_a_pause, set_up),
        cmocka_unit_test_setup(a_batch_deletes_more_than_it_brings, set_up),
        cmocka_unit_test_setup(results_leave_by_age_in_whole_seconds, set_up),
        cmocka_unit_test_setup(the_slack_is_a_hundredth_within_its_bound, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
