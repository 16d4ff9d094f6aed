/* sim: schedules of seeds; see sim.h.
 *
 *   sim [--seeds A-B] [--jobs N] [--failures N]
 *                         runs them; prints the seeds that break a promise, and exits 1 if one does
 *   sim --verbose SEED    the same for one, with a transcript of all that happens
 */
#include "tests/sim/sim.h"

#include "common/mem.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_JOBS 64
/* A schedule takes milliseconds; one of this length hangs. */
#define HANG_S 60

/* What a job tells its parent, at any time. */
struct report {
    atomic_uint_fast64_t seed; /* that it is at */
    atomic_uint_fast64_t runs, events, results;
    atomic_bool done;
};

/* ---- a schedule ------------------------------------------------------------------------- */

struct sim *sim_make(void) {
    struct sim *s = mem_new(1, sizeof *s);
    if (!wire_doc_init(&s->doc) || !wire_doc_init(&s->inner))
        abort();
    msgpack_sbuffer_init(&s->out);
    msgpack_sbuffer_init(&s->scratch);
    return s;
}

void sim_free(struct sim *s) {
    sim_free_memory(s);
    free(s->heap);
    wire_doc_free(&s->doc);
    wire_doc_free(&s->inner);
    msgpack_sbuffer_destroy(&s->out);
    msgpack_sbuffer_destroy(&s->scratch);
    free(s);
}

static void clear(struct sim *s) {
    struct sim kept = {.heap = s->heap,
        .heap_room = s->heap_room,
        .chunks = s->chunks,
        .doc = s->doc,
        .inner = s->inner,
        .out = s->out,
        .scratch = s->scratch};
    memset(s, 0, sizeof *s);
    s->heap = kept.heap;
    s->heap_room = kept.heap_room;
    s->chunks = kept.chunks;
    s->doc = kept.doc;
    s->inner = kept.inner;
    s->out = kept.out;
    s->scratch = kept.scratch;
}

static void run(struct sim *s) {
    faults_mix(s);
    for (int p = 0; p <= PROCESSES; p++)
        s->processes[p].timer_us = NEVER;
    faults_start(s);
    broker_start(s);
    workers_make(s);
    subscribers_make(s);
    sim_clients_make(s);
    sim_run(s);
    KEEP(s, s->over, "nothing happens any more");
    broker_end(s);
    workers_end(s);
}

bool sim_schedule(struct sim *s, uint64_t seed, bool verbose) {
    clear(s);
    s->seed = s->random = seed;
    s->verbose = verbose;
    if (setjmp(s->end) == 0)
        run(s);
    return s->why[0] == '\0';
}

/* ---- many ------------------------------------------------------------------------------- */

static uint64_t first_seed = 1, last_seed = 1000;
static uint64_t max_failures = 20; /* of a job */
static unsigned jobs;

static int run_job(struct report *report, unsigned job) {
    struct sim *s = sim_make();
    uint64_t failures = 0;
    for (uint64_t seed = first_seed + job; seed <= last_seed && failures < max_failures;
         seed += jobs) {
        atomic_store(&report->seed, seed);
        (void)alarm(HANG_S);
        bool kept = sim_schedule(s, seed, false);
        atomic_fetch_add(&report->runs, 1);
        atomic_fetch_add(&report->events, (uint64_t)s->events);
        atomic_fetch_add(&report->results, (uint64_t)s->history.last_seq);
        if (kept)
            continue;
        failures++;
        printf("seed %" PRIu64 ": %s\n", seed, s->why);
        (void)fflush(stdout);
    }
    if (failures > 0)
        _exit(1); /* what broken schedules had is no leak */
    sim_free(s);
    return 0;
}

static bool wait_for(const struct report *reports, const pid_t *children) {
    bool kept = true;
    for (unsigned i = 0; i < jobs; i++) {
        int status = 0;
        while (waitpid(children[i], &status, 0) < 0 && errno == EINTR)
            ;
        if (WIFSIGNALED(status))
            printf("seed %" PRIuFAST64 ": ends with signal %d\n", atomic_load(&reports[i].seed),
                WTERMSIG(status));
        else if (WEXITSTATUS(status) > 1)
            printf("seed %" PRIuFAST64 ": ends with status %d\n", atomic_load(&reports[i].seed),
                WEXITSTATUS(status));
        kept = kept && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    return kept;
}

static int run_all(void) {
    struct report *reports = mmap(
        NULL, jobs * sizeof *reports, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t children[MAX_JOBS];
    struct timespec begin, end;
    if (reports == MAP_FAILED)
        abort();
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    for (unsigned i = 0; i < jobs; i++) {
        children[i] = fork();
        if (children[i] < 0)
            abort();
        if (children[i] == 0)
            exit(run_job(&reports[i], i));
    }
    bool kept = wait_for(reports, children);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    uint64_t runs = 0, events = 0, results = 0;
    for (unsigned i = 0; i < jobs; i++) {
        runs += atomic_load(&reports[i].runs);
        events += atomic_load(&reports[i].events);
        results += atomic_load(&reports[i].results);
    }
    double seconds =
        (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    printf("%" PRIu64 " schedules, %" PRIu64 " events, %" PRIu64 " results in %.1f s\n", runs,
        events, results, seconds);
    return kept ? 0 : 1;
}

/* ---- the command line ------------------------------------------------------------------- */

static int usage(void) {
    fputs("usage: sim [--seeds A-B] [--jobs N] [--failures N] | sim --verbose SEED\n", stderr);
    return 2;
}

static bool parse(const char *text, uint64_t *value, const char *end) {
    char *at;
    errno = 0;
    *value = strtoull(text, &at, 10);
    return errno == 0 && at != text && (end == NULL ? *at == '\0' : at == end);
}

int main(int argc, char **argv) {
    uint64_t verbose = 0, count = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
    bool one = false;
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        const char *dash = strchr(value, '-');
        bool good = false;
        if (strcmp(argv[i], "--seeds") == 0)
            good = dash != NULL && parse(value, &first_seed, dash) &&
                   parse(dash + 1, &last_seed, NULL);
        else if (strcmp(argv[i], "--jobs") == 0)
            good = parse(value, &count, NULL);
        else if (strcmp(argv[i], "--failures") == 0)
            good = parse(value, &max_failures, NULL);
        else if (strcmp(argv[i], "--verbose") == 0)
            good = one = parse(value, &verbose, NULL);
        if (!good)
            return usage();
    }
    jobs = count < 1 ? 1 : count > MAX_JOBS ? MAX_JOBS : (unsigned)count;
    if (!one)
        return run_all();
    struct sim *s = sim_make();
    bool kept = sim_schedule(s, verbose, true);
    printf("seed %" PRIu64 ": %s\n", verbose, kept ? "all promises are kept" : s->why);
    sim_free(s);
    return kept ? 0 : 1;
}
