/* store_state: what the files of the store share. Shell.
 *
 * The main thread owns `open`; what stands under the mutex is for all; the rest belongs to the
 * thread that it is named after, from store_start_threads() on. */
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

/* Something for the main thread: an event, or a line for its log. */
struct store_news {
    STAILQ_ENTRY(store_news) link;
    int kind; /* enum store_event_kind, or STORE_SAY */
    enum log_level level;
    const char *event;
    struct record_answer answer;
    struct batch rows; /* of the answer */
    char why[STORE_ERROR_BYTES];
};

#define STORE_SAY (STORE_DEAD + 1)

/* A question, with copies of what it points to. */
struct store_question {
    STAILQ_ENTRY(store_question) link;
    struct record_read read;
    char **ids, *stream;
    uint64_t batch; /* that must be committed before */
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
    struct batch given; /* the writer's while handed > committed */
    uint64_t handed, committed;
    bool said_committed; /* the main thread knows of `committed` */
    bool stop, dead;
    STAILQ_HEAD(, store_news) news;
    STAILQ_HEAD(, store_question) questions;
    int event_fd;
    struct store_counters counters;
};

/* Monotonic. */
int64_t store_now_us(void);

/* The threads' bodies; each takes the store. */
void *store_writer_run(void *store);
void *store_reader_run(void *store);

/* Runs them, when store_load() is done. */
void store_start_threads(struct store *store);

/* Commits `given`; false if the store is dead, or stops and cannot. The writer's, or the main
 * thread's when that has ended. */
bool store_writer_commit(struct store *store);

/* Makes store_fd() readable, under the mutex. */
void store_ring(struct store *store);

/* Gives news to the main thread. The mutex must not be held. */
void store_tell(struct store *store, struct store_news *news);

/* The same, with pairs for the log, as log_event() takes them. */
void store_say(struct store *store, int kind, enum log_level level, const char *event,
    const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
