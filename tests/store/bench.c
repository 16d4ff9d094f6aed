/* bench-store DIRECTORY [LIVES [BATCH [RESULTS [random|backlog]]]]: measures how many traces a
 * second pass through a store in DIRECTORY. Each is accepted, started, ended with a result of 1.1
 * KB, and deleted when it is old.
 *
 * Each batch accepts and starts BATCH traces, like a broker whose workers have room, and ends those
 * of the batch before. The store holds RESULTS results from the beginning, so that each new one
 * deletes an old one. random: ids do not grow. backlog: the store begins with 100,000 results too
 * many. Prints one JSON object. */
#include "broker/store/store.h"
#include "common/mem.h"
#include "common/order.h"
#include "tests/store/sample.h"

#include <bsd/stdlib.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define FILL_BATCH 1000
#define WALL_US INT64_C(1700000000000000)

struct bench {
    struct store *store;
    msgpack_sbuffer trace, result;
    bool random;
    int64_t *took_us;
    size_t commits;
};

static int64_t now_us(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void id_of(const struct bench *b, int64_t number, char id[64]) {
    if (b->random)
        (void)snprintf(id, 64, "%016" PRIx64 "%016" PRIx64,
            (uint64_t)number * UINT64_C(0x9e3779b97f4a7c15), (uint64_t)number);
    else
        (void)snprintf(id, 64, "60b2a8e4c0d-%" PRId64, number);
}

static void accept_one(struct bench *b, int64_t number) {
    char id[64];
    id_of(b, number, id);
    store_trace(b->store, &(struct record_trace){.number = number,
                              .id = id,
                              .submitter = "client-1",
                              .accepted_us = WALL_US,
                              .trace = b->trace.data,
                              .trace_size = b->trace.size,
                              .run = {.number = number, .worker = ""}});
}

static void start_one(struct bench *b, int64_t number) {
    store_run(b->store,
        &(struct record_run){.number = number, .lease = number + 77, .worker = "ams1", .run = 1});
}

static void end_one(struct bench *b, int64_t number) {
    char id[64];
    id_of(b, number, id);
    struct record_result result = {.seq = number,
        .stream_seq = number,
        .number = number,
        .id = id,
        .stream = "daily",
        .finished_us = WALL_US,
        .trace = b->trace.data,
        .trace_size = b->trace.size};
    sample_result(&b->result, &result);
    result.result = b->result.data;
    result.result_size = b->result.size;
    store_result(b->store, &result);
}

static void wait_for(struct bench *b, uint64_t batch) {
    struct pollfd fd = {.fd = store_fd(b->store), .events = POLLIN};
    struct store_event event;
    while (store_committed(b->store) < batch) {
        (void)poll(&fd, 1, 1000);
        while (store_next(b->store, &event))
            if (event.kind == STORE_DEAD) {
                (void)fprintf(stderr, "bench-store: %s\n", event.why);
                exit(1);
            }
    }
}

static double cpu_us(int who) {
    struct rusage used;
    (void)getrusage(who, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

/* The next batch is filled while one is committed, as the broker does. */
static void run(struct bench *b, int64_t from, int64_t lives, int64_t batch) {
    int64_t handed_us = now_us();
    uint64_t waiting = 0;
    for (int64_t at = from; at < from + lives + batch; at += batch) {
        for (int64_t i = at; i < at + batch && at < from + lives; i++)
            accept_one(b, i);
        for (int64_t i = at; i < at + batch && i < from + lives; i++)
            start_one(b, i);
        for (int64_t i = at - batch; i < at && i >= from && i < from + lives; i++)
            end_one(b, i);
        if (waiting > 0) {
            wait_for(b, waiting);
            b->took_us[b->commits++] = now_us() - handed_us;
        }
        waiting = store_batch(b->store);
        handed_us = now_us();
        store_flush(b->store);
    }
    wait_for(b, waiting);
}

static void on_stream(void *context, const char *name, int64_t seq) {
    (void)context;
    (void)name;
    (void)seq;
}

static int compare(const void *a, const void *b) {
    return order_compare(*(const int64_t *)a, *(const int64_t *)b);
}

static void store_begin(struct bench *b, const char *path, int64_t keep) {
    const struct store_config config = {
        .path = path, .keep_us = INT64_MAX / 4, .keep_results = keep};
    const struct store_loader loader = {.stream = on_stream};
    char error[STORE_ERROR_BYTES];
    b->store = store_open(&config, WALL_US, error);
    if (b->store != NULL && store_load(b->store, &loader, error))
        return;
    (void)fprintf(stderr, "bench-store: %s\n", error);
    exit(1);
}

static void remove_old(const char *path) {
    static const char *const files[] = {"", "-wal", "-shm", "-lock"};
    char name[4200];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, files[i]);
        (void)remove(name);
    }
}

static void measure(struct bench *b, int64_t from, int64_t lives, int64_t batch) {
    struct store_counters before, after;
    b->commits = 0;
    store_counters(b->store, &before);
    double process_us = cpu_us(RUSAGE_SELF), main_us = cpu_us(RUSAGE_THREAD);
    int64_t started_us = now_us();
    run(b, from, lives, batch);
    double took_s = (double)(now_us() - started_us) / 1e6;
    main_us = cpu_us(RUSAGE_THREAD) - main_us;
    process_us = cpu_us(RUSAGE_SELF) - process_us;
    store_counters(b->store, &after);
    qsort(b->took_us, b->commits, sizeof *b->took_us, compare);
    printf("{\"lives_per_s\": %.0f, \"store_cpu_us_per_life\": %.1f, \"batch\": %" PRId64
           ", \"result_bytes\": %zu, \"commit_p50_us\": %" PRId64 ", \"commit_p99_us\": %" PRId64
           ", \"commit_max_us\": %" PRId64 ", \"deleted\": %" PRId64 ", \"checkpoints\": %" PRId64
           "}\n",
        (double)lives / took_s, (process_us - main_us) / (double)lives, batch, b->result.size,
        b->took_us[b->commits / 2], b->took_us[b->commits * 99 / 100], b->took_us[b->commits - 1],
        after.deleted - before.deleted, after.checkpoints - before.checkpoints);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        (void)fprintf(
            stderr, "usage: bench-store DIRECTORY [LIVES [BATCH [RESULTS [random|backlog]]]]\n");
        return 64;
    }
    int64_t lives = argc > 2 ? strtonum(argv[2], 1, 100000000, NULL) : 200000;
    int64_t batch = argc > 3 ? strtonum(argv[3], 1, 100000, NULL) : 100;
    int64_t keep = argc > 4 ? strtonum(argv[4], 1, 100000000, NULL) : 20000;
    struct bench b = {.random = argc > 5 && strcmp(argv[5], "random") == 0};
    bool backlog = argc > 5 && strcmp(argv[5], "backlog") == 0;
    int64_t fill = backlog ? keep + 100000 : keep;
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/bench.store", argv[1]);
    remove_old(path);
    msgpack_sbuffer_init(&b.trace);
    msgpack_sbuffer_init(&b.result);
    sample_trace(&b.trace, "192.0.2.1", false);
    b.took_us = mem_new((size_t)(lives / batch + fill / FILL_BATCH + 8), sizeof *b.took_us);
    store_begin(&b, path, fill);
    run(&b, 1, fill, FILL_BATCH);
    store_close(&b.store);
    store_begin(&b, path, keep);
    measure(&b, fill + 1, lives, batch);
    store_close(&b.store);
    remove_old(path);
    free(b.took_us);
    msgpack_sbuffer_destroy(&b.trace);
    msgpack_sbuffer_destroy(&b.result);
    return 0;
}
