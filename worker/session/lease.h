/* lease: the traces that one broker gave this worker. Pure.
 *
 * A lease begins when the broker gives a trace and ends when the broker has acknowledged the
 * result, or when the trace was handed back. Only agent.c, lease.c and the simulation include this
 * header. lease.c alone writes struct lease and struct leases, and reads of struct agent what it
 * needs.
 */
#ifndef HOPMQ_WORKER_LEASE_H
#define HOPMQ_WORKER_LEASE_H

#include "common/timeline.h"
#include "worker/session/agent.h"
#include "worker/session/responders.h"

#include <bsd/sys/tree.h>

enum lease_state {
    LEASE_LOCATING, /* the shell looks for the address and the route */
    LEASE_RUNNING,  /* the mux has the trace */
    LEASE_NAMING,   /* the trace has ended, and its result waits for names */
    LEASE_FINISHED, /* the result waits for the broker to acknowledge it */
};

struct lease {
    /* Locating: the deadline. Naming: the end of the wait. Finished: when the result is sent again.
     * Unset while the trace runs, since the mux keeps the deadline. */
    struct timeline_entry timer;
    RB_ENTRY(lease) link;
    struct agent *agent;
    int64_t id;
    enum lease_state state;
    struct trace trace; /* without workers and meta */
    struct mux_job *job;
    int64_t deadline_us, started_wall_us;
    struct responders responders; /* of a trace with `names` */
    void *result;                 /* the encoded body */
    size_t result_size;
};

RB_HEAD(lease_tree, lease);

struct leases {
    struct lease_tree tree; /* by id */
    int64_t count;
    int64_t done; /* traces that have ended with a result */
    struct timeline timeline;
    msgpack_sbuffer body;
};

RB_PROTOTYPE(lease_tree, lease, link, )

/* ---- all of an agent's leases ----------------------------------------------------------- */

void leases_init(struct leases *leases);
void leases_free(struct agent *agent);

/* The ids of all leases, in ascending order, to be given to free(). */
int64_t *leases_ids(const struct agent *agent);

/* Sends the results that wait to be acknowledged: to a broker that has just said welcome. */
void leases_send_finished(struct agent *agent);

/* Hands back all traces that have not ended. Those that only wait for names are finished. */
void leases_return_all(struct agent *agent, const char *reason);

/* Does what is due, and says when it wants to be called next. */
void leases_tick(struct agent *agent);
int64_t leases_next(struct agent *agent);

/* ---- one lease -------------------------------------------------------------------------- */

/* Accepts a trace, or hands it back at once. */
void lease_accept(struct agent *agent, const struct session_msg *msg);

/* NULL if there is none, such as one that has ended. */
struct lease *lease_find(struct agent *agent, int64_t id);

/* The shell knows where the trace goes: runs it, or finishes it if that is not possible. */
void lease_located(struct lease *lease, const struct agent_location *location);

/* Some probes of the mux are settled, or the trace has ended. */
void lease_hop(struct lease *lease, const struct hop_probe *probes, size_t count);
void lease_ended(struct lease *lease, const struct result_body *end, const struct hop_probe *probes,
    size_t count);

/* The name of an address that answered; empty if there is none. */
void lease_named(struct lease *lease, const struct addr *addr, const char *name);

/* Ends the trace with what is known by now, and sends that. */
void lease_cancel(struct lease *lease);

/* The broker has the result, or does not want it. */
void lease_remove(struct lease *lease);

#endif
