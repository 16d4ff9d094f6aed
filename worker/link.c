#include "worker/link.h"

#include "common/mem.h"
#include "common/runtime/log.h"
#include "common/runtime/sock.h"
#include "common/runtime/wire_log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct link {
    struct link_shared shared;
    const char *endpoint;
    zsock_t *socket, *monitor; /* the monitor is NULL if there is none */
    struct agent *agent;
    bool unreachable;               /* the last message could not be sent: it is logged once */
    char handshake[SOCK_WHY_BYTES]; /* why the last handshake failed; empty if it did not */
};

/* ---- what the agent wants --------------------------------------------------------------- */

static bool to_broker(void *context, const void *bytes, size_t size) {
    struct link *l = context;
    const struct sock_frame frame = {bytes, size};
    wire_log("to-broker", l->endpoint, bytes, size);
    if (sock_send(l->socket, &frame, 1)) {
        l->unreachable = false;
        return true;
    }
    if (!l->unreachable)
        log_event(LOG_LEVEL_WARN, "broker-unreachable", "endpoint=%s error=\"%s\"", l->endpoint,
            zmq_strerror(errno));
    l->unreachable = true;
    return false;
}

static void locate(void *context, int64_t lease, const struct trace *trace) {
    struct link *l = context;
    locator_find(l->shared.locator, l, lease, trace);
}

static size_t sources(void *context, struct addr list[SESSION_MAX_SOURCES]) {
    (void)context;
    return locate_sources(list);
}

static void want_name(void *context, int64_t lease, const struct addr *addr) {
    struct link *l = context;
    names_want(l->shared.names, l, lease, addr, reactor_now().mono_us);
}

static void log_line(void *context, const char *event, const char *detail) {
    const struct link *l = context;
    log_event(LOG_LEVEL_INFO, event, "broker=%s detail=\"%s\"", l->endpoint, detail);
}

/* ---- what comes in ---------------------------------------------------------------------- */

void link_on_located(void *owner, int64_t lease, const struct agent_location *location) {
    struct link *l = owner;
    struct instant now = reactor_now();
    agent_located(l->agent, lease, location, &now);
}

void link_on_named(void *owner, int64_t lease, const struct addr *addr, const char *name) {
    struct link *l = owner;
    struct instant now = reactor_now();
    agent_named(l->agent, lease, addr, name, &now);
}

static void on_broker_message(void *context) {
    struct link *l = context;
    struct sock_message message;
    for (int i = 0; i < REACTOR_DRAIN && sock_receive(l->socket, &message); i++) {
        struct instant now = reactor_now();
        const void *bytes = zmq_msg_data(&message.at[0]);
        size_t size = zmq_msg_size(&message.at[0]);
        if (message.frames == 1) {
            wire_log("from-broker", l->endpoint, bytes, size);
            agent_message(l->agent, bytes, size, &now);
        } else {
            log_event(
                LOG_LEVEL_WARN, "bad-message", "broker=%s frames=%u", l->endpoint, message.frames);
        }
        sock_message_close(&message);
    }
}

static void on_handshake(void *context) {
    struct link *l = context;
    char why[SOCK_WHY_BYTES];
    while (sock_handshake(l->monitor, why)) {
        if (why[0] != '\0' && strcmp(why, l->handshake) != 0)
            log_event(LOG_LEVEL_WARN, "handshake-failed", "broker=%s why=\"%s\"", l->endpoint, why);
        memcpy(l->handshake, why, sizeof l->handshake);
    }
}

/* ---- life ------------------------------------------------------------------------------- */

struct link *link_new(const struct link_shared *shared, const char *endpoint) {
    zsock_t *socket = sock_new_connected(ZMQ_DEALER, endpoint);
    if (socket == NULL) {
        (void)fprintf(stderr,
            "hopmq-worker: --broker %s: not an endpoint; give tcp://HOST:PORT or ipc://PATH\n",
            endpoint);
        return NULL;
    }
    struct link *l = mem_new(1, sizeof *l);
    const struct agent_sink sink = {l, to_broker, locate, sources, want_name, log_line};
    l->shared = *shared;
    l->endpoint = endpoint;
    l->socket = socket;
    l->agent = agent_new(shared->config, &sink, shared->mux);
    reactor_socket(shared->reactor, l->socket, on_broker_message, l);
    l->monitor = sock_watch(l->socket);
    if (l->monitor != NULL)
        reactor_socket(shared->reactor, l->monitor, on_handshake, l);
    return l;
}

void link_destroy(struct link **link, int linger_ms) {
    struct link *l = *link;
    if (l == NULL)
        return;
    agent_destroy(&l->agent);
    if (l->monitor != NULL)
        sock_unwatch(l->socket, &l->monitor);
    sock_destroy(&l->socket, linger_ms);
    free(l);
    *link = NULL;
}

const char *link_endpoint(const struct link *l) { return l->endpoint; }

struct agent *link_agent(const struct link *l) {
    return l->agent;
}
