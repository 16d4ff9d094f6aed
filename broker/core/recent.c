/* recent: the last results, for status, fetch, repeated ids and shared probings. Older ones are the
 * store's. */
#include "broker/core/jobs.h"

#include "broker/core/requests.h"
#include "common/order.h"

/* Its place in the list says when it ended, `done_mark` what the store had been given by then. */
void recent_add(struct core *c, struct job *job) {
    job->done_us = c->now.mono_us;
    job->done_mark = c->kept;
    TAILQ_INSERT_TAIL(&c->recent, job, link);
    c->recent_count++;
    c->recent_bytes += job->result_size;
}

static void forget(struct core *c, struct job *job) {
    TAILQ_REMOVE(&c->recent, job, link);
    c->recent_count--;
    c->recent_bytes -= job->result_size;
    jobs_free(c, job);
}

void recent_trim(struct core *c) {
    const struct deferred *asked = TAILQ_FIRST(&c->deferred);
    int64_t most = order_min(c->config.keep_results, CORE_RECENT);
    while (c->recent_count > most || c->recent_bytes > CORE_RECENT_BYTES) {
        struct job *oldest = TAILQ_FIRST(&c->recent);
        /* The answer that is on its way does not know of it, so we must. */
        if (asked != NULL && oldest->done_mark > asked->mark)
            return;
        forget(c, oldest);
    }
}
