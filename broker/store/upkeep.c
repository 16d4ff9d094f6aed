#include "broker/store/upkeep.h"

#include "common/order.h"

void upkeep_init(struct upkeep *u, int64_t now_us) {
    *u = (struct upkeep){.looked_us = now_us - UPKEEP_LOOK_US,
        .warned_us = now_us - UPKEEP_WARN_US,
        .checkpoint_bytes = UPKEEP_WAL_BYTES};
}

int64_t upkeep_wait_us(const struct upkeep *u, int64_t wal_bytes) {
    if (u->more_to_delete)
        return 0;
    return wal_bytes > UPKEEP_IDLE_WAL_BYTES ? UPKEEP_IDLE_US : UPKEEP_LOOK_US;
}

bool upkeep_wants_checkpoint(const struct upkeep *u, bool idle, int64_t wal_bytes) {
    return wal_bytes > (idle ? UPKEEP_IDLE_WAL_BYTES : u->checkpoint_bytes);
}

bool upkeep_checkpointed(
    struct upkeep *u, int64_t before_bytes, int64_t left_bytes, int64_t now_us) {
    u->checkpoint_bytes = UPKEEP_WAL_BYTES + (left_bytes > 0 ? before_bytes : 0);
    if (left_bytes == 0 || before_bytes <= UPKEEP_WAL_WARN_BYTES ||
        now_us - u->warned_us < UPKEEP_WARN_US)
        return false;
    u->warned_us = now_us;
    return true;
}

bool upkeep_look(struct upkeep *u, int64_t now_us) {
    if (now_us - u->looked_us < UPKEEP_LOOK_US)
        return false;
    u->looked_us = now_us;
    return true;
}

bool upkeep_wants_delete(const struct upkeep *u, bool idle, bool looked) {
    return idle && (looked || u->more_to_delete);
}

void upkeep_deleted(struct upkeep *u, int64_t deleted) {
    u->more_to_delete = deleted == UPKEEP_DELETE_IDLE;
}

int64_t upkeep_delete_with_batch(int64_t results) { return 2 * results + UPKEEP_SLACK; }

struct upkeep_retention upkeep_retention(
    int64_t keep_us, int64_t keep_results, bool idle, int64_t wall_us) {
    int64_t before_us = wall_us - keep_us;
    return (struct upkeep_retention){.before_us = before_us - before_us % 1000000,
        .keep = keep_results,
        .slack = idle ? 0 : order_min(keep_results / 100, UPKEEP_SLACK)};
}
