#include "broker/listeners.h"

#include "common/mem.h"
#include "common/protocol/request.h"
#include "common/protocol/session.h"
#include "common/runtime/sock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A larger frame ends its connection to the submit endpoint. A frame up to this size that exceeds
 * REQUEST_MAX_BYTES is answered with an error instead. */
#define SUBMIT_CUT_BYTES (2 * REQUEST_MAX_BYTES)

/* A subscriber that sends a larger frame is disconnected. The longest topic has 137 bytes. */
#define RESULTS_CUT_BYTES 256

enum { SUBMIT, RESULTS, WORKERS, SOCKETS };

struct monitor {
    zsock_t *socket;
    struct listeners *of;
};

struct listeners {
    zsock_t *at[SOCKETS];
    struct monitor monitors[SOCKETS];
    struct listeners_events events;
};

static zsock_t *listen_at(int type, int64_t max_bytes, const char *option,
    const struct broker_endpoints *endpoints, bool insecure) {
    zsock_t *s = sock_new_bound(type, max_bytes);
    for (int i = 0; s != NULL && i < endpoints->count; i++)
        if (!sock_bind(s, option, endpoints->at[i], insecure)) {
            sock_destroy(&s, 0);
            return NULL;
        }
    return s;
}

/* Takes subscriptions off the socket; libzmq has acted on them. */
static void on_subscriber(void *context) {
    struct listeners *l = context;
    struct sock_message m;
    for (int i = 0; i < REACTOR_DRAIN && sock_receive(l->at[RESULTS], &m); i++)
        sock_message_close(&m);
}

static void on_monitor(void *context) {
    struct monitor *monitor = context;
    const struct listeners_events *events = &monitor->of->events;
    struct sock_message m;
    for (int i = 0; i < REACTOR_DRAIN && sock_receive(monitor->socket, &m); i++) {
        uint16_t event = 0;
        if (m.frames == 2 && zmq_msg_size(&m.at[0]) >= sizeof event)
            memcpy(&event, zmq_msg_data(&m.at[0]), sizeof event);
        if (event == ZMQ_EVENT_ACCEPTED || event == ZMQ_EVENT_DISCONNECTED)
            events->connection(events->context, event == ZMQ_EVENT_ACCEPTED);
        sock_message_close(&m);
    }
}

/* Only a monitor tells when libzmq accepts or ends a connection. */
static bool watch(struct listeners *l, int which, struct reactor *reactor) {
    char endpoint[40];
    struct monitor *monitor = &l->monitors[which];
    (void)snprintf(endpoint, sizeof endpoint, "inproc://monitor-%d", which);
    if (zmq_socket_monitor(zsock_resolve(l->at[which]), endpoint,
            ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED) != 0)
        return false;
    monitor->of = l;
    monitor->socket = zsock_new(ZMQ_PAIR);
    if (monitor->socket == NULL || zsock_connect(monitor->socket, "%s", endpoint) != 0)
        return false;
    reactor_socket(reactor, monitor->socket, on_monitor, monitor);
    return true;
}

static bool open_all(struct listeners *l, const struct broker_config *config) {
    static const struct {
        int type;
        int64_t max_bytes;
        const char *option;
    } kinds[SOCKETS] = {{ZMQ_ROUTER, SUBMIT_CUT_BYTES, "--submit"},
        {ZMQ_XPUB, RESULTS_CUT_BYTES, "--results"}, {ZMQ_ROUTER, SESSION_MAX_BYTES, "--workers"}};
    const struct broker_endpoints *const endpoints[SOCKETS] = {
        &config->submit, &config->results, &config->workers};
    for (int i = 0; i < SOCKETS; i++) {
        l->at[i] = listen_at(
            kinds[i].type, kinds[i].max_bytes, kinds[i].option, endpoints[i], config->insecure);
        if (l->at[i] == NULL)
            return false;
    }
    return true;
}

struct listeners *listeners_new(const struct broker_config *config, struct reactor *reactor,
    const struct listeners_events *events) {
    struct listeners *l = mem_new(1, sizeof *l);
    bool good = open_all(l, config);
    l->events = *events;
    for (int i = 0; good && i < SOCKETS; i++)
        good = watch(l, i, reactor);
    if (!good) {
        listeners_destroy(&l, 0);
        return NULL;
    }
    reactor_socket(reactor, l->at[SUBMIT], events->peers, events->context);
    reactor_socket(reactor, l->at[RESULTS], on_subscriber, l);
    reactor_socket(reactor, l->at[WORKERS], events->peers, events->context);
    return l;
}

zsock_t *listeners_submit(const struct listeners *l) { return l->at[SUBMIT]; }

zsock_t *listeners_results(const struct listeners *l) { return l->at[RESULTS]; }

zsock_t *listeners_workers(const struct listeners *l) { return l->at[WORKERS]; }

void listeners_destroy(struct listeners **listeners, int linger_ms) {
    struct listeners *l = *listeners;
    if (l == NULL)
        return;
    for (int i = 0; i < SOCKETS; i++)
        zsock_destroy(&l->monitors[i].socket);
    for (int i = 0; i < SOCKETS; i++)
        sock_destroy(&l->at[i], linger_ms);
    free(l);
    *listeners = NULL;
}
