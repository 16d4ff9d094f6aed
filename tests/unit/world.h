/* world: a mux with its traces and a prober that does anything, driven by numbers drawn from
 * somewhere: a random generator in the property test, the input in the fuzzer.
 *
 * After every step the rules below are checked; a broken one ends the process, since a fuzzer
 * wants it so and a test may.
 *   hops come contiguous from first_ttl, each once, none beyond the first terminal one
 *   a hop has at most `attempts` probes, numbered from 1 without holes
 *   a result holds the hops that were reported, and probes_sent is what was sent; with progress
 *   they are reported as they settle, without it they come with the result
 *   an answer stands in one result at most, that of the probe that it came for; each answer is
 *   known by an mpls label of its own
 *   an address without a time is flagged, and nothing else is
 *   no more probes are in flight than there are slots; tokens in flight are unique
 *   nothing is sent while the prober is down, nor faster than pps
 *   traces that run at once to one target with one flow have a port each, and keep it
 *   with nothing out, something is sent soon: no trace is stuck
 *   after a tick, mux_next() is in the future: no busy loop
 *   every trace ends exactly once, at its deadline at the latest
 */
#ifndef TEST_WORLD_H
#define TEST_WORLD_H

#include <stdbool.h>
#include <stdint.h>

struct world_source {
    uint32_t (*below)(void *context, uint32_t limit); /* 0..limit-1; limit is 1 at least */
    bool (*more)(void *context);
    void *context;
};

/* What there was: a run that did nothing has tested nothing. */
struct world_done {
    int64_t traces, probes;
};

/* Runs until the source has no more, and then until every trace has ended. */
struct world_done world_run(const struct world_source *source);

#endif
