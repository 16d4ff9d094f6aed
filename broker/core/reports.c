#include "broker/core/reports.h"

#include "broker/core/state.h"
#include "common/protocol/result.h"

void reports_bad(struct core *c, const struct worker *w, const char *message) {
    c->counters.bad_worker_messages++;
    output_log(c, CORE_WARN, "bad-worker-message", "name=%s why=\"%s\"", w->name, message);
}

void reports_hop(struct core *c, const struct worker *w, const struct session_msg *msg) {
    struct job *job = leases_find_held(c, w, msg->lease);
    if (job != NULL)
        waiters_hop(c, job, msg);
}

void reports_result(struct core *c, const struct worker *w, const struct session_msg *msg) {
    struct wire_error err;
    struct job *job = leases_find_held(c, w, msg->lease);
    struct wire_doc *body = &c->scratch.inner;
    if (job == NULL) {
        c->counters.late_results++;
        if (c->stalled)
            return; /* it will ask again; too many answers wait already */
    } else if (!wire_doc_read(body, msg->body, msg->body_size, RESULT_MAX_VALUES, &err) ||
               !result_check_body(&body->root, &err)) {
        /* It would send the same again for ever: end the run as if it had been lost. */
        reports_bad(c, w, err.message);
        job->returns++;
        lifecycle_requeue(c, job);
    } else {
        lifecycle_finish(c, job,
            &(struct ending){.body = msg->body,
                .size = msg->body_size,
                .stop = result_stop_of(&body->root),
                .worker = w->name,
                .run = job->run});
    }
    output_to_worker(c, w, &(struct session_msg){.op = SESSION_DONE, .lease = msg->lease});
}

/* It was never started, or its end is not its fault. */
static void not_run(struct core *c, struct job *job) {
    job->run--;
    job->returns++;
    lifecycle_requeue(c, job);
}

bool reports_return(struct core *c, const struct worker *w, const struct session_msg *msg) {
    struct job *job = leases_find_held(c, w, msg->lease);
    if (job == NULL)
        return false;
    c->counters.returned++;
    output_log(c, CORE_INFO, "trace-returned", "id=%s worker=%s why=\"%s\"", job->id, w->name,
        msg->reason);
    not_run(c, job);
    return true;
}

void reports_unsent(struct core *c, const struct worker *w, const struct session_msg *msg) {
    struct job *job = msg->op == SESSION_TRACE ? leases_find_held(c, w, msg->lease) : NULL;
    if (job != NULL)
        not_run(c, job);
}
