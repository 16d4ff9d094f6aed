#include "worker/metrics.h"

#include <string.h>

/* The kinds of MUX_COUNTERS, LEASE_COUNTERS and AGENT_COUNTERS. */
#define COUNTER(name, help, value) exposition_value(e, EXPOSITION_COUNTER, name, help, value);
#define GAUGE(name, help, value) exposition_value(e, EXPOSITION_GAUGE, name, help, value);
#define GAUGE_US(name, help, value) exposition_value_us(e, EXPOSITION_GAUGE, name, help, value);

static void put_probes(const struct mux_counters *c, struct exposition *e) {
#define X(name, kind, metric, help) kind(metric, help, c->name)
    MUX_COUNTERS(X)
#undef X
    exposition_family(e, EXPOSITION_COUNTER, "hopmq_probes_total",
        "Probes of traces that have ended, by what came of them.");
    for (enum hop_verdict v = HOP_REPLY; v <= HOP_OTHER; v++)
        exposition_sample(e, "verdict",
            v == HOP_OTHER ? "other" : hop_verdict_name(&(struct hop_probe){.verdict = v}),
            c->verdicts[v]);
}

/* Prometheus refuses a page on which a sample with the same label stands twice. */
static bool is_first(const struct metrics_session *sessions, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (strcmp(sessions[k].endpoint, sessions[i].endpoint) == 0)
            return false;
    return true;
}

/* Adds what each broker has of its own; of what the worker has once, one is enough. */
static void add_counters(struct agent_counters *sum, const struct agent_counters *more) {
#define EACH(value) (value)
#define SHARED(value) 0
#define X(name, scope, kind, metric, help) sum->name += scope(more->name);
    LEASE_COUNTERS(X)
    AGENT_COUNTERS(X)
#undef X
#undef SHARED
#undef EACH
}

static void put_sessions(
    const struct metrics_session *sessions, size_t count, struct exposition *e) {
    struct agent_counters sum = *agent_counters(sessions[0].agent);
    int64_t held = 0;
    exposition_family(e, EXPOSITION_GAUGE, "hopmq_session_open",
        "1 while this broker is there and has welcomed the worker.");
    for (size_t i = 0; i < count; i++) {
        struct agent_figures f = agent_figures(sessions[i].agent);
        held += f.held;
        if (i > 0)
            add_counters(&sum, agent_counters(sessions[i].agent));
        if (is_first(sessions, i))
            exposition_sample(e, "broker", sessions[i].endpoint, f.open);
    }
    exposition_value(e, EXPOSITION_GAUGE, "hopmq_held_traces",
        "Traces that run here, or whose result the broker has not acknowledged.", held);
#define X(name, scope, kind, metric, help) kind(metric, help, sum.name)
    LEASE_COUNTERS(X)
    AGENT_COUNTERS(X)
#undef X
}

void metrics_put_worker(
    struct mux *mux, const struct metrics_session *sessions, size_t count, struct exposition *e) {
    exposition_value(
        e, EXPOSITION_GAUGE, "hopmq_prober_up", "1 while an mtr-packet is there.", mux_up(mux));
    put_probes(mux_counters(mux), e);
    put_sessions(sessions, count, e);
}

const char *metrics_unready(
    const struct mux *mux, const struct metrics_session *sessions, size_t count) {
    const char *why = "no session with a broker";
    for (size_t i = 0; i < count; i++) {
        struct agent_figures f = agent_figures(sessions[i].agent);
        if (f.draining)
            return "draining";
        if (f.trouble[0] != '\0')
            return f.trouble;
        if (f.open)
            why = NULL;
    }
    return !mux_up(mux) ? "no prober" : why;
}
