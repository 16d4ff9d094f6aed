/* state: the whole state of the broker's core, a member a module. Only the modules of the core
 * include it. Pure.
 *
 * A member that is a structure of a module's header belongs to that module: its .c file alone
 * writes it, and the others read it (tests/gates/owners holds them to it). What is not part of such
 * a structure belongs to core.c; all may count in `counters` and write in `scratch`.
 *
 * Who calls whom: each row uses rows below it only (tests/gates/calls finds rings).
 *
 *   core                          events in, the tick
 *   restore                       what an earlier start left
 *   sessions requests             what workers and clients say
 *   reports stats                 what workers say of leases; the answer to `stats`
 *   lifecycle                     what becomes of a job: the driver
 *   leases queue                  who holds what, who is next
 *   admission fanout quarantine   who is accepted; parts of a trace; traces that may kill workers
 *   coalesce fairqueue            one probing for many; submitters and turns
 *   matching job recent           requirements and workers that fit; traces; the last results
 *   worker streams waiters deferred
 *   output                        what leaves the core
 */
#ifndef HOPMQ_STATE_H
#define HOPMQ_STATE_H

#include "broker/core/admission.h"
#include "broker/core/coalesce.h"
#include "broker/core/counters.h"
#include "broker/core/deferred.h"
#include "broker/core/fairqueue.h"
#include "broker/core/fanout.h"
#include "broker/core/job.h"
#include "broker/core/leases.h"
#include "broker/core/lifecycle.h"
#include "broker/core/matching.h"
#include "broker/core/output.h"
#include "broker/core/quarantine.h"
#include "broker/core/queue.h"
#include "broker/core/recent.h"
#include "broker/core/streams.h"
#include "broker/core/waiters.h"
#include "broker/core/worker.h"

struct core {
    struct core_config config;
    struct instant now; /* of the event that is being handled */
    int64_t started_us;
    bool draining;
    const char *refusal; /* why no traces are accepted, a word for the client; NULL: they are */
    char refusal_text[160];
    bool stalled; /* too much waits for the store */
    int64_t next_alive_us;
    struct rate {
        int64_t accepted, results;
    } rates[CORE_RATE_SECONDS]; /* the counters at the last alive messages */
    unsigned rate_at;           /* the oldest of them */
    struct core_shell shell;

    struct output output;
    struct jobs jobs;
    struct workers workers;
    struct streams streams;
    struct matching matching;
    struct fairqueue fairqueue;
    struct quarantine quarantine;
    struct queue queue;
    struct coalesce coalesce;
    struct leases leases;
    struct recent recent;
    struct deferred_requests deferred;

    struct counters counters;
    int64_t results_by_stop[RESULT_STOPS];
    struct scratch scratch;
};

#endif
