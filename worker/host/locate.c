#include "worker/host/locate.h"

#include "common/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* The port to ask for a route with; any would do. */
#define ROUTE_PORT 9

struct locator {
    struct resolver *resolver;
    int asks[2]; /* sockets to ask for routes of IPv4 and IPv6; -1: not opened yet */
    void (*found)(void *owner, int64_t lease, const struct agent_location *location);
};

struct query {
    struct locator *locator;
    void *owner;
    int64_t lease;
    char target[TRACE_TARGET_BYTES + 1];
    char source[ADDR_TEXT];
    int64_t af;
};

/* ---- the route -------------------------------------------------------------------------- */

union endpoint {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t to_endpoint(union endpoint *e, const struct addr *addr, uint16_t port) {
    memset(e, 0, sizeof *e);
    if (addr->af == 4) {
        e->v4.sin_family = AF_INET;
        e->v4.sin_port = htons(port);
        memcpy(&e->v4.sin_addr, addr->bytes, 4);
        return sizeof e->v4;
    }
    e->v6.sin6_family = AF_INET6;
    e->v6.sin6_port = htons(port);
    memcpy(&e->v6.sin6_addr, addr->bytes, 16);
    return sizeof e->v6;
}

static void from_endpoint(struct addr *addr, const union endpoint *e) {
    memset(addr, 0, sizeof *addr);
    addr->af = e->any.sa_family == AF_INET ? 4 : 6;
    if (addr->af == 4)
        memcpy(addr->bytes, &e->v4.sin_addr, 4);
    else
        memcpy(addr->bytes, &e->v6.sin6_addr, 16);
}

static void fail(struct agent_location *at, enum result_stop stop, const char *code,
    const char *format, const char *what, const char *why) {
    at->stop = stop;
    (void)snprintf(at->error_code, sizeof at->error_code, "%s", code);
    (void)snprintf(at->error_message, sizeof at->error_message, format, what, why);
}

/* Returns a socket that has no peer and no address. One that is to be bound is new, and the caller
 * closes it. Otherwise it is the one that was used before, which costs half as much as a new one.
 */
static int route_socket(struct locator *l, int family, bool bound) {
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    int *kept = &l->asks[family == AF_INET6];
    if (bound || *kept < 0) {
        int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (!bound)
            *kept = fd;
        return fd;
    }
    (void)connect(*kept, &none, sizeof none);
    return *kept;
}

/* Connects the UDP socket, which sends nothing, and reads the source address that the kernel has
 * chosen for the route. Returns 0 or an errno. */
static int route_source(int fd, const struct addr *dst, struct addr *src) {
    union endpoint to, from;
    socklen_t to_size = to_endpoint(&to, dst, ROUTE_PORT), from_size = sizeof from;
    memset(&from, 0, sizeof from);
    if (connect(fd, &to.any, to_size) != 0 || getsockname(fd, &from.any, &from_size) != 0)
        return errno;
    from_endpoint(src, &from);
    return 0;
}

int locate_source(const struct addr *dst, struct addr *src) {
    int fd = socket(dst->af == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int failed = route_source(fd, dst, src);
    (void)close(fd);
    return failed;
}

static void find_route(struct agent_location *at, const struct query *q) {
    union endpoint own;
    bool bound = q->source[0] != '\0';
    struct addr source;
    char text[ADDR_TEXT];
    int fd = route_socket(q->locator, at->dst.af == 4 ? AF_INET : AF_INET6, bound);
    if (fd < 0 && errno != EAFNOSUPPORT) {
        /* For instance too many open files, which says nothing about routes. */
        fail(at, STOP_PROBER_ERROR, "internal", "this worker cannot look for a route to %s: %s",
            addr_print(&at->dst, text), strerror(errno));
        return;
    }
    if (fd < 0) {
        fail(at, STOP_NO_ROUTE, "unavailable", "af: this worker cannot reach %s: %s",
            addr_print(&at->dst, text), strerror(errno));
        return;
    }
    if (bound && addr_parse(&source, q->source)) {
        socklen_t size = to_endpoint(&own, &source, 0);
        if (source.af != at->dst.af)
            fail(at, STOP_NO_ROUTE, "bad-request", "source: %s: not of the family of %s", q->source,
                addr_print(&at->dst, text));
        else if (bind(fd, &own.any, size) != 0)
            fail(at, STOP_NO_ROUTE, "bad-request", "source: %s: not an address of this worker (%s)",
                q->source, strerror(errno));
    }
    int failed = at->error_code[0] == '\0' ? route_source(fd, &at->dst, &at->src) : 0;
    if (failed != 0)
        fail(at, STOP_NO_ROUTE, "unavailable", "this worker has no route to %s: %s",
            addr_print(&at->dst, text), strerror(failed));
    if (bound)
        (void)close(fd);
}

static bool to_source(struct addr *addr, const struct ifaddrs *at) {
    union endpoint e;
    memset(&e, 0, sizeof e);
    if (at->ifa_addr == NULL || (at->ifa_flags & IFF_UP) == 0)
        return false;
    if (at->ifa_addr->sa_family == AF_INET)
        memcpy(&e.v4, at->ifa_addr, sizeof e.v4);
    else if (at->ifa_addr->sa_family == AF_INET6)
        memcpy(&e.v6, at->ifa_addr, sizeof e.v6);
    else
        return false;
    from_endpoint(addr, &e);
    return addr->af == 4 || !IN6_IS_ADDR_LINKLOCAL(&e.v6.sin6_addr);
}

size_t locate_sources(struct addr sources[SESSION_MAX_SOURCES]) {
    size_t count = 0;
    struct ifaddrs *all;
    struct addr source;
    if (getifaddrs(&all) != 0)
        return 0;
    for (const struct ifaddrs *at = all; at != NULL; at = at->ifa_next)
        if (to_source(&source, at) && count++ < SESSION_MAX_SOURCES)
            sources[count - 1] = source;
    freeifaddrs(all);
    return count <= SESSION_MAX_SOURCES ? count : 0;
}

/* ---- the name --------------------------------------------------------------------------- */

/* Takes the first address of a family; false if there is none. */
static bool first_of(struct addr *addr, const struct ares_addrinfo *info, int family) {
    union endpoint e;
    memset(&e, 0, sizeof e);
    for (const struct ares_addrinfo_node *n = info != NULL ? info->nodes : NULL; n != NULL;
         n = n->ai_next)
        if (n->ai_family == family) {
            memcpy(&e, n->ai_addr, n->ai_addrlen < sizeof e ? n->ai_addrlen : sizeof e);
            from_endpoint(addr, &e);
            return true;
        }
    return false;
}

static void try_family(struct agent_location *at, const struct query *q,
    const struct ares_addrinfo *info, int family) {
    if (!first_of(&at->dst, info, family))
        return;
    if (!addr_traceable(&at->dst))
        fail(at, STOP_UNRESOLVED, "bad-request", "target: %.120s: %s", q->target,
            "its address cannot be traced");
    else
        find_route(at, q);
}

static void on_addresses(void *context, int status, struct ares_addrinfo *info) {
    struct query *q = context;
    struct agent_location at = {0}, other = {0};
    if (q->af != 6)
        try_family(&at, q, info, AF_INET);
    /* If the trace leaves the family open, IPv6 serves where IPv4 cannot. */
    if (q->af != 4 && (at.dst.af == 0 || at.error_code[0] != '\0'))
        try_family(&other, q, info, AF_INET6);
    if (at.dst.af == 0 || (other.dst.af != 0 && other.error_code[0] == '\0'))
        at = other;
    if (at.dst.af == 0)
        fail(&at, STOP_UNRESOLVED,
            status == ARES_SUCCESS || status == ARES_ENOTFOUND || status == ARES_ENODATA
                ? "not-found"
                : "unavailable",
            "target: %.120s: %s", q->target,
            status == ARES_SUCCESS ? "no address of this family" : ares_strerror(status));
    if (info != NULL)
        ares_freeaddrinfo(info);
    q->locator->found(q->owner, q->lease, &at);
    free(q);
}

void locator_find(struct locator *l, void *owner, int64_t lease, const struct trace *trace) {
    struct query *q = mem_new(1, sizeof *q);
    struct agent_location at = {0};
    q->locator = l;
    q->owner = owner;
    q->lease = lease;
    q->af = trace->af;
    memcpy(q->target, trace->target, sizeof q->target);
    memcpy(q->source, trace->source, sizeof q->source);
    /* RFC 6761, section 6.3: the address of localhost is known, whatever /etc/hosts says. */
    bool local = strcasecmp(trace->target, "localhost") == 0;
    if (addr_parse(&at.dst, local ? (trace->af == 6 ? "::1" : "127.0.0.1") : trace->target)) {
        find_route(&at, q);
        l->found(owner, lease, &at);
        free(q);
        return;
    }
    resolver_addresses(l->resolver, trace->target, (int)trace->af, on_addresses, q);
}

struct locator *locator_new(struct resolver *resolver,
    void (*found)(void *owner, int64_t lease, const struct agent_location *location)) {
    struct locator *l = mem_new(1, sizeof *l);
    l->resolver = resolver;
    l->asks[0] = l->asks[1] = -1;
    l->found = found;
    return l;
}

void locator_destroy(struct locator **locator) {
    for (int i = 0; *locator != NULL && i < 2; i++)
        if ((*locator)->asks[i] >= 0)
            (void)close((*locator)->asks[i]);
    free(*locator);
    *locator = NULL;
}
