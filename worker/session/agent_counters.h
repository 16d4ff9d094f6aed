/* agent_counters: what a worker counts beside its probes, since its start. Pure.
 *
 * As MUX_COUNTERS, the lists declare the members, name them in heartbeats (and so in the broker's
 * reply to `stats`), and name and explain them on the metrics page. Their order is that of the
 * heartbeat. */
#ifndef HOPMQ_WORKER_AGENT_COUNTERS_H
#define HOPMQ_WORKER_AGENT_COUNTERS_H

#include <stdint.h>

/* X(name, scope, kind, name of the metric, help text). EACH: every broker has its own; SHARED: it
 * is the worker's, and the same for all its brokers. For kinds see mux_counters.h. */
#define LEASE_COUNTERS(X)                                                                          \
    X(traces_done, EACH, COUNTER, "hopmq_traces_done_total", "Traces that ended with a result.")
#define AGENT_COUNTERS(X)                                                                          \
    X(bad_messages, EACH, COUNTER, "hopmq_bad_broker_messages_total",                              \
        "Messages of brokers that cannot be read or that are not for a worker.")                   \
    X(prober_restarts, SHARED, COUNTER, "hopmq_prober_restarts_total",                             \
        "Times that mtr-packet ended and was started again.")                                      \
    X(dropped_to_broker, EACH, COUNTER, "hopmq_dropped_to_broker_total",                           \
        "Messages that could not be sent to a broker.")                                            \
    X(names_cached, SHARED, GAUGE, "hopmq_names_cached",                                           \
        "Answers of name servers that are kept, also that there is no name.")                      \
    X(name_queries, SHARED, COUNTER, "hopmq_name_queries_total",                                   \
        "Questions to name servers for the host names of responders.")                             \
    X(name_failures, SHARED, COUNTER, "hopmq_name_failures_total",                                 \
        "Host names that were wanted and for which no name server answered in time.")              \
    X(names_refused, SHARED, COUNTER, "hopmq_names_refused_total",                                 \
        "Answers of name servers that are no host names.")

struct agent_counters {
#define X(name, scope, kind, metric, help) int64_t name;
    LEASE_COUNTERS(X)
    AGENT_COUNTERS(X)
#undef X
};

#endif
