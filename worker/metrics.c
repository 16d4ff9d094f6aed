#include "worker/metrics.h"

#include <string.h>

static void put_probes(const struct mux_counters *c, struct exposition *e) {
#define COUNTER(name, help, value) exposition_value(e, EXPOSITION_COUNTER, name, help, value)
#define GAUGE(name, help, value) exposition_value(e, EXPOSITION_GAUGE, name, help, value)
#define GAUGE_US(name, help, value) exposition_value_us(e, EXPOSITION_GAUGE, name, help, value)
#define X(name, kind, metric, help) kind(metric, help, c->name);
    MUX_COUNTERS(X)
#undef X
#undef GAUGE_US
#undef GAUGE
#undef COUNTER
    exposition_family(e, EXPOSITION_COUNTER, "hopmq_probes_total",
        "Probes of traces that have ended, by what came of them.");
    for (enum hop_verdict v = HOP_REPLY; v <= HOP_OTHER; v++)
        exposition_sample(e, "verdict",
            v == HOP_OTHER ? "other" : hop_verdict_name(&(struct hop_probe){.verdict = v}),
            c->verdicts[v]);
}

/* A label stands once, or Prometheus refuses all. */
static bool is_first(const struct metrics_session *sessions, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (strcmp(sessions[k].endpoint, sessions[i].endpoint) == 0)
            return false;
    return true;
}

/* What agents and shell count; what concerns the whole worker is the same in all of them. */
static void put_sessions(
    const struct metrics_session *sessions, size_t count, struct exposition *e) {
    int64_t done = 0, held = 0, bad = 0, dropped = 0;
    exposition_family(e, EXPOSITION_GAUGE, "hopmq_session_open",
        "1 while this broker is there and has welcomed the worker.");
    for (size_t i = 0; i < count; i++) {
        struct agent_figures f = agent_figures(sessions[i].agent);
        done += f.traces_done;
        held += f.held;
        bad += f.bad_messages;
        dropped += agent_shell_counters(sessions[i].agent)->dropped_to_broker;
        if (is_first(sessions, i))
            exposition_sample(e, "broker", sessions[i].endpoint, f.open);
    }
    exposition_value(e, EXPOSITION_GAUGE, "hopmq_held_traces",
        "Traces that run here, or whose result the broker has not acknowledged.", held);
    exposition_value(e, EXPOSITION_COUNTER, "hopmq_traces_done_total", "Traces that ended.", done);
    exposition_value(e, EXPOSITION_COUNTER, "hopmq_bad_broker_messages_total",
        "Messages of brokers that make no sense.", bad);
    exposition_value(e, EXPOSITION_COUNTER, "hopmq_dropped_to_broker_total",
        "Messages that a broker could not be sent.", dropped);
    const struct agent_shell_counters *shell = agent_shell_counters(sessions[0].agent);
    exposition_value(e, EXPOSITION_COUNTER, "hopmq_prober_restarts_total",
        "Times that mtr-packet was started again.", shell->prober_restarts);
    exposition_value(e, EXPOSITION_GAUGE, "hopmq_names_cached",
        "Answers about host names that are held.", shell->names.cached);
    exposition_value(e, EXPOSITION_COUNTER, "hopmq_name_queries_total",
        "Questions to name servers for host names of responders.", shell->names.queries);
    exposition_value(e, EXPOSITION_COUNTER, "hopmq_name_failures_total",
        "Names that were wanted and not answered for.", shell->names.failures);
    exposition_value(e, EXPOSITION_COUNTER, "hopmq_names_refused_total",
        "Answers that are no host names.", shell->names.refused);
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
