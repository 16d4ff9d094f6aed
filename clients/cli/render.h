/* render: hops and results as text for people. Pure.
 *
 * Each hop is checked here again before it is read, so that the caller may pass any map.
 */
#ifndef HOPMQ_CLIENT_RENDER_H
#define HOPMQ_CLIENT_RENDER_H

#include "clients/cli/text.h"
#include "common/protocol/result.h"
#include "common/protocol/trace.h"

/* The marks after a time, explained; for --help. */
#define RENDER_MARKS                                                                               \
    "Marks: * no answer in time; !U a router or the target says that the target cannot be "        \
    "reached; !A a reply from another address than the target's; !L late; !S the time may "        \
    "include a "                                                                                   \
    "repeated SYN; !P the prober lagged; !C the clock was set, so there is no time (?); !WORD "    \
    "what "                                                                                        \
    "else the prober said."

/* "trace to 192.0.2.1, icmp, 30 hops at most" */
void render_header(struct text *text, const struct trace *trace);

/* The lines of one hop, each behind `prefix`; `probes` is an array of probes, `names` the map that
 * result_get_body() checked, or NULL. False, and nothing is added, if a probe is malformed. */
bool render_hop(struct text *text, const char *prefix, int64_t ttl, const msgpack_object *probes,
    const msgpack_object *names);

/* How the trace ended: "reached in 5 hops, 0.3 s, 17 probes, worker ams1" */
void render_summary(
    struct text *text, const struct result_head *head, const struct result_body *body);

/* One line for the whole result, its columns those of render_columns(). */
void render_line(struct text *text, const struct result_head *head, const struct result_body *body);
void render_columns(struct text *text);

#endif
