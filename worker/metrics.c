#include "worker/metrics.h"

#include <string.h>

static void put_probes(const struct mux_counters *c, struct exposition *e) {
    const struct entry {
        const char *name, *help;
        int64_t value;
    } entries[] = {
        {"hopmq_probes_sent_total", "Probes that were sent.", c->probes_sent},
        {"hopmq_probe_replies_total", "Lines of mtr-packet with an answer.", c->replies},
        {"hopmq_probe_no_replies_total", "Lines of mtr-packet without an answer.", c->no_replies},
        {"hopmq_probes_lost_total", "Probes that ended with an mtr-packet.", c->probes_lost},
        {"hopmq_probes_beyond_total", "Probes beyond the last hop of their trace.",
            c->probes_beyond},
        {"hopmq_late_replies_total", "Answers that nobody waited for any more.", c->late_replies},
        {"hopmq_late_replies_taken_total", "Answers after their time that a hop could still use.",
            c->late_taken},
        {"hopmq_duplicates_suspected_total",
            "Answers that may have been an earlier one, repeated: not taken.",
            c->duplicates_suspected},
        {"hopmq_impossible_times_total", "Answers with a time longer than they were out.",
            c->impossible_times},
        {"hopmq_clock_steps_total", "Answers while which the wall clock was set.", c->clock_steps},
        {"hopmq_first_hop_waits_total", "Probes that waited for their turn at a router near by.",
            c->first_hop_waits},
        {"hopmq_sequence_waits_total", "Times that only sequence numbers limited the rate.",
            c->sequence_waits},
        {"hopmq_numbers_skipped_total", "Sequence numbers left to other workers.",
            c->numbers_skipped},
        {"hopmq_sequence_drift_total", "Numbers that mtr-packet took without being told to.",
            c->sequence_drift},
        {"hopmq_seq_checks_total", "Times that mtr-packet's sequence number was found out.",
            c->seq_checks},
        {"hopmq_seq_checks_failed_total", "Times that it could not be found out.",
            c->seq_checks_failed},
        {"hopmq_seq_check_strangers_total", "Connections of others to where sequence checks go.",
            c->seq_check_strangers},
        {"hopmq_prober_bad_tokens_total", "Lines of mtr-packet that answer nothing.",
            c->bad_tokens},
        {"hopmq_prober_bad_lines_total", "Lines of mtr-packet that make no sense.", c->bad_lines},
    };
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        exposition_value(e, EXPOSITION_COUNTER, entries[i].name, entries[i].help, entries[i].value);
    exposition_value(
        e, EXPOSITION_GAUGE, "hopmq_probes_in_flight", "Probes in mtr-packet.", c->in_flight);
    exposition_value(e, EXPOSITION_GAUGE, "hopmq_first_hops_limited",
        "First hops that limit their answers.", c->first_hops_limited);
    exposition_value_us(e, EXPOSITION_GAUGE, "hopmq_prober_lag_seconds",
        "What mtr-packet took to answer a question, last time.", c->prober_lag_us);
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
