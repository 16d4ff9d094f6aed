#include "broker/core/leases.h"

#include "broker/core/state.h"
#include "common/mem.h"
#include "common/order.h"

#include <stdlib.h>

static int compare_number(const struct lease *a, const struct lease *b) {
    return order_compare(a->number, b->number);
}

RB_PROTOTYPE(lease_number_tree, lease, by_number, compare_number)
RB_GENERATE(lease_number_tree, lease, by_number, compare_number)

void leases_start(struct core *c) {
    RB_INIT(&c->leases.by_number);
    c->leases.next = c->config.first_lease;
}

struct job *leases_find(struct core *c, int64_t number) {
    const struct lease *lease =
        RB_FIND(lease_number_tree, &c->leases.by_number, &(struct lease){.number = number});
    return lease != NULL ? lease->job : NULL;
}

struct job *leases_find_held(struct core *c, const struct worker *w, int64_t number) {
    struct job *job = leases_find(c, number);
    return job != NULL && job->lease->worker == w ? job : NULL;
}

struct job *leases_any(struct core *c) {
    return RB_EMPTY(&c->leases.by_number) ? NULL : RB_ROOT(&c->leases.by_number)->job;
}

/* ---- who holds what --------------------------------------------------------------------- */

static void attach_worker(struct core *c, struct worker *w, struct job *job) {
    job->lease->worker = w;
    TAILQ_INSERT_TAIL(&w->jobs, job, link);
    w->running++;
    quarantine_hold(c, w, job);
    matching_update(c, w);
}

static void detach_worker(struct core *c, struct job *job) {
    struct worker *w = job->lease->worker;
    TAILQ_REMOVE(&w->jobs, job, link);
    w->running--;
    matching_update(c, w);
    job->lease->worker = NULL;
}

void leases_hold(struct core *c, struct worker *w, struct job *job, int64_t number) {
    job->state = JOB_RUNNING;
    job->lease = mem_new(1, sizeof *job->lease);
    job->lease->job = job;
    job->lease->number = number;
    job->lease->given_us = c->now.mono_us;
    (void)RB_INSERT(lease_number_tree, &c->leases.by_number, job->lease);
    c->leases.count++;
    fairqueue_count_running(job, 1);
    attach_worker(c, w, job);
    job_set_timer(c, job, job->deadline_us + CORE_GRACE_US);
}

void leases_release(struct core *c, struct job *job) {
    job_unset_timer(c, job);
    detach_worker(c, job);
    quarantine_release(c, job);
    (void)RB_REMOVE(lease_number_tree, &c->leases.by_number, job->lease);
    free(job->lease);
    job->lease = NULL;
    job->state = JOB_LOOSE;
    c->leases.count--;
    fairqueue_count_running(job, -1);
}

static void keep_run(struct core *c, const struct job *job, bool cancelling) {
    const struct lease *lease = job->state == JOB_RUNNING ? job->lease : NULL;
    const struct record_run run = {.number = job->ticket,
        .lease = lease != NULL ? lease->number : 0,
        .worker = lease != NULL ? lease->worker->name : "",
        .run = job->run,
        .returns = job->returns,
        .cancelling = cancelling};
    output_keep_run(c, &run);
}

void leases_keep(struct core *c, const struct job *job) { keep_run(c, job, job->cancelling); }

void leases_keep_cancel(struct core *c, const struct job *job) { keep_run(c, job, true); }

void leases_give(struct core *c, struct worker *w, struct job *job) {
    int64_t left_ms = (job->deadline_us - c->now.mono_us) / 1000;
    job->run++;
    leases_hold(c, w, job, c->leases.next++);
    leases_keep(c, job);
    c->counters.dispatched++;
    output_to_worker(c, w,
        &(struct session_msg){.op = SESSION_TRACE,
            .lease = job->lease->number,
            .run = job->run,
            .deadline_ms = order_max(left_ms, 0),
            .trace_bytes = job->trace,
            .trace_size = job->trace_size});
}

/* ---- what a worker lists ---------------------------------------------------------------- */

static void adopt(struct core *c, struct worker *w, struct job *job) {
    if (job->lease->worker->absent)
        c->counters.adopted++;
    detach_worker(c, job);
    attach_worker(c, w, job);
    if (!job->cancelling)
        return;
    /* The worker gets CORE_CANCEL_US to answer, but not again for each new connection. */
    int64_t until_us = c->now.mono_us + CORE_CANCEL_US;
    if (job->timer.due_us > until_us)
        job_set_timer(c, job, until_us);
    output_to_worker(
        c, w, &(struct session_msg){.op = SESSION_CANCEL, .lease = job->lease->number});
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
        return; /* too many answers wait already, and the worker will list them again */
    for (size_t i = 0; i < msg->lease_count; i++)
        if (leases_find_held(c, w, msg->leases[i]) == NULL)
            output_to_worker(
                c, w, &(struct session_msg){.op = SESSION_DONE, .lease = msg->leases[i]});
}

static void leases_take(struct core *c, struct job *job, struct job_list *lost) {
    c->counters.leases_lost++;
    leases_release(c, job);
    TAILQ_INSERT_TAIL(lost, job, link);
}

void leases_take_unlisted(struct core *c, struct worker *w, int64_t age_us, struct job_list *lost) {
    struct job *job = TAILQ_LAST(&w->jobs, job_list), *before;
    /* A trace that the store held back reached the worker late: its time begins when it left. */
    int64_t left_us = c->shell.held_us;
    for (; job != NULL; job = before) {
        before = TAILQ_PREV(job, job_list, link);
        int64_t since_us = order_max(job->lease->given_us, left_us);
        if (job->lease->listed != w->heartbeats && c->now.mono_us - since_us >= age_us)
            leases_take(c, job, lost);
    }
}

void leases_take_all(struct core *c, struct worker *w, struct job_list *lost) {
    struct job *job;
    while ((job = TAILQ_LAST(&w->jobs, job_list)) != NULL)
        leases_take(c, job, lost);
}
