#include "worker/session/lease.h"

#include "common/mem.h"
#include "common/order.h"
#include "worker/session/agent_state.h"
#include "worker/session/capabilities.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int lease_compare(const struct lease *a, const struct lease *b) {
    return order_compare(a->id, b->id);
}

RB_GENERATE(lease_tree, lease, link, lease_compare)

struct lease *lease_find(struct agent *a, int64_t id) {
    struct lease key = {.id = id};
    return RB_FIND(lease_tree, &a->leases.tree, &key);
}

static void set_timer(struct lease *lease, int64_t at_us) {
    timeline_set(&lease->agent->leases.timeline, &lease->timer, at_us);
}

void lease_remove(struct lease *lease) {
    struct agent *a = lease->agent;
    if (lease->state == LEASE_RUNNING)
        mux_forget(a->mux, lease->job);
    timeline_unset(&a->leases.timeline, &lease->timer);
    (void)RB_REMOVE(lease_tree, &a->leases.tree, lease);
    a->leases.count--;
    responders_free(&lease->responders);
    free(lease->result);
    free(lease);
}

/* ---- messages out ----------------------------------------------------------------------- */

static void give_back(struct agent *a, int64_t id, const char *reason) {
    struct session_msg msg = {.op = SESSION_RETURN, .lease = id};
    (void)snprintf(msg.reason, sizeof msg.reason, "%.200s", reason);
    (void)agent_tell(a, &msg);
}

/* Without an open session the result would only fill the queue towards the broker:
 * leases_send_finished() sends it when there is one again. */
static void send_result(struct lease *lease) {
    struct agent *a = lease->agent;
    if (a->session == AGENT_OPEN)
        (void)agent_tell(a, &(struct session_msg){.op = SESSION_RESULT,
                                .lease = lease->id,
                                .body = lease->result,
                                .body_size = lease->result_size});
    set_timer(lease, a->now.mono_us + AGENT_RESEND_US);
}

static void want_name(struct lease *lease, const struct addr *addr) {
    struct agent *a = lease->agent;
    if (lease->trace.names && addr->af != 0 && responders_add(&lease->responders, addr))
        a->sink.name(a->sink.context, lease->id, addr);
}

void lease_hop(struct lease *lease, const struct hop_probe *probes, size_t count) {
    struct agent *a = lease->agent;
    for (size_t i = 0; i < count; i++)
        want_name(lease, &probes[i].addr);
    if (!lease->trace.progress || a->session != AGENT_OPEN)
        return;
    (void)agent_tell(a, &(struct session_msg){.op = SESSION_HOP,
                            .lease = lease->id,
                            .ttl = probes[0].ttl,
                            .hop_probes = probes,
                            .hop_probe_count = count});
}

/* ---- from acceptance to the result ------------------------------------------------------ */

void lease_accept(struct agent *a, const struct session_msg *msg) {
    struct wire_error err;
    struct trace trace;
    if (lease_find(a, msg->lease) != NULL)
        return;
    const char *refusal = !trace_get(&trace, msg->trace, "trace.", &err) ? err.message
                          : a->draining                                  ? "draining"
                          : a->trouble[0] != '\0'                        ? a->trouble
                          : a->leases.count >= a->config.capacity        ? "no capacity"
                                                                         : NULL;
    if (refusal != NULL) {
        give_back(a, msg->lease, refusal);
        return;
    }
    struct lease *lease = mem_new(1, sizeof *lease);
    lease->agent = a;
    lease->id = msg->lease;
    lease->trace = trace;
    lease->trace.workers = lease->trace.meta = NULL; /* they live in the message */
    lease->deadline_us = a->now.mono_us + msg->deadline_ms * 1000;
    lease->started_wall_us = a->now.wall_us;
    (void)RB_INSERT(lease_tree, &a->leases.tree, lease);
    a->leases.count++;
    set_timer(lease, lease->deadline_us);
    a->sink.locate(a->sink.context, lease->id, &lease->trace);
}

/* Keeps what was packed into leases.body as the lease's result. */
static void keep_body(struct lease *lease) {
    const msgpack_sbuffer *body = &lease->agent->leases.body;
    free(lease->result);
    lease->result = mem_copy(body->data, body->size);
    lease->result_size = body->size;
}

/* Finishes a trace with the names that are there. */
static void conclude(struct lease *lease) {
    struct leases *leases = &lease->agent->leases;
    if (lease->trace.names) {
        msgpack_packer pk;
        msgpack_sbuffer_clear(&leases->body);
        msgpack_packer_init(&pk, &leases->body, msgpack_sbuffer_write);
        result_put_names(&pk, lease->result, lease->result_size, lease->responders.list,
            lease->responders.count);
        keep_body(lease);
        responders_free(&lease->responders);
    }
    lease->state = LEASE_FINISHED;
    leases->done++;
    send_result(lease);
}

/* `end` has what is known of the end; the rest of the result's body is filled in here. */
void lease_ended(struct lease *lease, const struct result_body *end, const struct hop_probe *probes,
    size_t count) {
    struct agent *a = lease->agent;
    struct result_body body;
    result_from_trace(&body, &lease->trace);
    memcpy(body.dst, end->dst, sizeof body.dst);
    memcpy(body.src, end->src, sizeof body.src);
    memcpy(body.prober, a->prober, sizeof body.prober);
    memcpy(body.error_code, end->error_code, sizeof body.error_code);
    memcpy(body.error_message, end->error_message, sizeof body.error_message);
    body.stop = end->stop;
    body.probes_sent = end->probes_sent;
    body.constant_flow = end->constant_flow;
    body.src_port = end->src_port;
    body.started_us = lease->started_wall_us;
    body.finished_us = a->now.wall_us;
    msgpack_packer pk;
    msgpack_sbuffer_clear(&a->leases.body);
    msgpack_packer_init(&pk, &a->leases.body, msgpack_sbuffer_write);
    result_put_body(&pk, &body, probes, count);
    keep_body(lease);
    lease->state = LEASE_NAMING;
    if (lease->responders.awaited > 0 && end->stop != STOP_CANCELLED)
        set_timer(lease, order_min(a->now.mono_us + AGENT_NAMES_US, lease->deadline_us));
    else
        conclude(lease);
}

static void end_before_it_ran(struct lease *lease, enum result_stop stop) {
    const struct result_body end = {.stop = (int)stop};
    lease_ended(lease, &end, NULL, 0);
}

void lease_located(struct lease *lease, const struct agent_location *location) {
    struct agent *a = lease->agent;
    if (lease->state != LEASE_LOCATING)
        return;
    struct result_body end = {.stop = (int)location->stop};
    (void)addr_print(&location->dst, end.dst);
    (void)addr_print(&location->src, end.src);
    memcpy(end.error_code, location->error_code, sizeof end.error_code);
    memcpy(end.error_message, location->error_message, sizeof end.error_message);
    if (location->error_code[0] != '\0' ||
        !capabilities_check(&lease->trace, location->dst.af, a->protocols, a->version, &end)) {
        lease_ended(lease, &end, NULL, 0);
        return;
    }
    timeline_unset(&a->leases.timeline, &lease->timer);
    lease->state = LEASE_RUNNING;
    lease->started_wall_us = a->now.wall_us;
    lease->job = mux_add(a->mux, &lease->trace, &location->dst, &location->src, lease,
        lease->deadline_us, a->now.mono_us);
    want_name(lease, &location->dst);
}

void lease_named(struct lease *lease, const struct addr *addr, const char *name) {
    if (!responders_name(&lease->responders, addr, name))
        return;
    if (lease->state == LEASE_NAMING && lease->responders.awaited == 0)
        conclude(lease);
}

void lease_cancel(struct lease *lease) {
    struct agent *a = lease->agent;
    switch (lease->state) {
    case LEASE_LOCATING:
        end_before_it_ran(lease, STOP_CANCELLED);
        break;
    case LEASE_RUNNING:
        mux_cancel(a->mux, lease->job, a->now.mono_us);
        break;
    case LEASE_NAMING:
        conclude(lease);
        break;
    case LEASE_FINISHED:
        break;
    }
}

static void lease_due(struct lease *lease) {
    switch (lease->state) {
    case LEASE_LOCATING:
        end_before_it_ran(lease, STOP_DEADLINE);
        break;
    case LEASE_RUNNING: /* the timer is unset */
        break;
    case LEASE_NAMING:
        conclude(lease);
        break;
    case LEASE_FINISHED:
        send_result(lease);
        break;
    }
}

/* ---- all leases ------------------------------------------------------------------------- */

void leases_init(struct leases *leases) {
    RB_INIT(&leases->tree);
    timeline_init(&leases->timeline);
    msgpack_sbuffer_init(&leases->body);
}

void leases_free(struct agent *a) {
    struct lease *lease, *next;
    RB_FOREACH_SAFE(lease, lease_tree, &a->leases.tree, next)
    lease_remove(lease);
    msgpack_sbuffer_destroy(&a->leases.body);
}

int64_t *leases_ids(const struct agent *a) {
    int64_t *ids = mem_new((size_t)a->leases.count, sizeof *ids);
    size_t n = 0;
    struct lease *lease;
    RB_FOREACH(lease, lease_tree, (struct lease_tree *)&a->leases.tree)
    ids[n++] = lease->id;
    return ids;
}

void leases_send_finished(struct agent *a) {
    struct lease *lease;
    RB_FOREACH(lease, lease_tree, &a->leases.tree)
    if (lease->state == LEASE_FINISHED)
        send_result(lease);
}

void leases_return_all(struct agent *a, const char *reason) {
    struct lease *lease, *next;
    RB_FOREACH_SAFE(lease, lease_tree, &a->leases.tree, next)
    if (lease->state == LEASE_NAMING) {
        conclude(lease);
    } else if (lease->state != LEASE_FINISHED) {
        give_back(a, lease->id, reason);
        lease_remove(lease);
    }
}

void leases_tick(struct agent *a) {
    struct timeline_entry *due;
    while ((due = timeline_pop(&a->leases.timeline, a->now.mono_us)) != NULL)
        lease_due(TIMELINE_OWNER(due, struct lease, timer));
}

int64_t leases_next(struct agent *a) { return timeline_next(&a->leases.timeline); }
