/* types: what every module of the broker's core knows of the others: their structures by name,
 * lists of jobs and of requirements, and how a peer is remembered. Pure. */
#ifndef HOPMQ_TYPES_H
#define HOPMQ_TYPES_H

#include "broker/core/core.h"
#include "common/protocol/session.h"
#include "common/timeline.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#define PRIORITIES 10

/* When a client that is answered `busy` may ask again, in its `retry_ms`. */
#define CORE_RETRY_QUEUE_MS 1000
#define CORE_RETRY_REFUSED_MS 2000

struct core;
struct fanout;
struct job;
struct lease;
struct requirement;
struct stream;
struct submitter;
struct subqueue;
struct trace;
struct worker;

TAILQ_HEAD(job_list, job); /* by job->link */
TAILQ_HEAD(requirement_list, requirement);

/* A routing id that outlives its message. */
struct peer_id {
    uint8_t size;
    bool enveloped;
    int socket;
    uint8_t bytes[255];
};

#endif
