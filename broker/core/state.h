/* state: what the modules of the broker's core share. Only they include it. Pure.
 *
 *   core      events in, the tick              requests  requests and replies
 *   jobs      a trace from accept to result    deferred  requests that wait for the store
 *   coalesce  one probing for many traces      leases    what workers hold and send
 *   fan       one trace at many workers        sessions  workers come and go
 *   recent    the last results                 streams   sequence numbers, alive
 *   queue     who is next, dispatch            restore   what an earlier start left
 *   fairqueue submitters and turns            matching  requirements, and the workers that fit
 *   quarantine  the last run of a trace, alone
 *
 * Each has a header, with the structures that are its own; recent is in jobs.h, reads in
 * requests.h, restore in core.h, and what core does for the others is here.
 */
#ifndef HOPMQ_STATE_H
#define HOPMQ_STATE_H

#include "broker/core/core.h"
#include "broker/core/counters.h"
#include "common/protocol/result.h"
#include "common/protocol/session.h"
#include "common/timeline.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#define PRIORITIES 10

/* A routing id that outlives its message. */
struct peer_id {
    uint8_t size;
    bool enveloped;
    int socket;
    uint8_t bytes[255];
};

RB_HEAD(job_id_tree, job);
RB_HEAD(probing_tree, job);
RB_HEAD(run_tree, lease);
RB_HEAD(requirement_tree, requirement);
RB_HEAD(submitter_tree, submitter);
TAILQ_HEAD(job_list, job);
TAILQ_HEAD(requirement_list, requirement);
RB_HEAD(worker_peer_tree, worker);
RB_HEAD(worker_name_tree, worker);
RB_HEAD(stream_tree, stream);

struct core {
    struct core_config config;
    struct core_sink sink;
    struct instant now; /* of the event that is being handled */
    int64_t started_us;
    int64_t seq, number, next_lease;
    uint64_t next_id;
    /* What the ids begin with that we make; no client's may, or it could take the next one. With
     * the whole epoch: two starts can share a millisecond where the clock was set back. */
    char own_ids[20];
    bool draining;
    const char *refusal; /* why no traces are accepted, a word for the client; NULL: they are */
    char refusal_text[160];
    bool stalled; /* too much waits for the store */
    struct timeline job_times, worker_times;
    int64_t next_alive_us;
    struct job_id_tree jobs;
    struct job *last_id; /* of them */
    struct run_tree leases;
    struct probing_tree probings;
    struct job *last_probing; /* of them */
    int64_t queued, running, riding;
    int64_t expected_parts; /* parts of those queued that have not been spread */
    int64_t queued_by_priority[PRIORITIES];
    struct job_list recent; /* done, the oldest first */
    int64_t recent_count, recent_bytes;
    int64_t kept; /* records that were given to the store */
    TAILQ_HEAD(, deferred) deferred;
    int64_t deferred_count, deferred_bytes;
    uint64_t next_read;
    const struct record_answer *answer; /* while a deferred request is handled again */
    struct requirement_tree requirements;
    struct requirement_list waiting; /* with a trace queued */
    struct requirement_list ready;   /* and a worker free */
    struct requirement_list idle;    /* without subqueues, the longest first */
    int64_t requirement_count;       /* without those for one worker only */
    int64_t idle_count, match_count;
    struct submitter_tree submitters;
    int64_t submitter_count;
    struct requirement_list quarantined; /* with traces in quarantine */
    struct {
        struct worker *worker; /* that is reserved for the job, or has it; NULL: none */
        struct job *job;
    } quarantine;
    uint64_t virtual_time; /* that of the submitter whose turn was last */
    struct worker_peer_tree peers;
    struct worker_name_tree names;
    int64_t worker_count;
    struct stream_tree streams;
    int64_t stream_count;
    TAILQ_HEAD(active_list, stream) active; /* the latest result first */
    struct counters counters;
    int64_t results_by_stop[RESULT_STOPS];
    struct core_shell shell;
    struct rate {
        int64_t accepted, results;
    } rates[CORE_RATE_SECONDS]; /* the counters at the last alive messages */
    unsigned rate_at;
    struct wire_doc doc, inner;        /* the message, and what is encoded inside it */
    const struct record_result **rows; /* those of `answer`, by id */
    msgpack_sbuffer out, reply, body, result, texts;
};

/* Starts a fresh message in a buffer. */
static inline void state_packer(msgpack_packer *pk, msgpack_sbuffer *buffer) {
    msgpack_sbuffer_clear(buffer);
    msgpack_packer_init(pk, buffer, msgpack_sbuffer_write);
}

void core_say(struct core *core, enum core_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void core_to_client(struct core *core, const struct core_peer *peer, const msgpack_sbuffer *bytes,
    enum core_when when);
void core_to_worker(struct core *core, const struct worker *worker, const struct session_msg *msg);
void core_to_peer(struct core *core, const struct core_peer *peer, const struct session_msg *msg);
void peer_id_set(struct peer_id *id, const struct core_peer *peer);
struct core_peer peer_id_get(const struct peer_id *id);

#endif
