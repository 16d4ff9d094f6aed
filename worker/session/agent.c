#include "worker/session/agent_state.h"

#include "common/mem.h"
#include "common/order.h"
#include "worker/session/capabilities.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- messages out ----------------------------------------------------------------------- */

bool agent_tell(struct agent *a, const struct session_msg *msg) {
    msgpack_packer pk;
    msgpack_sbuffer_clear(&a->out);
    msgpack_packer_init(&pk, &a->out, msgpack_sbuffer_write);
    session_put(&pk, msg);
    bool sent = a->sink.to_broker(a->sink.context, a->out.data, a->out.size);
    a->counters.dropped_to_broker += !sent;
    return sent;
}

static void send_hello(struct agent *a) {
    int64_t *leases = leases_ids(a);
    struct addr sources[SESSION_MAX_SOURCES];
    struct session_msg msg = {.op = SESSION_HELLO,
        .version_min = SESSION_VERSION_MIN,
        .version_max = SESSION_VERSION_MAX,
        .capacity = a->config.capacity,
        .labels = a->config.labels,
        .families = a->families,
        .flows = capabilities_flows(a->version, a->families, a->protocols),
        .protocols = a->protocols,
        .sources = sources,
        .source_count = a->sink.sources(a->sink.context, sources),
        .leases = leases,
        .lease_count = (size_t)a->leases.count};
    memcpy(msg.name, a->config.name, sizeof msg.name);
    memcpy(msg.prober, a->prober, sizeof msg.prober);
    memcpy(msg.trouble, a->trouble, sizeof msg.trouble);
    bool sent = agent_tell(a, &msg);
    free(leases);
    a->beat_us = a->now.mono_us + (sent ? AGENT_HELLO_US : AGENT_UNSENT_US);
}

static void send_heartbeat(struct agent *a) {
    const struct mux_counters *of_mux = mux_counters(a->mux);
    const struct agent_counters *of_agent = agent_counters(a);
#define MUX_STAT(name, kind, metric, help) {#name, of_mux->name},
#define AGENT_STAT(name, scope, kind, metric, help) {#name, of_agent->name},
    const struct session_stat stats[] = {
        LEASE_COUNTERS(AGENT_STAT) MUX_COUNTERS(MUX_STAT) AGENT_COUNTERS(AGENT_STAT)};
#undef AGENT_STAT
#undef MUX_STAT
    static_assert(sizeof stats / sizeof stats[0] <= SESSION_MAX_STATS,
        "a broker refuses a heartbeat with more of them");
    int64_t *leases = leases_ids(a);
    struct session_msg msg = {.op = SESSION_HEARTBEAT,
        .leases = leases,
        .lease_count = (size_t)a->leases.count,
        .stat_list = stats,
        .stat_count = sizeof stats / sizeof stats[0]};
    memcpy(msg.trouble, a->trouble, sizeof msg.trouble);
    (void)agent_tell(a, &msg);
    free(leases);
    /* The silence of the broker is noticed when it has lasted dead_us, not one heartbeat later. */
    a->beat_us = order_min(a->now.mono_us + a->heartbeat_us, a->heard_us + a->dead_us);
}

static void agent_say(struct agent *a, const char *event, const char *detail) {
    a->sink.say(a->sink.context, event, detail);
}

/* ---- messages in ------------------------------------------------------------------------ */

static void welcome(struct agent *a, const struct session_msg *msg) {
    bool opened = a->session != AGENT_OPEN;
    if (opened) {
        char detail[SESSION_NAME_BYTES + 16];
        (void)snprintf(detail, sizeof detail, "%s version=%" PRId64, a->config.name, msg->version);
        agent_say(a, "session-open", detail);
    }
    a->session = AGENT_OPEN;
    a->heartbeat_us = msg->heartbeat_ms * 1000;
    a->dead_us = msg->dead_ms * 1000;
    if (opened)
        leases_send_finished(a);
    send_heartbeat(a);
    if (a->draining)
        (void)agent_tell(a, &(struct session_msg){.op = SESSION_DRAIN});
}

static void rejected(struct agent *a, const struct session_msg *msg) {
    if (a->session == AGENT_OPEN)
        return; /* it is about one message of ours, not about the session */
    char detail[300];
    (void)snprintf(detail, sizeof detail, "%s: %s", msg->code, msg->message);
    agent_say(a, "session-rejected", detail);
    a->session = AGENT_REJECTED;
    a->beat_us = a->now.mono_us + AGENT_REJECTED_US;
}

/* Says hello, unless a reject told the worker to wait. */
static void introduce(struct agent *a) {
    a->introduced = true;
    if (a->session == AGENT_REJECTED)
        return;
    a->session = AGENT_CLOSED;
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
        /* A broker that has just started answers each of our messages with this. One hello is
         * enough: until it is answered, it is said again every AGENT_HELLO_US. */
        if (a->introduced && a->session == AGENT_OPEN)
            introduce(a);
        break;
    case SESSION_TRACE:
        lease_accept(a, msg);
        break;
    case SESSION_CANCEL:
        if (lease != NULL)
            lease_cancel(lease);
        break;
    case SESSION_DONE:
        if (lease != NULL)
            lease_remove(lease);
        break;
    case SESSION_HEARTBEAT:
        break;
    case SESSION_HELLO:
    case SESSION_HOP:
    case SESSION_RESULT:
    case SESSION_RETURN:
    case SESSION_DRAIN:
    case SESSION_BYE:
        a->counters.bad_messages++;
        break;
    }
}

void agent_message(struct agent *a, const void *bytes, size_t size, const struct instant *now) {
    a->now = *now;
    struct wire_error err;
    struct session_msg msg;
    if (!wire_doc_read(&a->doc, bytes, size, SESSION_MAX_VALUES, &err) ||
        !session_get(&msg, &a->doc, &err)) {
        a->counters.bad_messages++;
        agent_say(a, "bad-message", err.message);
        return;
    }
    a->heard_us = now->mono_us;
    handle(a, &msg);
}

/* ---- what happens to traces ------------------------------------------------------------- */

void agent_on_hop(void *context, void *owner, const struct hop_probe *probes, size_t count) {
    (void)context;
    lease_hop(owner, probes, count);
}

void agent_on_done(void *context, void *owner, const struct result_body *end,
    const struct hop_probe *probes, size_t count, int64_t now_us) {
    (void)context;
    struct lease *lease = owner;
    struct agent *a = lease->agent;
    a->now.wall_us += now_us - a->now.mono_us;
    a->now.mono_us = now_us;
    lease_ended(lease, end, probes, count);
}

void agent_located(
    struct agent *a, int64_t id, const struct agent_location *location, const struct instant *now) {
    a->now = *now;
    struct lease *lease = lease_find(a, id);
    if (lease != NULL)
        lease_located(lease, location);
}

void agent_named(struct agent *a, int64_t id, const struct addr *addr, const char *name,
    const struct instant *now) {
    a->now = *now;
    struct lease *lease = lease_find(a, id);
    if (lease != NULL)
        lease_named(lease, addr, name);
}

/* ---- life ------------------------------------------------------------------------------- */

struct agent *agent_new(
    const struct agent_config *config, const struct agent_sink *sink, struct mux *mux) {
    struct agent *a = mem_new(1, sizeof *a);
    a->config = *config;
    a->sink = *sink;
    a->beat_us = TIMELINE_NEVER;
    leases_init(&a->leases);
    msgpack_sbuffer_init(&a->out);
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
    leases_free(a);
    wire_doc_free(&a->doc);
    msgpack_sbuffer_destroy(&a->out);
    free(a);
    *agent = NULL;
}

struct agent_counters *agent_counters(struct agent *a) {
    a->counters.traces_done = a->leases.done;
    return &a->counters;
}

struct agent_figures agent_figures(const struct agent *a) {
    return (struct agent_figures){.open = a->session == AGENT_OPEN,
        .draining = a->draining,
        .trouble = a->trouble,
        .held = a->leases.count};
}

void agent_prober_up(struct agent *a, const char *version, unsigned families, unsigned protocols,
    const struct instant *now) {
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
    else if (trouble && a->session == AGENT_OPEN)
        send_heartbeat(a);
}

void agent_prober_trouble(struct agent *a, const char *why, const struct instant *now) {
    a->now = *now;
    (void)snprintf(a->trouble, sizeof a->trouble, "%s", why);
    /* The broker must know of the trouble before it gets traces back, or it gives them again. */
    if (!a->introduced)
        introduce(a);
    else if (a->session == AGENT_OPEN)
        send_heartbeat(a);
    leases_return_all(a, a->trouble);
}

void agent_drain(struct agent *a, const struct instant *now) {
    a->now = *now;
    a->draining = true;
    if (a->session == AGENT_OPEN)
        (void)agent_tell(a, &(struct session_msg){.op = SESSION_DRAIN});
}

void agent_hand_back(struct agent *a, const struct instant *now) {
    a->now = *now;
    leases_return_all(a, "draining");
}

void agent_quit(struct agent *a) {
    leases_return_all(a, "draining");
    (void)agent_tell(a, &(struct session_msg){.op = SESSION_BYE});
}

bool agent_idle(const struct agent *a) { return a->draining && a->leases.count == 0; }

/* A heartbeat or a hello is due. A broker that was not heard for dead_us is lost: the worker says
 * hello, to it or to the one that replaces it, until one says welcome. Traces run on meanwhile. */
static void beat(struct agent *a) {
    if (a->session == AGENT_OPEN && a->now.mono_us - a->heard_us >= a->dead_us) {
        agent_say(a, "session-silent", "nothing heard from the broker");
        a->session = AGENT_CLOSED;
    }
    if (a->session == AGENT_OPEN) {
        send_heartbeat(a);
        return;
    }
    a->session = AGENT_CLOSED;
    send_hello(a);
}

void agent_tick(struct agent *a, const struct instant *now) {
    a->now = *now;
    if (a->beat_us <= now->mono_us)
        beat(a);
    leases_tick(a);
}

int64_t agent_next(struct agent *a) { return order_min(a->beat_us, leases_next(a)); }
