#include "worker/host/resolver.h"

#include "common/mem.h"
#include "worker/session/ptr.h"

#include <arpa/nameser.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

struct resolver {
    struct reactor *reactor;
    ares_channel channel;
    int64_t due_us;
    unsigned pending;
};

/* One question; either `addresses` or `name` is set. */
struct question {
    struct resolver *resolver;
    void *context;
    void (*addresses)(void *context, int status, struct ares_addrinfo *info);
    void (*name)(void *context, const struct addr *addr, enum names_outcome outcome,
        const char *name, uint32_t ttl_s);
    struct addr addr;
};

static struct question *question_new(struct resolver *r, void *context) {
    struct question *q = mem_new(1, sizeof *q);
    q->resolver = r;
    q->context = context;
    r->pending++;
    return q;
}

static void on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *info) {
    struct question *q = arg;
    (void)timeouts;
    q->resolver->pending--;
    q->addresses(q->context, status, info);
    free(q);
}

void resolver_addresses(struct resolver *r, const char *name, int af,
    void (*found)(void *context, int status, struct ares_addrinfo *info), void *context) {
    const struct ares_addrinfo_hints hints = {.ai_family = af == 0   ? AF_UNSPEC
                                                           : af == 4 ? AF_INET
                                                                     : AF_INET6,
        .ai_flags = ARES_AI_NOSORT};
    struct question *q = question_new(r, context);
    q->addresses = found;
    ares_getaddrinfo(r->channel, name, NULL, &hints, on_addresses, q);
}

static void on_name(void *arg, int status, int timeouts, unsigned char *bytes, int size) {
    struct question *q = arg;
    enum names_outcome outcome = NAMES_FAILED;
    char name[RESULT_NAME_BYTES + 1] = "";
    uint32_t ttl_s = 0;
    (void)timeouts;
    q->resolver->pending--;
    if (status == ARES_SUCCESS)
        outcome = ptr_read(bytes, (size_t)size, name, &ttl_s);
    else if (status == ARES_ENOTFOUND || status == ARES_ENODATA)
        outcome = NAMES_NONE;
    q->name(q->context, &q->addr, outcome, name, ttl_s);
    free(q);
}

void resolver_name(struct resolver *r, const struct addr *addr,
    void (*found)(void *context, const struct addr *addr, enum names_outcome outcome,
        const char *name, uint32_t ttl_s),
    void *context) {
    char text[PTR_QUESTION_BYTES];
    struct question *q = question_new(r, context);
    q->name = found;
    q->addr = *addr;
    ptr_question(addr, text);
    ares_query(r->channel, text, ns_c_in, ns_t_ptr, on_name, q);
}

/* ---- c-ares in our loop ----------------------------------------------------------------- */

static void on_ares_fd(void *context, int fd, short events) {
    struct resolver *r = context;
    ares_process_fd(r->channel, (events & (ZMQ_POLLIN | ZMQ_POLLERR)) != 0 ? fd : ARES_SOCKET_BAD,
        (events & ZMQ_POLLOUT) != 0 ? fd : ARES_SOCKET_BAD);
}

static void on_ares_state(void *context, ares_socket_t fd, int readable, int writable) {
    struct resolver *r = context;
    short events = (short)((readable ? ZMQ_POLLIN : 0) | (writable ? ZMQ_POLLOUT : 0));
    if (events == 0)
        reactor_fd_end(r->reactor, fd);
    else
        reactor_fd(r->reactor, fd, events, on_ares_fd, r);
}

struct resolver *resolver_new(struct reactor *reactor) {
    struct resolver *r = mem_new(1, sizeof *r);
    r->reactor = reactor;
    struct ares_options options = {.timeout = RESOLVER_TRY_MS,
        .tries = RESOLVER_TRIES,
        .sock_state_cb = on_ares_state,
        .sock_state_cb_data = r};
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status == ARES_SUCCESS)
        status = ares_init_options(
            &r->channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) {
        (void)fprintf(stderr, "hopmq-worker: name resolution: %s\n", ares_strerror(status));
        free(r);
        return NULL;
    }
    return r;
}

void resolver_destroy(struct resolver **resolver) {
    struct resolver *r = *resolver;
    if (r == NULL)
        return;
    ares_destroy(r->channel);
    ares_library_cleanup();
    free(r);
    *resolver = NULL;
}

void resolver_tick(struct resolver *r) {
    r->due_us = 0;
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

int64_t resolver_next(struct resolver *r, int64_t now_us) {
    struct timeval wait;
    if (r->pending == 0)
        return INT64_MAX;
    if (r->due_us == 0 && ares_timeout(r->channel, NULL, &wait) != NULL)
        r->due_us = now_us + wait.tv_sec * INT64_C(1000000) + wait.tv_usec;
    return r->due_us == 0 ? INT64_MAX : r->due_us;
}
