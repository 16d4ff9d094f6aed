#include "broker/core/job.h"

#include "broker/core/state.h"
#include "common/decimal.h"
#include "common/mem.h"
#include "common/protocol/request.h"
#include "common/tree_append.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_id(const struct job *a, const struct job *b) { return strcmp(a->id, b->id); }

RB_GENERATE(job_id_tree, job, by_id, compare_id)
TREE_APPEND_GENERATE(job_id_tree, job, by_id, compare_id)

void jobs_init(struct core *c) {
    RB_INIT(&c->jobs.by_id);
    timeline_init(&c->jobs.timers);
    c->jobs.last_ticket = c->config.number;
    c->jobs.next_id = 1;
    (void)snprintf(
        c->jobs.own_ids, sizeof c->jobs.own_ids, "%" PRIx64 "-", (uint64_t)c->config.epoch);
}

struct job *job_find(struct core *c, const char *id, size_t size) {
    union {
        struct job job;
        char room[sizeof(struct job) + RECORD_ID_BYTES + 1];
    } key;
    if (size == 0 || size > RECORD_ID_BYTES)
        return NULL;
    memcpy(key.job.id, id, size);
    key.job.id[size] = '\0';
    if (c->jobs.last != NULL && compare_id(c->jobs.last, &key.job) < 0)
        return NULL; /* ids that are numbered, and new, come last */
    return RB_FIND(job_id_tree, &c->jobs.by_id, &key.job);
}

struct job *job_new(
    struct core *c, const char *id, const struct trace *trace, const void *canonical, size_t size) {
    size_t id_size = strlen(id) + 1, probing_size = 0;
    struct job *job = mem_new(1, sizeof *job + id_size + size);
    memcpy(job->id, id, id_size);
    SLIST_INIT(&job->waiters);
    job->trace = memcpy(job->id + id_size, canonical, size);
    job->trace_size = (uint32_t)size;
    job->priority = (uint8_t)trace->priority;
    job->progress = trace->progress;
    job->has_meta = trace->meta != NULL;
    job->coalesces = trace->coalesce;
    job->stream = streams_get(c, trace->stream);
    job->fanout_limit = job_part_worker(id) == NULL ? (int16_t)trace->fanout : 0;
    const unsigned char *probing = trace_probing(job->trace, size, &probing_size);
    job->probing_at = (uint16_t)(probing - (const unsigned char *)job->trace);
    job->probing_size = (uint16_t)probing_size;
    (void)job_id_tree_insert(&c->jobs.by_id, &c->jobs.last, job);
    return job;
}

void job_free(struct core *c, struct job *job) {
    job_unset_timer(c, job);
    job_id_tree_remove(&c->jobs.by_id, &c->jobs.last, job);
    if (job->state == JOB_DONE)
        free(job->result);
    free(job);
}

bool job_is_own_id(const struct core *c, const char *id) {
    return strncmp(id, c->jobs.own_ids, strlen(c->jobs.own_ids)) == 0;
}

void job_make_id(struct core *c, char id[TRACE_ID_BYTES + 1]) {
    (void)decimal_put(stpcpy(id, c->jobs.own_ids), c->jobs.next_id++);
}

void job_set_ticket(struct core *c, struct job *job) { job->ticket = ++c->jobs.last_ticket; }

void job_set_timer(struct core *c, struct job *job, int64_t due_us) {
    timeline_set(&c->jobs.timers, &job->timer, due_us);
}

void job_unset_timer(struct core *c, struct job *job) {
    timeline_unset(&c->jobs.timers, &job->timer);
}

struct job *job_due(struct core *c) {
    return (struct job *)timeline_pop(&c->jobs.timers, c->now.mono_us);
}

int64_t job_next_due(struct core *c) { return timeline_next(&c->jobs.timers); }

void job_trace(struct core *c, const struct job *job, struct trace *trace) {
    struct wire_error err;
    if (!wire_doc_read(&c->scratch.inner, job->trace, job->trace_size, REQUEST_MAX_VALUES, &err) ||
        !trace_get(trace, &c->scratch.inner.root, "", &err))
        abort(); /* the broker encoded it */
}

const char *job_part_worker(const char *id) {
    const char *slash = strchr(id, '/');
    return slash != NULL ? slash + 1 : NULL;
}

bool job_is_fanout(const struct job *job) {
    return job->fanout_limit != 0 || job_part_worker(job->id) != NULL;
}
