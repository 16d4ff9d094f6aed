#include "broker/core/recent.h"

#include "broker/core/state.h"
#include "common/order.h"

void recent_init(struct core *c) { TAILQ_INIT(&c->recent.jobs); }

void recent_add(struct core *c, struct job *job) {
    job->done_us = c->now.mono_us;
    job->done_at = c->output.records;
    TAILQ_INSERT_TAIL(&c->recent.jobs, job, link);
    c->recent.count++;
    c->recent.bytes += job->result_size;
}

struct job *recent_take_excess(struct core *c) {
    int64_t most = order_min(c->config.keep_results, CORE_RECENT);
    if (c->recent.count <= most && c->recent.bytes <= CORE_RECENT_BYTES)
        return NULL;
    struct job *oldest = TAILQ_FIRST(&c->recent.jobs);
    /* The store's answer that is on its way does not know of it, so it must be found here. */
    if (oldest->done_at > deferred_oldest_records(c))
        return NULL;
    TAILQ_REMOVE(&c->recent.jobs, oldest, link);
    c->recent.count--;
    c->recent.bytes -= oldest->result_size;
    return oldest;
}
