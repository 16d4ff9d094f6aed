/* upkeep: when the store's writer does what is not committing: it writes the WAL back into the file
 * (a checkpoint), deletes old results, and looks at the file and its disk. Pure.
 *
 * The writer is idle while no batch waits for it. Times are monotonic unless they say "wall". */
#ifndef HOPMQ_UPKEEP_H
#define HOPMQ_UPKEEP_H

#include <stdbool.h>
#include <stdint.h>

/* Every UPKEEP_LOOK_US the writer looks at the file and its disk, and deletes what is old. */
#define UPKEEP_LOOK_US INT64_C(1000000)

/* A checkpoint is due when the WAL exceeds UPKEEP_WAL_BYTES, or UPKEEP_IDLE_WAL_BYTES after no
 * batch has come for UPKEEP_IDLE_US. */
#define UPKEEP_WAL_BYTES (INT64_C(4) * 1024 * 1024)
#define UPKEEP_IDLE_WAL_BYTES (INT64_C(1) * 1024 * 1024)
#define UPKEEP_IDLE_US INT64_C(200000)

/* A WAL that exceeds this although it was written back is logged, at most once per
 * UPKEEP_WARN_US. */
#define UPKEEP_WAL_WARN_BYTES (INT64_C(256) * 1024 * 1024)
#define UPKEEP_WARN_US INT64_C(60000000)

/* Old results that the idle writer deletes in one step, so that a batch waits for one step only. */
#define UPKEEP_DELETE_IDLE 500

/* Results beyond --keep-results that may stay until the writer is idle, but never more than a
 * hundredth of --keep-results. A batch that deletes several at once touches fewer pages. */
#define UPKEEP_SLACK 50

struct upkeep {
    int64_t looked_us;
    int64_t warned_us;        /* when the WAL's size was last logged */
    int64_t checkpoint_bytes; /* size of the WAL above which a busy writer writes it back */
    bool more_to_delete;      /* the last step deleted all that one step may */
};

void upkeep_init(struct upkeep *u, int64_t now_us);

/* How long the idle writer waits for a batch before it does upkeep. */
int64_t upkeep_wait_us(const struct upkeep *u, int64_t wal_bytes);

/* Whether a checkpoint is due. */
bool upkeep_wants_checkpoint(const struct upkeep *u, bool idle, int64_t wal_bytes);

/* After a checkpoint: the WAL's size before it, and what is not yet in the file. Pages stay in the
 * WAL while somebody reads an older state of the file; then the next checkpoint waits for
 * UPKEEP_WAL_BYTES more. True if the WAL's size is to be logged. */
bool upkeep_checkpointed(
    struct upkeep *u, int64_t before_bytes, int64_t left_bytes, int64_t now_us);

/* Whether it is time to look; the answer true counts as a look. */
bool upkeep_look(struct upkeep *u, int64_t now_us);

/* Whether old results are to be deleted now; `looked` is the last answer of upkeep_look(). */
bool upkeep_wants_delete(const struct upkeep *u, bool idle, bool looked);

/* After a step of the idle writer, which deleted this many. */
void upkeep_deleted(struct upkeep *u, int64_t deleted);

/* Old results that may be deleted with a batch that brings `results` new ones. */
int64_t upkeep_delete_with_batch(int64_t results);

/* What may be deleted: results that ended before before_us by the wall clock, and, when there are
 * more than keep + slack, the oldest beyond keep. */
struct upkeep_retention {
    int64_t before_us, keep, slack;
};

/* By --keep and --keep-results. before_us is a whole second, so that results leave in groups. */
struct upkeep_retention upkeep_retention(
    int64_t keep_us, int64_t keep_results, bool idle, int64_t wall_us);

#endif
