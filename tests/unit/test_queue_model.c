/* queue, against a model that scans everything: random clients, workers and losses must give the
 * same traces to the same workers in the same order. */
#include "tests/unit/queue_rig.h"

#include "tests/unit/rng.h"

#define MAX_JOBS 4000
#define MAX_WORKERS 6
#define MAX_CLIENTS 5
#define EVENTS 4000
#define ROUNDS 12

enum { NONE, QUEUED, RUNNING, DONE };

static const char *const sites[] = {NULL, "x", "y"};

static struct mjob {
    int state, client, worker, priority;
    int site;
    bool v6, udp, flow;
    int64_t lease;
    int run, returns;
} jobs[MAX_JOBS];
static int job_count;

static struct mworker {
    bool joined, draining, trouble;
    bool paused; /* handed something back since its last heartbeat */
    int64_t capacity, running;
    int site;
    unsigned families, protocols;
} workers[MAX_WORKERS];

static struct mclient {
    int64_t held, queued, running;
    uint64_t time;
} clients[MAX_CLIENTS];

static struct rig rig;
static uint64_t rng, turn;
static int64_t leases;
static int reserved_worker, reserved_job; /* -1: none */
static struct given expected[RIG_GIVEN];
static int expected_count;

static int below(int limit) { return (int)rng_below(&rng, (uint32_t)limit); }

static char letter(int worker) { return (char)('k' + worker); }

/* ---- the model -------------------------------------------------------------------------- */

static bool serves(const struct mworker *w) { return w->joined && !w->draining && !w->trouble; }

static bool fits(const struct mworker *w, const struct mjob *job) {
    unsigned family = job->v6 ? RIG_V6 : RIG_V4;
    return (job->site == 0 || job->site == w->site) && (w->families & family) != 0 &&
           (w->protocols & (job->udp ? RIG_UDP : RIG_ICMP)) != 0;
}

static bool quarantined(const struct mjob *job) { return job->run >= CORE_MAX_RUNS - 1; }

/* The least loaded worker that fits; NULL if none does. */
static struct mworker *least(const struct mjob *job, bool with_room) {
    struct mworker *found = NULL;
    for (int i = 0; i < MAX_WORKERS; i++) {
        struct mworker *w = &workers[i];
        if (!serves(w) || w->paused || !fits(w, job) ||
            (with_room && (w->running >= w->capacity || i == reserved_worker)))
            continue;
        if (found == NULL || w->running * found->capacity < found->running * w->capacity)
            found = w;
    }
    return found;
}

static bool is_before(const struct mjob *a, const struct mjob *b) {
    uint64_t x = clients[a->client].time, y = clients[b->client].time;
    if (a->priority != b->priority)
        return a->priority < b->priority;
    return quarantined(a) || x == y ? a < b : x < y;
}

static void insert(struct mjob *job) {
    struct mclient *client = &clients[job->client];
    job->state = QUEUED;
    if (!quarantined(job) && client->queued++ == 0 && client->time < turn)
        client->time = turn;
}

static void take(struct mjob *job) {
    clients[job->client].queued -= !quarantined(job);
    if (reserved_job == (int)(job - jobs))
        reserved_job = reserved_worker = -1;
}

static void end(struct mjob *job) {
    job->state = DONE;
    clients[job->client].held--;
}

static void give(struct mjob *job, struct mworker *w) {
    struct mclient *client = &clients[job->client];
    if (client->time < turn)
        client->time = turn;
    turn = client->time;
    client->time += 1 + (uint64_t)client->running++;
    take(job);
    job->state = RUNNING;
    job->worker = (int)(w - workers);
    job->lease = ++leases;
    w->running++;
    if (++job->run == CORE_MAX_RUNS) {
        reserved_worker = job->worker;
        reserved_job = (int)(job - jobs);
    }
    expected[expected_count++] =
        (struct given){letter(job->worker), (int)(job - jobs), job->lease, job->run};
}

static void release(struct mjob *job) {
    workers[job->worker].running--;
    clients[job->client].running--;
    if (reserved_job == (int)(job - jobs))
        reserved_job = reserved_worker = -1;
}

static void again(struct mjob *job) {
    release(job);
    if (job->run >= CORE_MAX_RUNS || job->returns >= CORE_MAX_RETURNS)
        end(job);
    else
        insert(job);
}

static bool servable(const struct mjob *job) {
    for (int i = 0; i < MAX_WORKERS; i++)
        if (serves(&workers[i]) && fits(&workers[i], job))
            return true;
    return false;
}

/* The first of the queued that has a worker; of those in quarantine, that will have one. */
static struct mjob *first(bool quarantined_only) {
    struct mjob *best = NULL;
    for (struct mjob *job = jobs; job < jobs + job_count; job++)
        if (job->state == QUEUED && quarantined(job) == quarantined_only &&
            (quarantined_only ? servable(job) : least(job, true) != NULL) &&
            (best == NULL || is_before(job, best)))
            best = job;
    return best;
}

static void dispatch(void) {
    struct mjob *job;
    while ((job = first(false)) != NULL)
        give(job, least(job, true));
    if (reserved_job < 0 && (job = first(true)) != NULL && least(job, false) != NULL) {
        reserved_job = (int)(job - jobs);
        reserved_worker = (int)(least(job, false) - workers);
    }
    if (reserved_job >= 0 && jobs[reserved_job].state == QUEUED &&
        workers[reserved_worker].running == 0)
        give(&jobs[reserved_job], &workers[reserved_worker]);
}

/* The worker may not be able to run what it is reserved for. */
static void lift(int worker) {
    if (reserved_worker == worker && jobs[reserved_job].state == QUEUED)
        reserved_job = reserved_worker = -1;
}

/* ---- events ----------------------------------------------------------------------------- */

static void submit(void) {
    int count = 1 + below(4), client = below(MAX_CLIENTS);
    struct mjob job = {.state = QUEUED,
        .client = client,
        .priority = 3 + below(8) / 7,
        .site = below(3),
        .v6 = below(4) == 0,
        .udp = below(4) == 0};
    if (job_count + count > MAX_JOBS)
        return;
    job.flow = job.udp && below(2) == 0;
    const struct rig_ask ask = {.target = job.v6 ? "2001:db8::1" : "192.0.2.1",
        .protocol = job.udp ? TRACE_UDP : TRACE_ICMP,
        .flow = job.flow,
        .site = sites[job.site],
        .priority = job.priority};
    for (int i = 0; i < count; i++) {
        struct mclient *c = &clients[client];
        if (c->held++ == 0)
            *c = (struct mclient){.held = 1, .time = turn};
        jobs[job_count + i] = job;
        insert(&jobs[job_count + i]);
    }
    job_count += count;
    dispatch();
    rig_submit(&rig, (char)('a' + client), job_count - count, count, &ask);
}

/* A random job in this state, or NULL. */
static struct mjob *some(int state) {
    for (int tries = 0; tries < 200 && job_count > 0; tries++) {
        struct mjob *job = &jobs[below(job_count)];
        if (job->state == state)
            return job;
    }
    for (struct mjob *job = jobs; job < jobs + job_count; job++)
        if (job->state == state)
            return job;
    return NULL;
}

static void result(void) {
    struct mjob *job = some(RUNNING);
    if (job == NULL)
        return;
    release(job);
    end(job);
    dispatch();
    rig_result(&rig, letter(job->worker), job->lease);
}

static void hand_back(void) {
    struct mjob *job = some(RUNNING);
    if (job == NULL)
        return;
    char worker = letter(job->worker);
    int64_t lease = job->lease;
    job->run--;
    job->returns++;
    workers[job->worker].paused = true;
    lift(job->worker);
    again(job);
    dispatch();
    rig_return(&rig, worker, lease);
}

static void cancel(void) {
    struct mjob *job = some(QUEUED);
    if (job == NULL)
        return;
    take(job);
    end(job);
    dispatch();
    rig_cancel(&rig, (int)(job - jobs));
}

/* The leases that a worker holds, for its next message. */
static void put_leases(int worker, struct session_msg *msg) {
    static int64_t held[MAX_JOBS];
    msg->leases = held;
    for (int i = 0; i < job_count; i++)
        if (jobs[i].state == RUNNING && jobs[i].worker == worker)
            held[msg->lease_count++] = jobs[i].lease;
}

static void hello(int i) {
    struct mworker *w = &workers[i];
    w->joined = true;
    w->draining = w->trouble = w->paused = false;
    w->capacity = 1 + below(6);
    w->site = below(3);
    w->families = below(3) > 0 ? RIG_V4 : RIG_V4 | RIG_V6;
    w->protocols = below(3) > 0 ? RIG_ICMP : RIG_ICMP | RIG_UDP;
    lift(i);
    struct session_msg msg = rig_hello(letter(i), w->capacity, sites[w->site]);
    msg.families = w->families;
    msg.protocols = w->protocols;
    put_leases(i, &msg);
    dispatch();
    rig_tell(&rig, letter(i), &msg);
}

static void bye(int i) {
    workers[i].joined = false;
    lift(i);
    for (struct mjob *job = jobs; job < jobs + job_count; job++)
        if (job->state == RUNNING && job->worker == i)
            again(job);
    dispatch();
    rig_bye(&rig, letter(i));
}

static void beat(int i) {
    struct session_msg msg = {.op = SESSION_HEARTBEAT};
    workers[i].trouble = below(2) == 0;
    workers[i].paused = false;
    if (workers[i].trouble)
        lift(i);
    (void)snprintf(msg.trouble, sizeof msg.trouble, "%s", workers[i].trouble ? "it died" : "");
    put_leases(i, &msg);
    dispatch();
    rig_tell(&rig, letter(i), &msg);
}

static void drain(int i) {
    workers[i].draining = true;
    lift(i);
    dispatch();
    rig_tell(&rig, letter(i), &(struct session_msg){.op = SESSION_DRAIN});
}

static void of_a_worker(int what) {
    int i = below(MAX_WORKERS);
    if (!workers[i].joined || what < 4)
        hello(i);
    else if (what < 7)
        bye(i);
    else if (what < 12)
        beat(i);
    else
        drain(i);
}

static void event(void) {
    int what = below(100);
    rig_event(&rig);
    if (what < 30)
        submit();
    else if (what < 70)
        result();
    else if (what < 78)
        hand_back();
    else if (what < 85)
        cancel();
    else
        of_a_worker(what - 85);
}

/* ---- comparison ------------------------------------------------------------------------- */

static void check_position(void) {
    const struct mjob *job = some(QUEUED);
    int64_t before = 0, bound = 0;
    if (job == NULL || quarantined(job))
        return;
    for (const struct mjob *other = jobs; other < jobs + job_count; other++) {
        bool same = other->state == QUEUED && !quarantined(other) && other->client == job->client &&
                    other->site == job->site && other->v6 == job->v6 && other->udp == job->udp &&
                    other->flow == job->flow && other->priority <= job->priority;
        bound += same;
        before += same && (other->priority < job->priority || other <= job);
    }
    assert_in_range(rig_position(&rig, (int)(job - jobs)), before, bound);
}

static void check(void) {
    int64_t queued = 0, running = 0;
    assert_int_equal(rig.given_count, expected_count);
    for (int i = 0; i < expected_count; i++) {
        assert_int_equal(rig.given[i].trace, expected[i].trace);
        assert_int_equal(rig.given[i].worker, expected[i].worker);
        assert_int_equal(rig.given[i].lease, expected[i].lease);
        assert_int_equal(rig.given[i].run, expected[i].run);
    }
    expected_count = 0;
    for (int i = 0; i < job_count; i++) {
        queued += jobs[i].state == QUEUED;
        running += jobs[i].state == RUNNING;
    }
    assert_int_equal(rig_queue(&rig, "queued"), queued);
    assert_int_equal(rig_queue(&rig, "running"), running);
    check_position();
}

static void it_does_as_the_model_does(void **state) {
    (void)state;
    rng = rng_seed("it_does_as_the_model_does");
    int reservations = 0, dispatched = 0;
    for (int round = 0; round < ROUNDS; round++) {
        rig_open(&rig, 1000000);
        memset(jobs, 0, sizeof jobs);
        memset(workers, 0, sizeof workers);
        memset(clients, 0, sizeof clients);
        job_count = 0;
        reserved_worker = reserved_job = -1;
        leases = 0;
        turn = 0;
        for (int i = 0; i < EVENTS; i++) {
            event();
            dispatched += expected_count;
            check();
            reservations += reserved_job >= 0;
        }
        rig_close(&rig);
    }
    assert_true(dispatched > EVENTS && reservations > EVENTS / 10); /* or it has shown little */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_does_as_the_model_does)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
