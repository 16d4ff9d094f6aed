/* streams: sequence numbers and the alive message. Pure. */
#ifndef HOPMQ_STREAMS_H
#define HOPMQ_STREAMS_H

#include "broker/core/state.h"

struct stream {
    RB_ENTRY(stream) by_name;
    TAILQ_ENTRY(stream) active_link;
    int64_t seq, last_result_us;
    bool active;
    char name[];
};

/* NULL if there are too many; streams_full() tells before. */
struct stream *streams_get(struct core *core, const char *name);
bool streams_full(struct core *core, const char *name);
void streams_count(struct core *core, struct stream *stream);
void streams_alive(struct core *core);
void streams_free_all(struct core *core);

#endif
