/* streams: sequence numbers of the broker and of each stream, and the alive message. Pure. */
#ifndef HOPMQ_STREAMS_H
#define HOPMQ_STREAMS_H

#include "broker/core/types.h"

struct stream {
    RB_ENTRY(stream) by_name;
    TAILQ_ENTRY(stream) active_link;
    int64_t seq; /* of its last result */
    int64_t last_result_us;
    bool active; /* had a result within CORE_ACTIVE_US */
    char name[];
};

RB_HEAD(stream_tree, stream);

struct streams {
    struct stream_tree by_name;
    int64_t count;
    TAILQ_HEAD(active_list, stream) active; /* the one with the latest result first */
    int64_t seq;                            /* of the last result of the broker */
};

void streams_init(struct core *core);

/* Finds or makes a stream; NULL if there are too many. streams_full() tells before. */
struct stream *streams_get(struct core *core, const char *name);
bool streams_full(struct core *core, const char *name);

/* Gives the next result of the stream its sequence numbers: they are in core->streams.seq and
 * stream->seq then. */
void streams_count(struct core *core, struct stream *stream);

/* Of a stream that is restored, the seq of its last result. */
void streams_restore(struct core *core, const char *name, int64_t seq);
void streams_alive(struct core *core);
void streams_free_all(struct core *core);

#endif
