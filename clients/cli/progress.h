/* progress: one trace as it is printed while it runs. Pure.
 *
 * Hops come one by one, and the result repeats them all. Each hop is printed once, also when a hop
 * message was lost on the way or the trace was started again at another worker.
 */
#ifndef HOPMQ_CLIENT_PROGRESS_H
#define HOPMQ_CLIENT_PROGRESS_H

#include "clients/cli/render.h"

struct progress {
    int64_t first_ttl;
    int64_t next_ttl; /* the hop to be printed next */
    int64_t run;      /* of the trace, counted by hops that begin again */
};

/* Adds the header. */
void progress_begin(struct progress *progress, struct text *text, const struct trace *trace);

/* Adds what a `hop` message brings. A malformed one adds nothing. */
void progress_hop(struct progress *progress, struct text *text, const msgpack_object *hop);

/* Adds the hops that were not printed yet, and the summary. */
void progress_end(struct progress *progress, struct text *text, const struct result_head *head,
    const struct result_body *body);

/* Adds the result of one part of a fanout, under the name of its worker. */
void progress_part(
    struct text *text, const struct result_head *head, const struct result_body *body);

/* Adds a whole result at once, its header from the result itself. */
void progress_whole(
    struct text *text, const struct result_head *head, const struct result_body *body);

#endif
