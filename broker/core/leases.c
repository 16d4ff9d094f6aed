#include "broker/core/leases.h"

#include "broker/core/fairqueue.h"
#include "broker/core/jobs.h"
#include "broker/core/quarantine.h"
#include "broker/core/sessions.h"
#include "common/mem.h"
#include "common/order.h"
#include "common/protocol/result.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int compare(const struct lease *a, const struct lease *b) {
    return order_compare(a->number, b->number);
}

RB_PROTOTYPE(run_tree, lease, by_number, compare)
RB_GENERATE(run_tree, lease, by_number, compare)

struct job *leases_find(struct core *c, int64_t number) {
    struct lease *lease = RB_FIND(run_tree, &c->leases, &(struct lease){.number = number});
    return lease != NULL ? lease->job : NULL;
}

struct job *leases_any(struct core *c) {
    return RB_EMPTY(&c->leases) ? NULL : RB_ROOT(&c->leases)->job;
}

/* ---- who holds what --------------------------------------------------------------------- */

static void attach_worker(struct core *c, struct worker *w, struct job *job) {
    sessions_unload(c, w);
    job->lease->worker = w;
    TAILQ_INSERT_TAIL(&w->jobs, job, link);
    w->running++;
    quarantine_hold(c, w, job);
    sessions_load(c, w);
}

static void detach_worker(struct core *c, struct job *job) {
    struct worker *w = job->lease->worker;
    assert(w != NULL);
    sessions_unload(c, w);
    TAILQ_REMOVE(&w->jobs, job, link);
    w->running--;
    sessions_load(c, w);
    job->lease->worker = NULL;
}

void leases_hold(struct core *c, struct worker *w, struct job *job, int64_t number) {
    job->state = JOB_RUNNING;
    job->lease = mem_new(1, sizeof *job->lease);
    job->lease->job = job;
    job->lease->number = number;
    job->lease->given_us = c->now.mono_us;
    (void)RB_INSERT(run_tree, &c->leases, job->lease);
    c->running++;
    job->subqueue->submitter->running++;
    attach_worker(c, w, job);
    timeline_set(&c->job_times, &job->timer, job->deadline_us + CORE_GRACE_US);
}

void leases_release(struct core *c, struct job *job) {
    timeline_unset(&c->job_times, &job->timer);
    detach_worker(c, job);
    quarantine_release(c, job);
    (void)RB_REMOVE(run_tree, &c->leases, job->lease);
    free(job->lease);
    job->lease = NULL;
    job->state = JOB_LOOSE;
    c->running--;
    job->subqueue->submitter->running--;
}

static void keep_run(struct core *c, const struct job *job, bool cancelling) {
    const struct lease *lease = job->state == JOB_RUNNING ? job->lease : NULL;
    const struct record_run run = {.number = job->ticket,
        .lease = lease != NULL ? lease->number : 0,
        .worker = lease != NULL ? lease->worker->name : "",
        .run = job->run,
        .returns = job->returns,
        .cancelling = cancelling};
    c->sink.keep_run(c->sink.context, &run);
    c->kept++;
}

void leases_keep(struct core *c, const struct job *job) { keep_run(c, job, job->cancelling); }

void leases_keep_cancel(struct core *c, const struct job *job) { keep_run(c, job, true); }

void leases_give(struct core *c, struct worker *w, struct job *job) {
    int64_t left_ms = (job->deadline_us - c->now.mono_us) / 1000;
    job->run++;
    leases_hold(c, w, job, c->next_lease++);
    leases_keep(c, job);
    c->counters.dispatched++;
    core_to_worker(c, w,
        &(struct session_msg){.op = SESSION_TRACE,
            .lease = job->lease->number,
            .run = job->run,
            .deadline_ms = order_max(left_ms, 0),
            .trace_bytes = job->trace,
            .trace_size = job->trace_size});
}

/* ---- what a worker says it holds -------------------------------------------------------- */

static void adopt(struct core *c, struct worker *w, struct job *job) {
    if (job->lease->worker->absent)
        c->counters.adopted++;
    detach_worker(c, job);
    attach_worker(c, w, job);
    if (!job->cancelling)
        return;
    /* Time to answer, but not once more for each new connection. */
    int64_t until_us = c->now.mono_us + CORE_CANCEL_US;
    if (job->timer.due_us > until_us)
        timeline_set(&c->job_times, &job->timer, until_us);
    core_to_worker(c, w, &(struct session_msg){.op = SESSION_CANCEL, .lease = job->lease->number});
}

void leases_adopt(
    struct core *c, struct worker *w, const struct session_msg *msg, const struct worker *old) {
    for (size_t i = 0; i < msg->lease_count; i++) {
        struct job *job = leases_find(c, msg->leases[i]);
        if (job == NULL || (job->lease->worker != old && job->lease->worker != w))
            continue;
        if (job->lease->worker != w)
            adopt(c, w, job);
        job->lease->listed = w->heartbeats;
    }
}

void leases_disown(struct core *c, const struct worker *w, const struct session_msg *msg) {
    if (c->stalled)
        return; /* it will list them again; too many answers wait already */
    for (size_t i = 0; i < msg->lease_count; i++) {
        const struct job *job = leases_find(c, msg->leases[i]);
        if (job == NULL || job->lease->worker != w)
            core_to_worker(
                c, w, &(struct session_msg){.op = SESSION_DONE, .lease = msg->leases[i]});
    }
}

void leases_sweep(struct core *c, struct worker *w, int64_t age_us) {
    struct job *job = TAILQ_LAST(&w->jobs, job_list), *before;
    /* What the store holds back has not come to the worker: its time begins when it leaves. */
    int64_t left_us = c->shell.held_us;
    for (; job != NULL; job = before) {
        before = TAILQ_PREV(job, job_list, link);
        int64_t since_us = order_max(job->lease->given_us, left_us);
        if (job->lease->listed != w->heartbeats && c->now.mono_us - since_us >= age_us) {
            c->counters.leases_lost++;
            jobs_requeue(c, job);
        }
    }
}

/* ---- what it sends for a lease ---------------------------------------------------------- */

/* The job of a lease if this worker holds it. */
static struct job *held(struct core *c, const struct worker *w, int64_t lease) {
    struct job *job = leases_find(c, lease);
    return job != NULL && job->lease->worker == w ? job : NULL;
}

void leases_hop(struct core *c, struct worker *w, const struct session_msg *msg) {
    struct job *job = held(c, w, msg->lease);
    if (job != NULL)
        jobs_hop(c, job, msg);
}

static void finish(
    struct core *c, struct worker *w, struct job *job, const struct session_msg *msg, int stop) {
    char worker[SESSION_NAME_BYTES + 1];
    memcpy(worker, w->name, sizeof worker);
    jobs_finish(c, job,
        &(struct ending){.body = msg->body,
            .size = msg->body_size,
            .stop = stop,
            .worker = worker,
            .run = job->run});
}

void leases_result(struct core *c, struct worker *w, const struct session_msg *msg) {
    struct wire_error err;
    struct job *job = held(c, w, msg->lease);
    if (job == NULL) {
        c->counters.late_results++;
        if (c->stalled)
            return; /* it will ask again; too many answers wait already */
    } else if (!wire_doc_read(&c->inner, msg->body, msg->body_size, RESULT_MAX_VALUES, &err) ||
               !result_check_body(&c->inner.root, &err)) {
        /* It would send the same again for ever: end the run as if it had been lost. */
        sessions_bad(c, w, err.message);
        job->returns++;
        jobs_requeue(c, job);
    } else {
        finish(c, w, job, msg, result_stop_of(&c->inner.root));
    }
    core_to_worker(c, w, &(struct session_msg){.op = SESSION_DONE, .lease = msg->lease});
}

/* It was never started, or its end is not its fault. */
static void not_run(struct core *c, struct job *job) {
    job->run--;
    job->returns++;
    jobs_requeue(c, job);
}

void leases_return(struct core *c, struct worker *w, const struct session_msg *msg) {
    struct job *job = held(c, w, msg->lease);
    if (job == NULL)
        return;
    c->counters.returned++;
    core_say(c, CORE_INFO, "trace-returned", "id=%s worker=%s why=\"%s\"", job->id, w->name,
        msg->reason);
    not_run(c, job);
    sessions_pause(c, w);
}

void leases_unsent(struct core *c, struct worker *w, const struct session_msg *msg) {
    struct job *job = msg->op == SESSION_TRACE ? held(c, w, msg->lease) : NULL;
    if (job == NULL)
        return;
    not_run(c, job);
}
