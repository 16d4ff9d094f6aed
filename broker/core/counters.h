/* counters: what the broker's core counts since its start. Pure.
 *
 * CORE_COUNTERS is the one list: it declares the members, names them in the reply to `stats`
 * (docs/protocol.md, section 10) and, as hopmq_NAME_total, on the metrics page, and explains them
 * there. */
#ifndef HOPMQ_COUNTERS_H
#define HOPMQ_COUNTERS_H

#include <stdint.h>

/* X(name, help text) */
#define CORE_COUNTERS(X)                                                                           \
    X(requests, "Messages received from clients.")                                                 \
    X(bad_requests, "Requests and traces refused because they were wrong.")                        \
    X(too_large, "Requests refused because they were too large.")                                  \
    X(accepted, "Traces accepted.")                                                                \
    X(repeated, "Traces submitted again under the id of the same trace.")                          \
    X(busy, "Traces and requests refused for lack of room.")                                       \
    X(conflicts, "Traces refused because their id belongs to a different trace.")                  \
    X(dispatched, "Attempts: times that a trace was given to a worker.")                           \
    X(requeued, "Attempts that ended without a result: the worker was lost or gave back.")         \
    X(returned, "Traces that workers gave back.")                                                  \
    X(results, "Results, of all traces that ended.")                                               \
    X(late_results, "Results that nobody was waiting for any more.")                               \
    X(hops, "Hops passed on to clients while traces ran.")                                         \
    X(hops_dropped, "Hops not passed on because the store was behind.")                            \
    X(shared, "Traces that got their result from the probing of another trace.")                   \
    X(deferred, "Requests that waited for the store.")                                             \
    X(replays, "Requests for results by sequence number.")                                         \
    X(restored, "Traces without a result that the store held at the start.")                       \
    X(adopted, "Leases that continued across a restart of the broker.")                            \
    X(workers_joined, "Workers that joined.")                                                      \
    X(workers_lost, "Workers lost: silent for too long, or replaced under their name.")            \
    X(leases_lost, "Leases that ended because their worker was lost or did not know them.")        \
    X(worker_messages, "Messages received from workers.")                                          \
    X(bad_worker_messages, "Messages from workers that were wrong.")                               \
    X(rejected_workers, "Workers refused when they said hello.")                                   \
    X(dropped_to_clients, "Messages that could not be sent to a client.")                          \
    X(dropped_to_workers, "Messages that could not be sent to a worker.")                          \
    X(connections_opened, "Connections accepted.")                                                 \
    X(connections_closed, "Connections closed.")

struct counters {
#define X(name, help) int64_t name;
    CORE_COUNTERS(X)
#undef X
};

#endif
