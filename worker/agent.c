#include "worker/agent.h"

#include "common/mem.h"
#include "common/timeline.h"
#include "worker/fit.h"
#include "worker/responders.h"

#include <bsd/sys/tree.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum lease_state {
    LEASE_LOCATING, /* the shell looks for address and route */
    LEASE_RUNNING,  /* the mux has it */
    LEASE_NAMING,   /* it has ended, but waits for names */
    LEASE_FINISHED, /* its result waits for the broker's word */
};

struct lease {
    struct timeline_entry timer; /* the end of locating, or of naming; then the next sending */
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

enum link_state {
    LINK_NONE, /* no broker has said welcome, or not for long */
    LINK_OPEN,
    LINK_REJECTED, /* wait before the next hello */
};

struct agent {
    struct agent_config config;
    struct agent_sink sink;
    struct mux *mux;
    struct lease_tree leases;
    int64_t lease_count;
    struct timeline timeline;
    struct timeline_entry beat; /* the next heartbeat, or hello */
    enum link_state link;
    int64_t heard_us, heartbeat_us, dead_us;
    struct agent_time now; /* of the last event; between events only their distance counts */
    char prober[65];
    char version[HOP_WORD_BYTES + 1];
    unsigned families, protocols;
    bool introduced; /* hello can be said: the prober was up once, or in trouble */
    char trouble[SESSION_TROUBLE_BYTES + 1]; /* why no trace can run; empty: none */
    bool draining;
    struct wire_doc doc;
    msgpack_sbuffer out, body;
    struct agent_shell_counters shell;
    int64_t traces_done, bad_messages;
};

static int lease_compare(const struct lease *a, const struct lease *b) {
    return a->id < b->id ? -1 : a->id > b->id;
}

RB_PROTOTYPE(lease_tree, lease, link, lease_compare)
RB_GENERATE(lease_tree, lease, link, lease_compare)

static struct lease *lease_find(struct agent *a, int64_t id) {
    struct lease key = {.id = id};
    return RB_FIND(lease_tree, &a->leases, &key);
}

/* ---- messages out ----------------------------------------------------------------------- */

static bool tell(struct agent *a, const struct session_msg *msg) {
    msgpack_packer pk;
    msgpack_sbuffer_clear(&a->out);
    msgpack_packer_init(&pk, &a->out, msgpack_sbuffer_write);
    session_put(&pk, msg);
    return a->sink.to_broker(a->sink.context, a->out.data, a->out.size);
}

static int64_t *list_leases(struct agent *a) {
    int64_t *list = mem_new((size_t)a->lease_count, sizeof *list);
    size_t n = 0;
    struct lease *lease;
    RB_FOREACH(lease, lease_tree, &a->leases)
    list[n++] = lease->id;
    return list;
}

static void send_hello(struct agent *a) {
    int64_t *leases = list_leases(a);
    struct session_msg msg = {.op = SESSION_HELLO,
        .version_min = WIRE_VERSION,
        .version_max = WIRE_VERSION,
        .capacity = a->config.capacity,
        .labels = a->config.labels,
        .families = a->families,
        .protocols = a->protocols,
        .leases = leases,
        .lease_count = (size_t)a->lease_count};
    memcpy(msg.name, a->config.name, sizeof msg.name);
    memcpy(msg.prober, a->prober, sizeof msg.prober);
    memcpy(msg.trouble, a->trouble, sizeof msg.trouble);
    bool sent = tell(a, &msg);
    free(leases);
    timeline_set(
        &a->timeline, &a->beat, a->now.mono_us + (sent ? AGENT_HELLO_US : AGENT_UNSENT_US));
}

static void send_heartbeat(struct agent *a) {
    const struct mux_counters *c = mux_counters(a->mux);
    const struct session_stat stats[] = {
        {"traces_done", a->traces_done},
        {"probes_sent", c->probes_sent},
        {"probes_in_flight", c->in_flight},
        {"probes_lost", c->probes_lost},
        {"replies", c->replies},
        {"no_replies", c->no_replies},
        {"late_replies", c->late_replies},
        {"late_taken", c->late_taken},
        {"impossible_times", c->impossible_times},
        {"clock_steps", c->clock_steps},
        {"probes_beyond", c->probes_beyond},
        {"prober_lag_us", c->prober_lag_us},
        {"near_waits", c->near_waits},
        {"near_limited", c->near_limited},
        {"sequence_waits", c->sequence_waits},
        {"numbers_skipped", c->numbers_skipped},
        {"bad_tokens", c->bad_tokens},
        {"bad_lines", c->bad_lines},
        {"bad_messages", a->bad_messages},
        {"prober_restarts", a->shell.prober_restarts},
        {"dropped_to_broker", a->shell.dropped_to_broker},
        {"names_cached", a->shell.names.cached},
        {"name_queries", a->shell.names.queries},
        {"name_failures", a->shell.names.failures},
        {"names_refused", a->shell.names.refused},
    };
    int64_t *leases = list_leases(a);
    struct session_msg msg = {.op = SESSION_HEARTBEAT,
        .leases = leases,
        .lease_count = (size_t)a->lease_count,
        .stat_list = stats,
        .stat_count = sizeof stats / sizeof stats[0]};
    memcpy(msg.trouble, a->trouble, sizeof msg.trouble);
    (void)tell(a, &msg);
    free(leases);
    int64_t next_us = a->now.mono_us + a->heartbeat_us, silent_us = a->heard_us + a->dead_us;
    timeline_set(&a->timeline, &a->beat, silent_us < next_us ? silent_us : next_us);
}

static void send_result(struct agent *a, struct lease *lease) {
    (void)tell(a, &(struct session_msg){.op = SESSION_RESULT,
                      .lease = lease->id,
                      .body = lease->result,
                      .body_size = lease->result_size});
    timeline_set(&a->timeline, &lease->timer, a->now.mono_us + AGENT_RESEND_US);
}

static void give_back(struct agent *a, int64_t id, const char *reason) {
    struct session_msg msg = {.op = SESSION_RETURN, .lease = id};
    (void)snprintf(msg.reason, sizeof msg.reason, "%.200s", reason);
    (void)tell(a, &msg);
}

static void say(struct agent *a, const char *event, const char *detail) {
    a->sink.say(a->sink.context, event, detail);
}

/* ---- leases ----------------------------------------------------------------------------- */

static void lease_remove(struct agent *a, struct lease *lease) {
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
    send_result(a, lease);
}

/* All but finished ones, and those that only wait for names, which are finished with that. */
static void give_all_back(struct agent *a, const char *reason) {
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
    if (!lease->trace.progress)
        return;
    (void)tell(lease->agent, &(struct session_msg){.op = SESSION_HOP,
                                 .lease = lease->id,
                                 .ttl = probes[0].ttl,
                                 .hop_probes = probes,
                                 .hop_probe_count = count});
}

void agent_located(struct agent *a, int64_t id, const struct agent_location *location,
    const struct agent_time *now) {
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
        !fit_check(&lease->trace, location->dst.af, a->protocols, a->version, &end)) {
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
    const struct agent_time *now) {
    a->now = *now;
    struct lease *lease = lease_find(a, id);
    if (lease == NULL || !responders_name(&lease->responders, addr, name))
        return;
    if (lease->state == LEASE_NAMING && lease->responders.awaited == 0)
        conclude(a, lease);
}

static void take_trace(struct agent *a, const struct session_msg *msg) {
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

static void cancel(struct agent *a, struct lease *lease) {
    if (lease->state == LEASE_LOCATING)
        finish_early(a, lease, STOP_CANCELLED);
    else if (lease->state == LEASE_RUNNING)
        mux_cancel(a->mux, lease->job, a->now.mono_us);
    else if (lease->state == LEASE_NAMING)
        conclude(a, lease);
}

/* ---- messages in ------------------------------------------------------------------------ */

static void welcome(struct agent *a, const struct session_msg *msg) {
    if (a->link != LINK_OPEN)
        say(a, "session-open", a->config.name);
    a->link = LINK_OPEN;
    a->heartbeat_us = msg->heartbeat_ms * 1000;
    a->dead_us = msg->dead_ms * 1000;
    struct lease *lease;
    RB_FOREACH(lease, lease_tree, &a->leases)
    if (lease->state == LEASE_FINISHED)
        send_result(a, lease);
    send_heartbeat(a);
    if (a->draining)
        (void)tell(a, &(struct session_msg){.op = SESSION_DRAIN});
}

static void rejected(struct agent *a, const struct session_msg *msg) {
    if (a->link == LINK_OPEN)
        return; /* about one message of ours, not about the session */
    char detail[300];
    (void)snprintf(detail, sizeof detail, "%s: %s", msg->code, msg->message);
    say(a, "session-rejected", detail);
    a->link = LINK_REJECTED;
    timeline_set(&a->timeline, &a->beat, a->now.mono_us + AGENT_REJECTED_US);
}

/* A new hello, but not before its time. */
static void introduce(struct agent *a) {
    a->introduced = true;
    if (a->link == LINK_REJECTED)
        return;
    a->link = LINK_NONE;
    send_hello(a);
}

static void handle(struct agent *a, const struct session_msg *msg) {
    struct lease *lease = msg->lease != 0 ? lease_find(a, msg->lease) : NULL;
    switch ((enum session_op)msg->op) {
    case SESSION_WELCOME:
        welcome(a, msg);
        break;
    case SESSION_REJECT:
        rejected(a, msg);
        break;
    case SESSION_WHO:
        if (a->introduced)
            introduce(a);
        break;
    case SESSION_TRACE:
        take_trace(a, msg);
        break;
    case SESSION_CANCEL:
        if (lease != NULL)
            cancel(a, lease);
        break;
    case SESSION_DONE:
        if (lease != NULL)
            lease_remove(a, lease);
        break;
    case SESSION_HEARTBEAT:
        break;
    case SESSION_HELLO:
    case SESSION_HOP:
    case SESSION_RESULT:
    case SESSION_RETURN:
    case SESSION_DRAIN:
    case SESSION_BYE:
        a->bad_messages++;
        break;
    }
}

void agent_message(struct agent *a, const void *bytes, size_t size, const struct agent_time *now) {
    a->now = *now;
    struct wire_error err;
    struct session_msg msg;
    if (!wire_doc_read(&a->doc, bytes, size, SESSION_MAX_VALUES, &err) ||
        !session_get(&msg, &a->doc, &err)) {
        a->bad_messages++;
        say(a, "bad-message", err.message);
        return;
    }
    a->heard_us = now->mono_us;
    handle(a, &msg);
}

/* ---- life ------------------------------------------------------------------------------- */

struct agent *agent_new(
    const struct agent_config *config, const struct agent_sink *sink, struct mux *mux) {
    struct agent *a = mem_new(1, sizeof *a);
    a->config = *config;
    a->sink = *sink;
    a->heartbeat_us = SESSION_HEARTBEAT_MS * 1000;
    a->dead_us = SESSION_DEAD_MS * 1000;
    RB_INIT(&a->leases);
    timeline_init(&a->timeline);
    msgpack_sbuffer_init(&a->out);
    msgpack_sbuffer_init(&a->body);
    if (!wire_doc_init(&a->doc))
        abort();
    a->mux = mux;
    (void)snprintf(a->prober, sizeof a->prober, "mtr-packet");
    return a;
}

void agent_destroy(struct agent **agent) {
    struct agent *a = *agent;
    if (a == NULL)
        return;
    while (!RB_EMPTY(&a->leases))
        lease_remove(a, RB_ROOT(&a->leases));
    wire_doc_free(&a->doc);
    msgpack_sbuffer_destroy(&a->out);
    msgpack_sbuffer_destroy(&a->body);
    free(a);
    *agent = NULL;
}

struct agent_shell_counters *agent_shell_counters(struct agent *a) {
    return &a->shell;
}

void agent_prober_up(struct agent *a, const char *version, unsigned families, unsigned protocols,
    const struct agent_time *now) {
    bool trouble = a->trouble[0] != '\0';
    bool news = !a->introduced || strcmp(a->version, version) != 0 || a->families != families ||
                a->protocols != protocols;
    a->now = *now;
    a->trouble[0] = '\0';
    (void)snprintf(a->version, sizeof a->version, "%s", version);
    (void)snprintf(a->prober, sizeof a->prober, "mtr-packet %s", version);
    a->families = families;
    a->protocols = protocols;
    if (news)
        introduce(a);
    else if (trouble && a->link == LINK_OPEN)
        send_heartbeat(a);
}

void agent_prober_trouble(struct agent *a, const char *why, const struct agent_time *now) {
    a->now = *now;
    (void)snprintf(a->trouble, sizeof a->trouble, "%s", why);
    /* Before the traces go back, or they would come again. */
    if (!a->introduced)
        introduce(a);
    else if (a->link == LINK_OPEN)
        send_heartbeat(a);
    give_all_back(a, a->trouble);
}

void agent_drain(struct agent *a, const struct agent_time *now) {
    a->now = *now;
    a->draining = true;
    if (a->link == LINK_OPEN)
        (void)tell(a, &(struct session_msg){.op = SESSION_DRAIN});
}

void agent_quit(struct agent *a) {
    give_all_back(a, "draining");
    (void)tell(a, &(struct session_msg){.op = SESSION_BYE});
}

bool agent_idle(const struct agent *a) { return a->draining && a->lease_count == 0; }

static void beat(struct agent *a) {
    if (a->link == LINK_OPEN && a->now.mono_us - a->heard_us >= a->dead_us) {
        say(a, "session-silent", "nothing heard from the broker");
        a->link = LINK_NONE;
    }
    if (a->link == LINK_OPEN) {
        send_heartbeat(a);
        return;
    }
    a->link = LINK_NONE;
    send_hello(a);
}

void agent_tick(struct agent *a, const struct agent_time *now) {
    a->now = *now;
    struct timeline_entry *due;
    while ((due = timeline_pop(&a->timeline, now->mono_us)) != NULL) {
        if (due == &a->beat) {
            beat(a);
            continue;
        }
        struct lease *lease = (struct lease *)due;
        if (lease->state == LEASE_FINISHED)
            send_result(a, lease);
        else if (lease->state == LEASE_NAMING)
            conclude(a, lease);
        else
            finish_early(a, lease, STOP_DEADLINE);
    }
}

int64_t agent_next(struct agent *a) { return timeline_next(&a->timeline); }
