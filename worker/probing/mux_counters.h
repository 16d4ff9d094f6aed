/* mux_counters: what the mux counts since the worker's start. Pure.
 *
 * MUX_COUNTERS is the one list: it declares the members, names them in heartbeats (and so in the
 * broker's reply to `stats`), and names and explains them on the metrics page. */
#ifndef HOPMQ_MUX_COUNTERS_H
#define HOPMQ_MUX_COUNTERS_H

#include "common/protocol/hop.h"

#include <stdint.h>

/* X(name, kind, name of the metric, help text), in the order of the heartbeat. A COUNTER only
 * grows; a GAUGE is how much there is now; a GAUGE_US is a time, in microseconds here and in
 * seconds on the metrics page. */
#define MUX_COUNTERS(X)                                                                            \
    X(probes_sent, COUNTER, "hopmq_probes_sent_total", "Probes sent.")                             \
    X(probes_in_flight, GAUGE, "hopmq_probes_in_flight", "Probes that mtr-packet holds.")          \
    X(probes_lost, COUNTER, "hopmq_probes_lost_total",                                             \
        "Probes lost because their mtr-packet ended.")                                             \
    X(replies, COUNTER, "hopmq_probe_replies_total", "Lines of mtr-packet with an answer.")        \
    X(no_replies, COUNTER, "hopmq_probe_no_replies_total",                                         \
        "Lines of mtr-packet without an answer.")                                                  \
    X(late_replies, COUNTER, "hopmq_late_replies_total",                                           \
        "Answers that nobody was waiting for any more.")                                           \
    X(late_taken, COUNTER, "hopmq_late_replies_taken_total",                                       \
        "Answers that came after their time and that a hop could still use.")                      \
    X(duplicates_suspected, COUNTER, "hopmq_duplicates_suspected_total",                           \
        "Answers not taken because they may repeat an earlier one under the same number.")         \
    X(impossible_times, COUNTER, "hopmq_impossible_times_total",                                   \
        "Answers whose reported time is longer than their probe was out.")                         \
    X(clock_steps, COUNTER, "hopmq_clock_steps_total",                                             \
        "Answers whose time is not known because the wall clock was changed meanwhile.")           \
    X(probes_beyond, COUNTER, "hopmq_probes_beyond_total",                                         \
        "Probes sent beyond the last hop of their trace.")                                         \
    X(prober_lag_us, GAUGE_US, "hopmq_prober_lag_seconds",                                         \
        "The time that mtr-packet took to answer the last question.")                              \
    X(first_hop_waits, COUNTER, "hopmq_first_hop_waits_total",                                     \
        "Probes that waited for their turn at one of the first hops.")                             \
    X(first_hops_limited, GAUGE, "hopmq_first_hops_limited",                                       \
        "First hops that limit how many answers they send.")                                       \
    X(sequence_waits, COUNTER, "hopmq_sequence_waits_total",                                       \
        "Times that a probe waited because no sequence number could be used.")                     \
    X(numbers_skipped, COUNTER, "hopmq_numbers_skipped_total",                                     \
        "Sequence numbers skipped: they are other workers' or cannot be used yet.")                \
    X(sequence_drift, COUNTER, "hopmq_sequence_drift_total",                                       \
        "Sequence numbers that mtr-packet took without a command.")                                \
    X(seq_checks, COUNTER, "hopmq_seq_checks_total",                                               \
        "Sequence checks that showed mtr-packet's sequence number.")                               \
    X(seq_checks_failed, COUNTER, "hopmq_seq_checks_failed_total",                                 \
        "Sequence checks that did not show it.")                                                   \
    X(seq_check_strangers, COUNTER, "hopmq_seq_check_strangers_total",                             \
        "Connections of other programs to the port of sequence checks.")                           \
    X(bad_tokens, COUNTER, "hopmq_prober_bad_tokens_total",                                        \
        "Lines of mtr-packet that answer no command.")                                             \
    X(bad_lines, COUNTER, "hopmq_prober_bad_lines_total",                                          \
        "Lines of mtr-packet that cannot be read.")

struct mux_counters {
#define X(name, kind, metric, help) int64_t name;
    MUX_COUNTERS(X)
#undef X
    int64_t verdicts[HOP_OTHER + 1]; /* probes of traces that have ended, by enum hop_verdict */
};

#endif
