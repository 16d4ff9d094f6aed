/* store_state: what the files of the store share. Shell.
 *
 * Each group of members of `struct store` belongs to the thread named in its comment, from
 * store_start_threads() on. What stands below the mutex belongs to whoever holds it. */
#ifndef HOPMQ_STORE_STATE_H
#define HOPMQ_STORE_STATE_H

#include "broker/store/store.h"
#include "broker/store/store_disk.h"
#include "broker/store/store_file.h"
#include "broker/store/store_lock.h"
#include "broker/store/store_memory.h"
#include "broker/store/store_reads.h"
#include "broker/store/upkeep.h"
#include "common/runtime/log.h"

#include <bsd/sys/queue.h>
#include <pthread.h>

/* Something for the main thread: an event, or only a line for its log (STORE_SAY). */
struct store_news {
    STAILQ_ENTRY(store_news) link;
    int kind; /* enum store_event_kind, or STORE_SAY */
    enum log_level level;
    const char *event; /* of the log; NULL: nothing is logged */
    struct record_answer answer;
    struct batch rows; /* of the answer */
    char why[STORE_ERROR_BYTES];
};

#define STORE_SAY (STORE_DEAD + 1)

/* A query, with copies of what it points to. */
struct store_question {
    STAILQ_ENTRY(store_question) link;
    struct record_read read;
    char **ids, *stream;
    uint64_t batch; /* must be committed before the query is answered */
};

struct store_question *store_question_new(const struct record_read *read, uint64_t batch);
void store_question_free(struct store_question *question);

struct store {
    struct store_config config;
    struct store_start start;
    char *path;
    struct store_memory *memory; /* NULL: results are in the file */
    int64_t opened_wall_us, opened_us;

    struct batch open; /* main thread */
    struct store_news *taken;
    struct record_result *taken_rows;

    struct store_lock lock; /* writer */
    struct store_file file;
    struct store_disk disk;
    bool full; /* STORE_FULL was said */
    struct upkeep upkeep;

    struct store_reads reads; /* reader */

    pthread_t writer, reader;
    bool running;
    pthread_mutex_t mutex;
    pthread_cond_t to_writer, to_reader;
    struct batch given; /* belongs to the writer while handed > committed */
    uint64_t handed, committed;
    bool said_committed; /* STORE_COMMITTED was returned for `committed` */
    bool stop, dead;
    STAILQ_HEAD(, store_news) news;
    STAILQ_HEAD(, store_question) questions;
    int event_fd;
    struct store_counters counters;
};

/* The monotonic clock. */
int64_t store_now_us(void);

/* The bodies of the threads; each takes the store. */
void *store_writer_run(void *store);
void *store_reader_run(void *store);

/* Starts the threads; called at the end of store_load(). */
void store_start_threads(struct store *store);

/* Commits `given`; false if the store is dead, or is being closed and cannot commit. Called by the
 * writer, and by the main thread when the writer has ended. */
bool store_writer_commit(struct store *store);

/* Makes store_fd() readable. The mutex must be held. */
void store_ring(struct store *store);

/* Gives news to the main thread, which frees it. The mutex must not be held. */
void store_tell(struct store *store, struct store_news *news);

/* The same for an event with pairs for the log, which are formatted as by log_event(). */
void store_say(struct store *store, int kind, enum log_level level, const char *event,
    const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
