#include "worker/session/agent_state.h"

#include "common/mem.h"
#include "worker/session/capabilities.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int lease_compare(const struct lease *a, const struct lease *b) {
    return a->id < b->id ? -1 : a->id > b->id;
}

RB_PROTOTYPE(lease_tree, lease, link, lease_compare)
RB_GENERATE(lease_tree, lease, link, lease_compare)

struct lease *lease_find(struct agent *a, int64_t id) {
    struct lease key = {.id = id};
    return RB_FIND(lease_tree, &a->leases, &key);
}

void lease_send(struct agent *a, struct lease *lease) {
    /* Without a session it would only fill the queue: all are sent when there is one again. */
    if (a->link == LINK_OPEN)
        (void)agent_tell(a, &(struct session_msg){.op = SESSION_RESULT,
                                .lease = lease->id,
                                .body = lease->result,
                                .body_size = lease->result_size});
    timeline_set(&a->timeline, &lease->timer, a->now.mono_us + AGENT_RESEND_US);
}

static void give_back(struct agent *a, int64_t id, const char *reason) {
    struct session_msg msg = {.op = SESSION_RETURN, .lease = id};
    (void)snprintf(msg.reason, sizeof msg.reason, "%.200s", reason);
    (void)agent_tell(a, &msg);
}

void lease_remove(struct agent *a, struct lease *lease) {
    if (lease->state == LEASE_RUNNING)
        mux_forget(a->mux, lease->job);
    timeline_unset(&a->timeline, &lease->timer);
    (void)RB_REMOVE(lease_tree, &a->leases, lease);
    a->lease_count--;
    responders_free(&lease->responders);
    free(lease->result);
    free(lease);
}

static void keep_body(struct agent *a, struct lease *lease) {
    free(lease->result);
    lease->result = mem_copy(a->body.data, a->body.size);
    lease->result_size = a->body.size;
}

static void want_name(struct agent *a, struct lease *lease, const struct addr *addr) {
    if (lease->trace.names && addr->af != 0 && responders_add(&lease->responders, addr))
        a->sink.name(a->sink.context, lease->id, addr);
}

/* With the names that are there. */
static void conclude(struct agent *a, struct lease *lease) {
    if (lease->trace.names) {
        msgpack_packer pk;
        msgpack_sbuffer_clear(&a->body);
        msgpack_packer_init(&pk, &a->body, msgpack_sbuffer_write);
        result_put_names(&pk, lease->result, lease->result_size, lease->responders.list,
            lease->responders.count);
        keep_body(a, lease);
        responders_free(&lease->responders);
    }
    lease->state = LEASE_FINISHED;
    a->traces_done++;
    lease_send(a, lease);
}

/* All but finished ones, and those that only wait for names, which are finished with that. */
void lease_return_all(struct agent *a, const char *reason) {
    struct lease *lease, *next;
    RB_FOREACH_SAFE(lease, lease_tree, &a->leases, next)
    if (lease->state == LEASE_NAMING) {
        conclude(a, lease);
    } else if (lease->state != LEASE_FINISHED) {
        give_back(a, lease->id, reason);
        lease_remove(a, lease);
    }
}

/* body has what is known of the end; the rest is filled in here. */
static void finish(struct agent *a, struct lease *lease, const struct result_body *end,
    const struct hop_probe *probes, size_t count) {
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
    msgpack_sbuffer_clear(&a->body);
    msgpack_packer_init(&pk, &a->body, msgpack_sbuffer_write);
    result_put_body(&pk, &body, probes, count);
    keep_body(a, lease);
    lease->job = NULL;
    lease->state = LEASE_NAMING;
    int64_t until_us = a->now.mono_us + AGENT_NAMES_US;
    if (lease->responders.awaited > 0 && end->stop != STOP_CANCELLED)
        timeline_set(&a->timeline, &lease->timer,
            until_us < lease->deadline_us ? until_us : lease->deadline_us);
    else
        conclude(a, lease);
}

static void finish_early(struct agent *a, struct lease *lease, enum result_stop stop) {
    const struct result_body end = {.stop = (int)stop};
    finish(a, lease, &end, NULL, 0);
}

void agent_on_done(void *context, void *owner, const struct result_body *end,
    const struct hop_probe *probes, size_t count, int64_t now_us) {
    (void)context;
    struct lease *lease = owner;
    struct agent *a = lease->agent;
    a->now.wall_us += now_us - a->now.mono_us;
    a->now.mono_us = now_us;
    finish(a, lease, end, probes, count);
}

void agent_on_hop(void *context, void *owner, const struct hop_probe *probes, size_t count) {
    (void)context;
    struct lease *lease = owner;
    for (size_t i = 0; i < count; i++)
        want_name(lease->agent, lease, &probes[i].addr);
    if (!lease->trace.progress || lease->agent->link != LINK_OPEN)
        return;
    (void)agent_tell(lease->agent, &(struct session_msg){.op = SESSION_HOP,
                                       .lease = lease->id,
                                       .ttl = probes[0].ttl,
                                       .hop_probes = probes,
                                       .hop_probe_count = count});
}

void agent_located(
    struct agent *a, int64_t id, const struct agent_location *location, const struct instant *now) {
    a->now = *now;
    struct lease *lease = lease_find(a, id);
    if (lease == NULL || lease->state != LEASE_LOCATING)
        return;
    struct result_body end = {.stop = (int)location->stop};
    (void)addr_print(&location->dst, end.dst);
    (void)addr_print(&location->src, end.src);
    memcpy(end.error_code, location->error_code, sizeof end.error_code);
    memcpy(end.error_message, location->error_message, sizeof end.error_message);
    if (location->error_code[0] != '\0' ||
        !capabilities_check(&lease->trace, location->dst.af, a->protocols, a->version, &end)) {
        finish(a, lease, &end, NULL, 0);
        return;
    }
    timeline_unset(&a->timeline, &lease->timer);
    lease->state = LEASE_RUNNING;
    lease->started_wall_us = now->wall_us;
    lease->job = mux_add(a->mux, &lease->trace, &location->dst, &location->src, lease,
        lease->deadline_us, now->mono_us);
    want_name(a, lease, &location->dst);
}

void agent_named(struct agent *a, int64_t id, const struct addr *addr, const char *name,
    const struct instant *now) {
    a->now = *now;
    struct lease *lease = lease_find(a, id);
    if (lease == NULL || !responders_name(&lease->responders, addr, name))
        return;
    if (lease->state == LEASE_NAMING && lease->responders.awaited == 0)
        conclude(a, lease);
}

void lease_take(struct agent *a, const struct session_msg *msg) {
    struct wire_error err;
    struct trace trace;
    if (lease_find(a, msg->lease) != NULL)
        return;
    const char *refusal = !trace_get(&trace, msg->trace, "trace.", &err) ? err.message
                          : a->draining                                  ? "draining"
                          : a->trouble[0] != '\0'                        ? a->trouble
                          : a->lease_count >= a->config.capacity         ? "no capacity"
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
    (void)RB_INSERT(lease_tree, &a->leases, lease);
    a->lease_count++;
    timeline_set(&a->timeline, &lease->timer, lease->deadline_us);
    a->sink.locate(a->sink.context, lease->id, &lease->trace);
}

void lease_cancel(struct agent *a, struct lease *lease) {
    if (lease->state == LEASE_LOCATING)
        finish_early(a, lease, STOP_CANCELLED);
    else if (lease->state == LEASE_RUNNING)
        mux_cancel(a->mux, lease->job, a->now.mono_us);
    else if (lease->state == LEASE_NAMING)
        conclude(a, lease);
}

void lease_due(struct agent *a, struct lease *lease) {
    if (lease->state == LEASE_FINISHED)
        lease_send(a, lease);
    else if (lease->state == LEASE_NAMING)
        conclude(a, lease);
    else
        finish_early(a, lease, STOP_DEADLINE);
}
